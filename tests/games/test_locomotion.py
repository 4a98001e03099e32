"""Rollouts of HalfCheetah with both policies inside, against the environment, the policies and the draws apart."""

import math

import pytest
import torch

from mamrl.games.half_cheetah import HalfCheetah
from mamrl.games.locomotion import HalfCheetahGame
from mamrl.meta.inner_step import InnerStep, policy_gradients
from mamrl.ops import reference
from mamrl.policies.gaussian import gaussian_policies

pytest.importorskip("mujoco")


def rows_of(policies, chains, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.stack([p.initial(generator) for _ in range(chains)]).to(dtype) for p in policies]


def keys_of(*pairs):
    return torch.tensor(pairs, dtype=torch.int64)


def play(chains=2, trajectories=5, horizon=12, dtype=torch.float64, factorization="2x3", **game):
    policies = gaussian_policies(factorization, hidden_size=20)
    game = HalfCheetahGame(factorization=factorization, **game)
    rows = rows_of(policies, chains, dtype)
    keys = keys_of(*((9, stream) for stream in range(chains)))
    return game, policies, rows, keys, game.play(policies, rows, keys, trajectories, horizon, num_threads=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_rollout_is_the_environment_under_the_recorded_actions(dtype, direction):
    _, _, _, _, played = play(dtype=dtype, direction=direction)
    env = HalfCheetah(5, direction=direction, reward_scale=0.01, backend="torch")
    env.reset(seed=9)  # the first chain's seed, and stream 0 is an environment's first episode
    step = None
    for t in range(12):
        if step is not None:
            assert torch.equal(played.states[0, t, 0], step.observations.to(dtype))
        step = env.step(played.actions[0, t, 0])
        assert torch.equal(played.rewards[0, t, 0], step.rewards.to(dtype))
    env.reset(seed=9)
    observations, _ = env.reset()  # the second chain's stream is 1
    assert torch.equal(played.states[1, 0, 1], observations.to(dtype))


def expected_noise(seed, stream, time, trajectory):
    normals = []
    for group in range(2):
        counter = [torch.tensor(c) for c in (time, trajectory + (group << 24), stream, 0)]
        words = [int(w) for w in reference.philox(counter, [torch.tensor(seed), torch.tensor(0)])]
        for u, v in ((words[0], words[1]), (words[2], words[3])):
            radius = math.sqrt(-2 * math.log((u + 1) / 2**32))
            normals += [radius * math.cos(2 * math.pi * v / 2**32), radius * math.sin(2 * math.pi * v / 2**32)]
    return torch.tensor(normals[:6], dtype=torch.float64)


@pytest.mark.parametrize("factorization", ["2x3", "6x1"])
def test_actions_are_the_policies_means_plus_noise_of_the_counters(factorization):
    policies = gaussian_policies(factorization, hidden_size=20)
    game = HalfCheetahGame(factorization=factorization)
    rows = rows_of(policies, 2)
    for row, policy in zip(rows, policies, strict=True):
        row[:, -policy.num_actions :] = torch.linspace(-1, 0.5, policy.num_actions, dtype=torch.float64)
    played = game.play(policies, rows, keys_of((9, 0), (7, 3)), 33, 6)  # more than a block of trajectories
    expected = torch.empty_like(played.actions[0])
    for policy, row in zip(policies, rows, strict=True):
        columns = list(policy.action_columns)
        expected[..., columns] = policy.means(row, played.states[0])
    for t, chain, k in ((0, 0, 0), (5, 1, 32), (3, 1, 31)):
        noise = expected_noise((9, 7)[chain], (0, 3)[chain], t, k)
        for policy, row in zip(policies, rows, strict=True):
            columns = list(policy.action_columns)
            expected[t, chain, k, columns] += row[chain, -policy.num_actions :].exp() * noise[columns]
        torch.testing.assert_close(played.actions[0, t, chain, k], expected[t, chain, k], rtol=1e-11, atol=1e-11)


def test_noise_has_mean_zero_and_unit_deviation_and_joints_do_not_share_it():
    policies = gaussian_policies("1x6", hidden_size=4)
    rows = [torch.zeros(1, policies[0].num_parameters, dtype=torch.float64)]
    noise = (
        HalfCheetahGame(factorization="1x6").play(policies, rows, keys_of((1, 1)), 200, 20).actions[0].flatten(0, -2)
    )
    # 4000 draws a joint: standard errors .016 and .011
    assert noise.mean(0).abs().max() < 0.07
    assert (noise.std(0) - 1).abs().max() < 0.05
    correlation = torch.corrcoef(noise.T) - torch.eye(6, dtype=torch.float64)
    assert correlation.abs().max() < 0.07


def test_results_do_not_depend_on_threads_or_on_what_is_played_beside():
    game, policies, rows, keys, alone = play(trajectories=40)
    threaded = game.play(policies, rows, keys, 40, 12, num_threads=3)
    fewer = game.play(policies, [r[1:] for r in rows], keys[1:], 34, 12)
    for name in ("states", "actions", "rewards"):
        assert torch.equal(getattr(threaded, name), getattr(alone, name))
        assert torch.equal(getattr(fewer, name)[:, :, 0], getattr(alone, name)[:, :, 1, :34])


def test_instruction_sets_agree_within_rounding():
    level = torch.ops.mamrl.simd_level()
    played = []
    try:
        for name in ("baseline", level):
            torch.ops.mamrl._set_simd_level(name)
            played.append(play(horizon=5, dtype=torch.float32)[-1].actions)
    finally:
        torch.ops.mamrl._set_simd_level(level)
    torch.testing.assert_close(*played, rtol=1e-4, atol=1e-4)


def test_inner_steps_on_rollouts_make_the_robot_faster():
    policies = gaussian_policies(hidden_size=16)
    game = HalfCheetahGame()
    rows = first = rows_of(policies, 1, torch.float32, seed=1)
    step = InnerStep(discount=0.95, gae_lambda=0.95)
    for i in range(10):
        played = game.play(policies, rows, keys_of((0, i)), 64, 40)
        leaves = [row.clone().requires_grad_() for row in rows]
        log_probs = [p.log_probs(r, played.states[0], played.actions[0]) for p, r in zip(policies, leaves, strict=True)]
        gradients = policy_gradients(step, leaves, log_probs, played, game.num_states, differentiable=False)
        rows = [(r + 0.02 * g / g.norm() * r.norm()).detach() for r, g in zip(leaves, gradients, strict=True)]
    # the same starts and noise before and after, so that trajectories pair
    before, after = (game.play(policies, r, keys_of((1, 0)), 256, 40).rewards[0].mean((0, 1)) for r in (first, rows))
    gain = after - before
    assert gain.mean() > 5 * gain.std() / math.sqrt(256)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(parameters=a["parameters"][:1]), "the game has 2 agents, got 2 policies and 1 parameters"),
        (lambda a: a.update(policies=(a["policies"][0],) * 2), r"the policies move joints \[0, 0, 1, 1, 2, 2\]"),
        (lambda a: a.update(keys=torch.zeros(2, 2)), "keys have shape .* and torch.float32"),
        (lambda a: a.update(keys=a["keys"][:1]), "agent 0's parameters have shape"),
        (lambda a: a["parameters"][1].fill_(math.nan), "agent 1's parameters hold NaN"),
        (lambda a: a.update(num_trajectories=0), "num_trajectories is 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, message):
    game, policies, rows, keys, _ = play()
    arguments = {"policies": policies, "parameters": rows, "keys": keys, "num_trajectories": 2, "horizon": 3}
    change(arguments)
    with pytest.raises(ValueError, match=message):
        game.play(**arguments)


def test_a_game_with_no_direction_is_refused():
    with pytest.raises(ValueError, match=r"direction is 0, expected \+1 or -1"):
        HalfCheetahGame(direction=0)
    with pytest.raises(ValueError, match="unknown factorization"):
        HalfCheetahGame(factorization="3x3")
