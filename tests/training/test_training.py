"""Meta-training: determinism, resume, run folders, checkpoints that are whole and hold data only."""

from __future__ import annotations

import errno
import json
import pickle

import pytest
import torch

import mamrl
from mamrl import checkpoint
from mamrl.config import Experiment
from mamrl.config.setting import build
from mamrl.training import train
from mamrl.training.learner import Learner
from mamrl.training.runs import BEST, EXPERIMENT, LAST, LOG, load_run, read_experiment

TINY = Experiment(
    agent="tabular",
    num_trajectories=4,
    horizon=10,
    chain_length=2,
    chains=3,
    iterations=4,
    validation_every=2,
    actor_lr=0.05,
    own_lr_lr=0.05,
)
AGENTS = {
    "tabular": TINY,
    "lstm": TINY.replace(agent="lstm", hidden_size=8, entropy_weight=0.5, pcgrad=True),
    "tabular-exact": TINY.replace(agent="tabular-exact"),
}


def quiet(experiment: Experiment | None, **options):
    return train(experiment, progress=False, tensorboard=False, **options)


def log_without_times(folder):
    lines = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    for line in lines:
        del line["seconds"]
    return lines


@pytest.mark.parametrize("agent", AGENTS)
def test_same_seed_gives_same_numbers_and_another_seed_others(agent):
    first, again, other = (quiet(AGENTS[agent], seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.parameters, again.parameters)
    assert not torch.equal(first.parameters, other.parameters)


@pytest.mark.parametrize("agent", AGENTS)
def test_resumed_run_equals_the_unbroken_one_bit_for_bit(agent, tmp_path):
    experiment = AGENTS[agent]
    quiet(experiment, seed=1, out=tmp_path / "whole")
    quiet(experiment.replace(iterations=2), seed=1, out=tmp_path / "broken")
    quiet(experiment, seed=1, out=tmp_path / "broken", resume=True)
    whole, broken = (checkpoint.load(tmp_path / name / LAST) for name in ("whole", "broken"))
    for name in ("parameters", "own_lr", "average", "value_parameters", "generator"):
        assert torch.equal(whole[name], broken[name]), name
    assert log_without_times(tmp_path / "whole") == log_without_times(tmp_path / "broken")


def test_what_is_kept_is_the_average_of_the_iterates():
    averaging = Learner(build(TINY.replace(averaging=0.6)), 0)
    plain = Learner(build(TINY), 0)
    average = None
    for iteration in range(4):
        averaging.step()
        plain.step()
        assert torch.equal(averaging.parameters, plain.parameters)
        kept = min(0.6, iteration / (iteration + 2))
        average = plain.parameters.clone() if average is None else kept * average + (1 - kept) * plain.parameters
    parameters, own_lr = averaging.agent()
    torch.testing.assert_close(parameters, average)
    assert not torch.equal(parameters, plain.parameters)
    assert own_lr.shape == plain.own_lr.shape
    assert torch.equal(plain.agent()[0], plain.parameters)


def test_a_training_that_was_made_longer_is_resumed_to_that_length_by_its_folder_alone(tmp_path):
    quiet(TINY.replace(iterations=1), seed=1, out=tmp_path)

    class Stop(mamrl.training.Callback):
        def on_iteration(self, training, iteration):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quiet(TINY, seed=1, out=tmp_path, resume=True, callbacks=[Stop()])
    quiet(None, out=tmp_path, resume=True)
    assert checkpoint.load(tmp_path / LAST)["iteration"] == TINY.iterations
    assert read_experiment(tmp_path) == (TINY, 1)


def test_interrupt_saves_and_resume_continues(tmp_path, monkeypatch):
    from mamrl.training.learner import Learner

    step = Learner.step

    def interrupted(self):
        if self.iteration == 3:
            raise KeyboardInterrupt
        return step(self)

    quiet(TINY, seed=1, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            quiet(TINY, seed=1, out=tmp_path / "stopped")
    assert checkpoint.load(tmp_path / "stopped" / LAST)["iteration"] == 3
    quiet(TINY, seed=1, out=tmp_path / "stopped", resume=True)
    whole, stopped = (checkpoint.load(tmp_path / name / LAST) for name in ("whole", "stopped"))
    assert torch.equal(whole["parameters"], stopped["parameters"])


@pytest.mark.parametrize(
    "algorithm", ["meta-pg", "reinforce", "lola-dice", "meta-mapg-without-own", "meta-mapg-without-peer"]
)
@pytest.mark.parametrize("estimator", ["published", "expected", "sampled"])
def test_every_algorithm_and_estimator_trains(algorithm, estimator):
    run = quiet(TINY.replace(algorithm=algorithm, estimator=estimator, iterations=1))
    assert run.parameters.isfinite().all()
    assert run.validation_auc is not None


def test_meta_test_reports_every_position_and_group(tmp_path):
    run = quiet(TINY, seed=1, out=tmp_path / "run")
    result = mamrl.meta_test(tmp_path / "run", repeats=2)
    assert result.rewards.shape == (2, 3, 40)
    assert torch.equal(result.rewards, run.test(repeats=2).rewards)
    rows = {(row["peers"], row["position"]): row["reward"] for row in result.rows()}
    assert {peers for peers, _ in rows} == {"all", "cooperative", "defective"}
    assert rows["all", "AUC"] == pytest.approx(sum(rows["all", position] for position in (1, 2)), abs=1e-6)
    assert rows["all", 0] == pytest.approx((rows["cooperative", 0] + rows["defective", 0]) / 2, abs=1e-6)
    # payoffs of the prisoner's dilemma sum to at least -1 and at most 1
    total = result.rewards + result.peer_rewards
    assert total.min() >= -1 - 1e-6
    assert total.max() <= 1 + 1e-6
    # two repeats, half of the 40 personas in each of two groups, 4 trajectories of 10 steps
    assert result.action_frequencies.sum((3, 4)).unique().tolist() == [2 * 20 * 4 * 10]


def test_used_folder_is_refused_and_left_alone(tmp_path):
    quiet(TINY, seed=1, out=tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    with pytest.raises(FileExistsError, match="already holds a run"):
        quiet(TINY, seed=1, out=tmp_path / "run")
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}


def test_resume_with_another_experiment_or_seed_is_refused(tmp_path):
    quiet(TINY, seed=1, out=tmp_path / "run")
    with pytest.raises(ValueError, match=r"trained with actor_lr = 0\.05 and not 0\.1; resume it with its own"):
        quiet(TINY.replace(actor_lr=0.1), seed=1, out=tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match="trained with seed = 1 and not 2"):
        quiet(TINY, seed=2, out=tmp_path / "run", resume=True)
    with pytest.raises(FileNotFoundError, match="holds no run"):
        quiet(TINY, seed=2, out=tmp_path / "nothing", resume=True)


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path):
    folder = tmp_path / "run"
    quiet(TINY, seed=1, out=folder)
    whole = (folder / BEST).read_bytes()
    (folder / BEST).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged"):
        load_run(folder)
    torch.save({"weights": torch.zeros(3)}, folder / BEST)
    with pytest.raises(ValueError, match="no checkpoint of this version"):
        load_run(folder)
    checkpoint.save(folder / BEST, {"parameters": torch.zeros(3)})
    with pytest.raises(ValueError, match="does not fit its experiment"):
        load_run(folder)
    (folder / EXPERIMENT).write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        load_run(folder)


def test_every_cut_and_every_flipped_byte_is_damage_or_changes_nothing(tmp_path):
    quiet(TINY.replace(iterations=2), seed=1, out=tmp_path / "run")
    whole = (tmp_path / "run" / LAST).read_bytes()
    original = checkpoint.digest(checkpoint.load(tmp_path / "run" / LAST))
    damaged = tmp_path / "damaged.pt"
    for cut in range(0, len(whole), len(whole) // 60):
        damaged.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="damaged or no checkpoint"):
            checkpoint.load(damaged)
    refused = 0
    for place in range(7, len(whole), len(whole) // 200):
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            assert checkpoint.digest(checkpoint.load(damaged)) == original
        except ValueError as error:
            assert "damaged" in str(error) or "no checkpoint" in str(error)  # noqa: PT017
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": None}, "parameters have shape None"),
        ({"parameters": torch.zeros(4)}, r"parameters have shape \(4,\), expected \(5,\)"),
        ({"parameters": torch.full((5,), torch.nan)}, "parameters hold numbers that are not finite"),
        ({"parameters": torch.zeros(5, dtype=torch.int64)}, r"parameters are torch\.int64"),
        ({"own_lr": torch.zeros(1)}, r"own_lr have shape \(1,\)"),
        ({"iteration": "two"}, "iteration is 'two'"),
        ({"validation_auc": "high"}, "validation_auc is 'high'"),
    ],
)
def test_load_and_resume_refuse_a_state_that_does_not_fit_by_the_same_sentence(change, message, tmp_path):
    folder = tmp_path / "run"
    quiet(TINY.replace(iterations=2), seed=1, out=folder)
    for name in (LAST, BEST):
        checkpoint.save(folder / name, {**checkpoint.load(folder / name), **change})
    resume = {"seed": 1, "out": folder, "resume": True}
    for read in (lambda: load_run(folder), lambda: load_run(folder, "last"), lambda: quiet(TINY, **resume)):
        with pytest.raises(ValueError, match=message):
            read()


