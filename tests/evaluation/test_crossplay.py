"""Cross-play: known pairs of classic strategies, the sides of a game, and best responses."""

from __future__ import annotations

import pytest
import torch

import mamrl
from mamrl.evaluation.crossplay import TREMBLE, Entrant, best_response, cross_play, entrants_of
from mamrl.games import ipd
from mamrl.policies import TabularPolicy
from mamrl.policies.strategies import named_strategy

GAME = ipd()
POLICY = TabularPolicy(5, 2)
TINY = dict(agent="tabular", chains=2, iterations=1, num_trajectories=4, horizon=10, chain_length=1)


def classic(name: str) -> Entrant:
    probabilities = named_strategy(name, GAME).clamp(TREMBLE, 1 - TREMBLE)
    return Entrant(name, POLICY, POLICY.parameters_of(probabilities))


def tiny_run(path, **fields):
    experiment = mamrl.preset("ipd-tabular").replace(**{**TINY, **fields})
    return mamrl.train(experiment, seed=0, out=path, progress=False, tensorboard=False)


def test_classic_pairs_earn_what_the_payoffs_say():
    names = ["always-cooperate", "always-defect", "tit-for-tat", "win-stay-lose-shift"]
    rewards = cross_play(GAME, [classic(name) for name in names], num_trajectories=16, horizon=100)
    own = rewards[..., 0]
    assert own[0, 0] == pytest.approx(0.5, abs=1e-3)
    assert own[0, 1] == pytest.approx(-1.5, abs=1e-3)
    assert own[1, 1] == pytest.approx(-0.5, abs=1e-3)
    # tit-for-tat loses the first step to a defector, then both defect
    assert own[2, 1] == pytest.approx((-1.5 - 0.5 * 99) / 100, abs=1e-3)
    # win-stay-lose-shift answers a defector with C and D in turn
    assert own[3, 1] == pytest.approx((-1.5 - 0.5) / 2, abs=2e-2)
    # either side of a symmetric game
    torch.testing.assert_close(rewards[..., 0], rewards[..., 1].T, atol=2e-3, rtol=0)


def test_best_response_exploits_a_cooperator_and_cooperates_with_tit_for_tat():
    options = dict(steps=60, num_trajectories=32, horizon=50)
    against_cooperator = best_response(GAME, classic("always-cooperate"), **options)
    assert against_cooperator.gained > 1.4
    assert against_cooperator.kept < -1.4
    against_reciprocity = best_response(GAME, classic("tit-for-tat"), **options)
    assert against_reciprocity.gained > 0.4
    assert against_reciprocity.kept > 0.4


def test_runs_enter_beside_the_strategies_of_their_game(tmp_path):
    runs = [tiny_run(tmp_path / name) for name in ("a", "b")]
    game, entrants = entrants_of(runs)
    assert [entrant.name for entrant in entrants[:2]] == ["a", "b"]
    assert "tit-for-tat" in [entrant.name for entrant in entrants]
    assert cross_play(game, entrants[:3], num_trajectories=4, horizon=5).shape == (3, 3, 2)
    rps = tiny_run(tmp_path / "rps", game="rps")
    _, entrants = entrants_of([rps])
    assert [entrant.name for entrant in entrants] == ["rps", "random"]


def test_runs_that_cannot_meet_are_refused(tmp_path):
    ipd_run, rps_run = tiny_run(tmp_path / "a"), tiny_run(tmp_path / "b", game="rps")
    with pytest.raises(ValueError, match=r"different games \(ipd, rps2\)"):
        entrants_of([ipd_run, rps_run])
    with pytest.raises(ValueError, match="at least one run"):
        entrants_of([])
    with pytest.raises(ValueError, match="games of two players"):
        entrants_of([tiny_run(tmp_path / "c", game="rps", num_players=3)])
    with pytest.raises(ValueError, match="two sides of 'matching-pennies' differ"):
        entrants_of([tiny_run(tmp_path / "d", game="matching-pennies")])
    with pytest.raises(ValueError, match="unknown strategy 'tit-for-tet'"):
        entrants_of([ipd_run], ["tit-for-tet"])


def test_command_writes_matrix_and_responses(tmp_path, capsys):
    from mamrl.cli import main

    tiny_run(tmp_path / "a")
    arguments = ["crossplay", str(tmp_path / "a"), "--out", str(tmp_path / "out"), "--trajectories", "4"]
    assert main([*arguments, "--horizon", "10", "--response-steps", "2"]) == 0
    assert "tit-for-tat" in capsys.readouterr().out
    assert len((tmp_path / "out" / "crossplay.csv").read_text().splitlines()) == 1 + 8 * 8
    assert len((tmp_path / "out" / "best_response.csv").read_text().splitlines()) == 1 + 8
    assert (tmp_path / "out" / "crossplay.png").stat().st_size > 1000
    assert main([*arguments, "--horizon", "0"]) == 2
    assert "--horizon is 0, expected at least 1" in capsys.readouterr().err
