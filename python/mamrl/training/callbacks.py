"""What may watch a training: its own progress bar and loggers, and whatever a user adds.

class Stopwatch(mamrl.training.Callback):
    def on_validation(self, training, test):
        print(training.iteration, float(test.auc.mean()))

mamrl.train(experiment, callbacks=[Stopwatch()])
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mamrl.progress import progress_bar, room_for
from mamrl.training.learner import StepRecord

if TYPE_CHECKING:
    from mamrl.config import Experiment
    from mamrl.config.setting import Setting
    from mamrl.evaluation import MetaTest


class Training(Protocol):
    """What a callback sees of the training that it watches; all of it is to be read only."""

    folder: Path | None
    seed: int
    last_auc: float | None
    best_auc: float | None

    @property
    def setting(self) -> Setting:
        """The experiment's parts."""
        ...

    @property
    def experiment(self) -> Experiment:
        """What is trained."""
        ...

    @property
    def iteration(self) -> int:
        """Meta-gradient steps taken so far."""
        ...

    @property
    def has_critic(self) -> bool:
        """Whether a value network is trained beside the agent."""
        ...


@dataclass(frozen=True)
class Iteration:
    """One meta-gradient step that was taken.

    Attributes:
        number: from 1 on.
        record: rewards by position, the gradient's norm, the critic's loss, chains that were dropped.
        own_lr: the meta-agent's inner learning rates after the step, (L,).
        seconds: that it took, its validation included.
        validation_auc: where it was validated, else None.
    """

    number: int
    record: StepRecord
    own_lr: list[float]
    seconds: float
    validation_auc: float | None


class Callback:
    """Watches a training; every method does nothing until it is overridden.

    What a method raises ends the training as an error within it would: the state of the last whole iteration is kept.
    """

    def on_start(self, training: Training) -> None:
        """Before the first iteration, or the first after a resume."""

    def on_iteration(self, training: Training, iteration: Iteration) -> None:
        """After every iteration, and its validation if it has one; a checkpoint is written after this."""

    def on_validation(self, training: Training, test: MetaTest) -> None:
        """After every validation, with everything that it measured."""

    def on_end(self, training: Training) -> None:
        """When the training ends, finished or not."""


class Progress(Callback):
    """The progress bar: iteration, time left and validation AUC first, rewards by position where there is room."""

    def __init__(self) -> None:
        self._bar: Any = None

    def on_start(self, training: Training) -> None:
        """Draws it."""
        experiment = training.experiment
        self._bar = progress_bar(
            total=experiment.iterations, initial=training.iteration, desc=experiment.algorithm, unit="it"
        )

    def on_iteration(self, training: Training, iteration: Iteration) -> None:
        """Moves it on by one."""
        self._bar.set_postfix_str(summary(training, iteration), refresh=False)
        self._bar.update()
        if iteration.validation_auc is not None:
            self._bar.refresh()

    def on_end(self, training: Training) -> None:
        """Leaves the last state on the screen."""
        if self._bar is not None:
            self._bar.close()


def summary(training: Training, iteration: Iteration) -> str:
    """One line of what an iteration saw, the most important first."""
    parts = []
    if training.last_auc is not None:
        parts.append(f"validation AUC {training.last_auc:+.2f} (best {training.best_auc:+.2f})")
    rewards = iteration.record.rewards
    parts.append(f"reward {statistics.fmean(rewards):+.2f}")
    text = ", ".join(parts)
    by_position = " by position " + " ".join(f"{reward:+.2f}" for reward in rewards)
    # what stands before the text takes about sixty columns, with a bar
    return text + room_for(by_position, 60 + len(text))
