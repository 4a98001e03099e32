"""Generalized advantages and returns as others compute them: loops, TorchRL, Stable-Baselines3, JAX, Numba."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.rivals.contest import OURS, Contest, Way
from mamrl import ops

DISCOUNT, GAE_LAMBDA = 0.96, 0.95
HORIZON = 150


def published_shape(rewards: Tensor, values: Tensor, discount: float, gae_lambda: float) -> Tensor:
    """A Python loop over time of whole expressions, stacked at the end: the published code's shape."""
    carried = torch.zeros_like(rewards[0])
    advantages: list[Tensor] = []
    for t in reversed(range(rewards.shape[0])):
        delta = rewards[t] + discount * values[t + 1] - values[t]
        carried = delta + discount * gae_lambda * carried
        advantages.insert(0, carried)
    return torch.stack(advantages)


def expert_loop(rewards: Tensor, values: Tensor, discount: float, gae_lambda: float) -> Tensor:
    """All deltas at once, then one fused operation in place for each step."""
    advantages = torch.add(rewards, values[1:], alpha=discount).sub_(values[:-1])
    rows = advantages.unbind(0)
    for t in range(len(rows) - 2, -1, -1):
        rows[t].add_(rows[t + 1], alpha=discount * gae_lambda)
    return advantages


def numpy_loop(rewards: np.ndarray, values: np.ndarray, discount: float, gae_lambda: float) -> np.ndarray:
    """The same in NumPy."""
    advantages = rewards + np.float32(discount) * values[1:] - values[:-1]
    weight = np.float32(discount * gae_lambda)
    for t in range(len(advantages) - 2, -1, -1):
        advantages[t] += weight * advantages[t + 1]
    return advantages


def powers_matrix(horizon: int, weight: float) -> Tensor:
    """What :func:`matrix_product` multiplies by: weight^(s-t) for s >= t."""
    steps = torch.arange(horizon)
    distance = steps[None, :] - steps[:, None]
    return torch.where(distance >= 0, torch.tensor(weight) ** distance.clamp(min=0), torch.zeros(()))


def matrix_product(rewards: Tensor, values: Tensor, discount: float, powers: Tensor) -> Tensor:
    """The recursion as a product with a matrix kept from before: T times the work, but no loop; it knows no masks."""
    return powers @ (torch.add(rewards, values[1:], alpha=discount).sub_(values[:-1]))


# ---- other people's libraries: rewards (T, K), values (T + 1, K), and where episodes terminate (T, K) ----


class Given:
    """The same numbers for all, as tensors and as arrays that share their memory."""

    def __init__(self, batch: int, flags: bool) -> None:
        generator = torch.Generator().manual_seed(0)
        self.rewards = torch.randn(HORIZON, batch, generator=generator)
        self.values = torch.randn(HORIZON + 1, batch, generator=generator)
        ends = torch.rand(HORIZON, batch, generator=generator) < 0.02
        self.flags = flags
        self.ends = ends if flags else torch.zeros_like(ends)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.rewards.numpy(), self.values.numpy(), self.ends.numpy()


def mamrl_gae(given: Given) -> Callable[[], Tensor]:
    ends = given.ends if given.flags else None
    return lambda: ops.gae(given.rewards, given.values, DISCOUNT, GAE_LAMBDA, terminations=ends)


def mamrl_returns(given: Given) -> Callable[[], Tensor]:
    ends = given.ends if given.flags else None
    return lambda: ops.discounted_returns(given.rewards, DISCOUNT, terminations=ends)


def torchrl_gae(given: Given, vectorised: bool) -> Callable[[], Tensor]:
    from torchrl.objectives.value import functional

    estimate = functional.generalized_advantage_estimate
    if vectorised:
        estimate = functional.vec_generalized_advantage_estimate
    tensors = (given.values[:-1], given.values[1:], given.rewards, given.ends, given.ends)
    return lambda: estimate(DISCOUNT, GAE_LAMBDA, *tensors)[0]


def torchrl_returns(given: Given) -> Callable[[], Tensor]:
    """Time stands second to last, so that trajectories count as features."""
    from torchrl.objectives.value.functional import reward2go

    done = given.ends.clone()
    done[-1] = True
    return lambda: reward2go(given.rewards, done, DISCOUNT)


