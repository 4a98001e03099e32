"""A stranger's first hour, as a script: a game of one's own, a GRU of one's own, five seeds, a table with intervals, a
figure, and the trained agent asked what it does.

Run by tests/test_strangers_path.py, and in a clean environment with nothing but the wheel by .ci/wheel.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

import mamrl
from mamrl.config.setting import Setting
from mamrl.evaluation import confidence_interval
from mamrl.games import symmetric_game
from mamrl.policies import TabularPolicy
from mamrl.policies.module import ModulePolicy
from mamrl.populations import personas_for

SEEDS = range(5)


class Recurrent(nn.Module):
    """A GRU that follows torch's own layers: states so far and a memory in, logits and the memory out."""

    def __init__(self, num_states: int, num_actions: int, units: int = 8) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_states, units)
        self.memory = nn.GRU(units, units)
        self.head = nn.Linear(units, num_actions)

    def forward(self, states, state=None):
        hidden, state = self.memory(self.embedding(states), state)
        return self.head(hidden), state


def setting() -> tuple[Setting, nn.Module]:
    """Two hunters of a stag, one of them recurrent, the other a table that learns."""
    torch.manual_seed(0)
    game = symmetric_game([[4.0, 0.0], [3.0, 2.0]], "hunt", ["stag", "hare"])
    module = Recurrent(game.num_states, 2)
    experiment = mamrl.preset("ipd-tabular").replace(
        iterations=2, validation_every=2, num_trajectories=4, horizon=5, chain_length=2, chains=2
    )
    policies = (ModulePolicy(module, game.num_states, 2), TabularPolicy(game.num_states, 2))
    return Setting(experiment, game, policies, personas_for(game), None), module


def main(folder: Path) -> None:
    """Walks the path; everything that it writes is in the folder."""
    own, module = setting()
    runs = [mamrl.train(own, seed=seed, out=folder / f"seed-{seed}", progress=False) for seed in SEEDS]
    tests = [run.test(repeats=1) for run in runs]
    mean, half = confidence_interval(torch.stack([test.auc.mean() for test in tests]))
    print(runs[0])
    print(f"AUC over {len(runs)} seeds: {mean:+.2f} ± {half:.2f}")
    assert 0 < half < abs(mean)

    try:
        from mamrl.plotting import plot_adaptation

        figure = plot_adaptation(list(zip(runs, tests, strict=True)), folder / "figure.png")
        # one experiment: one curve in each panel
        assert [len(axis.get_lines()) for axis in figure.axes] == [1, 1]
    except ImportError as error:
        print(f"no figure: {error}")

    # both hunted the stag
    history = own.game.state_names()[:2]
    probabilities = runs[0].probabilities(history)
    action, memory = runs[0].act(0)
    again, _ = runs[0].act(1, memory)
    print(f"after {', '.join(history)} it hunts the stag with probability {float(probabilities[0]):.2f}")
    print(f"it played {int(action)}, then {int(again)}")
    torch.testing.assert_close(probabilities.sum(), torch.tensor(1.0))
    adapted = runs[0].adapted(persona=0).probabilities(history)
    assert adapted.shape == (2,)

    # what was learned, back into one's own module
    own.policies[0].load(runs[0].parameters)
    logits, _ = module(torch.tensor([[0], [1]]))
    torch.testing.assert_close(logits[-1, 0].softmax(-1), probabilities, rtol=1e-4, atol=1e-5)

    reread = mamrl.load_run(folder / "seed-0", setting=own)
    assert torch.equal(reread.parameters, runs[0].parameters)
    try:
        mamrl.load_run(folder / "seed-0")
    except ValueError as error:
        print(f"as it should: {error}")
    else:
        raise AssertionError("a run of an own game was read back as another")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
