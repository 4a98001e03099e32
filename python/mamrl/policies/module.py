"""Any torch module as a policy, through torch.func: slower than the kernels' own policies, and free of their shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mamrl.games.matrix_play import MODULE
from mamrl.policies.base import categorical_log_probs
from mamrl.policies.checks import check_actions


class ModulePolicy:
    """A module that maps a player's states so far, (T, K) int64, to logits (T, K, A), causally in time.

    Args:
        module: its parameters give the layout and the initial values; a module that draws random numbers or keeps
            buffers is not functional and will not do.
        num_states: S of the game.
        num_actions: A of the player.
        memoryless: the logits of a time depend on the state of that time only; rollouts then skip the past.

    Raises:
        TypeError: the module has no parameters.
    """

    kind = MODULE

    def __init__(self, module: nn.Module, num_states: int, num_actions: int, memoryless: bool = False) -> None:
        named = dict(module.named_parameters())
        if not named:
            raise TypeError("the module has no parameters, expected at least one to learn")
        self.module, self.num_states, self.num_actions, self.memoryless = (
            module,
            num_states,
            num_actions,
            memoryless,
        )
        self._names = list(named)
        self._shapes = [tuple(named[name].shape) for name in named]

    @property
    def num_parameters(self) -> int:
        """P."""
        return sum(math.prod(shape) for shape in self._shapes)

    def initial(self, generator: torch.Generator) -> Tensor:
        """The module's own values; ``generator`` draws nothing, since only the module knows how to start."""
        return torch.cat([p.detach().flatten() for p in self.module.parameters()]).to(torch.float32)

    def logits(self, parameters: Tensor, states: Tensor) -> Tensor:
        """(M, P), (T, M, K) -> (T, M, K, A)."""
        pieces = parameters.split([math.prod(shape) for shape in self._shapes], dim=-1)
        named = {
            name: piece.reshape(-1, *shape)
            for name, shape, piece in zip(self._names, self._shapes, pieces, strict=True)
        }

        def one_chain(chain_parameters: dict[str, Tensor], chain_states: Tensor) -> Tensor:
            return functional_call(self.module, chain_parameters, (chain_states,))

        outputs = vmap(one_chain, in_dims=(0, 1), out_dims=1, randomness="error")(named, states)
        if outputs.shape != (*states.shape, self.num_actions):
            raise ValueError(
                f"the module gave logits of shape {tuple(outputs.shape)} for states {tuple(states.shape)}, expected a "
                f"last axis of {self.num_actions} actions"
            )
        return outputs

    def networks(self, parameters: Tensor) -> list[Tensor]:
        raise TypeError("a module policy has no kernel; play it with mamrl.games.trajectories.play")

    def log_probs(self, parameters: Tensor, states: Tensor, actions: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """See :meth:`mamrl.policies.base.Policy.log_probs`."""
        if not recorded:
            check_actions(actions, self.num_actions)
        return categorical_log_probs(self.logits(parameters, states), actions)

    def entropies(self, parameters: Tensor, states: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """See :meth:`mamrl.policies.base.Policy.entropies`."""
        logs = torch.log_softmax(self.logits(parameters, states), dim=-1)
        return -(logs.exp() * logs).sum(-1)
