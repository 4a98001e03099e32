"""All environments and all agents in one call: the fast way to step a game, and what the other faces stand on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np
import torch
from torch import Tensor

from mamrl import ops
from mamrl.errors import choose
from mamrl.games.coin_game import CoinGame
from mamrl.games.half_cheetah import AUTORESETS, BACKENDS, HalfCheetah
from mamrl.games.matrix import GAMES, MatrixGame
from mamrl.games.ownership import Guard, WholeCopies, exclusive

if TYPE_CHECKING:
    from mamrl.envs.coin_game import BatchedCoinGame

Array: TypeAlias = Any  # np.ndarray or torch.Tensor, by the environments' backend

HALF_CHEETAH = "half-cheetah"
COIN_GAME = "coin-game"
OBSERVATIONS = ("state", "one-hot")
_INDEX_DTYPES = {"int64": torch.int64, "uint8": torch.uint8}


class GameStep(NamedTuple):
    """What a step of all environments gives, and, with a T after the n or before the E, what :meth:`play` gives.

    Attributes:
        observations: (n, E) states as each agent sees them, or (n, E, S) one-hot.
        rewards: (n, E), each agent's, in the dtype of the payoffs.
        terminations: (E,) bool, never set: a matrix game has no end of its own.
        truncations: (E,) bool, the episode reached its length.
        info: with autoreset="same-step" ``final_observations``, like the observations, before new episodes began.
    """

    observations: Array
    rewards: Array
    terminations: Array
    truncations: Array
    info: dict[str, Array]


@overload
def batched(game: Literal["half-cheetah"], num_envs: int, **settings: Any) -> HalfCheetah: ...
@overload
def batched(game: Literal["coin-game"] | CoinGame, num_envs: int, **settings: Any) -> BatchedCoinGame: ...
@overload
def batched(
    game: Literal["ipd", "rps", "matching-pennies", "chicken", "stag-hunt"] | MatrixGame | np.ndarray | Tensor,
    num_envs: int,
    **settings: Any,
) -> BatchedMatrixGame: ...
@overload
def batched(
    game: str | Sequence[Any], num_envs: int, **settings: Any
) -> BatchedMatrixGame | BatchedCoinGame | HalfCheetah: ...
def batched(
    game: str | MatrixGame | CoinGame | Array, num_envs: int, **settings: Any
) -> BatchedMatrixGame | BatchedCoinGame | HalfCheetah:
    """``num_envs`` environments of one game that step together, all agents at once.

    Args:
        game: a name of ``mamrl.games.GAMES``, "half-cheetah", "coin-game", a :class:`mamrl.games.MatrixGame`, a
            :class:`mamrl.games.coin_game.CoinGame`, or payoffs of shape (n, A_1, ..., A_n).
        num_envs: E, at least 1.
        **settings: of :class:`BatchedMatrixGame`, of :class:`mamrl.envs.coin_game.BatchedCoinGame`, or of
            :class:`mamrl.games.half_cheetah.HalfCheetah`.

    Raises:
        TypeError: an unknown setting, or payoffs that are not numbers.
        ValueError: an unknown name, payoffs of a wrong shape, or a setting out of range.
        ImportError: "half-cheetah" without MuJoCo; the message says what to install.
    """
    name = choose("game", game, (*GAMES, HALF_CHEETAH, COIN_GAME)) if isinstance(game, str) else None
    if name == HALF_CHEETAH:
        return HalfCheetah(num_envs, **settings)
    if name == COIN_GAME or isinstance(game, CoinGame):
        from mamrl.envs.coin_game import BatchedCoinGame

        return BatchedCoinGame(num_envs, **settings if name else {"variant": game, **settings})
    return BatchedMatrixGame(game, num_envs, **settings)


def as_game(game: str | MatrixGame | Array) -> MatrixGame:
    """A matrix game by its name, as it is, or from its payoffs (n, A_1, ..., A_n)."""
    if isinstance(game, MatrixGame):
        return game
    return GAMES[choose("game", game, GAMES)]() if isinstance(game, str) else MatrixGame(game)


class BatchedMatrixGame(WholeCopies):
    """E environments of an iterated matrix game, n agents each.

    An agent's state is 0 at an episode's start and then 1 + the last joint action, its own action first: in the
    prisoner's dilemma CC = 1, CD = 2, DC = 3, DD = 4. Nothing in the game is random. Arrays come and go without a
    copy; what is returned is not to be written into.

    Args:
        game: a name of ``mamrl.games.GAMES``, a game, or payoffs (n, A_1, ..., A_n); their dtype is the rewards'.
        num_envs: E.
        episode_length: steps until truncation, 0 for never.
        observation: "state" gives (n, E) indices, "one-hot" (n, E, S) in the dtype of the payoffs.
        index_dtype: of actions and states, "int64" or, up to three times faster, "uint8".
        autoreset: "next-step" (the step after an episode's end starts the next one, ignoring its actions),
            "same-step", or "disabled" (stepping an ended environment is an error).
        backend: "numpy" or "torch", what comes and goes.
        device: where the environments are, for the torch backend.
        copy: True returns fresh memory; False writes to two sets of buffers in turn, so that what a step returns is
            valid until the step after the next. Fresh memory has to be found, which can cost more than the step.

    Attributes:
        game: the game, its payoffs on the device.
        num_envs: E.
        num_agents: n.
        payoffs: (n, A_1, ..., A_n) on the device.
        elapsed: (E,) int32, the steps of each environment's episode.
        states: (n, E), where each agent stands; None before the first reset.

    Raises:
        TypeError: sizes that are no integers, or payoffs that are no numbers.
        ValueError: an argument out of range.
    """

    def __init__(
        self,
        game: str | MatrixGame | Array,
        num_envs: int,
        *,
        episode_length: int = 150,
        observation: str = "state",
        index_dtype: str = "int64",
        autoreset: str = "next-step",
        backend: str = "torch",
        device: str | torch.device = "cpu",
        copy: bool = True,
    ) -> None:
        for name, value in (("num_envs", num_envs), ("episode_length", episode_length)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise TypeError(f"{name} is {value!r}, expected an integer")
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}, expected at least 1")
        if not 0 <= episode_length < 2**31 - 1:
            raise ValueError(f"episode_length is {episode_length}, expected 0 (never) to 2^31 - 2")
        self.game = as_game(game)
        self.num_envs, self.num_agents = int(num_envs), self.game.num_players
        self.episode_length = int(episode_length)
        self.observation = choose("observation", observation, OBSERVATIONS)
        self.autoreset = choose("autoreset", autoreset, AUTORESETS)
        self.backend = choose("backend", backend, BACKENDS)
        self.device = torch.device(device)
        if backend == "numpy" and self.device.type != "cpu":
            raise ValueError(f"device is {device}, expected 'cpu' with the numpy backend")
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device is '{device}', but torch sees no CUDA device")
        self._dtype = _INDEX_DTYPES[choose("index_dtype", index_dtype, _INDEX_DTYPES)]
        if index_dtype == "uint8" and self.game.num_states > 256:
            raise ValueError(f"index_dtype is 'uint8', expected 'int64': the game has {self.game.num_states} states")
        self.payoffs = self.game.payoffs.to(self.device)
        self._one_hot = torch.eye(self.game.num_states, dtype=self.payoffs.dtype, device=self.device)
        self.elapsed = torch.zeros(num_envs, dtype=torch.int32, device=self.device)
        self._never = torch.zeros(num_envs, dtype=torch.bool, device=self.device)
        self.states: Tensor | None = None
        self.copy = copy
        self._buffers: dict[int, list[ops.GameSteps]] = {}
        self._guard = Guard()
        self._closed = False

    def __getstate__(self) -> dict[str, Any]:
        # memory for coming steps, which a copy finds for itself
        return self.__dict__ | {"_buffers": {}}

    @exclusive
    def reset(self, *, seed: int | None = None, mask: Array | None = None) -> tuple[Array, dict[str, Array]]:
        """Starts new episodes.

        Args:
            seed: taken as other environments take it; there is nothing to draw.
            mask: (E,) bool, the environments to reset; None resets all.

        Returns:
            Observations of all environments, see :class:`GameStep`, and an empty info.

        Raises:
            TypeError: the mask is not boolean.
            ValueError: it has another shape, or leaves out environments that were never reset.
            RuntimeError: the environments are closed.
        """
        self._check_open()
        starts = torch.zeros(self.num_agents, self.num_envs, dtype=self._dtype, device=self.device)
        if mask is None:
            self.states, self.elapsed = starts, torch.zeros_like(self.elapsed)
            return self._observe(starts), {}
        chosen = self._tensor("mask", mask, torch.bool, (self.num_envs,))
        if self.states is None:
            raise ValueError("mask leaves environments without a start, expected the first reset to be of all")
        self.states = torch.where(chosen, starts, self.states)
        self.elapsed = torch.where(chosen, 0, self.elapsed)
        return self._observe(self.states), {}

    @exclusive
    def step(self, actions: Array | Sequence[Array]) -> GameStep:
        """Plays one step of every environment.

        Args:
            actions: (n, E) in the environments' ``index_dtype``, or a sequence of each agent's (E,).

        Raises:
            TypeError: actions of another dtype or kind.
            ValueError: actions of another shape or out of range; or an episode has ended and autoreset is "disabled".
            RuntimeError: before the first reset, or after :meth:`close`.
        """
        self._check_started()
        if isinstance(actions, list | tuple):
            rows = [self._tensor("actions", own, self._dtype, (self.num_envs,)) for own in actions]
            if len(rows) != self.num_agents:
                raise ValueError(f"got actions of {len(rows)} agents, expected {self.num_agents}")
            joint = torch.stack(rows)
        else:
            joint = self._tensor("actions", actions, self._dtype, (self.num_agents, self.num_envs))
        states, final, rewards, truncations = self._advance(joint.unsqueeze(1))
        return self._give(states[:, 0], final[:, 0] if final is not None else None, rewards[:, 0], truncations[0])

    @exclusive
    def play(self, actions: Array) -> GameStep:
        """Plays T steps of every environment in one call, exactly as T calls of :meth:`step` would.

        Args:
            actions: (n, T, E) in the environments' ``index_dtype``.

        Returns:
            Observations after each step (n, T, E) or (n, T, E, S), rewards (n, T, E), terminations and truncations
            (T, E).

        Raises:
            TypeError: actions of another dtype or kind.
            ValueError: actions of another shape or out of range; or an episode would end before the last step and
                autoreset is "disabled". No step has been taken then.
            RuntimeError: before the first reset, or after :meth:`close`.
        """
        self._check_started()
        joint = self._tensor("actions", actions, self._dtype, (self.num_agents, None, self.num_envs))
        return self._give(*self._advance(joint))

    def close(self) -> None:
        """Ends their use; any step or reset afterwards is an error. Closing twice is not."""
        self._closed = True

    def _advance(self, joint: Tensor) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        arguments = (self.payoffs, joint, self.elapsed, self.episode_length, self.autoreset)
        horizon = joint.shape[1]
        if self.copy:
            result = ops.matrix_game_steps(*arguments)
        else:
            if horizon not in self._buffers:
                memory = (self.payoffs, joint, self.elapsed, self.autoreset)
                self._buffers = {horizon: [ops.GameSteps.empty(*memory), ops.GameSteps.empty(*memory)]}
            result = ops.matrix_game_steps(*arguments, out=self._buffers[horizon][0])
            # turned only now: an error leaves what the last step gave
            self._buffers[horizon].reverse()
        if horizon:
            # of many steps only the last is kept: a view would hold the memory of all
            self.states = result.states[:, -1] if horizon == 1 else result.states[:, -1].clone()
            self.elapsed = result.elapsed
        final_states = result.final_states if self.autoreset == "same-step" else None
        return result.states, final_states, result.rewards, result.truncations

    def _give(self, states: Tensor, final: Tensor | None, rewards: Tensor, truncations: Tensor) -> GameStep:
        info = {} if final is None else {"final_observations": self._observe(final)}
        terminations = self._never if truncations.dim() == 1 else torch.zeros_like(truncations)
        if self.backend == "numpy":
            return GameStep(self._observe(states), rewards.numpy(), terminations.numpy(), truncations.numpy(), info)
        return GameStep(self._observe(states), rewards, terminations, truncations, info)

    def _observe(self, states: Tensor) -> Array:
        seen = states if self.observation == "state" else self._one_hot[states.long()]
        return seen.numpy() if self.backend == "numpy" else seen

    def _tensor(self, name: str, values: Array, dtype: torch.dtype, shape: tuple[int | None, ...]) -> Tensor:
        if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
            values = torch.from_numpy(values)
        if not isinstance(values, Tensor):
            kind = f"an array of {values.dtype}" if isinstance(values, np.ndarray) else type(values).__name__
            raise TypeError(f"{name} is {kind}, expected an array or a tensor of {_short(dtype)}")
        if values.dtype != dtype:
            raise TypeError(f"{name} is {_short(values.dtype)}, expected {_short(dtype)}")
        if len(values.shape) != len(shape) or any(
            wanted not in (None, came) for came, wanted in zip(values.shape, shape, strict=True)
        ):
            wanted_text = ", ".join("T" if size is None else str(size) for size in shape)
            raise ValueError(
                f"{name} has shape {tuple(values.shape)}, expected ({wanted_text}{',' * (len(shape) == 1)})"
            )
        if values.device != self.device:
            raise ValueError(f"{name} is on {values.device}, expected {self.device} as the environments")
        return values

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the environments are closed")

    def check_can_step(self, horizon: int = 1) -> None:
        """Whether :meth:`step`, or :meth:`play` of so many steps, finds every environment ready for them.

        Raises:
            ValueError: an episode would end too early, and autoreset is "disabled".
            RuntimeError: before the first reset, or after :meth:`close`.
        """
        self._check_started()
        if self.autoreset != "disabled" or not self.episode_length:
            return
        most, env = self.elapsed.max(dim=0)
        if int(most) + horizon > self.episode_length:
            raise ValueError(
                f"environment {int(env)} has played {int(most)} of the {self.episode_length} steps of its episode, so "
                f"it cannot play {horizon} more: reset it first, or choose another autoreset than 'disabled'"
            )

    def _check_started(self) -> None:
        self._check_open()
        if self.states is None:
            raise RuntimeError("the environments have not been reset, call reset() before the first step")


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
