"""Vector environments as Stable-Baselines3's ``VecEnv``, without a single environment in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv


class StableBaselinesVecEnv(VecEnv):
    """What Stable-Baselines3 trains on, stepped by one call of a vector environment.

    Observations, rewards, ends and infos are those of a ``DummyVecEnv`` of the same single environments with the same
    seeds, step by step; only that the infos are empty but for what ``infos`` names and, where an episode has ended,
    ``terminal_observation`` and ``TimeLimit.truncated``.

    Args:
        envs: made with ``autoreset_mode="SameStep"``, such as ``gymnasium.make_vec("mamrl/IPD-v0", num_envs=1024,
            autoreset_mode="SameStep")``.
        infos: names of infos that every step is to hand on, such as ("opponent_rewards",). A dict an environment takes
            longer to make than its step.

    Raises:
        TypeError: this is no vector environment.
        ValueError: another autoreset mode.
    """

    def __init__(self, envs: VectorEnv, infos: Iterable[str] = ()) -> None:
        if not isinstance(envs, VectorEnv):
            raise TypeError(f"envs is {type(envs).__name__}, expected a vector environment, of gymnasium.make_vec")
        mode = envs.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise ValueError(f"the environments' autoreset_mode is {mode}, expected 'SameStep', as Stable-Baselines3's")
        self._envs, self._names = envs, tuple(infos)
        self._actions: np.ndarray | None = None
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> np.ndarray:
        """Starts new episodes, with the seeds of :meth:`seed` where it was called since the last reset.

        Raises:
            ValueError: there are options, which these environments do not have.
        """
        if any(self._options):
            raise ValueError(f"options are {self._options}, expected none: the environments have no options")
        seeds: Any = None if all(seed is None for seed in self._seeds) else self._seeds
        observations, infos = self._envs.reset(seed=seeds)
        self.reset_infos = self._told(infos, range(self.num_envs))
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Keeps the actions for :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Steps all environments; one whose episode ends starts the next one in the same step."""
        observations, rewards, terminations, truncations, infos = self._envs.step(self._actions)
        dones = terminations | truncations
        told = self._told(infos, range(self.num_envs)) if self._names else [{} for _ in range(self.num_envs)]
        ended = dones.nonzero()[0].tolist()
        for env, last in zip(ended, self._told(infos.get("final_info", {}), ended), strict=True):
            told[env] = last | {
                "terminal_observation": infos["final_obs"][env],
                "TimeLimit.truncated": bool(truncations[env] and not terminations[env]),
            }
        return observations, rewards.astype(np.float32), dones, told

    def close(self) -> None:
        """Ends their use; closing twice is no error."""
        self._envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the vector environment, which is each environment's."""
        value = getattr(self._envs, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Sets an attribute of the vector environment.

        Raises:
            ValueError: for some environments only.
        """
        if indices is not None:
            raise ValueError(f"indices are {indices}, expected None: environments that step together share attributes")
        setattr(self._envs, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Calls ``render``, the one method that gives something for each environment.

        Raises:
            NotImplementedError: another method.
        """
        if method_name != "render":
            raise NotImplementedError(
                f"env_method('{method_name}') asks for single environments, and these step together: call "
                "get_attr, or the vector environment itself"
            )
        frames = self._envs.render(*method_args, **method_kwargs)
        assert frames is not None
        return [frames[env] for env in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Never: there are no single environments that could be."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A picture of each environment, with ``render_mode="rgb_array"``."""
        return self.env_method("render") if self.render_mode == "rgb_array" else [None] * self.num_envs

    def _told(self, infos: dict[str, Any], which: Sequence[int]) -> list[dict[str, Any]]:
        """The named infos of environments ``which``, those that there are."""
        return [
            {name: infos[name][env] for name in self._names if name in infos and infos[f"_{name}"][env]}
            for env in which
        ]
