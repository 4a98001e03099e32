"""Named experiments: the papers' own settings, and the ones that get to the same place soonest."""

from __future__ import annotations

from mamrl.config import Experiment
from mamrl.errors import choose

PRESETS: dict[str, Experiment] = {
    # the published implementation's settings (Kim et al. 2021, appendix; facts on amsgrad and epsilon from its code)
    "ipd-paper": Experiment(
        estimator="published",
        inner_objective="dice",
        adam_eps=1e-3,
        amsgrad=True,
        entropy_weight=0.5,
        pcgrad=True,
        chains=5,
        iterations=2000,
    ),
    "ipd": Experiment(
        estimator="expected",
        critic="linear",
        actor_lr=1e-3,
        own_lr_lr=2e-3,
        chain_grad_clip=10.0,
        chains=4,
        iterations=400,
    ),
    "ipd-tabular": Experiment(
        estimator="expected",
        agent="tabular",
        critic="linear",
        actor_lr=0.1,
        own_lr_lr=0.1,
        chains=8,
        iterations=100,
        validation_every=25,
    ),
    # the papers' settings for rock-paper-scissors, with the estimator and the optimiser of "ipd"
    "rps": Experiment(
        game="rps",
        estimator="expected",
        critic="linear",
        actor_lr=1e-3,
        own_lr_lr=2e-3,
        chain_grad_clip=10.0,
        chains=4,
        iterations=400,
    ),
    "rps-tabular": Experiment(
        game="rps",
        estimator="expected",
        agent="tabular",
        critic="linear",
        actor_lr=0.05,
        own_lr_lr=0.02,
        chain_grad_clip=10.0,
        chains=8,
        iterations=150,
        validation_every=50,
    ),
    "ipd-exact": Experiment(
        estimator="expected",
        agent="tabular-exact",
        critic="linear",
        actor_lr=0.05,
        own_lr_lr=0.05,
        chains=40,
        iterations=300,
        validation_every=25,
    ),
    # the papers' settings, but a linear critic
    "half-cheetah-paper": Experiment(
        game="half-cheetah",
        estimator="published",
        inner_objective="dice",
        horizon=200,
        chain_length=2,
        discount=0.99,
        peer_lr=0.005,
        own_lr=0.005,
        actor_lr=5e-5,
        adam_eps=1e-3,
        amsgrad=True,
        chains=5,
        iterations=2000,
    ),
    "half-cheetah": Experiment(
        game="half-cheetah",
        estimator="expected",
        num_trajectories=16,
        horizon=200,
        chain_length=2,
        discount=0.99,
        peer_lr=0.005,
        own_lr=0.005,
        actor_lr=1e-3,
        own_lr_lr=1e-4,
        chain_grad_clip=10.0,
        chains=4,
        iterations=150,
        validation_every=25,
    ),
}


def preset(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        ValueError: unknown; the sentence gives the nearest name and all of them.
    """
    return PRESETS[choose("preset", name, PRESETS)]