def test_a_state_that_lacks_what_a_resume_needs_is_refused(tmp_path):
    folder = tmp_path / "run"
    quiet(TINY.replace(iterations=2), seed=1, out=folder)
    state = checkpoint.load(folder / LAST)
    for missing in ("generator", "optimizers", "best", "value_parameters"):
        checkpoint.save(folder / LAST, {name: value for name, value in state.items() if name != missing})
        with pytest.raises(ValueError, match="does not fit its experiment"):
            quiet(TINY, seed=1, out=folder, resume=True)


def test_loading_a_checkpoint_never_executes_code(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    with open(tmp_path / "hostile.pt", "wb") as file:
        pickle.dump({"format": Hostile()}, file)
    torch.save({"format": Hostile()}, tmp_path / "hostile2.pt")
    for name in ("hostile.pt", "hostile2.pt"):
        with pytest.raises(ValueError, match="damaged or no checkpoint"):
            checkpoint.load(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    target = tmp_path / "file"
    checkpoint.write_text(target, "old")

    def fail(path):
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        checkpoint.write_whole(target, fail)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_error_of_writing_names_the_file_and_not_the_temporary_one(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        checkpoint.write_text(tmp_path / "nowhere" / "file", "text")
    assert error.value.filename == str(tmp_path / "nowhere" / "file")

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as error:
        checkpoint.write_whole(tmp_path / "file", full)
    assert error.value.filename == str(tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_divergence_stops_with_what_happened_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    folder = tmp_path / "run"

    def every_chain_overflows(rows):
        return torch.full_like(rows, torch.nan), torch.tensor(len(rows))

    quiet(TINY.replace(iterations=2), seed=1, out=folder)
    kept = (folder / LAST).read_bytes()
    monkeypatch.setattr("mamrl.training.learner.drop_overflowing", every_chain_overflows)
    with pytest.raises(FloatingPointError, match="meta-gradient is NaN or infinite"):
        quiet(TINY, seed=1, out=folder, resume=True)
    assert (folder / LAST).read_bytes() == kept


@pytest.mark.parametrize("pcgrad", [False, True])
def test_a_chain_that_overflows_is_left_out_of_its_batch_and_counted(pcgrad):
    """One of four chains is given an infinite gradient: the others' mean is taken, and the log says so."""
    learner = Learner(build(AGENTS["tabular"].replace(chains=4, pcgrad=pcgrad)), 0)
    start = learner.parameters.clone()
    own = torch.ones(4, len(start))
    own[2, 0] = torch.inf
    norm, dropped = learner._ascend(own, torch.zeros(4, len(learner.own_lr)))
    assert int(dropped) == 1
    assert float(norm) == pytest.approx(own.shape[1] ** 0.5)
    assert bool(learner.parameters.isfinite().all())
    assert not torch.equal(learner.parameters, start)


def test_where_every_chain_overflows_the_norm_says_so_and_parameters_stay_finite():
    learner = Learner(build(AGENTS["tabular"].replace(chains=2)), 0)
    own = torch.full((2, len(learner.parameters)), torch.nan)
    norm, dropped = learner._ascend(own, torch.zeros(2, len(learner.own_lr)))
    assert int(dropped) == 2
    assert bool(norm.isnan())
    assert bool(learner.parameters.isfinite().all())
