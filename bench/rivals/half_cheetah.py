"""HalfCheetah, one robot an environment, given actions: EnvPool, Gymnasium, and MuJoCo's own batch and rollout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from bench.rivals.contest import OURS, Contest, Way
from mamrl.games.half_cheetah import HalfCheetah, default_model

ENVS, STEPS = 64, 20
QPOS, QVEL = slice(1, 10), slice(10, 19)
FRAME_SKIP = 5
StepFunction = Callable[[np.ndarray], object]


def mamrl_batch(num_envs: int, threads: int = 1) -> StepFunction:
    env = HalfCheetah(num_envs, num_threads=threads)
    env.reset(seed=0)
    return env.step


def mujoco_batch(num_envs: int, threads: int = 1) -> StepFunction:
    """MuJoCo's own Python face of the batch API, with observation and reward made in NumPy."""
    import mujoco
    from mujoco.batch import Batch

    model = mujoco.MjModel.from_xml_path(str(default_model()))
    batch = Batch(model, nsim=num_envs, nthread=threads)
    qpos, qvel, ctrl = batch.bind("qpos"), batch.bind("qvel"), batch.bind("ctrl")

    def step(actions: np.ndarray) -> object:
        ctrl[:] = actions
        before = qpos[:, 0].copy()
        batch.step(nstep=FRAME_SKIP)
        rewards = (qpos[:, 0] - before) / 0.05 - 0.1 * (actions**2).sum(1)
        return np.concatenate([qpos[:, 1:], qvel], axis=1), rewards

    return step


def envpool(num_envs: int, threads: int = 1) -> StepFunction:
    import envpool as pool

    env = pool.make("HalfCheetah-v4", env_type="gymnasium", num_envs=num_envs, num_threads=threads)
    env.reset()
    return env.step


def gymnasium_vector(num_envs: int, mode: str) -> StepFunction:
    import gymnasium

    env = gymnasium.make_vec("HalfCheetah-v5", num_envs=num_envs, vectorization_mode=mode)
    env.reset(seed=0)
    return lambda actions: env.step(actions.astype(np.float32))


def given_actions() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (STEPS, ENVS, 6))


def steps_of(make: Callable[[int], Callable[[np.ndarray], Any]], actions: np.ndarray) -> Callable[[], Any]:
    step = make(ENVS)
    return lambda: [step(row) for row in actions]


def mujoco_rollout(actions: np.ndarray) -> Callable[[], Any]:
    """All steps in one call, the actions being known; observations and rewards in NumPy afterwards."""
    import mujoco
    from mujoco.rollout import Rollout

    model = mujoco.MjModel.from_xml_path(str(default_model()))
    rollout = Rollout(nthread=0)
    size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)
    start = np.zeros((ENVS, size))
    start[:, 1:10] = model.qpos0
    control = np.repeat(actions.transpose(1, 0, 2), FRAME_SKIP, axis=1)
    data = mujoco.MjData(model)
    states = np.empty((ENVS, STEPS * FRAME_SKIP, size))
    cost = 0.1 * (actions**2).sum(-1)

    def play() -> tuple[np.ndarray, np.ndarray]:
        rollout.rollout(model, data, start, control, nstep=STEPS * FRAME_SKIP, state=states)
        seen = states[:, FRAME_SKIP - 1 :: FRAME_SKIP].swapaxes(0, 1)
        moved = np.diff(seen[..., 1], axis=0, prepend=start[None, :, 1])
        return seen[..., 2:19], moved / (0.01 * FRAME_SKIP) - cost

    return play


# ---- the same steps by ours from where a rival starts: the difference has to be zero ----


def ours_from(qpos: np.ndarray, qvel: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Observations (T, E, 17) after each of the actions (T, E, 6), from qpos (E, 9) and qvel (E, 9)."""
    env = HalfCheetah(len(qpos), num_threads=1)
    env.reset(seed=0)
    rows = env.get_state()
    rows[:, QPOS], rows[:, QVEL] = qpos, qvel
    env.set_state(rows)
    return np.stack([env.step(row).observations.copy() for row in actions])


def still() -> tuple[np.ndarray, np.ndarray]:
    """The model's own start."""
    import mujoco

    start = mujoco.MjModel.from_xml_path(str(default_model())).qpos0
    return np.tile(start, (ENVS, 1)), np.zeros((ENVS, 9))


def no_difference(play: Callable[[], Any]) -> np.ndarray:
    return np.zeros((STEPS, ENVS, 17))


def envpool_difference(actions: np.ndarray, play: Callable[[], Any]) -> np.ndarray:
    """Where a robot stands along the track, EnvPool does not show; nothing that it shows depends on it."""
    import envpool as pool

    env = pool.make("HalfCheetah-v4", env_type="gymnasium", num_envs=ENVS, num_threads=1, seed=0)
    start, _ = env.reset()
    qpos = np.concatenate([np.zeros((ENVS, 1)), start[:, :8]], axis=1)
    theirs = np.stack([env.step(row)[0].copy() for row in actions])
    return theirs - ours_from(qpos, start[:, 8:], actions)


def gymnasium_difference(actions: np.ndarray, play: Callable[[], Any]) -> np.ndarray:
    import gymnasium

    env = gymnasium.make_vec("HalfCheetah-v5", num_envs=ENVS, vectorization_mode="sync")
    env.reset(seed=0)
    singles = [single.unwrapped for single in env.envs]
    qpos, qvel = (np.stack([getattr(s.data, name) for s in singles]) for name in ("qpos", "qvel"))
    # its actions are float32
    given = actions.astype(np.float32)
    theirs = np.stack([env.step(row)[0].copy() for row in given])
    return theirs - ours_from(qpos, qvel, given.astype(np.float64))


def batch_difference(actions: np.ndarray, play: Callable[[], Any]) -> np.ndarray:
    step = mujoco_batch(ENVS)
    theirs = np.stack([step(row)[0] for row in actions])
    return theirs - ours_from(*still(), actions)


def rollout_difference(actions: np.ndarray, play: Callable[[], Any]) -> np.ndarray:
    return play()[0] - ours_from(*still(), actions)


def gymnasium_sync(num_envs: int) -> Callable[[np.ndarray], Any]:
    return gymnasium_vector(num_envs, "sync")


def contests() -> Iterator[Contest]:
    actions = given_actions()
    compared = "equal steps from its own start"
    yield Contest(
        "half_cheetah",
        f"HalfCheetah, {STEPS} steps of {ENVS} environments, actions given",
        [
            Way(OURS, partial(steps_of, mamrl_batch, actions), "mamrl", no_difference),
            Way(
                "mujoco.batch",
                partial(steps_of, mujoco_batch, actions),
                "mujoco",
                partial(batch_difference, actions),
                1e-9,
                "observations and rewards in NumPy",
            ),
            Way(
                "mujoco.rollout",
                partial(mujoco_rollout, actions),
                "mujoco",
                partial(rollout_difference, actions),
                1e-9,
                "all steps in one call, so actions cannot depend on what is seen",
            ),
            Way(
                "EnvPool",
                partial(steps_of, envpool, actions),
                "envpool",
                partial(envpool_difference, actions),
                1e-3,
                compared,
            ),
            Way(
                "Gymnasium, SyncVectorEnv",
                partial(steps_of, gymnasium_sync, actions),
                "gymnasium",
                partial(gymnasium_difference, actions),
                1e-9,
                compared,
            ),
        ],
        rounds=11,
    )
