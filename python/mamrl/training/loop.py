"""The meta-training loop: progress, logs, validation, checkpoints, resume."""

from __future__ import annotations

import json
import sys
import time
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
from mamrl.training.capture import can_record
from mamrl.training.learner import Learner, StepRecord, why_not_captured
from mamrl.training.runs import BEST, LAST, LOG, Run, create_folder, load_run, read_experiment


def train(
    experiment: Experiment | Setting,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    tensorboard: bool = True,
    capture: bool = True,
    ranks: Ranks = ALONE,
) -> Run:
    """Meta-trains an agent and returns the one that did best on the validation personas.

    Args:
        experiment: what to train, see ``mamrl.experiments.preset``; or a :class:`mamrl.config.setting.Setting` with a
            game, policies or populations of your own.
        seed: the same seed and experiment give the same numbers on the same machine.
        device: "cpu", or "cuda" where mamrl's CUDA kernels are: the same draws, and numbers that differ by rounding.
        out: the run folder, which gets ``experiment.json``, ``log.jsonl``, ``last.pt``, ``best.pt`` and TensorBoard's
            events; None keeps everything in memory.
        resume: continue the run in ``out`` where it stopped; the result equals the unbroken run's, bit for bit.
        progress: show a progress bar.
        tensorboard: write TensorBoard events where the package is installed.
        capture: on a GPU, record an iteration as a CUDA graph and replay it, where the experiment allows it.
        ranks: the processes that share this training, see :func:`mamrl.distributed.joined`; each calls this function,
            and the first alone writes.

    Returns:
        The best on the validation personas; in ``out`` it is ``best.pt``.

    Raises:
        FileExistsError: ``out`` holds a run and ``resume`` is False.
        ValueError: ``resume`` with another experiment or seed than the run's, a damaged checkpoint, or a device that is
            not here.
        FloatingPointError: the meta-gradient became NaN or infinite; the last checkpoint is kept.
        KeyboardInterrupt: passed on after the state was saved.
        RankError: another rank ended, and with it this one, after the state was saved.
    """
    setting = (experiment if isinstance(experiment, Setting) else build(experiment)).to(resolve_device(device))
    if resume and out is None:
        raise ValueError("resume needs a run folder")
    _check_ranks(ranks, setting.experiment, seed)
    folder = None if out is None or not ranks.first else Path(out)
    if folder is not None:
        _open_folder(folder, setting.experiment, seed, resume)
    trainer = _Trainer(Learner(setting, seed, capture=capture, ranks=ranks), folder)
    resumed = folder is not None and resume and (folder / LAST).is_file()
    state = ranks.from_first(checkpoint.load(folder / LAST) if folder is not None and resumed else None)
    if state is not None:
        trainer.restore(state)
    writer = _tensorboard(folder) if tensorboard else None
    try:
        trainer.run(progress and ranks.first, writer)
    finally:
        if writer is not None:
            writer.close()
    return trainer.best_run() if folder is None else load_run(folder, setting=setting)


def _check_ranks(ranks: Ranks, experiment: Experiment, seed: int) -> None:
    if ranks.count > experiment.chains:
        raise ValueError(
            f"{ranks.count} ranks share chains={experiment.chains}, expected at most as many ranks as chains"
        )
    # ranks that round differently would drift apart
    machine = {"threads": torch.get_num_threads(), "the CPU's instruction set": torch.backends.cpu.get_cpu_capability()}
    versions = {"mamrl's version": __version__, "torch's version": torch.__version__}
    ranks.check_agreement({**versions, **machine, "seed": seed, **experiment.to_dict()})


def _open_folder(folder: Path, experiment: Experiment, seed: int, resume: bool) -> None:
    if not resume:
        create_folder(folder, experiment, seed)
        return
    recorded, recorded_seed = read_experiment(folder)
    # a longer training may continue a shorter one, unless its length decided the learning rates
    same_length = recorded if recorded.lr_decay else recorded.replace(iterations=experiment.iterations)
    if same_length != experiment or recorded_seed != seed:
        raise ValueError(f"{folder} was trained with another experiment or seed; resume it with its own")


