"""Ranks without a launcher's cost: everything is imported once, then every rank of every training is a fork.

``python many_ranks.py TRAININGS.json``: a list of trainings, one after the other: each the number of ranks ``count``,
``out``, the fields of its ``experiment``, and what else :func:`train_here` reads. Every rank leaves the sentence that
ended it in ``OUT.COUNT.RANK.json``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from mamrl.config import Experiment
from mamrl.distributed import joined
from mamrl.training import train
from mamrl.training.learner import Learner


def train_here(task: dict) -> str:
    """Trains as one rank; returns the sentence that ended it, or nothing."""
    rank, step = int(os.environ["RANK"]), Learner.step

    def mortal(self):
        if self.iteration == task.get("ends_at") and rank == task["ending_rank"]:
            if task["how"] == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("the disk is full")
        return step(self)

    Learner.step = mortal
    fields = task["experiment"] | task.get("fields_of_rank", {}).get(str(rank), {})
    try:
        with joined() as ranks:
            train(
                Experiment.from_dict(fields),
                seed=1,
                out=task["out"],
                resume=task.get("resume", False),
                progress=False,
                tensorboard=False,
                ranks=ranks,
            )
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def launch(task: dict) -> None:
    """Forks the ranks of a training and waits for them; as torchrun does, the store outlives them."""
    count, store = task["count"], dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    children = []
    for rank in range(count):
        child = os.fork()
        if child == 0:
            os.environ.update(environment, RANK=str(rank), WORLD_SIZE=str(count))
            error = train_here(task)
            Path(f"{task['out']}.{count}.{rank}.json").write_text(json.dumps(error))
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def main(file: str) -> None:
    # a first training imports what is imported late; a pool of threads would not outlive a fork
    torch.set_num_threads(1)
    tiny = Experiment(agent="tabular", num_trajectories=2, horizon=2, chain_length=1, iterations=1)
    train(tiny, progress=False)
    for task in json.loads(Path(file).read_text()):
        launch(task)


if __name__ == "__main__":
    main(sys.argv[1])
