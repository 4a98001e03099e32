"""A setting on another device: clear errors where it is missing, and nothing of an iteration left behind on the CPU."""

import pytest
import torch

from mamrl import preset
from mamrl.cli import main
from mamrl.config.setting import build
from mamrl.device import missing_cuda, resolve_device
from mamrl.games import matrix
from mamrl.games.trajectories import random_keys
from mamrl.training.learner import Learner

SMALL = {"num_trajectories": 4, "horizon": 6, "chain_length": 2, "chains": 3, "iterations": 3, "validation_every": 3}
KINDS = [
    {"agent": "tabular"},
    {"agent": "tabular-exact"},
    {"agent": "lstm", "hidden_size": 5},
    {"agent": "lstm", "hidden_size": 5, "entropy_weight": 0.1, "estimator": "published", "inner_objective": "dice"},
    {"agent": "tabular", "estimator": "sampled", "chain_grad_clip": 1.0, "lr_decay": True},
    {"agent": "tabular", "algorithm": "reinforce", "discounted_outer": True},
]


def learner(device, **fields):
    setting = build(preset("ipd-tabular").replace(**SMALL, **fields))
    return Learner(setting.to(torch.device(device)), seed=1)


@pytest.mark.parametrize("fields", KINDS)
def test_an_iteration_stays_on_its_device_and_never_waits_for_it(fields):
    # a tensor on "meta" has no numbers: whatever mixes it with one on the CPU, or asks for a number, raises
    numbers = learner("meta", **fields).advance()
    assert numbers.device.type == "meta"
    assert numbers.shape == learner("cpu", **fields).advance().shape


@pytest.mark.gpu
@pytest.mark.parametrize("fields", KINDS)
def test_an_iteration_on_the_gpu_is_that_on_the_cpu(fields):
    # float32 through two chain positions: rewards equal but for a draw within rounding, gradients to four digits
    ours, expected = (learner(device, **fields) for device in ("cuda", "cpu"))
    actual, wanted = ours.advance().cpu(), expected.advance()
    torch.testing.assert_close(actual, wanted, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(ours.parameters.cpu(), expected.parameters, rtol=1e-3, atol=1e-4)


def test_moved_parts_are_the_same_game_and_personas():
    setting = build(preset("ipd-tabular"))
    assert setting.to(torch.device("cpu")) is setting
    moved = setting.to(torch.device("meta"))
    assert moved.device.type == moved.populations["train"].parameters.device.type == "meta"
    assert setting.device.type == "cpu"
    assert moved.game.name == setting.game.name
    assert matrix.ipd().to(torch.float64).payoffs.dtype == torch.float64
    assert random_keys(1, "train", 2, 3, 4, device=torch.device("meta")).device.type == "meta"


def test_names_of_devices_are_checked():
    assert resolve_device("cpu") == torch.device("cpu")
    for name in ("gpu", "meta", "cuda:x"):
        with pytest.raises(ValueError, match=f"device is '{name}', expected 'cpu' or 'cuda'"):
            resolve_device(name)


@pytest.mark.skipif(not missing_cuda(), reason="CUDA kernels and a device are here")
def test_a_device_that_is_not_here_is_one_sentence(tmp_path, capsys):
    out = tmp_path / "run"
    for command in (["train", "ipd-tabular", "--out", str(out)], ["reproduce", "meva-1", "--out", str(out)]):
        assert main([*command, "--device", "cuda"]) == 2
        error = capsys.readouterr().err
        assert f"device is 'cuda', but {missing_cuda()}" in error
        assert error.count("\n") == 1
    assert not out.exists()
