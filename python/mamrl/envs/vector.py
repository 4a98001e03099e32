"""What the library's Gymnasium vector environments have in common: seeds, reset masks, autoreset modes and infos.

A vector environment behaves as Gymnasium's ``SyncVectorEnv`` of the same single environments would, step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from mamrl.envs.batched import BatchedMatrixGame
from mamrl.envs.coin_game import BatchedCoinGame
from mamrl.envs.drawing import METADATA, checked_mode, frames
from mamrl.envs.draws import Draws, seeds_of
from mamrl.errors import choose
from mamrl.games.half_cheetah import HalfCheetah
from mamrl.games.ownership import Guard, WholeCopies, exclusive

AUTORESET_NAMES = {
    AutoresetMode.NEXT_STEP: "next-step",
    AutoresetMode.SAME_STEP: "same-step",
    AutoresetMode.DISABLED: "disabled",
}


def autoreset_mode_of(mode: str | AutoresetMode) -> AutoresetMode:
    """By its value ("NextStep", "SameStep", "Disabled"), by this library's name, or as it is."""
    if isinstance(mode, AutoresetMode):
        return mode
    names = {mode.value: mode for mode in AutoresetMode} | {name: mode for mode, name in AUTORESET_NAMES.items()}
    return names[choose("autoreset_mode", mode, names)]


