"""Run folders: what a training leaves on disk, and the trained agent read back from it."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mamrl import checkpoint
from mamrl.config import Experiment
from mamrl.config.setting import Setting, build
from mamrl.distributed import ALONE, Ranks
from mamrl.evaluation import MetaTest, adapt_to_population
from mamrl.evaluation.agent import Agent, AgentState
from mamrl.evaluation.meta_test import adapt_to_persona
from mamrl.provenance import provenance
from mamrl.training.parts import differing, parts_of

EXPERIMENT, LOG, LAST, BEST = "experiment.json", "log.jsonl", "last.pt", "best.pt"


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A trained meta-agent.

    Attributes:
        setting: its experiment's parts.
        seed: of the training.
        parameters: phi_0^i, (P,).
        own_lr: its inner learning rate by position, (L,).
        iteration: meta-gradient steps taken.
        validation_auc: on the validation personas; None before the first validation.
        path: the run folder, or None for a run that was kept in memory.
    """

    setting: Setting
    seed: int
    parameters: Tensor
    own_lr: Tensor
    iteration: int
    validation_auc: float | None = None
    path: Path | None = None

    @property
    def name(self) -> str:
        """For legends: the algorithm, and the folder if there is one."""
        algorithm = self.setting.experiment.algorithm
        return f"{algorithm} ({self.path.name})" if self.path else algorithm

    def _facts(self) -> dict[str, str]:
        experiment = self.setting.experiment
        auc = "not validated" if self.validation_auc is None else f"{self.validation_auc:+.3f}"
        return {
            "algorithm": experiment.algorithm,
            "game": self.setting.game.name,
            "agent": experiment.agent,
            "seed": str(self.seed),
            "iteration": f"{self.iteration} of {experiment.iterations}",
            "validation AUC": auc,
            "folder": "in memory" if self.path is None else str(self.path),
        }

    def __repr__(self) -> str:
        return "\n".join(f"{name:>15}  {value}" for name, value in self._facts().items())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in self._facts().items()
        )
        return f"<table><tbody>{rows}</tbody></table>"

    def test(self, split: str = "test", seed: int = 0, repeats: int = 5, ranks: Ranks = ALONE) -> MetaTest:
        """The papers' meta-test, see :func:`mamrl.evaluation.meta_test.adapt_to_population`."""
        return adapt_to_population(self.setting, self.parameters, self.own_lr, split, seed, repeats, ranks=ranks)

    @property
    def agent(self) -> Agent:
        """The trained agent as it is before it adapts to anyone."""
        return Agent(self.setting.game, self.setting.policies[0], self.parameters)

    def adapted(
        self, persona: int, split: str = "test", position: int | None = None, seed: int = 0, player: int = 0
    ) -> Agent:
        """A player of the meta-test's chain against a persona.

        Args:
            persona: which of the split, from 0.
            split: "test" or "validation".
            position: after how many learning steps, 0 to L; None is L.
            seed: of the trajectories that they learn from.
            player: 0 the meta-agent, 1 the persona.

        Raises:
            ValueError: there is no such persona, position or player.
        """
        chain = adapt_to_persona(self.setting, self.parameters, self.own_lr, persona, split, seed)
        position = len(chain) - 1 if position is None else position
        for name, number, size in (("position", position, len(chain)), ("player", player, len(chain[0]))):
            if not 0 <= number < size:
                raise ValueError(f"{name} is {number}, expected at least 0 and below {size}")
        return Agent(self.setting.game, self.setting.policies[player], chain[position][player])

    def act(
        self, observations: Any, state: AgentState | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, AgentState]:
        """See :meth:`mamrl.evaluation.agent.Agent.act`."""
        return self.agent.act(observations, state, generator)

    def probabilities(self, history: Any) -> Tensor:
        """See :meth:`mamrl.evaluation.agent.Agent.probabilities`."""
        return self.agent.probabilities(history)


def meta_test(run: Run | str | Path, split: str = "test", seed: int = 0, repeats: int = 5) -> MetaTest:
    """The papers' meta-test of a trained run, or of a run folder.

    Args:
        run: what :func:`mamrl.training.loop.train` returned, or the folder it wrote.
        split: "test" or "validation", which personas.
        seed: of the sampled trajectories.
        repeats: how often each chain is played afresh.

    Returns:
        What the test measured; ``table()``, ``rows()`` and ``csv()`` print it.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: its checkpoint is damaged.
    """
    trained = run if isinstance(run, Run) else load_run(run)
    return trained.test(split, seed, repeats)


def create_folder(path: Path, setting: Setting, seed: int) -> None:
    """Makes a new run folder.

    Raises:
        FileExistsError: the folder holds a run already.
        OSError: it cannot be written.
    """
    if (path / EXPERIMENT).exists():
        raise FileExistsError(f"{path} already holds a run; continue it with --resume or choose another folder")
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{path} is a file, expected a folder")
    path.mkdir(parents=True, exist_ok=True)
    record = {"seed": seed, "experiment": setting.experiment.to_dict(), "parts": parts_of(setting)}
    _write_record(path, {**record, "sessions": [provenance()]})


