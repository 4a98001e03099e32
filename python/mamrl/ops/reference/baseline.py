"""The linear feature baseline of Duan et al. 2016, by the normal equations."""

from __future__ import annotations

import torch
from torch import Tensor


def linear_baseline(observations: Tensor, returns: Tensor, num_states: int, ridge: float) -> Tensor:
    """Least squares on [obs, obs^2, t/100, (t/100)^2, (t/100)^3, 1] (Duan et al. 2016), one fit a chain.

    observations: (T, M, K, O) floating, or (T, M, K) int64 indices of ``num_states`` one-hot states; returns:
    (T, M, K). The normal equations are built and solved in float64; the ridge is multiplied by ten, at most five times,
    while the Cholesky factorisation fails.
    """
    if observations.dtype == torch.int64:
        observations = torch.nn.functional.one_hot(observations, num_states)
    horizon, chains, trajectories = returns.shape
    obs = observations.to(torch.float64)
    time = torch.arange(horizon, dtype=torch.float64, device=obs.device).div(100).view(-1, 1, 1, 1)
    time = time.expand(horizon, chains, trajectories, 1)
    features = torch.cat([obs, obs**2, time, time**2, time**3, torch.ones_like(time)], dim=-1)
    predictions = torch.empty_like(returns)
    for m in range(chains):
        x = features[:, m].reshape(horizon * trajectories, -1)
        y = returns[:, m].reshape(-1, 1).to(torch.float64)
        gram, right = x.T @ x, x.T @ y
        weight = ridge
        for _ in range(6):
            factor, failed = torch.linalg.cholesky_ex(gram + weight * torch.eye(x.shape[1], dtype=x.dtype))
            solution = torch.cholesky_solve(right, factor)
            if not failed and solution.isfinite().all():
                break
            weight *= 10
        else:
            raise RuntimeError("linear_baseline: the normal equations stay singular; are there NaN or inf?")
        predictions[:, m] = (x @ solution).view(horizon, trajectories).to(returns.dtype)
    return predictions