def stable_baselines_gae(given: Given) -> Callable[[], np.ndarray]:
    """Its buffer, filled; what it does at the end of a rollout."""
    from gymnasium import spaces
    from stable_baselines3.common.buffers import RolloutBuffer

    rewards, values, ends = given.arrays()
    batch = rewards.shape[1]
    buffer = RolloutBuffer(
        HORIZON, spaces.Discrete(5), spaces.Discrete(2), "cpu", gae_lambda=GAE_LAMBDA, gamma=DISCOUNT, n_envs=batch
    )
    buffer.rewards[:], buffer.values[:] = rewards, values[:-1]
    buffer.episode_starts[1:] = ends[:-1]
    last_values, dones = given.values[-1], ends[-1]

    def compute() -> np.ndarray:
        buffer.compute_returns_and_advantage(last_values, dones)
        return buffer.advantages

    return compute


def jax_scan(given: Given, returns: bool) -> Callable[[], Any]:
    """A jitted scan over time, backwards; all deltas at once before it."""
    import jax
    import jax.numpy as jnp

    decay = DISCOUNT if returns else DISCOUNT * GAE_LAMBDA

    @jax.jit
    def compute(rewards: Any, values: Any, ends: Any) -> Any:
        goes_on = 1.0 - ends
        deltas = rewards if returns else rewards + DISCOUNT * values[1:] * goes_on - values[:-1]

        def step(later: Any, row: Any) -> Any:
            delta, weight = row
            total = delta + weight * later
            return total, total

        return jax.lax.scan(step, jnp.zeros_like(rewards[0]), (deltas, decay * goes_on), reverse=True, unroll=5)[1]

    arrays = [jnp.asarray(array, jnp.float32) for array in given.arrays()]
    return lambda: jax.block_until_ready(compute(*arrays))


def numba_loop(given: Given, returns: bool) -> Callable[[], np.ndarray]:
    """What one would write in C or Cython: two loops, the inner one over trajectories."""
    import numba

    discount, decay = np.float32(DISCOUNT), np.float32(DISCOUNT * (1.0 if returns else GAE_LAMBDA))

    @numba.njit(fastmath=True)
    def compute(rewards: np.ndarray, values: np.ndarray, ends: np.ndarray) -> np.ndarray:
        result = np.empty_like(rewards)
        later = np.zeros(rewards.shape[1], np.float32)
        for t in range(rewards.shape[0] - 1, -1, -1):
            for k in range(rewards.shape[1]):
                goes_on = np.float32(1) - np.float32(ends[t, k])
                delta = (
                    rewards[t, k] if returns else rewards[t, k] + discount * values[t + 1, k] * goes_on - values[t, k]
                )
                later[k] = delta + decay * goes_on * later[k]
                result[t, k] = later[k]
        return result

    return partial(compute, *given.arrays())


def contests() -> Iterator[Contest]:
    for batch in (64, 4096):
        for flags in (False, True):
            given = Given(batch, flags)
            size = f"[{HORIZON}, {batch}]" + (", done flags" if flags else "")
            yield Contest(
                "gae",
                f"GAE {size}",
                [
                    Way(OURS, partial(mamrl_gae, given), "mamrl"),
                    Way("TorchRL, vec_generalized_advantage_estimate", partial(torchrl_gae, given, True), "torchrl"),
                    Way("TorchRL, generalized_advantage_estimate", partial(torchrl_gae, given, False), "torchrl"),
                    Way("Stable-Baselines3, RolloutBuffer", partial(stable_baselines_gae, given), "stable-baselines3"),
                    Way("JAX, jitted scan", partial(jax_scan, given, False), "jax"),
                    Way("Numba, two loops", partial(numba_loop, given, False), "numba"),
                ],
            )
            yield Contest(
                "gae",
                f"returns {size}",
                [
                    Way(OURS, partial(mamrl_returns, given), "mamrl"),
                    Way("TorchRL, reward2go", partial(torchrl_returns, given), "torchrl"),
                    Way("JAX, jitted scan", partial(jax_scan, given, True), "jax"),
                    Way("Numba, two loops", partial(numba_loop, given, True), "numba"),
                ],
            )
