"""Training in games with oneself: the loop, its run folder, and the trained agent read back."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mamrl import checkpoint
from mamrl.config.self_play import SelfPlayExperiment
from mamrl.evaluation.fixed_players import scores
from mamrl.progress import progress_bar
from mamrl.provenance import provenance
from mamrl.shaping.self_play import SelfPlayLearner, UpdateRecord
from mamrl.training.folder_lock import locked
from mamrl.training.loggers import keep_lines
from mamrl.training.runs import EXPERIMENT, LAST, LOG
from mamrl.training.termination import termination_as_exit

# seconds between two checkpoints
CHECKPOINT_EVERY = 300.0
VALIDATION_GAMES = 512


@dataclass(frozen=True, eq=False, repr=False)
class SelfPlayRun:
    """An agent that was trained in games with itself.

    Attributes:
        experiment: how.
        seed: of the training.
        actor: its actor's parameters, (1, P).
        critic: its critic's, (1, P_q).
        updates: taken.
        path: the run folder, or None for a run that was kept in memory.
    """

    experiment: SelfPlayExperiment
    seed: int
    actor: Tensor
    critic: Tensor
    updates: int
    path: Path | None = None

    def __repr__(self) -> str:
        experiment = self.experiment
        what = f"{experiment.shaper} in {experiment.stepped_game().name}, seed {self.seed}"
        where = "in memory" if self.path is None else str(self.path)
        return f"{what}, {self.updates} of {experiment.updates} updates, {where}"

    def test(self, num_games: int = 4096, seed: int = 0) -> dict[str, float]:
        """How it does beside itself and beside fixed players, see :func:`mamrl.evaluation.fixed_players.scores`.

        Args:
            num_games: E.
            seed: of the games.
        """
        game = self.experiment.stepped_game()
        generator = torch.Generator().manual_seed(seed)
        network = self.experiment.actor(game)
        return scores(game, network, self.actor, num_games, self.experiment.horizon, generator)


def train_self_play(
    experiment: SelfPlayExperiment | None = None,
    *,
    seed: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> SelfPlayRun:
    """Trains an agent in games with its past selves.

    Args:
        experiment: how; None, with ``resume``, is the run's own.
        seed: the same seed and experiment give the same numbers on the same machine; None is 0, or a resumed run's own.
        out: the run folder, which gets ``experiment.json``, ``log.jsonl`` and ``last.pt``; None keeps all in memory.
        resume: continue the run in ``out`` where it stopped; the result equals the unbroken run's, bit for bit.
        progress: show a progress bar.

    Returns:
        The agent after the last update.

    Raises:
        FileExistsError: ``out`` holds a run and ``resume`` is False.
        BlockingIOError: another process is training in ``out``.
        ValueError: ``resume`` with another experiment or seed than the run's, or a damaged checkpoint.
        FloatingPointError: a gradient became NaN or infinite; the last checkpoint is kept.
        KeyboardInterrupt: passed on after the state of the last whole update was saved; so is the SystemExit that a
            SIGTERM becomes.
    """
    folder = None if out is None else Path(out)
    if resume:
        if folder is None:
            raise ValueError("resume needs a run folder")
        recorded, recorded_seed = read_self_play(folder)
        experiment, seed = experiment or recorded, recorded_seed if seed is None else seed
        _check_same(folder, recorded, recorded_seed, experiment, seed)
    if experiment is None:
        raise ValueError("train_self_play needs an experiment, or resume and the folder of a run")
    seed = 0 if seed is None else seed
    if folder is not None and not resume:
        if (folder / EXPERIMENT).exists():
            raise FileExistsError(f"{folder} already holds a run; continue it with --resume or choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
        record = {"seed": seed, "self_play": experiment.to_dict(), "sessions": [provenance()]}
        checkpoint.write_text(folder / EXPERIMENT, json.dumps(record, indent=2) + "\n")
    with locked(folder):
        learner = experiment.learner(seed)
        if folder is not None and resume and (folder / LAST).is_file():
            _restore(learner, folder / LAST)
        _run(experiment, learner, folder, progress)
    return SelfPlayRun(
        experiment, seed, learner.actor_row.detach(), learner.critic_row.detach(), learner.updates, folder
    )


def load_self_play(path: str | Path) -> SelfPlayRun:
    """Reads a trained agent back.

    Args:
        path: a run folder.

    Raises:
        FileNotFoundError: no run, or no checkpoint yet.
        ValueError: a damaged checkpoint, or one that does not fit the run's experiment.
    """
    folder = Path(path)
    experiment, seed = read_self_play(folder)
    learner = experiment.learner(seed)
    _restore(learner, folder / LAST)
    return SelfPlayRun(
        experiment, seed, learner.actor_row.detach(), learner.critic_row.detach(), learner.updates, folder
    )


def read_self_play(path: Path) -> tuple[SelfPlayExperiment, int]:
    """The experiment and the seed of a run folder.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: it is no run of self-play, or its experiment file is damaged.
    """
    file = path / EXPERIMENT
    if not file.is_file():
        raise FileNotFoundError(f"{path} holds no run: there is no {EXPERIMENT}")
    try:
        record = json.loads(file.read_text())
        if "self_play" not in record:
            raise ValueError(f"{path} holds a run of 'mamrl train', expected one of 'mamrl self-play'")
        return SelfPlayExperiment.from_dict(record["self_play"]), int(record["seed"])
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} is damaged ({error})") from None


def _run(experiment: SelfPlayExperiment, learner: SelfPlayLearner, folder: Path | None, progress: bool) -> None:
    """Trains to the end, and leaves a whole checkpoint however it ends."""
    whole = learner.state()
    saved_at = time.monotonic()

    def save() -> None:
        if folder is not None:
            checkpoint.save(folder / LAST, whole)

    if folder is not None:
        keep_lines(folder / LOG, learner.updates)
    bar = progress_bar(
        total=experiment.updates, initial=learner.updates, desc=experiment.shaper, unit="update", enabled=progress
    )
    with termination_as_exit(), bar:
        try:
            while learner.updates < experiment.updates:
                started = time.perf_counter()
                record = learner.step()
                measured = _measure(experiment, learner)
                if folder is not None:
                    _log(folder / LOG, learner.updates, record, measured, time.perf_counter() - started)
                whole = learner.state()
                if measured:
                    bar.set_postfix_str(_summary(measured), refresh=False)
                bar.update()
                if time.monotonic() - saved_at > CHECKPOINT_EVERY:
                    save()
                    saved_at = time.monotonic()
        except (KeyboardInterrupt, SystemExit):
            # whatever was being computed: the state between two updates
            save()
            raise
    save()


def _measure(experiment: SelfPlayExperiment, learner: SelfPlayLearner) -> dict[str, float]:
    """The agent's scores where it is time for them; they draw from a generator of their own."""
    if learner.updates % experiment.validation_every and learner.updates != experiment.updates:
        return {}
    generator = torch.Generator().manual_seed(learner.updates)
    row = learner.actor_row.detach()
    return scores(learner.game, learner.actor, row, VALIDATION_GAMES, experiment.horizon, generator)