def open_folder(path: Path, setting: Setting, seed: int) -> None:
    """Adds a session to a run folder that is to be resumed.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: the run's experiment, seed or parts are others; the sentence says what differs.
    """
    recorded, recorded_seed = read_experiment(path)
    experiment = setting.experiment
    # a longer training may continue a shorter one, unless its length decided the learning rates
    same_length = recorded if recorded.lr_decay else recorded.replace(iterations=experiment.iterations)
    old, new = ({"seed": s, **e.to_dict()} for s, e in ((recorded_seed, same_length), (seed, experiment)))
    differing = [f"{name} = {old[name]!r} and not {new[name]!r}" for name in old if old[name] != new[name]]
    if differing:
        raise ValueError(f"{path} was trained with {', '.join(differing)}; resume it with its own experiment and seed")
    check_parts(path, setting)
    record = json.loads((path / EXPERIMENT).read_text())
    # with its length: what resumes or repeats the run later goes as far as this session means to
    record |= {"experiment": experiment.to_dict(), "sessions": [*record.get("sessions", []), provenance()]}
    _write_record(path, record)


def check_parts(path: Path, setting: Setting) -> None:
    """Compares a run's parts with those that it is to go on with; a run of an older version says nothing of its own.

    Raises:
        ValueError: a part differs; the sentence says which.
    """
    recorded = json.loads((path / EXPERIMENT).read_text()).get("parts", {})
    names = differing(recorded, parts_of(setting)) if isinstance(recorded, dict) else ["parts"]
    if names:
        raise ValueError(
            f"{path} was trained with other parts than are here: {', '.join(names)}; hand the run's own over, by "
            "load_run(path, setting=Setting(...)) or train(Setting(...), resume=True)"
        )


def _write_record(path: Path, record: Mapping[str, Any]) -> None:
    checkpoint.write_text(path / EXPERIMENT, json.dumps(record, indent=2) + "\n")


def read_experiment(path: Path) -> tuple[Experiment, int]:
    """The experiment and the seed of a run folder.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: its experiment file is damaged.
    """
    file = path / EXPERIMENT
    if not file.is_file():
        raise FileNotFoundError(f"{path} holds no run: there is no {EXPERIMENT}")
    try:
        record = json.loads(file.read_text())
        seed = record["seed"]
        if type(seed) is not int:
            raise TypeError(f"seed is {seed!r}")
        return Experiment.from_dict(record["experiment"]), seed
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} is damaged ({error})") from None


def load_run(path: str | Path, which: str = "best", setting: Setting | None = None) -> Run:
    """Reads a trained agent back.

    Args:
        path: a run folder.
        which: "best" on the validation personas (the last one, where no validation happened), or "last".
        setting: of a run that was trained with a game, policies or populations of your own.

    Returns:
        The run, ready for :meth:`Run.test`.

    Raises:
        FileNotFoundError: no run, or no checkpoint yet.
        ValueError: a damaged or foreign checkpoint, one that does not fit the run's experiment, or a run that was
            trained with other parts than the setting's, or than those that its experiment names.
    """
    folder = Path(path)
    experiment, seed = read_experiment(folder)
    file = folder / (BEST if which == "best" and (folder / BEST).is_file() else LAST)
    state = checkpoint.load(file)
    setting = setting or build(experiment)
    check_parts(folder, setting)
    check_fit(file, setting, state)
    return Run(
        setting,
        seed,
        state["parameters"],
        state["own_lr"],
        state["iteration"],
        state["validation_auc"],
        folder,
    )


def learning_curve(run: Run) -> list[tuple[int, float]]:
    """(iteration, validation AUC) of every validation that the run's log holds.

    Raises:
        ValueError: the run has no folder, or never came to a validation.
    """
    file = None if run.path is None else run.path / LOG
    lines = file.read_text().splitlines() if file is not None and file.is_file() else []
    records = [json.loads(line) for line in lines]
    curve = [(record["iteration"], record["validation_auc"]) for record in records if "validation_auc" in record]
    if not curve:
        raise ValueError(f"{run.name} has no validations in its log")
    return curve


def check_fit(file: Path, setting: Setting, state: Mapping[str, Any]) -> None:
    """Checks what a checkpoint holds against the experiment that it is read for.

    Raises:
        ValueError: an entry is missing or is no agent's of this setting; the sentence says which.
    """

    def refuse(what: str) -> None:
        raise ValueError(f"{file} does not fit its experiment: {what}")

    sizes = {"parameters": setting.policies[0].num_parameters, "own_lr": setting.experiment.chain_length}
    for name, size in sizes.items():
        found = state.get(name)
        if not isinstance(found, Tensor) or tuple(found.shape) != (size,):
            shape = tuple(found.shape) if isinstance(found, Tensor) else None
            refuse(f"{name} have shape {shape}, expected {(size,)}")
        elif not found.is_floating_point() or found.device.type != "cpu":
            refuse(f"{name} are {found.dtype} on {found.device}, expected floating-point numbers")
        elif not bool(found.isfinite().all()):
            refuse(f"{name} hold numbers that are not finite")
    if type(state.get("iteration")) is not int or state["iteration"] < 0:
        refuse(f"iteration is {state.get('iteration')!r}")
    if not isinstance(state.get("validation_auc"), float | None):
        refuse(f"validation_auc is {state['validation_auc']!r}")
