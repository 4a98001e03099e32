"""Ranks without a launcher's cost: everything is imported once, then every rank of every training is a fork.

``python many_ranks.py TRAININGS.json``: a list of trainings, one after the other: each the number of ranks ``count``,
``out``, the fields of its ``experiment``, and what else :func:`train_here` and :func:`survive` read. Every rank leaves
the sentence that ended it in ``OUT.COUNT.RANK.json``.

``python many_ranks.py --kill 50``: two ranks, killed so often at random moments, end as one that is left alone.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist

from mamrl import checkpoint
from mamrl.config import Experiment
from mamrl.distributed import joined
from mamrl.training import train
from mamrl.training.learner import Learner
from mamrl.training.runs import EXPERIMENT, LAST, LOG

# of a rank whose peer is gone; it takes two seconds to look for a reason
PATIENCE_S = 5.0


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
            trained = train(
                Experiment.from_dict(fields),
                seed=1,
                out=task["out"],
                resume=task.get("resume", False),
                progress=False,
                tensorboard=False,
                ranks=ranks,
            )
            tested = trained.test(repeats=1, ranks=ranks)
            if ranks.first:
                checkpoint.save(
                    Path(task["out"]) / "test.pt", {"rewards": tested.rewards, "actions": tested.action_frequencies}
                )
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def launch(task: dict, after_s: float = 0.0, victims: tuple[int, ...] = ()) -> None:
    """Forks the ranks of a training, kills some, and waits for all; as torchrun does, the store outlives them."""
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
    time.sleep(after_s)
    for victim in victims:
        os.kill(children[victim], signal.SIGKILL)
        os.waitpid(children[victim], 0)
    left = [child for rank, child in enumerate(children) if rank not in victims]
    deadline = time.monotonic() + PATIENCE_S
    while left:
        left = [child for child in left if not os.waitpid(child, 0 if not victims else os.WNOHANG)[0]]
        if left and time.monotonic() > deadline:
            # it waits for the other to begin; torchrun ends those whose peer is gone
            for child in left:
                os.kill(child, signal.SIGKILL)
        time.sleep(0.02)


def survive(task: dict) -> None:
    """Kills one rank or both ``kills`` times, resuming each time, and then lets the training end."""
    moments = random.Random(task["kills"])
    for _ in range(task["kills"]):
        begun = (Path(task["out"]) / EXPERIMENT).is_file()
        launch(task | {"resume": begun}, moments.uniform(0.0, 1.6), moments.choice([(0,), (1,), (0, 1)]))
    launch(task | {"resume": (Path(task["out"]) / EXPERIMENT).is_file()})


def killing(root: Path, kills: int, experiment: dict) -> list[dict]:
    """A training that is killed, and the same left alone, in ``killed`` and ``alone``."""
    longer = experiment | {"iterations": 12 * kills, "validation_every": 1}
    return [
        {"out": str(root / "killed"), "experiment": longer, "count": 2, "kills": kills},
        {"out": str(root / "alone"), "experiment": longer, "count": 1},
    ]


def run(trainings: list[dict]) -> None:
    # a first training imports what is imported late; a pool of threads would not outlive a fork
    torch.set_num_threads(1)
    tiny = Experiment(agent="tabular", num_trajectories=2, horizon=2, chain_length=1, iterations=1)
    train(tiny, progress=False)
    for task in trainings:
        (survive if "kills" in task else launch)(task)


def kill(times: int) -> None:
    """Says whether anything was lost."""
    fields = {"agent": "tabular", "num_trajectories": 16, "horizon": 20, "chain_length": 2, "chains": 3, "pcgrad": True}
    with tempfile.TemporaryDirectory() as name:
        run(killing(Path(name), times, fields))
        killed, alone = (checkpoint.load(Path(name) / which / LAST) for which in ("killed", "alone"))
        logs = [len((Path(name) / which / LOG).read_text().splitlines()) for which in ("killed", "alone")]
    same = all(torch.equal(killed[key], alone[key]) for key in ("parameters", "own_lr", "generator"))
    print(
        f"killed {times} times: {killed['iteration']} iterations, {logs[0]} of {logs[1]} lines; the same bits: {same}"
    )
    sys.exit(not (same and logs[0] == logs[1]))


if __name__ == "__main__":
    if sys.argv[1] == "--kill":
        kill(int(sys.argv[2]))
    run(json.loads(Path(sys.argv[1]).read_text()))
