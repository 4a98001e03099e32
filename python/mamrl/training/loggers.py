"""Where a training's numbers go: JSON lines always, TensorBoard and Weights & Biases where they are installed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mamrl import checkpoint
from mamrl.errors import choose
from mamrl.training.callbacks import Callback, Iteration, Training


class JsonLines(Callback):
    """One line of JSON an iteration in a file of the run folder; learning curves are read back from it.

    Lines after the iteration that a run is resumed at, and one that a crash cut short, are dropped at the start: they
    will be written again.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_start(self, training: Training) -> None:
        """Drops what will be written again."""
        keep_lines(self.file, training.iteration)

    def on_iteration(self, training: Training, iteration: Iteration) -> None:
        """Appends a line."""
        record = iteration.record
        line: dict[str, Any] = {
            "iteration": iteration.number,
            "rewards": [round(reward, 6) for reward in record.rewards],
            "gradient_norm": record.gradient_norm,
        }
        if training.has_critic:
            line["critic_loss"] = record.critic_loss
        line |= {
            "dropped_chains": record.dropped_chains,
            "own_lr": [round(rate, 6) for rate in iteration.own_lr],
            "seconds": round(iteration.seconds, 4),
        }
        if iteration.validation_auc is not None:
            line["validation_auc"] = iteration.validation_auc
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")


def keep_lines(file: Path, last: int) -> None:
    """Drops from a log, where there is one, the lines of iterations after the last that a checkpoint knows."""
    if file.is_file():
        kept = [line for line in file.read_text().splitlines() if _iteration_of(line) <= last]
        checkpoint.write_text(file, "".join(line + "\n" for line in kept))


def _iteration_of(line: str) -> float:
    try:
        return float(json.loads(line)["iteration"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):  # a line cut short by a crash
        return float("inf")


class TensorBoard(Callback):
    """TensorBoard's events, with the experiment's fields as hyperparameters.

    Args:
        folder: of the events; None is the run folder's ``tensorboard``.

    Raises:
        ImportError: tensorboard is not installed.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ImportError("TensorBoard is not installed: pip install 'mamrl[log]'") from None
        self._folder, self._open = folder, SummaryWriter
        self._writer: Any = None

    def on_start(self, training: Training) -> None:
        """Opens the events and records the hyperparameters."""
        from torch.utils.tensorboard.summary import hparams

        folder = self._folder or (None if training.folder is None else training.folder / "tensorboard")
        if folder is None:
            raise ValueError("TensorBoard needs a folder: train with a run folder (out), or name one for the events")
        writer: Any = self._open(str(folder))
        self._writer = writer
        for summary in hparams(_hyperparameters(training), {"validation/auc": None}):
            writer.file_writer.add_summary(summary)

    def on_iteration(self, training: Training, iteration: Iteration) -> None:
        """Writes the iteration's scalars."""
        for name, value in scalars(training, iteration).items():
            self._writer.add_scalar(name, value, iteration.number)

    def on_end(self, training: Training) -> None:
        """Closes the events."""
        if self._writer is not None:
            self._writer.close()


class WeightsAndBiases(Callback):
    """A run of Weights & Biases; ``WANDB_MODE=offline`` keeps it on this machine.

    Args:
        project: its project.
        options: of ``wandb.init``, such as ``entity``, ``group`` and ``mode``.

    Raises:
        ImportError: wandb is not installed.
    """

    def __init__(self, project: str = "mamrl", **options: Any) -> None:
        try:
            import wandb
        except ImportError:
            raise ImportError("Weights & Biases is not installed: pip install wandb") from None
        self._wandb, self._options = wandb, {"project": project, **options}
        self._run: Any = None

    def on_start(self, training: Training) -> None:
        """Opens the run, or goes on with the run folder's."""
        options = {"config": _hyperparameters(training), **self._options}
        if training.folder is not None:
            file = training.folder / "wandb-run"
            if not file.is_file():
                checkpoint.write_text(file, secrets.token_hex(4) + "\n")
            options = {
                "id": file.read_text().strip(),
                "resume": "allow",
                "name": training.folder.name,
                "dir": str(training.folder),
                **options,
            }
        self._run = self._wandb.init(**options)

    def on_iteration(self, training: Training, iteration: Iteration) -> None:
        """Logs the iteration's scalars."""
        self._run.log(scalars(training, iteration), step=iteration.number)

    def on_end(self, training: Training) -> None:
        """Closes the run."""
        if self._run is not None:
            self._run.finish()


def scalars(training: Training, iteration: Iteration) -> dict[str, float]:
    """An iteration's numbers by name, those alone that this training has."""
    record = iteration.record
    result = {f"reward/position_{position}": reward for position, reward in enumerate(record.rewards)}
    result["train/gradient_norm"] = record.gradient_norm
    if training.has_critic:
        result["train/critic_loss"] = record.critic_loss
    if record.dropped_chains:
        result["train/dropped_chains"] = record.dropped_chains
    if training.experiment.learn_own_lr:
        result |= {f"own_lr/position_{position}": rate for position, rate in enumerate(iteration.own_lr)}
    if iteration.validation_auc is not None:
        result["validation/auc"] = iteration.validation_auc
    return result


def _hyperparameters(training: Training) -> dict[str, Any]:
    return {"seed": training.seed, **training.experiment.to_dict()}


LOGGERS: Mapping[str, Callable[[], Callback]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def named_loggers(names: list[str] | None) -> list[Callback]:
    """The loggers of those names; None is TensorBoard where it is installed.

    Raises:
        ValueError: an unknown name.
        ImportError: a logger that was asked for is not installed.
    """
    if names is None:
        try:
            return [TensorBoard()]
        except ImportError:
            return []
    return [LOGGERS[choose("logger", name, LOGGERS)]() for name in names if name != "none"]
