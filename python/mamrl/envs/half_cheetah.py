"""HalfCheetah that is to run in a direction, as a Gymnasium environment: one agent moves all six joints."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from torch import Tensor

from mamrl.envs.drawing import HALF_CHEETAH_METADATA
from mamrl.envs.vector import AUTORESET_NAMES, BatchVectorEnv, SingleEnv, autoreset_mode_of
from mamrl.games.factorization import NUM_ACTIONS, NUM_OBSERVATIONS
from mamrl.games.half_cheetah import HalfCheetah

_ABOUT = ("x_position", "x_velocity", "reward_forward", "reward_ctrl")


class HalfCheetahVectorEnv(BatchVectorEnv):
    """E HalfCheetahs that step together in C++, see :class:`mamrl.games.half_cheetah.HalfCheetah`.

    Observations are float64 (17,), actions float32 (6,) in [-1, 1], clipped to it where they are beyond. Infos have
    ``direction``, and after a step ``x_position`` (m), ``x_velocity`` (m/s), ``reward_forward``, ``reward_ctrl`` and,
    where a simulation broke down, ``diverged``, the reason. Environment i depends on its own seed alone.

    Args:
        num_envs: E.
        direction: +1 to run right or -1 to run left, one number or one an environment; or "random", drawn for every
            episode.
        autoreset_mode: Gymnasium's, or its value, such as "SameStep".
        copy: False returns arrays that later steps write over.
        render_mode: "ansi" has :meth:`render` give text, "rgb_array" pictures.
        **settings: of :class:`mamrl.games.half_cheetah.HalfCheetah`, such as ``episode_length``.

    Raises:
        ImportError: MuJoCo is missing; the message says what to install.
        ValueError: an argument out of range.
    """

    metadata = HALF_CHEETAH_METADATA
    _batch: HalfCheetah

    def __init__(
        self,
        num_envs: int = 1,
        *,
        direction: Any = 1,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        copy: bool = True,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        mode = AUTORESET_NAMES[autoreset_mode_of(autoreset_mode)]
        self._random = isinstance(direction, str) and direction == "random"
        self._batch = HalfCheetah(
            num_envs, direction=1 if self._random else direction, autoreset=mode, copy=False, **settings
        )
        super().__init__(
            num_envs,
            spaces.Box(-np.inf, np.inf, (NUM_OBSERVATIONS,), np.float64),
            spaces.Box(-1.0, 1.0, (NUM_ACTIONS,), np.float32),
            autoreset_mode,
            copy,
            render_mode,
        )

    def close_extras(self, **kwargs: Any) -> None:
        """Frees the simulations."""
        self._batch.close()

    def _begin(self, which: Tensor, mask: np.ndarray | None, afresh: bool) -> tuple[np.ndarray, dict[str, Any]]:
        self._choose_directions(which)
        seeds = self._draws.seeds.tolist() if afresh else None
        observations, _ = self._batch.reset(seed=seeds, mask=mask)
        return self._own(observations), {"direction": self._batch.direction}

    def _step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        step = self._batch.step(np.asarray(actions))
        played = {name: step.info[name].copy() for name in _ABOUT} | {"direction": self._batch.direction}
        started = step.info["started"]
        began = started.nonzero()[0]
        if len(began):
            which = torch.from_numpy(began)
            self._draws.begin(which)
            self._choose_directions(which)
        infos = self._masked({name: played[name] for name in _ABOUT}, None if not len(began) else ~started)
        infos |= self._masked({"direction": self._batch.direction}, None)
        ended = step.terminations | step.truncations
        diverged = step.info.get("diverged", {})
        if self.autoreset_mode == AutoresetMode.SAME_STEP and ended.any():
            about = self._masked(played, ended)
            for env, reason in diverged.items():
                about = self._add_info(about, {"diverged": reason}, env)
            infos |= self._final(step.info["final_observations"], about, ended)
        else:
            for env, reason in diverged.items():
                infos = self._add_info(infos, {"diverged": reason}, env)
        return (
            self._own(step.observations),
            self._own(step.rewards),
            self._own(step.terminations),
            self._own(step.truncations),
            infos,
        )

    def _choose_directions(self, which: Tensor) -> None:
        if not self._random:
            return
        directions = self._batch.direction
        directions[which.numpy()] = np.where(self._draws.uniforms(which, 0).numpy() < 0.5, -1.0, 1.0)
        self._batch.direction = directions


class HalfCheetahEnv(SingleEnv):
    """One HalfCheetah as a Gymnasium ``Env``.

    Args:
        **settings: as :class:`HalfCheetahVectorEnv` takes them, without ``num_envs`` and ``autoreset_mode``.
    """

    metadata = HALF_CHEETAH_METADATA

    def __init__(self, **settings: Any) -> None:
        super().__init__(HalfCheetahVectorEnv(1, autoreset_mode=AutoresetMode.DISABLED, **settings))
