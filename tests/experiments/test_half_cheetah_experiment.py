"""The HalfCheetah experiment end to end, at a size that takes seconds."""

import pytest
import torch

from mamrl import train
from mamrl.config.setting import build
from mamrl.experiments import matrix_runs, preset
from mamrl.experiments.registry import Options, figure
from mamrl.populations.teammates import load_teammates
from mamrl.render import adapted_pair, draw, rollout_positions, save_gif
from mamrl.training.runs import load_run, meta_test

pytest.importorskip("mujoco")

TINY = {"num_trajectories": 3, "horizon": 5, "chains": 2, "iterations": 1, "validation_every": 1}


def tiny_run(out, algorithm="meta-mapg"):
    experiment = preset("half-cheetah").replace(algorithm=algorithm, **TINY)
    return train(experiment, out=out, progress=False, tensorboard=False)


def test_the_population_that_comes_with_mamrl_holds_beginners_and_experts():
    setting = build(preset("half-cheetah"))
    sizes = {split: len(population) for split, population in setting.populations.items()}
    assert sizes == {"train": 18, "validation": 6, "test": 6}
    own, peer = setting.policies
    assert setting.populations["train"].parameters.shape[1] == peer.num_parameters == own.num_parameters
    teammates = load_teammates()
    assert teammates.expertise[0] < 0.01
    assert teammates.expertise[teammates.members("test")].min() > 0.03


@pytest.mark.parametrize("algorithm", ["meta-mapg", "meta-pg", "reinforce"])
def test_a_meta_agent_trains_and_is_tested_beside_its_teammates(algorithm, tmp_path):
    assert tiny_run(tmp_path / "run", algorithm).parameters.isfinite().all()
    test = meta_test(tmp_path / "run", repeats=1)
    assert test.rewards.shape == (1, 3, 6)
    assert torch.equal(test.rewards, test.peer_rewards)  # the reward is common
    assert "AUC" in test.table()


def test_the_figure_shows_all_algorithms_beside_the_population(tmp_path, monkeypatch):
    monkeypatch.setattr(matrix_runs, "preset", lambda name: preset(name).replace(**TINY))
    verdict = figure("fig5d").reproduce(Options(tmp_path, seeds=2)).read_text()
    assert "Meta-MAPG beside Meta-PG: distance between their intervals' ends" in verdict
    assert "The population's expertise (`expertise.png`)" in verdict
    rows = [line.split(",") for line in (tmp_path / "fig5d" / "rewards.csv").read_text().splitlines()[1:]]
    meta_trained = {"Meta-MAPG", "Meta-PG", "LOLA-DiCE", "REINFORCE"}
    assert {row[0] for row in rows} == meta_trained | {"LOLA-DiCE from scratch", "REINFORCE from scratch"}
    for picture in ("figure.png", "expertise.png"):
        assert (tmp_path / "fig5d" / picture).stat().st_size > 1000


def test_half_cheetah_has_no_tables():
    with pytest.raises(ValueError, match="expected 'lstm': HalfCheetah has no table of states"):
        preset("half-cheetah").replace(agent="tabular")


def test_an_adapted_pair_is_drawn_or_the_reason_is_given(tmp_path):
    tiny_run(tmp_path / "run")
    run = load_run(tmp_path / "run")
    pair = adapted_pair(run, persona=5)
    assert not torch.equal(pair[1][0], run.setting.populations["test"].parameters[5])  # the teammate has learned
    with pytest.raises(ValueError, match="persona is 6, expected 0 to 5"):
        adapted_pair(run, persona=6)
    positions = rollout_positions(run, pair)
    assert positions.shape == (5, 9)
    try:
        pictures, reason = draw(positions, 64, 48), ""
    except OSError as error:
        pictures, reason = [], str(error)
    if not pictures:
        assert "set MUJOCO_GL to egl or osmesa" in reason
        return
    assert pictures[0].shape == (48, 64, 3)
    assert pictures[0].std() > 0
    save_gif(pictures, tmp_path / "pair.gif")
    assert (tmp_path / "pair.gif").read_bytes()[:6] == b"GIF89a"
