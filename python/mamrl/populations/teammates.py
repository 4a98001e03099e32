"""HalfCheetah's population of teammates: pairs pre-trained to run left, a checkpoint every iteration.

Kim et al. 2021, section 5.3: a meta-agent that is to run right meets a teammate that was trained to run left, for up to
500 iterations. Its front leg is the peer; how good it is at running left, its expertise, grows with its iteration.
Training and validation meet the first 300 checkpoints, the test the last 25: out of what was trained on.

The papers do not say how teammates were trained; here both agents ascend the clipped surrogate of Schulman et al. 2017
with generalized advantages over a linear baseline.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mamrl import checkpoint
from mamrl.games.locomotion import HalfCheetahGame
from mamrl.games.trajectories import Trajectories, random_keys
from mamrl.meta.gradients import clip_by_norm
from mamrl.meta.objectives import advantages, linear_baseline
from mamrl.policies.gaussian import GaussianLSTMPolicy, gaussian_policies
from mamrl.populations.personas import SPLITS, Population
from mamrl.progress import progress_bar

LAST, LOG, SETTINGS, CHECKPOINTS = "last.pt", "log.jsonl", "pretraining.json", "checkpoints"
SHIPPED = "half_cheetah_teammates.pt"
# of the iterations: up to where training and validation meet checkpoints, and from where the test does
_TRAIN_SHARE, _TEST_SHARE = 0.6, 0.95
# every so many-th checkpoint of the first share is for validation
_VALIDATION_EVERY = 10


@dataclass(frozen=True)
class PreTraining:
    """How a pair is trained to run.

    Attributes:
        iterations: each leaves a checkpoint; 500 in the papers.
        num_trajectories: K rollouts an iteration.
        horizon: T.
        direction: -1 is left.
        discount: gamma.
        gae_lambda: lambda.
        lr: Adam's learning rate.
        epochs: gradient steps on an iteration's rollouts.
        clip: how far a step's probability ratios count.
        grad_clip: largest norm of an agent's gradient.
        hidden_size: units of the LSTMs.
        seed: of the initial parameters and of every rollout.
    """

    iterations: int = 500
    num_trajectories: int = 32
    horizon: int = 200
    direction: float = -1.0
    discount: float = 0.99
    gae_lambda: float = 0.95
    lr: float = 1e-3
    epochs: int = 4
    clip: float = 0.2
    grad_clip: float = 1.0
    hidden_size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("iterations", "num_trajectories", "horizon", "epochs", "hidden_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in ("lr", "clip", "grad_clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a positive number")


class Pair:
    """Two agents in training.

    Attributes:
        parameters: each agent's row (1, P).
        iteration: how many were done.
    """

    def __init__(self, settings: PreTraining) -> None:
        self.settings, self.iteration = settings, 0
        self.game = HalfCheetahGame(direction=settings.direction)
        self.policies = gaussian_policies("2x3", hidden_size=settings.hidden_size)
        generator = torch.Generator().manual_seed(settings.seed)
        self.parameters = [policy.initial(generator).unsqueeze(0) for policy in self.policies]
        self.optimizer = torch.optim.Adam(self.parameters, lr=settings.lr, eps=1e-5)

    def step(self) -> float:
        """One iteration; returns the mean reward a step before it, this pair's expertise.

        Raises:
            FloatingPointError: the parameters became NaN or infinite.
        """
        s = self.settings
        keys = random_keys(s.seed, "other", self.iteration, 0, 1)
        played = self.game.play(self.policies, self.parameters, keys, s.num_trajectories, s.horizon)
        rewards = played.rewards[0]
        states = played.states[0]
        baseline = linear_baseline(states, rewards, self.game.num_states, s.discount)
        weights = advantages(rewards, baseline, s.discount, s.gae_lambda)
        weights = (weights - weights.mean()) / weights.std().clamp(min=1e-8)
        before: list[Tensor] = []
        for _ in range(s.epochs):
            before = self._ascend(played, weights, before)
        self.iteration += 1
        if not all(bool(row.isfinite().all()) for row in self.parameters):
            raise FloatingPointError(f"pre-training diverged at iteration {self.iteration}: lower lr (now {s.lr})")
        return float(rewards.mean())

    def _ascend(self, played: Trajectories, weights: Tensor, before: Sequence[Tensor]) -> list[Tensor]:
        """A gradient step of both agents; returns the log-probabilities that ratios are taken against."""
        s = self.settings
        leaves = [row.clone().requires_grad_() for row in self.parameters]
        log_probs = [
            policy.log_probs(leaf, played.states[a], played.actions[a])
            for a, (policy, leaf) in enumerate(zip(self.policies, leaves, strict=True))
        ]
        before = before or [log_prob.detach() for log_prob in log_probs]
        objective = torch.zeros(())
        for log_prob, old in zip(log_probs, before, strict=True):
            ratio = torch.exp(log_prob - old)
            objective = objective + torch.minimum(ratio * weights, ratio.clamp(1 - s.clip, 1 + s.clip) * weights).mean()
        for row, gradient in zip(self.parameters, torch.autograd.grad(-objective, leaves), strict=True):
            clip_by_norm([gradient], s.grad_clip)
            row.grad = gradient
        self.optimizer.step()
        return list(before)

    def state(self) -> dict[str, Any]:
        return {
            "parameters": [row.clone() for row in self.parameters],
            "optimizer": self.optimizer.state_dict(),
            "iteration": self.iteration,
        }

    def restore(self, state: dict[str, Any]) -> None:
        for row, saved in zip(self.parameters, state["parameters"], strict=True):
            row.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        self.iteration = state["iteration"]


def pretrain(settings: PreTraining, out: str | Path, *, resume: bool = False, progress: bool = True) -> Path:
    """Trains a pair and keeps its parameters before every iteration, and its expertise then, in the folder ``out``.

    Args:
        settings: how.
        out: the folder; gets ``pretraining.json``, ``log.jsonl``, ``last.pt`` and ``checkpoints/NNNNN.pt``.
        resume: continue where the folder stops; the result equals an unbroken run's, bit for bit.
        progress: show a progress bar.

    Raises:
        FileExistsError: ``out`` holds a population and ``resume`` is False.
        ValueError: ``resume`` with other settings than the folder's; more iterations are welcome.
        FloatingPointError: training diverged; what was saved is kept.
    """
    folder = Path(out)
    pair = Pair(settings)
    if (folder / SETTINGS).exists():
        if not resume:
            raise FileExistsError(f"{folder} holds a population already; add --resume to continue it")
        recorded = PreTraining(**json.loads((folder / SETTINGS).read_text()))
        if dataclasses.replace(recorded, iterations=settings.iterations) != settings:
            raise ValueError(f"{folder} was trained with other settings ({recorded}); resume it with its own")
        if (folder / LAST).is_file():
            pair.restore(checkpoint.load(folder / LAST))
    (folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    checkpoint.write_text(folder / SETTINGS, json.dumps(dataclasses.asdict(settings), indent=2) + "\n")
    lines = _log_lines(folder)[: pair.iteration]
    with progress_bar(
        total=settings.iterations, initial=pair.iteration, enabled=progress, desc="teammates", unit="it"
    ) as bar:
        while pair.iteration < settings.iterations:
            rows = torch.cat(pair.parameters)
            number = pair.iteration
            expertise = pair.step()
            checkpoint.save(folder / CHECKPOINTS / f"{number:05d}.pt", {"parameters": rows, "expertise": expertise})
            lines.append(json.dumps({"iteration": number, "reward": expertise}))
            checkpoint.write_text(folder / LOG, "\n".join(lines) + "\n")
            checkpoint.save(folder / LAST, pair.state())
            bar.update()
            bar.set_postfix_str(f"reward {expertise:+.4f}")
    return folder


def _log_lines(folder: Path) -> list[str]:
    return (folder / LOG).read_text().splitlines() if (folder / LOG).is_file() else []


def split_names(iterations: Sequence[int], total: int) -> list[str]:
    """For each checkpoint "train", "validation", "test", or "unused" in the gap before the test's."""
    names = []
    for index, iteration in enumerate(iterations):
        if iteration < _TRAIN_SHARE * total:
            names.append("validation" if index % _VALIDATION_EVERY == _VALIDATION_EVERY // 2 else "train")
        else:
            names.append("test" if iteration >= _TEST_SHARE * total else "unused")
    return names


@dataclass(frozen=True, eq=False)
class Teammates:
    """Checkpoints of one pre-training.

    Attributes:
        parameters: the front legs' (n, P) float32.
        expertise: mean reward a step that the pair had, (n,).
        iterations: of each checkpoint, (n,) int64, ascending.
        splits: of each checkpoint, see :func:`split_names`.
        hidden_size: of the policies.
    """

    parameters: Tensor
    expertise: Tensor
    iterations: Tensor
    splits: tuple[str, ...]
    hidden_size: int = 64

    @property
    def policy(self) -> GaussianLSTMPolicy:
        return gaussian_policies("2x3", hidden_size=self.hidden_size)[1]

    def members(self, split: str) -> list[int]:
        """Where the checkpoints of a split stand."""
        return [i for i, name in enumerate(self.splits) if name == split]

    def populations(self) -> dict[str, Population]:
        """The splits as populations of personas."""
        result = {}
        for split in SPLITS:
            members = self.members(split)
            groups = torch.zeros(len(members), dtype=torch.int64)
            result[split] = Population(self.parameters[members], groups, ("runs left",))
        return result


def load_teammates(source: str | Path | None = None) -> Teammates:
    """Reads a folder that :func:`pretrain` wrote, or a file of :func:`pack`; by default the one that comes with mamrl.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is damaged.
    """
    path = Path(str(resources.files("mamrl") / "data" / SHIPPED)) if source is None else Path(source)
    if not path.is_dir():
        state = checkpoint.load(path)
        if not {"parameters", "expertise", "iterations", "splits", "hidden_size"} <= state.keys():
            raise ValueError(f"{path} holds no teammates")
        parameters, splits = state["parameters"].to(torch.float32), tuple(state["splits"])
        return Teammates(parameters, state["expertise"], state["iterations"], splits, state["hidden_size"])
    if not (path / SETTINGS).is_file():
        raise FileNotFoundError(f"{path} holds no population: make one with 'mamrl population half-cheetah'")
    settings = PreTraining(**json.loads((path / SETTINGS).read_text()))
    files = sorted((path / CHECKPOINTS).glob("*.pt"))
    states = [checkpoint.load(file) for file in files]
    iterations = [int(file.stem) for file in files]
    if not files:
        raise FileNotFoundError(f"{path} holds no checkpoints")
    return Teammates(
        torch.stack([state["parameters"][1] for state in states]),
        torch.tensor([state["expertise"] for state in states]),
        torch.tensor(iterations),
        tuple(split_names(iterations, settings.iterations)),
        settings.hidden_size,
    )


def pack(teammates: Teammates, path: str | Path, count: int = 30) -> None:
    """Writes about ``count`` checkpoints to one file in half precision, evenly over each split, 3 in 5 for training."""
    chosen: list[int] = []
    for split, share in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
        members = teammates.members(split)
        wanted = min(len(members), max(1, round(count * share)))
        chosen += [members[round(j * (len(members) - 1) / max(1, wanted - 1))] for j in range(wanted)]
    chosen.sort()
    state = {
        "parameters": teammates.parameters[chosen].to(torch.float16),
        "expertise": teammates.expertise[chosen],
        "iterations": teammates.iterations[chosen],
        "splits": [teammates.splits[i] for i in chosen],
        "hidden_size": teammates.hidden_size,
    }
    checkpoint.save(Path(path), state)
