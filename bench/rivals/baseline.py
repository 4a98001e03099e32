"""The linear baseline without a compiled kernel: NumPy, torch, and scikit-learn's ridge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from bench.rivals.contest import OURS, Contest, Way
from mamrl import ops

DISCOUNT, RIDGE = 0.96, 1e-5


def expert_numpy(observations: np.ndarray, rewards: np.ndarray, discount: float, ridge: float = 1e-5) -> np.ndarray:
    """Returns, fit and prediction for observations (T, K, O) and rewards (T, K): float64 normal equations."""
    flat, returns = features_and_returns(observations, rewards, discount)
    gram = flat.T @ flat
    gram[np.diag_indices_from(gram)] += ridge
    return (flat @ np.linalg.solve(gram, flat.T @ returns.reshape(-1))).reshape(rewards.shape)


def features_and_returns(
    observations: np.ndarray, rewards: np.ndarray, discount: float
) -> tuple[np.ndarray, np.ndarray]:
    """Features (T * K, 2 O + 4) and returns (T, K), both float64."""
    horizon, trajectories, size = observations.shape
    returns = rewards.astype(np.float64)
    for t in range(horizon - 2, -1, -1):
        returns[t] += discount * returns[t + 1]
    features = np.empty((horizon, trajectories, 2 * size + 4))
    features[..., :size] = observations
    np.square(features[..., :size], out=features[..., size : 2 * size])
    time = (np.arange(horizon) / 100)[:, None]
    for power in (1, 2, 3):
        features[..., 2 * size + power - 1] = time**power
    features[..., -1] = 1
    return features.reshape(horizon * trajectories, -1), returns


def published_shape(observations: Tensor, rewards: Tensor, discount: float, ridge: float = 1e-5) -> Tensor:
    """The published code's shape: a loop for the returns, features concatenated in torch, least squares by QR."""
    returns = torch.zeros_like(rewards)
    carried = torch.zeros_like(rewards[0])
    for t in reversed(range(rewards.shape[0])):
        carried = carried * discount + rewards[t]
        returns[t] = carried
    ones = torch.ones_like(rewards).unsqueeze(2)
    time = torch.arange(rewards.shape[0]).view(-1, 1, 1) * ones / 100.0
    features = torch.cat([observations, observations**2, time, time**2, time**3, ones], dim=2)
    flat = features.view(-1, features.shape[-1])
    gram = flat.t() @ flat + ridge * torch.eye(flat.shape[1])
    weights = torch.linalg.lstsq(gram, (flat.t() @ returns.view(-1, 1)), driver="gelsy").solution
    return (flat @ weights).view_as(rewards)


def scikit_learn(observations: np.ndarray, rewards: np.ndarray) -> Callable[[], np.ndarray]:
    """Its ridge regression on the same features, by Cholesky."""
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=RIDGE, fit_intercept=False, copy_X=False, solver="cholesky")

    def fit_and_predict() -> np.ndarray:
        features, returns = features_and_returns(observations, rewards, DISCOUNT)
        return model.fit(features, returns.reshape(-1)).predict(features).reshape(rewards.shape)

    return fit_and_predict


def contests() -> Iterator[Contest]:
    generator = torch.Generator().manual_seed(0)
    rewards = torch.randn(150, 64, generator=generator)
    states = torch.randint(5, (150, 64), generator=generator)
    robots = torch.randn(150, 64, 17, generator=generator)
    for name, observed, dense, num_states in (
        ("states of five", states, torch.nn.functional.one_hot(states, 5).float(), 5),
        ("17 observations", robots, robots, None),
    ):
        arrays = dense.numpy(), rewards.numpy()

        def ours(observed: Tensor = observed, num_states: int | None = num_states) -> Tensor:
            returns = ops.discounted_returns(rewards, DISCOUNT)
            return ops.linear_baseline(observed, returns, num_states=num_states)

        yield Contest(
            "baseline",
            f"linear baseline, 150 steps of 64, {name}",
            [
                Way(OURS, lambda ours=ours: ours, "mamrl"),
                Way("NumPy, normal equations", lambda a=arrays: partial(expert_numpy, *a, DISCOUNT), "numpy"),
                Way("scikit-learn, Ridge", partial(scikit_learn, *arrays), "scikit-learn"),
            ],
        )
