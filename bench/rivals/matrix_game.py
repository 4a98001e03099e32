"""Iterated matrix games given actions, as others step them: NumPy by table, and JAX's jitted scan."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def numpy_step(payoffs: np.ndarray, actions: np.ndarray, elapsed: np.ndarray, length: int) -> tuple[np.ndarray, ...]:
    """One step of payoffs (2, 2, 2), actions (2, E), elapsed (E,) in place: states, rewards, truncations."""
    own, other = actions
    joint = own * 2 + other
    states = np.stack([1 + joint, 1 + other * 2 + own])
    rewards = payoffs.reshape(2, 4).take(joint, axis=1)
    ended = elapsed == length
    elapsed += 1
    if ended.any():
        states[:, ended], rewards[:, ended], elapsed[ended] = 0, 0, 0
    return states, rewards, elapsed == length


def numpy_episode(payoffs: np.ndarray, actions: np.ndarray, elapsed: np.ndarray, length: int) -> list[np.ndarray]:
    """T steps of actions (2, T, E)."""
    steps = [numpy_step(payoffs, actions[:, t], elapsed, length) for t in range(actions.shape[1])]
    return [np.stack(arrays) for arrays in zip(*steps, strict=True)]


def jax_episode(payoffs: np.ndarray, actions: np.ndarray, length: int) -> Callable[[], object]:
    """The same as one jitted scan over time, compiled and with its arguments in place.

    Raises:
        ImportError: JAX is not installed.
    """
    import jax
    import jax.numpy as jnp

    table = jnp.asarray(payoffs.reshape(2, 4))

    def step(elapsed, joint_actions):
        own, other = joint_actions
        joint = own * 2 + other
        ended = elapsed == length
        states = jnp.where(ended, 0, jnp.stack([1 + joint, 1 + other * 2 + own]))
        rewards = jnp.where(ended, 0, table[:, joint])
        elapsed = jnp.where(ended, 0, elapsed + 1)
        return elapsed, (states, rewards, elapsed == length)

    scan = jax.jit(lambda elapsed, given: jax.lax.scan(step, elapsed, given))
    start = jnp.zeros(actions.shape[-1], jnp.int32)
    given = jnp.asarray(np.moveaxis(actions, 1, 0).astype(np.int32))
    jax.block_until_ready(scan(start, given))
    return lambda: jax.block_until_ready(scan(start, given))