class BatchVectorEnv(WholeCopies, VectorEnv):
    """E environments that step together in C++.

    A subclass gives :meth:`_begin` and :meth:`_step`.

    Args:
        num_envs: E.
        observation_space: of one environment.
        action_space: of one environment.
        autoreset_mode: what happens after an episode's end.
        copy: whether what is returned is the caller's; if not, later steps write over it.
        render_mode: "ansi", "rgb_array" or None.
    """

    metadata = METADATA
    _batch: BatchedMatrixGame | BatchedCoinGame | HalfCheetah

    def __init__(
        self,
        num_envs: int,
        observation_space: gymnasium.Space,
        action_space: gymnasium.Space,
        autoreset_mode: str | AutoresetMode,
        copy: bool,
        render_mode: str | None,
    ) -> None:
        self.num_envs, self.copy = num_envs, copy
        self.autoreset_mode = autoreset_mode_of(autoreset_mode)
        self.render_mode = checked_mode(render_mode)
        self.metadata = type(self).metadata | {"autoreset_mode": self.autoreset_mode}
        self.single_observation_space, self.single_action_space = observation_space, action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self._guard = Guard()
        self._draws = Draws(num_envs)
        self._everyone = torch.arange(num_envs)
        # which environments start a new episode in the coming step, with autoreset_mode NEXT_STEP
        self._waiting: np.ndarray | None = None

    @exclusive
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts new episodes.

        Args:
            seed: a number, to which environment i adds i; or one an environment. None goes on from the last seeds, or
                takes fresh ones.
            options: ``reset_mask``, (E,) bool, the environments to reset.

        Returns:
            Observations of all environments, and infos of those that were reset.

        Raises:
            TypeError: the options are no dict, the mask is not a boolean array, or a seed is not an integer.
            ValueError: the mask has another shape, chooses nothing, or leaves out environments that never were reset;
                or seeds are too few or out of range.
            RuntimeError: the environments are closed.
        """
        self._check_open()
        mask = _reset_mask(options, self.num_envs)
        if mask is not None and not self._draws.seeded:
            raise ValueError("options['reset_mask'] leaves environments without a start, reset all of them first")
        which = self._everyone if mask is None else torch.from_numpy(mask.nonzero()[0])
        afresh = seed is not None or not self._draws.seeded
        if afresh:
            if seed is None or isinstance(seed, int | np.integer):
                super().reset(seed=seed)
            self._draws.seed(which, seeds_of(seed, which, self.num_envs, self.np_random))
        self._draws.begin(which)
        observations, infos = self._begin(which, mask, afresh)
        if self._waiting is not None and mask is not None and not mask.all():
            self._waiting = self._waiting & ~mask
        else:
            self._waiting = None
        return observations, self._masked(infos, np.ones(self.num_envs, bool) if mask is None else mask)

    @exclusive
    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Plays one step of every environment.

        Args:
            actions: one an environment, of the action space.

        Raises:
            TypeError: actions of another dtype.
            ValueError: actions of another shape, out of range, NaN or infinite.
            RuntimeError: before the first reset, after :meth:`close`, or, with autoreset_mode DISABLED, after the end
                of an episode. No environment has been stepped then.
        """
        self._check_open()
        if not self._draws.seeded:
            raise RuntimeError("the environments have not been reset, call reset() before the first step")
        return self._step(actions)

    @exclusive
    def render(self) -> tuple[str | np.ndarray, ...]:
        """What each environment looks like: text with render_mode "ansi", pictures with "rgb_array".

        Raises:
            RuntimeError: there is no render_mode; before the first reset, or after :meth:`close`.
            OSError: no offscreen renderer works, where there is to be a picture of HalfCheetah.
        """
        self._check_open()
        if not self._draws.seeded:
            raise RuntimeError("the environments have not been reset, call reset() before render()")
        return tuple(frames(self._batch, self.render_mode))

    def _begin(self, which: Tensor, mask: np.ndarray | None, afresh: bool) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins episodes of environments ``which`` (k,), the same as ``mask``; ``afresh`` from new seeds."""
        raise NotImplementedError

    def _step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        raise NotImplementedError

    def _check_open(self) -> None:
        if self.closed:
            raise RuntimeError("the environments are closed")

    def _own(self, values: np.ndarray) -> np.ndarray:
        return values.copy() if self.copy else values

    def _masked(self, infos: dict[str, np.ndarray], mask: np.ndarray | None) -> dict[str, Any]:
        """Infos as Gymnasium has them: beside each the mask of the environments it speaks of, zeros elsewhere."""
        if mask is None:
            mask = np.ones(self.num_envs, bool)
        elif not mask.any():
            return {}
        elif not mask.all():
            infos = {
                key: np.where(mask.reshape(-1, *[1] * (x.ndim - 1)), x, x.dtype.type(0)) for key, x in infos.items()
            }
        masked: dict[str, Any] = {}
        for key, values in infos.items():
            masked[key], masked[f"_{key}"] = values, mask.copy()
        return masked

    def _final(self, observations: np.ndarray, infos: dict[str, Any], ended: np.ndarray) -> dict[str, Any]:
        """``final_obs`` and ``final_info`` of environments whose episode ended with autoreset_mode SAME_STEP."""
        final = np.full(self.num_envs, None, dtype=object)
        for i in ended.nonzero()[0]:
            final[i] = observations[i].copy()
        return {"final_obs": final, "_final_obs": ended.copy(), "final_info": infos, "_final_info": ended.copy()}


def _reset_mask(options: dict[str, Any] | None, num_envs: int) -> np.ndarray | None:
    if not isinstance(options, dict | None):
        raise TypeError(f"options is {type(options).__name__}, expected a dict, such as {{'reset_mask': mask}}")
    mask = (options or {}).get("reset_mask")
    if mask is None:
        return None
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        kind = f"an array of {mask.dtype}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise TypeError(f"options['reset_mask'] is {kind}, expected a NumPy array of bool")
    if mask.shape != (num_envs,):
        raise ValueError(f"options['reset_mask'] has shape {mask.shape}, expected ({num_envs},)")
    if not mask.any():
        raise ValueError("options['reset_mask'] chooses no environment, expected at least one")
    return mask


class SingleEnv(WholeCopies, gymnasium.Env):
    """One environment of a batch as a Gymnasium ``Env``.

    Args:
        batch: of one environment, with autoreset_mode DISABLED.
    """

    metadata = METADATA

    def __init__(self, batch: BatchVectorEnv) -> None:
        self.render_mode = batch.render_mode
        self.observation_space, self.action_space = batch.single_observation_space, batch.single_action_space
        self._batch = batch

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts a new episode; ``seed`` as in :meth:`BatchVectorEnv.reset`."""
        super().reset(seed=seed)
        observations, infos = self._batch.reset(seed=seed)
        return observations[0], _single(infos)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Plays one step; the errors are those of :meth:`BatchVectorEnv.step`."""
        given = np.asarray(action)
        if given.shape != self.action_space.shape:
            raise ValueError(f"action has shape {given.shape}, expected {self.action_space.shape}")
        observations, rewards, terminations, truncations, infos = self._batch.step(given[None])
        return observations[0], float(rewards[0]), bool(terminations[0]), bool(truncations[0]), _single(infos)

    def render(self) -> str | np.ndarray:
        """What it looks like; the errors are those of :meth:`BatchVectorEnv.render`."""
        return self._batch.render()[0]

    def close(self) -> None:
        """Ends its use; closing twice is no error."""
        self._batch.close()


def _single(infos: dict[str, Any]) -> dict[str, Any]:
    return {key: values[0] for key, values in infos.items() if not key.startswith("_")}
