"""The coin game, all environments and both players in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mamrl import ops
from mamrl.envs.batched import Array, GameStep
from mamrl.envs.draws import seeds_of
from mamrl.errors import choose
from mamrl.games import coin_game_twin as twin
from mamrl.games.coin_game import CoinGame, coin_game
from mamrl.games.half_cheetah import AUTORESETS, BACKENDS
from mamrl.games.ownership import Guard, WholeCopies, exclusive

PLANE_DTYPES = {"float32": torch.float32, "uint8": torch.uint8}


class BatchedCoinGame(WholeCopies):
    """E environments of the coin game, two players each; see :mod:`mamrl.games.coin_game` for its rules.

    An environment depends on its own seed alone: not on the batch it is in, nor on the number of threads.

    Args:
        num_envs: E.
        variant: a name of ``mamrl.games.coin_game.VARIANTS``, or rules.
        episode_length: steps until truncation, 0 for never.
        observation: "planes", (2, E, 4, H, W), where a player is, where the other is, its own coin, the other's; or
            "positions", (2, E, 4) bytes, the cells of the same, see :func:`mamrl.games.coin_game_twin.observe`.
        plane_dtype: "float32" or, a fourth of the memory, "uint8".
        autoreset: "next-step" (the step after an episode's end starts the next one, ignoring its actions),
            "same-step", or "disabled" (stepping an ended environment is an error).
        backend: "numpy" or "torch", what comes and goes.
        device: where the environments are, for the torch backend. The kernel is the CPU's; elsewhere torch operations
            compute the same.
        copy: True returns fresh memory; False writes to two sets of buffers in turn, so that what a step returns is
            valid until the step after the next.
        **rules: fields of :class:`mamrl.games.coin_game.CoinGame` that are to be other than the variant's, such as
            ``grid=5``.

    Attributes:
        game: the rules.
        num_envs: E.
        num_agents: 2.
        state: (E, 4) uint8; None before the first reset.
        elapsed: (E,) int32, the steps of each environment's episode.
        seeds: (E,) int64.
        clocks: (E,) int64, what each has drawn so far.

    Raises:
        TypeError: sizes that are no integers, or an unknown rule.
        ValueError: an argument out of range.
    """

    num_agents = 2

    def __init__(
        self,
        num_envs: int,
        *,
        variant: str | CoinGame = "one-coin",
        episode_length: int = 50,
        observation: str = "planes",
        plane_dtype: str = "float32",
        autoreset: str = "next-step",
        backend: str = "torch",
        device: str | torch.device = "cpu",
        copy: bool = True,
        **rules: Any,
    ) -> None:
        for name, value in (("num_envs", num_envs), ("episode_length", episode_length)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise TypeError(f"{name} is {value!r}, expected an integer")
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}, expected at least 1")
        if not 0 <= episode_length < 2**31 - 1:
            raise ValueError(f"episode_length is {episode_length}, expected 0 (never) to 2^31 - 2")
        self.game = coin_game(variant, **rules)
        self.num_envs, self.episode_length = int(num_envs), int(episode_length)
        self.observation = choose("observation", observation, ops.coin_game.OBSERVATIONS)
        self.plane_dtype = PLANE_DTYPES[choose("plane_dtype", plane_dtype, PLANE_DTYPES)]
        self.autoreset = choose("autoreset", autoreset, AUTORESETS)
        self.backend = choose("backend", backend, BACKENDS)
        self.device = torch.device(device)
        if backend == "numpy" and self.device.type != "cpu":
            raise ValueError(f"device is {device}, expected 'cpu' with the numpy backend")
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device is '{device}', but torch sees no CUDA device")
        self.copy = copy
        self._rules = self.game.rules()
        self.seeds = torch.zeros(num_envs, dtype=torch.int64, device=self.device)
        self.clocks = torch.zeros_like(self.seeds)
        self.elapsed = torch.zeros(num_envs, dtype=torch.int32, device=self.device)
        self.state: Tensor | None = None
        self._never = torch.zeros(num_envs, dtype=torch.bool, device=self.device)
        self._entropy = np.random.default_rng()
        self._buffers: dict[int, list[ops.CoinGameSteps]] = {}
        self._guard = Guard()
        self._closed = False

    def __getstate__(self) -> dict[str, Any]:
        # memory for coming steps, which a copy finds for itself
        return self.__dict__ | {"_buffers": {}}

    @exclusive
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, mask: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """Starts new episodes.

        Args:
            seed: a number, to which environment i adds i; or one an environment. None goes on from the last seeds, or
                takes fresh ones.
            mask: (E,) bool, the environments to reset; None resets all.

        Returns:
            Observations of all environments, as the arguments of :class:`BatchedCoinGame` tell, and an empty info.

        Raises:
            TypeError: the mask is not boolean, or a seed is not an integer.
            ValueError: the mask has another shape, or leaves out environments that were never reset; or seeds are too
                few or out of range.
            RuntimeError: the environments are closed.
        """
        self._check_open()
        chosen = torch.ones_like(self._never)
        if mask is not None:
            chosen = self._tensor("mask", mask, (torch.bool,), (self.num_envs,))
            if self.state is None:
                raise ValueError("mask leaves environments without a start, expected the first reset to be of all")
        which = chosen.nonzero()[:, 0]
        if seed is not None or self.state is None:
            self.seeds, self.clocks = self.seeds.clone(), self.clocks.clone()
            self.seeds[which] = seeds_of(seed, which.cpu(), self.num_envs, self._entropy).to(self.device)
            self.clocks[which] = 0
        starts = twin.start_state(self.game, self.seeds, self.clocks).to(torch.uint8)
        self.clocks = self.clocks + twin.START_TICKS * chosen
        self.state = starts if self.state is None else torch.where(chosen[:, None], starts, self.state)
        self.elapsed = torch.where(chosen, 0, self.elapsed)
        return self._array(self.seen()), {}

    @exclusive
    def step(self, actions: Array | Sequence[Array]) -> GameStep:
        """Plays one step of every environment.

        Args:
            actions: (2, E) int64 or uint8, or a sequence of each player's (E,).

        Raises:
            TypeError: actions of another dtype or kind.
            ValueError: actions of another shape or out of range; or an episode has ended and autoreset is "disabled".
            RuntimeError: before the first reset, or after :meth:`close`.
        """
        if isinstance(actions, list | tuple):
            if len(actions) != 2:
                raise ValueError(f"got actions of {len(actions)} agents, expected 2")
            actions = torch.stack([self._tensor("actions", own, _ACTIONS, (self.num_envs,)) for own in actions])
        out = self._advance(self._tensor("actions", actions, _ACTIONS, (2, self.num_envs)).unsqueeze(1))
        final = out.final_observations[:, 0] if self.autoreset == "same-step" else None
        return self._give(out.observations[:, 0], final, out.rewards[:, 0], out.truncations[0])

    @exclusive
    def play(self, actions: Array) -> GameStep:
        """Plays T steps of every environment in one call, exactly as T calls of :meth:`step` would.

        Args:
            actions: (2, T, E) int64 or uint8.

        Returns:
            Observations after each step (2, T, E, ...), rewards (2, T, E), terminations and truncations (T, E).

        Raises:
            TypeError: actions of another dtype or kind.
            ValueError: actions of another shape or out of range; or an episode would end before the last step and
                autoreset is "disabled". No step has been taken then.
            RuntimeError: before the first reset, or after :meth:`close`.
        """
        out = self._advance(self._tensor("actions", actions, _ACTIONS, (2, None, self.num_envs)))
        final = out.final_observations if self.autoreset == "same-step" else None
        return self._give(out.observations, final, out.rewards, out.truncations)

    def seen(self) -> Tensor:
        """What both players see now, a tensor like a step's observations."""
        assert self.state is not None
        return twin.observe(self.game, self.state, self.observation, self.plane_dtype)

    def close(self) -> None:
        """Ends their use; any step or reset afterwards is an error. Closing twice is not."""
        self._closed = True

    def _advance(self, joint: Tensor) -> ops.CoinGameSteps:
        self._check_open()
        if self.state is None:
            raise RuntimeError("the environments have not been reset, call reset() before the first step")
        where = self.state, joint, self.elapsed, self.seeds, self.clocks
        when = self.episode_length, self.autoreset
        if self.device.type != "cpu":
            self._check_in_torch(joint)
            out = twin.coin_game_steps(self.game, *where, *when, self.observation, self.plane_dtype)
        elif self.copy:
            out = ops.coin_game_steps(self._rules, *where, *when, self.observation, self.plane_dtype)
        else:
            horizon = joint.shape[1]
            if horizon not in self._buffers:
                memory = (self._rules, horizon, self.num_envs, self.autoreset, self.observation, self.plane_dtype)
                self._buffers = {horizon: [ops.CoinGameSteps.empty(*memory), ops.CoinGameSteps.empty(*memory)]}
            out = ops.coin_game_steps(self._rules, *where, *when, out=self._buffers[horizon][0])
            # turned only now: an error leaves what the last step gave
            self._buffers[horizon].reverse()
        self.state, self.elapsed, self.clocks = out.state, out.elapsed, out.clocks
        return out

    def _check_in_torch(self, joint: Tensor) -> None:
        """What the kernel checks and the twin, which would play nonsense, does not."""
        count = self.game.num_actions
        if bool(((joint < 0) | (joint >= count)).any()):
            raise ValueError(f"actions holds one out of range, expected at least 0 and below {count}")
        last = self.episode_length - joint.shape[1]
        if self.autoreset == "disabled" and self.episode_length and bool((self.elapsed > last).any()):
            raise ValueError(f"an episode has had {int(self.elapsed.max())} steps, expected at most {last}: reset it")

    def _give(self, observations: Tensor, final: Tensor | None, rewards: Tensor, truncations: Tensor) -> GameStep:
        never = self._never if truncations.dim() == 1 else torch.zeros_like(truncations)
        info = {} if final is None else {"final_observations": self._array(final)}
        seen, paid, ended = self._array(observations), self._array(rewards), self._array(truncations)
        return GameStep(seen, paid, self._array(never), ended, info)

    def _array(self, values: Tensor) -> Array:
        return values.numpy() if self.backend == "numpy" else values

    def _tensor(
        self, name: str, values: Array, dtypes: tuple[torch.dtype, ...], shape: tuple[int | None, ...]
    ) -> Tensor:
        expected = " or ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
        if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
            values = torch.from_numpy(values)
        if not isinstance(values, Tensor):
            raise TypeError(f"{name} is {type(values).__name__}, expected an array or a tensor of {expected}")
        if values.dtype not in dtypes:
            raise TypeError(f"{name} is {str(values.dtype).removeprefix('torch.')}, expected {expected}")
        sizes = tuple(came if wanted is None else wanted for came, wanted in zip(values.shape, shape, strict=False))
        if values.dim() != len(shape) or tuple(values.shape) != sizes:
            wanted = ", ".join("T" if size is None else str(size) for size in shape)
            raise ValueError(f"{name} has shape {tuple(values.shape)}, expected ({wanted}{',' * (len(shape) == 1)})")
        if values.device != self.device:
            raise ValueError(f"{name} is on {values.device}, expected {self.device} as the environments")
        return values

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the environments are closed")


_ACTIONS = (torch.int64, torch.uint8)