class _Trainer:
    def __init__(self, learner: Learner, folder: Path | None) -> None:
        self.learner, self.folder = learner, folder
        self.experiment = learner.setting.experiment
        self.best_auc: float | None = None
        self.last_auc: float | None = None
        self.best: dict[str, Any] = {}

    def run(self, progress: bool, writer: Any) -> None:
        experiment, learner = self.experiment, self.learner
        obstacle = why_not_captured(experiment)
        if progress and obstacle and can_record(learner.setting.device):
            tqdm.write(f"no CUDA graph: {obstacle}", file=sys.stderr)
        bar = tqdm(
            total=experiment.iterations,
            initial=learner.iteration,
            disable=not progress,
            desc=experiment.algorithm,
            unit="it",
            dynamic_ncols=True,
        )
        self._cut_log()
        try:
            while learner.iteration < experiment.iterations:
                started = time.perf_counter()
                try:
                    record = learner.step()
                except RankError:
                    self._save()
                    raise
                last = learner.iteration == experiment.iterations
                if learner.iteration % experiment.validation_every == 0 or last:
                    self._validate()
                self._log(record, time.perf_counter() - started, writer)
                bar.update()
                bar.set_postfix_str(self._summary(record))
        except KeyboardInterrupt:
            self._save()
            raise
        finally:
            bar.close()
        self._save()

    def _validate(self) -> None:
        """Measures the agent on the validation personas and keeps it if it is the best so far."""
        learner = self.learner
        test = adapt_to_population(
            learner.setting,
            learner.parameters,
            learner.own_lr,
            "validation",
            learner.seed,
            round_number=learner.iteration,
            ranks=learner.ranks,
        )
        self.last_auc = float(test.auc.mean())
        if self.best_auc is None or self.last_auc > self.best_auc:
            self.best_auc = self.last_auc
            self.best = {
                "parameters": learner.parameters.cpu().clone(),
                "own_lr": learner.own_lr.cpu().clone(),
                "iteration": learner.iteration,
                "validation_auc": self.best_auc,
            }
            if self.folder is not None:
                checkpoint.save(self.folder / BEST, self.best)
        self._save()

    def _save(self) -> None:
        if self.folder is not None:
            checkpoint.save(self.folder / LAST, self.state())

    def state(self) -> dict[str, Any]:
        return {
            **self.learner.state(),
            "validation_auc": self.last_auc,
            "best_auc": self.best_auc,
            "best": self.best,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.learner.restore(state)
        self.last_auc, self.best_auc, self.best = state["validation_auc"], state["best_auc"], state["best"]

    def best_run(self) -> Run:
        best, learner = self.best, self.learner
        return Run(
            learner.setting,
            learner.seed,
            best["parameters"],
            best["own_lr"],
            best["iteration"],
            best["validation_auc"],
        )

    def _summary(self, record: StepRecord) -> str:
        rewards = " ".join(f"{reward:+.2f}" for reward in record.rewards)
        auc = "" if self.last_auc is None else f" | validation AUC {self.last_auc:+.2f} (best {self.best_auc:+.2f})"
        return f"reward by position {rewards}{auc}"

    def _log(self, record: StepRecord, seconds: float, writer: Any) -> None:
        iteration = self.learner.iteration
        validated = iteration % self.experiment.validation_every == 0 or iteration == self.experiment.iterations
        line = {
            "iteration": iteration,
            "rewards": [round(reward, 6) for reward in record.rewards],
            "gradient_norm": record.gradient_norm,
            "critic_loss": record.critic_loss,
            "dropped_chains": record.dropped_chains,
            "own_lr": [round(rate, 6) for rate in self.learner.own_lr.tolist()],
            "seconds": round(seconds, 4),
        }
        if validated:
            line["validation_auc"] = self.last_auc
        if self.folder is not None:
            with (self.folder / LOG).open("a") as file:
                file.write(json.dumps(line) + "\n")
        if writer is not None:
            for position, reward in enumerate(record.rewards):
                writer.add_scalar(f"reward/position_{position}", reward, iteration)
            writer.add_scalar("train/gradient_norm", record.gradient_norm, iteration)
            writer.add_scalar("train/critic_loss", record.critic_loss, iteration)
            writer.add_scalar("train/dropped_chains", record.dropped_chains, iteration)
            if validated:
                writer.add_scalar("validation/auc", self.last_auc, iteration)

    def _cut_log(self) -> None:
        """Drops what a broken run logged after its last checkpoint, and so will log again."""
        if self.folder is None or not (self.folder / LOG).is_file():
            return
        lines = (self.folder / LOG).read_text().splitlines()
        kept = [line for line in lines if _iteration_of(line) <= self.learner.iteration]
        checkpoint.write_text(self.folder / LOG, "".join(line + "\n" for line in kept))


def _iteration_of(line: str) -> float:
    try:
        return json.loads(line)["iteration"]
    except (json.JSONDecodeError, KeyError):  # a line cut short by a crash
        return float("inf")


def _tensorboard(folder: Path | None) -> Any:
    if folder is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))
