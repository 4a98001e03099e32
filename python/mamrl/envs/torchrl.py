"""Vector environments as one batched environment of TorchRL."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Bounded, Categorical, Composite, TensorSpec, UnboundedContinuous
from torchrl.envs import EnvBase


class TorchRLEnv(EnvBase):
    """What TorchRL rolls out and trains on, of batch size (E,), stepped by one call of a vector environment.

    Entries are "observation" (E, ...), "action" (E,) or (E, A), "reward" (E, 1) float32, and "done", "terminated" and
    "truncated" (E, 1). Discrete spaces are indices, not one-hot. TorchRL resets environments whose episodes have ended.

    Args:
        envs: made with ``autoreset_mode="Disabled"``, such as ``gymnasium.make_vec("mamrl/IPD-v0", num_envs=1024,
            autoreset_mode="Disabled")``.

    Raises:
        TypeError: this is no vector environment, or its spaces are neither discrete nor boxes.
        ValueError: another autoreset mode.
    """

    def __init__(self, envs: VectorEnv) -> None:
        if not isinstance(envs, VectorEnv):
            raise TypeError(f"envs is {type(envs).__name__}, expected a vector environment, of gymnasium.make_vec")
        mode = envs.metadata.get("autoreset_mode")
        if mode != AutoresetMode.DISABLED:
            raise ValueError(f"the environments' autoreset_mode is {mode}, expected 'Disabled': TorchRL resets them")
        count = envs.num_envs
        super().__init__(device="cpu", batch_size=[count])
        self._envs = envs
        self._seed: int | None = None
        self.observation_spec = Composite(observation=_spec_of(envs.single_observation_space, count), shape=[count])
        self.action_spec = _spec_of(envs.single_action_space, count)
        self.reward_spec = UnboundedContinuous((count, 1))
        ends = {name: Categorical(2, (count, 1), dtype=torch.bool) for name in ("done", "terminated", "truncated")}
        self.done_spec = Composite(ends, shape=[count])

    def _reset(self, tensordict: TensorDictBase | None = None, **_: Any) -> TensorDict:
        chosen = None if tensordict is None else tensordict.get("_reset", None)
        options = None if chosen is None else {"reset_mask": chosen.reshape(-1).numpy()}
        observations, _infos = self._envs.reset(seed=self._seed, options=options)
        self._seed = None
        never = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        return self._told(observations, never, never.clone())

    def _step(self, tensordict: TensorDictBase) -> TensorDict:
        step = self._envs.step(tensordict["action"].numpy())
        observations, rewards, terminations, truncations = (np.asarray(values) for values in step[:4])
        told = self._told(observations, _column(terminations), _column(truncations))
        told["reward"] = _column(rewards).float()
        return told

    def _set_seed(self, seed: int | None) -> None:
        self._seed = seed

    def close(self, *, raise_if_closed: bool = False) -> None:
        """Ends their use; closing twice is no error unless it is asked to be."""
        super().close(raise_if_closed=raise_if_closed)
        self._envs.close()

    def _told(self, observations: np.ndarray, terminated: Tensor, truncated: Tensor) -> TensorDict:
        entries = {
            "observation": torch.from_numpy(observations),
            "done": terminated | truncated,
            "terminated": terminated,
            "truncated": truncated,
        }
        return TensorDict(entries, batch_size=self.batch_size)


def _column(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values).unsqueeze(-1)


def _spec_of(space: spaces.Space, count: int) -> TensorSpec:
    """Of a batch of ``count``."""
    if isinstance(space, spaces.Discrete):
        return Categorical(int(space.n), (count,), dtype=torch.int64)
    if not isinstance(space, spaces.Box):
        raise TypeError(f"the space is {type(space).__name__}, expected Discrete or Box")
    shape, dtype = (count, *space.shape), torch.from_numpy(np.zeros(0, space.dtype)).dtype
    if not np.isfinite(space.low).all() or not np.isfinite(space.high).all():
        return UnboundedContinuous(shape, dtype=dtype)
    low, high = (torch.from_numpy(bound).expand(shape) for bound in (space.low, space.high))
    return Bounded(low, high, shape, dtype=dtype)
