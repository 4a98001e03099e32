"""Self-play: games as they are played, the run folder, and that a shaper gets where it should."""

import json

import pytest
import torch

from mamrl import checkpoint
from mamrl.cli import main
from mamrl.config.self_play import SelfPlayExperiment
from mamrl.games.stepped import SteppedCoinGame
from mamrl.shaping.actor_critic import play_games
from mamrl.shaping.past_selves import PastSelves
from mamrl.shaping.shapers import SHAPERS
from mamrl.training.runs import LAST, LOG
from mamrl.training.self_play import load_self_play, train_self_play

TINY = SelfPlayExperiment(
    batch=8, horizon=6, opponents=4, push_every=2, hidden_size=8, critic_size=8, updates=6, validation_every=3
)
IPD = TINY.replace(game="ipd", network="table", opponents=1)


def quiet(experiment, **options):
    return train_self_play(experiment, progress=False, **options)


@pytest.mark.parametrize("shaper", SHAPERS)
@pytest.mark.parametrize("experiment", [TINY, IPD], ids=["coin", "ipd"])
def test_every_shaper_trains_and_the_same_seed_gives_the_same_numbers(shaper, experiment):
    experiment = experiment.replace(shaper=shaper, updates=3)
    first, again, other = (quiet(experiment, seed=seed).actor for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.isfinite().all()


def test_a_resumed_run_equals_the_unbroken_one_bit_for_bit(tmp_path):
    quiet(TINY, seed=1, out=tmp_path / "whole")
    quiet(TINY.replace(updates=3), seed=1, out=tmp_path / "broken")
    quiet(TINY, out=tmp_path / "broken", resume=True)
    whole, broken = (checkpoint.load(tmp_path / name / LAST) for name in ("whole", "broken"))
    for name in ("actor", "critic", "target", "generator"):
        assert torch.equal(whole[name], broken[name]), name
    assert len(whole["past"]) == len(broken["past"]) == 3
    logs = [(tmp_path / name / LOG).read_text().splitlines() for name in ("whole", "broken")]
    lines = [[{**json.loads(line), "seconds": 0} for line in log] for log in logs]
    assert lines[0] == lines[1]
    assert "score_self" in lines[0][2]
    assert torch.equal(load_self_play(tmp_path / "whole").actor, whole["actor"])


def test_a_run_of_another_kind_and_another_experiment_are_refused(tmp_path):
    quiet(TINY.replace(updates=1), seed=1, out=tmp_path / "run")
    with pytest.raises(FileExistsError, match="already holds a run"):
        quiet(TINY, out=tmp_path / "run")
    with pytest.raises(ValueError, match=r"actor_lr = 0\.001 and not 0\.5"):
        quiet(TINY.replace(actor_lr=0.5), out=tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match="opponents is 3, expected a divisor of batch, 8"):
        TINY.replace(opponents=3)
    with pytest.raises(ValueError, match="unknown shaper 'lola'"):
        TINY.replace(shaper="lola")


def test_blocks_of_games_are_dealt_to_the_rows_of_a_player():
    game = SteppedCoinGame(TINY.stepped_game().rules)
    network = TINY.actor(game)
    rows = torch.stack([network.initial(torch.Generator().manual_seed(seed)) for seed in range(2)])
    both = play_games(game, network, [rows[:1], rows], 8, 5, torch.Generator().manual_seed(3))
    logits = network.outputs(rows, both.seen[1, :-1].view(5, 2, 4, -1)).reshape(5, 8, -1)
    torch.testing.assert_close(both.logits[1], logits)
    # the log-probabilities are those of the actions that were drawn: frequent actions are drawn often
    assert both.actions.shape == (2, 5, 8)


def test_past_selves_are_the_last_ones():
    past = PastSelves(2)
    for value in range(4):
        past.push(torch.full((3,), float(value)))
    assert {row[0].item() for row in past.rows} == {2.0, 3.0}
    drawn = past.draw(50, torch.Generator().manual_seed(0))
    assert set(drawn[:, 0].tolist()) == {2.0, 3.0}


def test_the_command_trains_resumes_and_scores(tmp_path, capsys):
    fields = [f"--set={name}={getattr(TINY, name)}" for name in ("batch", "horizon", "opponents", "hidden_size")]
    start = ["self-play", "loqa-coin", "--quiet", "--out", str(tmp_path / "run"), "--set", "updates=2", *fields]
    assert main(start) == 0
    assert "own_color" in capsys.readouterr().out
    assert main(["self-play", "--resume", "--quiet", "--out", str(tmp_path / "run"), "--set", "updates=3"]) == 0
    assert "3 of 3 updates" in capsys.readouterr().out
    assert main(["self-play", "--score", "--out", str(tmp_path / "run")]) == 0
    assert main(["self-play", "loqa-coins", "--out", str(tmp_path / "other")]) == 2
    assert "loqa-coin" in capsys.readouterr().err


def test_without_shaping_the_prisoners_dilemma_ends_in_defection():
    learner = IPD.replace(
        shaper="actor-critic", batch=256, horizon=20, entropy_weight=0.0, actor_lr=0.1, past_selves=1, push_every=1
    ).learner(0)
    for _ in range(60):
        learner.step()
    table = learner.actor.weights(learner.actor_row.detach())[0][0]
    assert (torch.softmax(table, -1)[:, 0] < 0.2).all()