def _log(file: Path, update: int, record: UpdateRecord, measured: Mapping[str, float], seconds: float) -> None:
    line = {name: round(value, 6) for name, value in asdict(record).items()}
    line |= {f"score_{name}": round(value, 5) for name, value in measured.items()}
    with file.open("a") as log:
        log.write(json.dumps({"iteration": update, **line, "seconds": round(seconds, 4)}) + "\n")


def _summary(measured: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:+.2f}" for name, value in measured.items() if not name.endswith("_other"))


def _check_same(
    folder: Path, recorded: SelfPlayExperiment, recorded_seed: int, experiment: SelfPlayExperiment, seed: int
) -> None:
    # a longer training may continue a shorter one
    same_length = recorded.replace(updates=experiment.updates)
    old, new = ({"seed": s, **e.to_dict()} for s, e in ((recorded_seed, same_length), (seed, experiment)))
    differing = [f"{name} = {old[name]!r} and not {new[name]!r}" for name in old if old[name] != new[name]]
    if differing:
        raise ValueError(f"{folder} was trained with {', '.join(differing)}; resume it with its own settings")


def _restore(learner: SelfPlayLearner, file: Path) -> None:
    state: dict[str, Any] = checkpoint.load(file)
    try:
        learner.restore(state)
    except (KeyError, IndexError, TypeError, RuntimeError) as error:
        raise ValueError(f"{file} does not fit its experiment ({type(error).__name__}: {error})") from None
