"""The trained runs behind the Meta-MAPG papers' figures: named once, trained once, shared by every figure that asks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from mamrl.config import HALF_CHEETAH, Experiment
from mamrl.evaluation import MetaTest
from mamrl.experiments.presets import preset
from mamrl.experiments.registry import Options
from mamrl.plotting import TITLES
from mamrl.progress import progress_bar
from mamrl.training import train
from mamrl.training.runs import EXPERIMENT, LOG, Run, load_run

#: inner learning rates of the agents that do not learn them, the better one of the papers' .1 and 1 on the validation
#: personas
OWN_LR: Mapping[tuple[str, str], float] = {
    ("ipd", "lola-dice"): 0.1,
    ("ipd", "reinforce"): 0.1,
    ("rps", "lola-dice"): 1.0,
    ("rps", "reinforce"): 1.0,
}
#: meta-gradient steps of LSTM agents, which a core needs five minutes for
LSTM_ITERATIONS = 200


@dataclass(frozen=True)
class Trained:
    """An algorithm trained with several seeds.

    Attributes:
        label: for legends and tables.
        folder: the name of the folder that holds one run folder a seed.
        experiment: what every seed trains.
    """

    label: str
    folder: str
    experiment: Experiment


def trained(options: Options, game: str, algorithm: str, label: str = "", **changes: Any) -> Trained:
    """An algorithm in a game, with the agent and the budget that were asked for.

    Args:
        options: of the reproduction.
        game: "ipd", "rps" or "half-cheetah", whose agents are always LSTMs.
        algorithm: a name of ``mamrl.meta.ALGORITHMS``.
        label: for legends; the algorithm's title if empty.
        changes: other fields of the experiment, which the folder's name then tells.
    """
    agent = "lstm" if game == HALF_CHEETAH else options.agent
    base = preset(game if agent == "lstm" else f"{game}-tabular")
    iterations = min(base.iterations, LSTM_ITERATIONS) if agent == "lstm" else base.iterations
    own_lr = OWN_LR.get((game, algorithm), base.own_lr)
    fields = {"own_lr": own_lr, "iterations": options.share(iterations), **changes, "algorithm": algorithm}
    told = "".join(f"-{name}={value}" for name, value in sorted(changes.items()))
    folder = f"{game}-{agent}-{algorithm}{told}"
    return Trained(label or TITLES[algorithm], folder, base.replace(**fields))


@dataclass(frozen=True, eq=False)
class Tested:
    """What the seeds of one :class:`Trained` came to.

    Attributes:
        label: for legends and tables.
        runs: one a seed.
        tests: their meta-tests.
    """

    label: str
    runs: Sequence[Run]
    tests: Sequence[MetaTest]

    @property
    def auc(self) -> torch.Tensor:
        """Each seed's AUC, the mean over test personas: (seeds,)."""
        return torch.stack([test.auc.mean() for test in self.tests])


def meta_test_all(wanted: Sequence[Trained], options: Options) -> list[Tested]:
    """Trains what is not trained yet, and meta-tests it, seeds side by side in processes of their own.

    Args:
        wanted: the algorithms.
        options: how many seeds and processes; without ``resume`` a run that was broken off is an error.

    Raises:
        FileExistsError: a run was broken off, and ``options.resume`` is False.
        ValueError: a run folder holds another experiment.
    """
    tasks = {
        (each.folder, seed): (each.experiment, seed, run_folder(options, each, seed), options.resume, options.device)
        for each in wanted
        for seed in range(options.seeds)
    }
    with progress_bar(total=len(tasks), desc="trainings", unit="run") as bar:
        results = _side_by_side(tasks, options.jobs, bar) if options.jobs > 1 else _one_by_one(tasks, bar)
    return [
        Tested(each.label, *zip(*(results[each.folder, seed] for seed in range(options.seeds)), strict=True))
        for each in wanted
    ]


_Key = tuple[str, int]
_Task = tuple[Experiment, int, Path, bool, str]
_Result = tuple[Run, MetaTest]


def _one_by_one(tasks: Mapping[_Key, _Task], bar: Any) -> dict[_Key, _Result]:
    results = {}
    for key, task in tasks.items():
        results[key] = _train_and_test(*task)
        bar.update()
    return results


def _side_by_side(tasks: Mapping[_Key, _Task], jobs: int, bar: Any) -> dict[_Key, _Result]:
    results = {}
    # processes are started afresh: a forked one would hang in its parent's thread pools
    with ProcessPoolExecutor(min(jobs, len(tasks)), get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        futures = {pool.submit(_train_and_test, *task): key for key, task in tasks.items()}
        try:
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def run_folder(options: Options, each: Trained, seed: int) -> Path:
    """Where a seed of an algorithm is trained; a quick training does not mix with a full one."""
    return options.out / ("quick-runs" if options.quick else "runs") / each.folder / f"seed-{seed}"


def _train_and_test(experiment: Experiment, seed: int, folder: Path, resume: bool, device: str) -> _Result:
    begun = (folder / EXPERIMENT).is_file()
    finished = begun and _last_iteration(folder) == experiment.iterations
    resumed = begun and (resume or finished)
    run = train(experiment, seed=seed, device=device, out=folder, resume=resumed, progress=False, tensorboard=False)
    return run, run.test()


def _last_iteration(folder: Path) -> int:
    """How far a run was trained; 0 for one without a checkpoint."""
    try:
        return load_run(folder, "last").iteration
    except (FileNotFoundError, ValueError):
        return 0


def cpu_minutes(tested: Sequence[Tested]) -> float:
    """What the trainings cost, by their logs, in minutes of one core."""
    seconds = 0.0
    for each in tested:
        for run in each.runs:
            assert run.path is not None
            lines = (run.path / LOG).read_text().splitlines()
            seconds += sum(json.loads(line)["seconds"] for line in lines)
    return seconds / 60


def notes_on(options: Options, tested: Sequence[Tested]) -> list[str]:
    """What a verdict must say of these runs: the agents, the intervals, and what they cost."""
    kind = {
        "tabular": "tables of action probabilities; the papers' are LSTMs (`--agent lstm`)",
        "lstm": "the papers' LSTMs",
    }
    return [*options.notes, f"Agents are {kind[options.agent]}.", *notes_on_cost(options, tested)]


def notes_on_cost(options: Options, tested: Sequence[Tested]) -> list[str]:
    """What a verdict must say of the seeds and the time."""
    return [
        f"Intervals: 95% over {options.seeds} seeds of training, each seed the mean over the test personas.",
        f"The trainings took {cpu_minutes(tested):.1f} minutes of one core in all; other figures share them.",
    ]
