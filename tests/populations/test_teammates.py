"""The population of teammates: pre-training, its resumption, the splits and the packed file."""

import dataclasses

import pytest
import torch

from mamrl import checkpoint
from mamrl.cli import main
from mamrl.populations.teammates import PreTraining, load_teammates, pack, pretrain, split_names

pytest.importorskip("mujoco")

SMALL = PreTraining(iterations=4, num_trajectories=4, horizon=12, hidden_size=8)


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    return pretrain(SMALL, tmp_path_factory.mktemp("population") / "small", progress=False)


def test_a_checkpoint_is_kept_each_iteration_with_the_pairs_expertise(population):
    teammates = load_teammates(population)
    assert teammates.iterations.tolist() == [0, 1, 2, 3]
    assert teammates.parameters.shape == (4, teammates.policy.num_parameters)
    assert (teammates.parameters[1:] - teammates.parameters[:-1]).norm(dim=1).min() > 0
    assert teammates.expertise.isfinite().all()
    assert teammates.expertise.abs().min() > 0


def test_a_resumed_pre_training_equals_the_unbroken_one(population, tmp_path):
    out = tmp_path / "broken"
    pretrain(dataclasses.replace(SMALL, iterations=2), out, progress=False)
    with pytest.raises(FileExistsError, match="add --resume"):
        pretrain(SMALL, out, progress=False)
    with pytest.raises(ValueError, match="trained with other settings"):
        pretrain(dataclasses.replace(SMALL, lr=0.5), out, resume=True, progress=False)
    pretrain(SMALL, out, resume=True, progress=False)
    expected, resumed = load_teammates(population), load_teammates(out)
    assert torch.equal(resumed.parameters, expected.parameters)
    assert torch.equal(resumed.expertise, expected.expertise)
    assert (out / "log.jsonl").read_text() == (population / "log.jsonl").read_text()


def test_the_test_meets_only_the_last_checkpoints_and_a_gap_lies_before_them():
    names = split_names(range(500), 500)
    assert set(names[:300]) == {"train", "validation"}
    assert names[:300].count("validation") == 30
    assert set(names[300:475]) == {"unused"}
    assert names[475:] == ["test"] * 25


def test_packing_keeps_every_splits_range_and_half_precision(population, tmp_path):
    out = tmp_path / "long"
    out.mkdir()
    teammates = dataclasses.replace(
        load_teammates(population),
        parameters=torch.randn(500, 40),
        expertise=torch.linspace(0, 1, 500),
        iterations=torch.arange(500),
        splits=tuple(split_names(range(500), 500)),
    )
    pack(teammates, out / "packed.pt", count=30)
    packed = load_teammates(out / "packed.pt")
    assert [len(packed.members(split)) for split in ("train", "validation", "test")] == [18, 6, 6]
    test = packed.iterations[packed.members("test")]
    assert (int(test.min()), int(test.max())) == (475, 499)
    torch.testing.assert_close(packed.parameters, teammates.parameters[packed.iterations], rtol=1e-3, atol=1e-6)
    populations = packed.populations()
    assert populations["train"].group_names == ("runs left",)
    assert len(populations["validation"]) == 6


def test_what_is_no_population_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="mamrl population half-cheetah"):
        load_teammates(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        load_teammates(tmp_path / "absent.pt")
    (tmp_path / "broken.pt").write_bytes(b"no")
    with pytest.raises(ValueError, match="damaged"):
        load_teammates(tmp_path / "broken.pt")
    checkpoint.save(tmp_path / "other.pt", {"weights": torch.zeros(2)})
    with pytest.raises(ValueError, match="holds no teammates"):
        load_teammates(tmp_path / "other.pt")


def test_the_command_trains_resumes_and_draws(tmp_path, capsys):
    arguments = ["population", "half-cheetah", "--out", str(tmp_path / "p"), "--trajectories", "2", "--horizon", "5"]
    assert main([*arguments, "--iterations", "1", "--quiet"]) == 0
    assert main([*arguments, "--iterations", "2", "--quiet"]) == 2
    assert "add --resume" in capsys.readouterr().err
    assert main([*arguments, "--iterations", "3", "--quiet", "--resume"]) == 0
    assert "train         2 checkpoints, iterations 0 to 1" in capsys.readouterr().out
    assert (tmp_path / "p" / "expertise.png").stat().st_size > 1000


@pytest.mark.parametrize(("field", "value"), [("iterations", 0), ("horizon", 0), ("lr", 0.0), ("clip", -1.0)])
def test_bad_settings_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        PreTraining(**{field: value})
