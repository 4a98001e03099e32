"""The meta-training loop: iterations, validation, checkpoints, resume."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from mamrl import __version__, checkpoint
from mamrl.config import Experiment
from mamrl.config.setting import Setting, build
from mamrl.device import resolve_device
from mamrl.distributed import ALONE, RankError, Ranks
from mamrl.evaluation import adapt_to_population
from mamrl.training.callbacks import Callback, Iteration, Progress
from mamrl.training.capture import can_record
from mamrl.training.folder_lock import locked
from mamrl.training.learner import Learner, why_not_captured
from mamrl.training.loggers import JsonLines, named_loggers
from mamrl.training.runs import BEST, LAST, LOG, Run, check_fit, create_folder, load_run, open_folder, read_experiment
from mamrl.training.termination import termination_as_exit

# seconds between two checkpoints, where validations are further apart
CHECKPOINT_EVERY = 120.0


def train(
    experiment: Experiment | Setting | None = None,
    *,
    seed: int | None = None,
    device: str | torch.device = "cpu",
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    tensorboard: bool = True,
    callbacks: Sequence[Callback] = (),
    capture: bool = True,
    ranks: Ranks = ALONE,
) -> Run:
    """Meta-trains an agent and returns the one that did best on the validation personas.

    Args:
        experiment: what to train, see ``mamrl.experiments.preset``; or a :class:`mamrl.config.setting.Setting` with a
            game, policies or populations of your own. None, with ``resume``, is the run's own.
        seed: the same seed and experiment give the same numbers on the same machine; None is 0, or a resumed run's own.
        device: "cpu", or "cuda" where mamrl's CUDA kernels are: the same draws, and numbers that differ by rounding.
        out: the run folder, which gets ``experiment.json``, ``log.jsonl``, ``last.pt``, ``best.pt`` and TensorBoard's
            events; None keeps everything in memory.
        resume: continue the run in ``out`` where it stopped; the result equals the unbroken run's, bit for bit.
        progress: show a progress bar.
        tensorboard: write TensorBoard events where there is a folder and the package is installed.
        callbacks: what else watches, see :class:`mamrl.training.Callback`; loggers are in ``mamrl.training.loggers``.
        capture: on a GPU, record an iteration as a CUDA graph and replay it, where the experiment allows it.
        ranks: the processes that share this training, see :func:`mamrl.distributed.joined`; each calls this function,
            and the first alone writes.

    Returns:
        The best on the validation personas; in ``out`` it is ``best.pt``.

    Raises:
        TypeError: no experiment or setting, or a callback that is none.
        FileExistsError: ``out`` holds a run and ``resume`` is False.
        BlockingIOError: another process is training in ``out``.
        ValueError: ``resume`` with another experiment or seed than the run's (the sentence says which field differs), a
            damaged checkpoint, or a device that is not here.
        FloatingPointError: the meta-gradient became NaN or infinite; the last checkpoint is kept.
        KeyboardInterrupt: passed on after the last whole iteration's state was saved; so is the SystemExit that a
            SIGTERM becomes.
        RankError: another rank ended, and with it this one; likewise.
    """
    _check_kinds(experiment, callbacks)
    if resume and out is None:
        raise ValueError("resume needs a run folder")
    if experiment is None:
        if out is None or not resume:
            raise ValueError("train needs an experiment, or resume and the folder of a run")
        experiment, recorded_seed = read_experiment(Path(out))
        seed = recorded_seed if seed is None else seed
    seed = 0 if seed is None else seed
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed is {seed}, expected an integer of 64 bits")
    setting = (experiment if isinstance(experiment, Setting) else build(experiment)).to(resolve_device(device))
    _check_ranks(ranks, setting.experiment, seed)
    folder = None if out is None or not ranks.first else Path(out)
    watchers = list(callbacks)
    if folder is not None:
        watchers = [JsonLines(folder / LOG), *watchers, *(named_loggers(None) if tensorboard else [])]
    if progress and ranks.first:
        watchers.append(Progress())
    if folder is not None and not resume:
        create_folder(folder, setting, seed)
    with locked(folder):
        if folder is not None and resume:
            open_folder(folder, setting, seed)
        trainer = Trainer(Learner(setting, seed, capture=capture, ranks=ranks), folder, watchers)
        resumed = folder is not None and resume and (folder / LAST).is_file()
        state = ranks.from_first(checkpoint.load(folder / LAST) if folder is not None and resumed else None)
        if state is not None:
            check_fit(Path(out or "") / LAST, setting, state)
            trainer.restore(state)
        trainer.run(progress and ranks.first)
    return trainer.best_run() if folder is None else load_run(folder, setting=setting)


def _check_kinds(experiment: Any, callbacks: Any) -> None:
    if not isinstance(experiment, Experiment | Setting | None):
        raise TypeError(
            f"experiment is {experiment!r}, expected an Experiment, such as mamrl.preset(NAME), or a Setting"
        )
    if not isinstance(callbacks, Sequence) or not all(isinstance(each, Callback) for each in callbacks):
        raise TypeError(f"callbacks are {callbacks!r}, expected a list of instances of mamrl.training.Callback")


def _check_ranks(ranks: Ranks, experiment: Experiment, seed: int) -> None:
    if ranks.count > experiment.chains:
        raise ValueError(
            f"{ranks.count} ranks share chains={experiment.chains}, expected at most as many ranks as chains"
        )
    # ranks that round differently would drift apart
    machine = {"threads": torch.get_num_threads(), "the CPU's instruction set": torch.backends.cpu.get_cpu_capability()}
    versions = {"mamrl's version": __version__, "torch's version": torch.__version__}
    ranks.check_agreement({**versions, **machine, "seed": seed, **experiment.to_dict()})


class Trainer:
    """A learner, its folder, and what watches it.

    Attributes:
        learner: takes the steps.
        folder: the run folder, or None.
        seed: of the training.
        last_auc: of the last validation, None before the first.
        best_auc: the best so far.
    """

    def __init__(self, learner: Learner, folder: Path | None, watchers: Sequence[Callback] = ()) -> None:
        self.learner, self.folder, self.seed = learner, folder, learner.seed
        self._watchers = watchers
        self.best_auc: float | None = None
        self.last_auc: float | None = None
        self.best: dict[str, Any] = {}
        self._whole: dict[str, Any] = {}
        self._saved_at = time.monotonic()

    @property
    def setting(self) -> Setting:
        """The experiment's parts."""
        return self.learner.setting

    @property
    def experiment(self) -> Experiment:
        """What is trained."""
        return self.learner.setting.experiment

    @property
    def iteration(self) -> int:
        """Meta-gradient steps taken so far."""
        return self.learner.iteration

    @property
    def has_critic(self) -> bool:
        """Whether a value network is trained beside the agent."""
        return self.learner.setting.value_network is not None

    def run(self, progress: bool) -> None:
        """Trains to the end, and leaves a whole checkpoint however it ends."""
        experiment, learner = self.experiment, self.learner
        obstacle = why_not_captured(experiment)
        if progress and obstacle and can_record(learner.setting.device):
            tqdm.write(f"no CUDA graph: {obstacle}", file=sys.stderr)
        with termination_as_exit():
            try:
                self._whole = self.state()
                for watcher in self._watchers:
                    watcher.on_start(self)
                while learner.iteration < experiment.iterations:
                    self._iterate()
            except (KeyboardInterrupt, SystemExit, RankError):
                # whatever was being computed: the state between two iterations
                self._save()
                raise
            finally:
                for watcher in self._watchers:
                    watcher.on_end(self)
            self._save()

    def _iterate(self) -> None:
        started = time.perf_counter()
        learner, experiment = self.learner, self.experiment
        record = learner.step()
        last = learner.iteration == experiment.iterations
        validated = learner.iteration % experiment.validation_every == 0 or last
        if validated:
            self._validate()
        iteration = Iteration(
            learner.iteration,
            record,
            learner.own_lr.tolist(),
            time.perf_counter() - started,
            self.last_auc if validated else None,
        )
        # the log first: lines that a checkpoint does not know are dropped at resume, lines that are missing are not
        for watcher in self._watchers:
            watcher.on_iteration(self, iteration)
        self._whole = self.state()
        if validated or time.monotonic() - self._saved_at > CHECKPOINT_EVERY:
            self._save()

    def _validate(self) -> None:
        """Measures the agent on the validation personas and keeps it if it is the best so far."""
        learner = self.learner
        parameters, own_lr = learner.agent()
        test = adapt_to_population(
            learner.setting,
            parameters,
            own_lr,
            "validation",
            learner.seed,
            round_number=learner.iteration,
            ranks=learner.ranks,
        )
        self.last_auc = float(test.auc.mean())
        if self.best_auc is None or self.last_auc > self.best_auc:
            self.best_auc = self.last_auc
            self.best = {
                "parameters": parameters.cpu(),
                "own_lr": own_lr.cpu(),
                "iteration": learner.iteration,
                "validation_auc": self.best_auc,
            }
        for watcher in self._watchers:
            watcher.on_validation(self, test)

    def _save(self) -> None:
        if self.folder is None:
            return
        if self._whole["best"]:
            checkpoint.save(self.folder / BEST, self._whole["best"])
        checkpoint.save(self.folder / LAST, self._whole)
        self._saved_at = time.monotonic()

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on, as a copy."""
        return {
            **copy.deepcopy(self.learner.state()),
            "validation_auc": self.last_auc,
            "best_auc": self.best_auc,
            "best": self.best,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continues where :meth:`state` was taken."""
        try:
            self.learner.restore(state)
            self.last_auc, self.best_auc, self.best = state["validation_auc"], state["best_auc"], state["best"]
        except (KeyError, IndexError, TypeError, RuntimeError) as error:
            raise ValueError(f"the checkpoint does not fit its experiment ({type(error).__name__}: {error})") from None

    def best_run(self) -> Run:
        """The best on the validation personas."""
        best, learner = self.best, self.learner
        return Run(
            learner.setting,
            learner.seed,
            best["parameters"],
            best["own_lr"],
            best["iteration"],
            best["validation_auc"],
        )
