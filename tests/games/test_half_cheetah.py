"""The batch of HalfCheetahs: rewards, starts, episodes, views, errors, and Gymnasium beside it."""

import math
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from mamrl.games.half_cheetah import HalfCheetah
from mamrl.ops import reference

pytest.importorskip("mujoco")

QPOS, QVEL = slice(1, 10), slice(10, 19)  # columns of a state row: time stands first


def random_actions(num_envs, steps, seed=0, scale=1.0):
    return np.random.default_rng(seed).uniform(-scale, scale, (steps, num_envs, 6))


def play(env, actions):
    """Observations and rewards of every step."""
    steps = [env.step(a) for a in actions]
    return np.stack([s.observations for s in steps]), np.stack([s.rewards for s in steps])


def row_of(env, qpos=None, qvel=None):
    """The state row of environment 0 with other coordinates."""
    row = env.get_state()[:1]
    if qpos is not None:
        row[:, QPOS] = qpos
    if qvel is not None:
        row[:, QVEL] = qvel
    return row


# ---- the physics ------------------------------------------------------------------------------------


def test_a_thousand_steps_equal_gymnasiums_half_cheetah_after_one_synchronisation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # loading the model by Gymnasium leaves a MUJOCO_LOG.TXT behind
    mujoco = pytest.importorskip("mujoco")
    pytest.importorskip("imageio", reason="gymnasium's MuJoCo environments import it")
    gymnasium = pytest.importorskip("gymnasium")
    theirs = gymnasium.make("HalfCheetah-v5").unwrapped
    theirs.reset(seed=1)
    ours = HalfCheetah(1)
    row = np.zeros((1, ours.get_state().shape[1]))
    mujoco.mj_getState(theirs.model, theirs.data, row[0], mujoco.mjtState.mjSTATE_INTEGRATION)
    observations = ours.set_state(row)
    np.testing.assert_array_equal(observations[0], theirs.unwrapped._get_obs())
    for actions in random_actions(1, 1000):
        expected, reward, _, _, info = theirs.step(actions[0])
        step = ours.step(actions)
        np.testing.assert_allclose(step.observations[0], expected, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(step.rewards[0], reward, rtol=1e-13, atol=1e-13)
        for name in ("reward_forward", "reward_ctrl", "x_position", "x_velocity"):
            np.testing.assert_allclose(step.info[name][0], info[name], rtol=1e-13, atol=1e-13)


def test_the_reward_is_the_directed_speed_less_the_cost_of_the_clipped_actions():
    env = HalfCheetah(2, direction=[1, -1], reward_scale=0.01)
    env.reset(seed=3)
    before = env.get_state()[:, 1]
    actions = np.array([[0.5, -0.5, 2.0, 0, 0, 0], [0, 0, 0, -3.0, 0.1, 1]])
    step = env.step(actions)
    velocity = (env.get_state()[:, 1] - before) / 0.05
    cost = 0.1 * (np.clip(actions, -1, 1) ** 2).sum(1)
    np.testing.assert_allclose(step.rewards, 0.01 * ([1, -1] * velocity - cost), rtol=1e-12)
    np.testing.assert_allclose(step.info["x_velocity"], velocity, rtol=1e-12)
    np.testing.assert_allclose(step.info["reward_ctrl"], -cost, rtol=1e-12)


def test_clipped_actions_move_as_the_unclipped_do():
    wild = random_actions(2, 20, scale=3.0)
    first, second = HalfCheetah(2), HalfCheetah(2)
    first.reset(seed=0)
    second.reset(seed=0)
    np.testing.assert_array_equal(play(first, wild)[0], play(second, np.clip(wild, -1, 1))[0])


def test_results_are_bit_identical_at_any_number_of_threads():
    actions = random_actions(7, 60)
    runs = []
    for threads in (1, 2, 3):
        env = HalfCheetah(7, num_threads=threads, episode_length=25)
        env.reset(seed=5)
        runs.append(play(env, actions))
    for observations, rewards in runs[1:]:
        np.testing.assert_array_equal(observations, runs[0][0])
        np.testing.assert_array_equal(rewards, runs[0][1])


def test_results_are_bit_identical_in_a_batch_of_any_size():
    actions = random_actions(9, 60)
    large, small = HalfCheetah(9, episode_length=25), HalfCheetah(2, episode_length=25)
    large.reset(seed=5)
    small.reset(seed=5)
    np.testing.assert_array_equal(play(large, actions)[0][:, :2], play(small, actions[:, :2])[0])


def test_float32_actions_and_tensors_are_taken_as_they_are():
    actions = random_actions(3, 1)[0].astype(np.float32)
    results = []
    for given in (
        actions,
        actions.astype(np.float64),
        torch.from_numpy(actions),
        [actions[:, :3], actions[:, 3:]],
    ):
        env = HalfCheetah(3)
        env.reset(seed=1)
        results.append(env.step(given).observations)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


# ---- starts -----------------------------------------------------------------------------------------


def expected_start(seed, episode, index, noise):
    """A start by the plain-torch Philox: nine uniforms, then nine normals, of 53 bits each."""
    words = []
    for draw in range(10):
        counter = [torch.tensor(c) for c in (2**31 + draw, index, episode, 0)]
        words += [int(w) for w in reference.philox(counter, [torch.tensor(seed), torch.tensor(0)])]
    uniform = [((words[i] >> 5) * 2**26 + (words[i + 1] >> 6)) * 2.0**-53 for i in range(0, 40, 2)]
    normal = []
    for u, v in zip(uniform[10::2], uniform[11::2], strict=True):
        radius = math.sqrt(-2 * math.log1p(-u))
        normal += [radius * math.cos(2 * math.pi * v), radius * math.sin(2 * math.pi * v)]
    return [noise * (2 * u - 1) for u in uniform[:9]], [noise * n for n in normal[:9]]


def test_a_start_depends_on_seed_environment_and_episode_alone():
    env = HalfCheetah(3, reset_noise=0.2)
    env.reset(seed=11)
    env.reset(mask=np.array([False, False, True]))
    states = env.get_state()
    for index, episode in ((0, 0), (1, 0), (2, 1)):
        qpos, qvel = expected_start(11, episode, index, 0.2)
        np.testing.assert_allclose(states[index, QPOS], qpos, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(states[index, QVEL], qvel, rtol=1e-12, atol=1e-15)


def test_an_environment_with_a_seed_of_its_own_starts_as_if_alone():
    several, alone = HalfCheetah(3), HalfCheetah(1)
    observations, _ = several.reset(seed=[4, 2**40 + 9, 6])
    np.testing.assert_array_equal(observations[1], alone.reset(seed=2**40 + 9)[0][0])
    assert len(np.unique(observations[:, 0])) == 3


def test_starts_are_uniform_in_position_and_normal_in_velocity():
    env = HalfCheetah(4000, reset_noise=0.1)
    env.reset(seed=0)
    states = env.get_state()
    qpos, qvel = states[:, QPOS], states[:, QVEL]
    assert np.abs(qpos).max() <= 0.1
    # standard errors over 4000 x 9 draws: 3e-4 of the uniform's deviation .0577, 4e-4 of the normal's .1
    assert abs(qpos.std() - 0.1 / math.sqrt(3)) < 1e-3
    assert abs(qvel.std() - 0.1) < 1.6e-3
    assert abs(np.mean(qvel**4) / np.mean(qvel**2) ** 2 - 3) < 0.15


# ---- episodes ---------------------------------------------------------------------------------------


def test_next_step_autoreset_spends_a_step_on_the_new_start():
    env = HalfCheetah(2, episode_length=3)
    env.reset(seed=0)
    env.reset(mask=np.array([True, False]))
    steps = [env.step(a) for a in random_actions(2, 5)]
    assert [s.truncations.tolist() for s in steps] == [[t == 2] * 2 for t in range(5)]
    assert [s.info["started"].all() for s in steps] == [t == 3 for t in range(5)]
    assert (steps[3].rewards == 0).all()
    # environment 0's third episode and environment 1's second
    np.testing.assert_allclose(steps[3].observations[0, :8], expected_start(0, 2, 0, 0.1)[0][1:], rtol=1e-12)
    np.testing.assert_allclose(steps[3].observations[1, :8], expected_start(0, 1, 1, 0.1)[0][1:], rtol=1e-12)


def test_same_step_autoreset_keeps_the_last_observation_aside():
    same, plain = HalfCheetah(1, episode_length=2, autoreset="same-step"), HalfCheetah(1)
    same.reset(seed=0)
    plain.reset(seed=0)
    for actions in random_actions(1, 2):
        ended, unended = same.step(actions), plain.step(actions)
    assert ended.truncations[0]
    assert ended.info["started"][0]
    np.testing.assert_array_equal(ended.info["final_observations"], unended.observations)
    assert ended.rewards[0] == unended.rewards[0]
    np.testing.assert_allclose(ended.observations[0, :8], expected_start(0, 1, 0, 0.1)[0][1:], rtol=1e-12)


def test_without_autoreset_an_ended_environment_waits_for_its_reset():
    env = HalfCheetah(2, episode_length=1, autoreset="disabled")
    env.reset(seed=0)
    env.step(np.zeros((2, 6)))
    env.reset(mask=np.array([True, False]))
    with pytest.raises(RuntimeError, match="environment 1's episode has ended"):
        env.step(np.zeros((2, 6)))
    env.reset(mask=np.array([False, True]))
    env.step(np.zeros((2, 6)))


def test_a_simulation_that_diverges_ends_its_own_episode_and_no_other(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)  # where MuJoCo would write its log
    disturbed, calm = HalfCheetah(3), HalfCheetah(3)
    disturbed.reset(seed=0)
    calm.reset(seed=0)
    rows = disturbed.get_state()
    rows[1, QVEL] = 1e9
    disturbed.set_state(rows, mask=np.array([False, True, False]))
    actions = random_actions(3, 4)
    first, expected = disturbed.step(actions[0]), calm.step(actions[0])
    assert first.terminations.tolist() == [False, True, False]
    assert list(first.info["diverged"]) == [1]
    assert "QACC" in first.info["diverged"][1]
    assert first.rewards[1] == 0
    np.testing.assert_array_equal(first.observations[1, 8:], np.full(9, 1e9))  # the last one before it diverged
    np.testing.assert_array_equal(first.observations[[0, 2]], expected.observations[[0, 2]])
    second = disturbed.step(actions[1])
    assert second.info["started"].tolist() == [False, True, False]
    assert "diverged" not in second.info
    np.testing.assert_array_equal(second.observations[[0, 2]], calm.step(actions[1]).observations[[0, 2]])
    assert np.isfinite(second.observations).all()
    assert not any(disturbed.step(actions[2]).terminations)
    assert os.listdir(tmp_path) == []
    assert capfd.readouterr().err == ""


# ---- views and threads ------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_views_share_memory_and_copies_do_not(backend):
    view, copy = HalfCheetah(2, backend=backend, copy=False), HalfCheetah(2, backend=backend)
    for env, shared in ((view, True), (copy, False)):
        env.reset(seed=0)
        first = env.step(np.ones((2, 6)))
        second = env.step(np.ones((2, 6)))
        same = bool((first.observations == second.observations).all())
        assert same is shared
        assert isinstance(first.rewards, torch.Tensor if backend == "torch" else np.ndarray)


def test_views_outlive_their_environments():
    env = HalfCheetah(2, copy=False)
    observations, _ = env.reset(seed=0)
    expected = observations.copy()
    env.close()
    del env
    np.testing.assert_array_equal(observations, expected)


def test_a_step_releases_the_interpreter_and_refuses_a_second_thread():
    env = HalfCheetah(3000)
    env.reset(seed=0)
    actions = random_actions(3000, 1)[0]
    thread = threading.Thread(target=env.step, args=(actions,))
    thread.start()
    # whoever comes first is let in, and that is to be the step
    time.sleep(0.02)
    turns, refused = 0, []
    while thread.is_alive():
        turns += 1
        try:
            env.get_state()
        except RuntimeError as error:
            refused.append(str(error))
        time.sleep(1e-3)
    thread.join()
    assert turns > 5
    assert "in use by another thread" in refused[0]


def test_a_forked_child_is_told_to_make_its_own():
    env = HalfCheetah(2, num_threads=2)
    env.reset(seed=0)
    child = os.fork()
    if child == 0:
        try:
            env.step(np.zeros((2, 6)))
        except RuntimeError as error:
            os._exit(7 if "after the fork" in str(error) else 1)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


# ---- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actions", "error", "message"),
    [
        (np.zeros((3, 6)), ValueError, r"actions have shape \(3, 6\), expected \(2, 6\)"),
        (np.zeros(12), ValueError, r"actions have shape \(12,\)"),
        (
            np.zeros((2, 6), dtype=np.int64),
            TypeError,
            "actions have dtype int64, expected float32 or float64",
        ),
        (np.full((2, 6), "a"), TypeError, "expected float32 or float64"),
        (np.where(np.arange(12).reshape(2, 6) == 8, np.nan, 0.0), ValueError, r"actions\[1, 2\] is nan"),
        (np.where(np.arange(12).reshape(2, 6) == 3, -np.inf, 0.0), ValueError, r"actions\[0, 3\] is -inf"),
        ([np.zeros((2, 3))], ValueError, "got actions of 1 agents, expected 2"),
    ],
)
def test_bad_actions_are_named_and_nothing_moves(actions, error, message):
    env = HalfCheetah(2)
    env.reset(seed=0)
    before = env.get_state()
    with pytest.raises(error, match=message):
        env.step(actions)
    np.testing.assert_array_equal(env.get_state(), before)


def test_stepping_before_reset_or_after_close_is_an_error():
    env = HalfCheetah(2)
    with pytest.raises(RuntimeError, match=r"environment 0 has not been reset: call reset\(\) before step\(\)"):
        env.step(np.zeros((2, 6)))
    env.reset(seed=0)
    env.close()
    env.close()
    for use in (lambda: env.step(np.zeros((2, 6))), env.reset, env.get_state):
        with pytest.raises(RuntimeError, match="the environments are closed"):
            use()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, "num_envs is 0, expected at least 1"),
        ({"direction": 0.5}, r"direction is 0.5, expected \+1 or -1"),
        ({"direction": [1, 1]}, "one number or 1"),
        ({"episode_length": -1}, "episode_length is -1, expected at least 0"),
        ({"reset_noise": math.nan}, "reset_noise is nan"),
        ({"reward_scale": math.inf}, "reward_scale is inf"),
        ({"autoreset": "nextstep"}, "did you mean 'next-step'"),
        ({"backend": "jax"}, "unknown backend 'jax'"),
        ({"num_threads": 0}, "num_threads is 0"),
        ({"model": "/nowhere.xml"}, "MuJoCo cannot load the model '/nowhere.xml'"),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        HalfCheetah(**{"num_envs": 1, **arguments})


def test_bad_resets_are_refused():
    env = HalfCheetah(2)
    with pytest.raises(ValueError, match="got 3 seeds, expected one, or 2"):
        env.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match=r"expected \(2,\) and bool"):
        env.reset(mask=np.array([1, 0]))
    with pytest.raises(ValueError, match="states hold NaN"):
        env.set_state(np.full_like(env.get_state(), np.nan))
    with pytest.raises(ValueError, match="states have shape"):
        env.set_state(np.zeros((2, 3)))


def test_mamrl_works_without_mujoco_and_says_how_to_get_it():
    script = """
import sys
sys.modules["mujoco"] = None
import mamrl
from mamrl.games.half_cheetah import HalfCheetah
assert "libmujoco" not in open("/proc/self/maps").read()
try:
    HalfCheetah(1)
except ImportError as error:
    sys.exit(0 if "pip install 'mamrl[mujoco]'" in str(error) else 1)
sys.exit(2)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
