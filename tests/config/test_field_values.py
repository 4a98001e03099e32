"""An experiment takes no value that it could not be trained with."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mamrl.cli import main
from mamrl.config import Experiment
from mamrl.training import train
from mamrl.training.runs import read_experiment


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("learn_own_lr", "no", TypeError, "learn_own_lr is 'no', expected a value of type bool"),
        ("pcgrad", 1, TypeError, "expected a value of type bool"),
        ("teammates", 5, TypeError, "teammates is 5, expected a value of type str"),
        ("num_players", 2.0, TypeError, "num_players is 2.0, expected a value of type int"),
        ("iterations", 1.5, TypeError, "expected a value of type int"),
        ("chains", True, TypeError, "expected a value of type int"),
        ("actor_lr", "high", TypeError, "expected a value of type float"),
        ("validation_every", float("nan"), TypeError, "expected a value of type int"),
        ("own_lr", float("nan"), ValueError, "own_lr is nan, expected a finite number"),
        ("own_lr", 1e300, ValueError, "expected a finite number"),
        ("own_lr", -0.1, ValueError, "expected a number not below 0"),
        ("peer_lr", float("inf"), ValueError, "expected a finite number"),
        ("adam_eps", -1.0, ValueError, "adam_eps is -1.0, expected a number not below 0"),
        ("horizon", float("inf"), TypeError, "expected a value of type int"),
        ("chains", 2**31 - 1, ValueError, "chains is 2147483647, expected at most"),
        ("persona_seed", 2**63, ValueError, "persona_seed is 9223372036854775808, expected at most"),
        ("discount", 1.5, ValueError, "discount is 1.5"),
    ],
)
def test_type_range_and_finiteness_of_every_field_are_checked_at_once(field, value, error, message):
    with pytest.raises(error, match=message):
        Experiment(**{field: value})


def test_numbers_of_other_libraries_are_numbers():
    experiment = Experiment(chains=np.int64(3), actor_lr=np.float32(0.5), peer_lr=2)
    assert json.loads(json.dumps(experiment.to_dict())) == experiment.to_dict()
    assert type(experiment.chains) is int
    assert type(experiment.peer_lr) is float


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "0"], "threads is 0, expected 1 to"),
        (["--threads", "100000"], "threads is 100000, expected 1 to"),
        (["--seed", str(2**63)], "expected an integer of 64 bits"),
        (["--set", "own_lr=1e300"], "own_lr is 1e+300, expected a finite number"),
        (["--set", "chains=2147483647"], "chains is 2147483647, expected at most"),
    ],
)
def test_the_command_line_says_so_and_leaves_nothing_behind(arguments, message, tmp_path, capsys):
    assert main(["train", "ipd-tabular", *arguments, "--out", str(tmp_path / "run"), "--quiet", "--log", "none"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_shape_refuses_what_would_hang_or_could_not_be_written(tmp_path, capsys):
    assert main(["shape", "ipd", "--rules", "hola", "--order", "2147483647"]) == 2
    assert "order must be at least 0 and at most" in capsys.readouterr().err
    assert main(["shape", "ipd", "--rules", "naive", "--out", str(tmp_path / "none" / "a.csv")]) == 2
    assert "in a folder that is there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"experiment": {}}', '{"seed": 1.5, "experiment": {}}', "[" * 100000, "\xff"]
)
def test_a_damaged_experiment_file_is_called_damaged(text, tmp_path):
    (tmp_path / "experiment.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="is damaged"):
        read_experiment(tmp_path)


def test_a_seed_must_fit_its_generator():
    with pytest.raises(ValueError, match="seed is 9223372036854775808, expected an integer of 64 bits"):
        train(Experiment(), seed=2**63)
