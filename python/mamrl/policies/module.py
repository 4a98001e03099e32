"""Any torch module as a policy, through torch.func: slower than the kernels' own policies, and free of their shapes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree

from mamrl.games.matrix_play import MODULE
from mamrl.games.stepping import step_from_sequence
from mamrl.policies.base import categorical_log_probs, check_rows
from mamrl.policies.checks import check_actions
from mamrl.policies.recurrence import with_recurrences

_LONGEST_TRIED, _TRIED_TOGETHER = 4, 3


class ModulePolicy:
    """A module that maps a player's states so far, (T, K) int64, to logits (T, K, A), causally in time.

    A module with a memory is called ``module(states, state)`` and returns ``(logits, state)``, as torch's recurrent
    layers do: ``state`` is None at the start of a game, and later what the module returned last, tensors or tuples,
    lists and dicts of tensors. It is then given whole sequences where gradients are taken and one time after the
    other where games are played, so that the cost grows as T. A module that returns logits alone is run on the whole
    past again for each time of a game, unless it is memoryless.

    ``nn.LSTM``, ``nn.GRU``, ``nn.RNN`` and attention within the module are computed by operations that have the
    derivatives which a meta-gradient asks for.

    Args:
        module: its parameters give the layout and the initial values; what is learned goes back into it by
            :meth:`load`. Those that require no gradient stay as they are.
        num_states: S of the game.
        num_actions: A of the player.
        memoryless: the logits of a time depend on the state of that time only; rollouts then skip the past.

    Attributes:
        stateful: whether the module returns a state.

    Raises:
        TypeError: the module has no parameters to learn, or returns something else than logits, or logits and a state.
        ValueError: it draws random numbers (dropout) or looks at its batch (batch normalisation), its logits have
            another shape, or what it gives for a time depends on how much of the sequence it is given.
    """

    kind = MODULE

    def __init__(self, module: nn.Module, num_states: int, num_actions: int, memoryless: bool = False) -> None:
        check_functional(module)
        self.module, self.num_states, self.num_actions = module, num_states, num_actions
        self.memoryless = memoryless
        learned = self._learned()
        if not learned:
            raise TypeError("the module has no parameters that require a gradient, expected at least one to learn")
        self._names = list(learned)
        self._shapes = [tuple(parameter.shape) for parameter in learned.values()]
        self._batched = with_recurrences(module)
        self.stateful = False
        self._try()

    @property
    def num_parameters(self) -> int:
        """P."""
        return sum(math.prod(shape) for shape in self._shapes)

    def initial(self, generator: torch.Generator) -> Tensor:
        """The module's own values; ``generator`` draws nothing, since only the module knows how to start."""
        return torch.cat([p.detach().flatten() for p in self._learned().values()]).to(torch.float32)

    def load(self, parameters: Tensor) -> nn.Module:
        """Writes parameters (P,), such as a trained run's, into the module that the policy was made of.

        Returns:
            The module.

        Raises:
            ValueError: their number is another.
        """
        if parameters.shape != (self.num_parameters,):
            raise ValueError(f"parameters have shape {tuple(parameters.shape)}, expected ({self.num_parameters},)")
        with torch.no_grad():
            learned = self._learned()
            for name, new in self._split(parameters.unsqueeze(0)).items():
                learned[name].copy_(new[0])
        return self.module

    def logits(self, parameters: Tensor, states: Tensor) -> Tensor:
        """(M, P), (T, M, K) -> (T, M, K, A)."""
        logits, _ = self._run(parameters, states, None)
        return logits

    def step(self, parameters: Tensor, states: Tensor, memory: Any = None) -> tuple[Tensor, Any]:
        """See :func:`mamrl.games.stepping.step`."""
        if not self.stateful:
            return step_from_sequence(self, parameters, states, memory)
        logits, memory = self._run(parameters, states.unsqueeze(0), memory)
        return logits[0], memory

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

    def _learned(self) -> dict[str, nn.Parameter]:
        return {name: parameter for name, parameter in self.module.named_parameters() if parameter.requires_grad}

    def _split(self, parameters: Tensor) -> dict[str, Tensor]:
        """(M, P) -> the module's parameters by name, each with a leading M."""
        check_rows("parameters", parameters, self.num_parameters)
        pieces = parameters.split([math.prod(shape) for shape in self._shapes], dim=-1)
        return {
            name: piece.reshape(-1, *shape)
            for name, shape, piece in zip(self._names, self._shapes, pieces, strict=True)
        }

    def _run(self, parameters: Tensor, states: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """(M, P), (T, M, K), the chains' states stacked or None -> logits (T, M, K, A), the states after them."""

        def one_chain(named: dict[str, Tensor], seen: Tensor, *state: Any) -> Any:
            return _logits_and_state(functional_call(self._batched, named, (seen, *state)))

        before = () if memory is None else (memory,)
        run = vmap(one_chain, in_dims=(0, 1, *(0 for _ in before)), out_dims=(1, 0), randomness="error")
        with _twice_differentiable():
            outputs, after = run(self._split(parameters), states, *before)
        if outputs.shape != (*states.shape, self.num_actions):
            raise ValueError(
                f"the module gave logits of shape {tuple(outputs.shape)} for states {tuple(states.shape)}, expected a "
                f"last axis of {self.num_actions} actions"
            )
        return outputs, None if isinstance(after, tuple) and not after else after

    @torch.no_grad()
    def _try(self) -> None:
        """Plays a few states as rollouts do and as gradients do: both must give the same logits."""
        generator = torch.Generator().manual_seed(0)
        states = torch.randint(self.num_states, (_LONGEST_TRIED, 1, _TRIED_TOGETHER), generator=generator)
        parameters = self.initial(generator).unsqueeze(0)
        states = states.to(parameters.device)
        try:
            whole, state = self._run(parameters, states, None)
        except RuntimeError as error:
            if "randomness" in str(error):
                raise ValueError(
                    "the module draws random numbers, expected a function of parameters and states"
                ) from None
            raise
        self.stateful = state is not None
        memory, stepwise = None, []
        for seen in states:
            logits, memory = self.step(parameters, seen, memory)
            stepwise.append(logits)
        if not torch.allclose(torch.stack(stepwise), whole, rtol=1e-3, atol=1e-4, equal_nan=True):
            told = "what its state carries" if self.stateful else "this state alone" if self.memoryless else "the past"
            raise ValueError(
                f"the module gives other logits for a time within the sequence than from {told}, expected them to "
                "depend on the states so far alone: a causal mask, times before games (no batch_first), and what it "
                "says of its memory"
            )


def check_functional(module: nn.Module) -> None:
    """Raises ValueError where a module's layers draw random numbers or mix the games of a batch."""
    for name, layer in module.named_modules():
        called = f"{type(layer).__name__} {name!r}" if name else type(layer).__name__
        dropout = layer.p if isinstance(layer, nn.modules.dropout._DropoutNd) else getattr(layer, "dropout", 0.0)
        if layer.training and isinstance(dropout, float) and dropout > 0:
            raise ValueError(f"the module has dropout in {called}, expected none: set it to 0 or call module.eval()")
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and (layer.training or layer.running_mean is None):
            raise ValueError(
                f"the module normalises by its batch's statistics in {called}, expected no such layer: games of a "
                "batch know nothing of each other (LayerNorm does without)"
            )


def _logits_and_state(given: Any) -> tuple[Tensor, Any]:
    """What a module returned; the state is an empty tuple where it returned logits alone."""
    logits, state = given if isinstance(given, tuple) and len(given) == 2 else (given, ())
    if not isinstance(logits, Tensor) or not all(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(state)):
        raise TypeError("the module returns neither logits nor (logits, state) whose state is made of tensors")
    return logits, state


@contextmanager
def _twice_differentiable() -> Iterator[None]:
    """Attention by plain matrix products: fused kernels lack the second derivative, those of inference the first."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
