"""Experiments: the command line wins, and a wrong name or value is one sentence."""

from __future__ import annotations

import pytest

from mamrl.config import Experiment, parse_assignments
from mamrl.experiments import PRESETS, preset


def test_assignments_are_typed_by_their_fields():
    fields = parse_assignments(["actor_lr=1e-3", "pcgrad=true", "chains=8", "agent=tabular"])
    assert fields == {"actor_lr": 1e-3, "pcgrad": True, "chains": 8, "agent": "tabular"}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("actor_rl=1", "unknown field 'actor_rl' .did you mean 'actor_lr'"),
        ("actor_lr", "not of the form field=value"),
        ("chains=1.5", "chains is '1.5', expected a value of type int"),
        ("pcgrad=maybe", "pcgrad is 'maybe', expected a value of type bool"),
    ],
)
def test_wrong_assignment_is_one_sentence(assignment, message):
    with pytest.raises(ValueError, match=message):
        parse_assignments([assignment])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_trajectories": 0}, "num_trajectories is 0, expected at least 1"),
        ({"horizon": 0}, "horizon is 0"),
        ({"chain_length": -1}, "chain_length is -1"),
        ({"discount": 1.5}, "discount is 1.5, expected a number within"),
        ({"algorithm": "meta-magp"}, "unknown algorithm 'meta-magp' .did you mean 'meta-mapg'"),
        ({"estimator": "best"}, "unknown estimator 'best'"),
        ({"inner_objective": "dicey"}, "unknown inner_objective 'dicey' .did you mean 'dice'"),
        ({"game": "idp"}, "unknown game 'idp' .did you mean 'ipd'"),
        ({"actor_lr": float("nan")}, "actor_lr is nan"),
        ({"lookahead": 0}, "lookahead is 0"),
        ({"num_players": 3}, "num_players is 3, expected 2: the payoffs of 'ipd' are for two"),
        ({"game": "rps", "num_players": 1}, "num_players is 1, expected at least 2"),
        ({"personas": "out-of-dstribution"}, "unknown personas .* .did you mean 'out-of-distribution'"),
        (
            {"algorithm": "lola-dice", "agent": "tabular-exact"},
            "'lola-dice' samples, expected agent 'tabular' or 'lstm'",
        ),
        ({"algorithm": "meta-pg", "opponent_model": True}, "opponent_model needs .* got agent 'lstm' and .* 'meta-pg'"),
        ({"agent": "tabular-exact", "opponent_model": True}, "opponent_model needs sampled play"),
        ({"game": "half-cheetah", "opponent_model": True}, "opponent_model infers tabular policies"),
    ],
)
def test_wrong_value_is_one_sentence(changes, message):
    with pytest.raises(ValueError, match=message):
        Experiment().replace(**changes)


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown preset 'ipd-tabula' .did you mean 'ipd-tabular'"):
        preset("ipd-tabula")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_being_written_and_read(name):
    assert Experiment.from_dict(PRESETS[name].to_dict()) == PRESETS[name]
