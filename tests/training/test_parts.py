"""A run of a game, policies or personas of one's own is not read back as something else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from test_interruption import TINY

import mamrl
from mamrl import games
from mamrl.cli import main
from mamrl.config.setting import build
from mamrl.training import train
from mamrl.training.parts import differing, parts_of
from mamrl.training.runs import EXPERIMENT, load_run


def hunt():
    return replace(build(TINY), game=games.stag_hunt())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "hunt"
    train(hunt(), seed=1, out=path, progress=False, tensorboard=False)
    return path


def test_whoever_reads_it_without_its_game_is_told_which_part_differs(folder, tmp_path, capsys):
    before = (folder / EXPERIMENT).read_bytes()
    for read in (
        lambda: load_run(folder),
        lambda: mamrl.meta_test(folder),
        lambda: train(TINY, seed=1, out=folder, resume=True, progress=False, tensorboard=False),
        lambda: mamrl.envs.MatrixGameVectorEnv(2, game="ipd", opponent=str(folder)),
    ):
        with pytest.raises(ValueError, match="other parts than are here: game, payoffs; hand the run's own over"):
            read()
    for command in (["test"], ["plot", "--out", str(tmp_path / "a.png")], ["crossplay"]):
        assert main([*command, str(folder)]) == 2
        assert "other parts than are here: game, payoffs" in capsys.readouterr().err
    assert (folder / EXPERIMENT).read_bytes() == before


def test_with_its_game_it_is_read_tested_and_resumed(folder):
    run = load_run(folder, setting=hunt())
    assert run.setting.game.name == "stag-hunt"
    train(hunt(), seed=1, out=folder, resume=True, progress=False, tensorboard=False)


def test_personas_and_policies_are_parts_too():
    own = build(TINY)
    parts = parts_of(own)
    assert not differing(parts, json.loads(json.dumps(parts_of(build(TINY)))))
    assert differing(parts, parts_of(build(TINY.replace(persona_seed=1)))) == [
        "train personas",
        "validation personas",
        "test personas",
    ]
    assert differing(parts, parts_of(build(TINY.replace(agent="lstm")))) == ["policies"]
    shifted = replace(own.populations["test"], parameters=own.populations["test"].parameters.roll(1, 0))
    found = parts_of(replace(own, populations={**own.populations, "test": shifted}))
    assert differing(parts, found) == ["test personas"]
    rounded = replace(own.populations["test"], parameters=own.populations["test"].parameters * (1 + 1e-7))
    assert not differing(parts, parts_of(replace(own, populations={**own.populations, "test": rounded})))


def test_a_run_of_an_older_version_says_nothing_and_is_read(tmp_path):
    trained = train(TINY, seed=1, out=tmp_path / "run", progress=False, tensorboard=False)
    file = tmp_path / "run" / EXPERIMENT
    record = json.loads(file.read_text())
    file.write_text(json.dumps({"seed": record["seed"], "experiment": record["experiment"]}))
    assert torch.equal(load_run(tmp_path / "run").parameters, trained.parameters)
