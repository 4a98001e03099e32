"""The examples run, at a small size, and show what they say."""

import importlib.util
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested():
    here = Path(__file__).read_text()
    untested = [path.stem for path in EXAMPLES.glob("*.py") if f'example("{path.stem}")' not in here]
    assert untested == []


def test_own_game(capsys):
    example("own_game").main(iterations=2, horizon=4)
    assert "AUC" in capsys.readouterr().out


def test_own_algorithm_regard_for_the_other_helps_both():
    torch.manual_seed(0)
    module = example("own_algorithm")
    selfish, prosocial = (module.learn(regard, iterations=25, num_envs=128) for regard in (0.0, 1.0))
    assert selfish < 1.3
    assert prosocial > 2.7


def test_own_algorithm_is_short():
    assert len((EXAMPLES / "own_algorithm.py").read_text().splitlines()) < 60


@pytest.mark.parametrize("opponent", ["tit-for-tat", "learning"])
def test_single_file_ppo(opponent):
    pytest.importorskip("gymnasium")
    size = ["--num-envs", "64", "--iterations", "30", "--num-steps", "16", "--opponent", opponent]
    reward = example("single_file_ppo").main(size)
    assert -1.5 <= reward <= 1.5
    if opponent == "tit-for-tat":
        assert reward > 0.3


def test_stable_baselines():
    pytest.importorskip("stable_baselines3")
    module = example("stable_baselines")
    for opponent in module.OPPONENTS.values():
        assert -1.5 <= module.train(opponent, steps=800, seed=0) <= 1.5


def test_stable_baselines_batch_learns_to_cooperate():
    pytest.importorskip("stable_baselines3")
    torch.manual_seed(0)
    # always cooperating earns .5, always defecting -.48
    assert example("stable_baselines_batch").train(num_envs=64, steps=20_000, seed=0) > 0.4


def test_gae_in_stable_baselines_changes_nothing_but_rounding():
    pytest.importorskip("stable_baselines3")
    module = example("gae_in_stable_baselines")
    theirs, ours = module.train(None, 1024), module.train(module.KernelRolloutBuffer, 1024)
    for a, b in zip(theirs.policy.parameters(), ours.policy.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_torchrl_batch_learns_to_cooperate():
    pytest.importorskip("torchrl")
    assert example("torchrl_batch").train(num_envs=64, iterations=10, seed=0) > 0.4


def test_torchrl_rollout():
    pytest.importorskip("torchrl")
    module = example("torchrl_rollout")
    assert module.one(12)["next", "reward"].shape == (12, 1)
    played = module.many(6, 20)
    rewards, truncated = played["next", "reward"], played["next", "truncated"]
    assert rewards.shape == (6, 20, 1)
    assert truncated[:, [7, 15]].all()
    assert truncated.sum() == 12
    # TorchRL asked for a new episode, and the first observation of it is the initial state
    assert (played["observation"][:, [0, 8, 16], 0] == 1).all()
    assert (played["observation"][:, 1:8, 0] == 0).all()
