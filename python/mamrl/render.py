"""Videos of adapted pairs: one rollout of HalfCheetah, drawn by MuJoCo's offscreen renderer to a GIF."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mamrl.checkpoint import write_whole
from mamrl.games.half_cheetah import default_model
from mamrl.games.half_cheetah_painter import Painter
from mamrl.games.trajectories import play, random_keys
from mamrl.meta import unroll
from mamrl.training.runs import Run


def adapted_pair(run: Run, persona: int, seed: int = 0) -> list[Tensor]:
    """The joint policies phi_L, each agent's row (1, P), after the chain of a run beside one test persona.

    Raises:
        ValueError: the run is not one of HalfCheetah, or there is no such persona.
    """
    setting, experiment = run.setting, run.setting.experiment
    if experiment.game != "half-cheetah":
        raise ValueError(f"the run plays '{experiment.game}', expected 'half-cheetah': nothing else is drawn")
    population = setting.populations["test"]
    if not 0 <= persona < len(population):
        raise ValueError(f"persona is {persona}, expected 0 to {len(population) - 1}")

    sampler = setting.sampler(setting.keys(seed, "test", 0, 1, experiment.chain_length + 1, first_chain=persona))
    joint = [run.parameters.unsqueeze(0), population.parameters[persona : persona + 1]]
    positions = unroll(
        experiment, setting.game, setting.policies, joint, run.own_lr.unsqueeze(0), sampler, differentiable=False
    )
    return [row.detach() for row in positions[-1].parameters]


def rollout_positions(run: Run, pair: Sequence[Tensor], seed: int = 0) -> np.ndarray:
    """Coordinates qpos (T, 9) of one trajectory of a pair; x is summed from the observed velocities."""
    setting, experiment = run.setting, run.setting.experiment
    keys = random_keys(seed, "other", 0, 0, 1)
    played = play(setting.game, setting.policies, pair, keys, 1, experiment.horizon)
    observations = played.states[0, :, 0, 0].to(torch.float64)
    x = torch.cumsum(observations[:, 8], 0) * 0.05
    return torch.cat([x.unsqueeze(1), observations[:, :8]], dim=1).numpy()


def draw(positions: np.ndarray, width: int = 480, height: int = 270) -> list[np.ndarray]:
    """One picture (height, width, 3) uint8 a control step.

    Raises:
        ImportError: MuJoCo is missing.
        OSError: no offscreen renderer works; says which was tried and why it failed.
    """
    with closing(Painter(default_model(), width, height)) as painter:
        return [painter.picture(qpos) for qpos in positions]


def save_gif(pictures: Sequence[np.ndarray], path: str | Path, seconds_a_picture: float = 0.05) -> None:
    """Writes pictures to a GIF, whole.

    Raises:
        ImportError: Pillow is missing; it comes with matplotlib.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("GIFs need Pillow: pip install 'mamrl[plot]'") from None
    frames = [Image.fromarray(picture) for picture in pictures]
    write_whole(
        Path(path),
        lambda temporary: frames[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=round(1000 * seconds_a_picture),
            loop=0,
        ),
    )
