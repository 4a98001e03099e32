"""How good a run's meta-gradient is: whether independent samples of it agree, how it grows along the chain, and which
of its terms it is made of.

For one persona at a time, the same chain is sampled several times with fresh actions. Each sample gives an estimate
g_s of one and the same meta-gradient, so that the mean cosine over pairs of samples is 1 for a perfect estimate and 0
for noise, and their norms say whether a single one decides a batch. Along the chain, the derivative

    J_l = d phi_l / d phi_0^i,    phi_l the joint parameters at position l,

carries a position's gradient back to phi_0; its largest singular value is what the chain amplifies by. It is found by
power iteration from the meta-gradient's own direction, and so from below.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mamrl.config.setting import Setting
from mamrl.errors import choose
from mamrl.meta import Position, outer_advantages, surrogate, unroll
from mamrl.meta.inner_step import policy_gradients

# below this mean cosine, or above this ratio of the largest norm to the median, the estimates are called noise
LEAST_COSINE, LARGEST_SPREAD = 0.1, 100.0
_POWER_STEPS = 3


@dataclass(frozen=True, eq=False)
class PersonaDiagnosis:
    """What was measured against one persona.

    Attributes:
        group: the kind of persona.
        norms: of each sample's meta-gradient, (samples,).
        cosine: mean over pairs of samples.
        growth: the largest singular value of d phi_l / d phi_0^i by position, (L + 1,), the median over samples.
        shares: by term, its part of the gradient along itself, <term, gradient> / |gradient|^2, the median over
            samples: the current policy's, own learning's and peers' learning; they sum to 1 in each sample.
        inner_norms: the norm of the meta-agent's inner gradient by position, (L,), the median over samples.
    """

    group: str
    norms: Tensor
    cosine: float
    growth: Tensor
    shares: dict[str, float]
    inner_norms: Tensor

    @property
    def spread(self) -> float:
        """The largest norm over the median one."""
        return float(self.norms.max() / self.norms.median().clamp(min=1e-30))

    @property
    def is_noise(self) -> bool:
        """Whether the samples do not agree, or one of them outweighs all others."""
        return not (self.cosine >= LEAST_COSINE and self.spread <= LARGEST_SPREAD)


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """The diagnoses of some personas, and what to make of them."""

    personas: Sequence[PersonaDiagnosis]

    def table(self) -> str:
        """One line a persona: norms, cosine, growth, the largest inner gradient, and the terms' shares."""
        lines = [
            f"{'persona':<18}{'norm':>9} {'(largest)':>11} {'cosine':>7} {'growth':>9} {'inner':>8}  "
            "current / own / peers"
        ]
        for p in self.personas:
            shares = " / ".join(f"{p.shares[term]:+.2f}" for term in ("current", "own", "peers"))
            lines.append(
                f"{p.group:<18}{p.norms.median():>9.3g} ({p.norms.max():>9.3g}) {p.cosine:>+7.2f} {p.growth[-1]:>9.3g} "
                f"{p.inner_norms.max():>8.3g}  {shares}"
            )
        return "\n".join([*lines, "", self.verdict()])

    def verdict(self) -> str:
        """One sentence."""
        noise = sum(p.is_noise for p in self.personas)
        if not noise:
            return "Independent samples of the meta-gradient agree: it is a gradient."
        return (
            f"Against {noise} of {len(self.personas)} personas the meta-gradient is noise: independent samples have a "
            f"mean cosine below {LEAST_COSINE}, or one is {LARGEST_SPREAD:g} times the median. Bound the inner step "
            "(inner_step=bounded), damp the recurrence (gradient_carry below 1), or take more trajectories."
        )

    def csv(self) -> str:
        """One row for each (persona, quantity, index)."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["persona", "group", "quantity", "index", "value"])
        for i, p in enumerate(self.personas):
            series = {"norm": p.norms.tolist(), "growth": p.growth.tolist(), "inner_norm": p.inner_norms.tolist()}
            series |= {"cosine": [p.cosine], **{f"share_{term}": [share] for term, share in p.shares.items()}}
            for name, values in series.items():
                writer.writerows([i, p.group, name, j, f"{value:.6g}"] for j, value in enumerate(values))
        return text.getvalue()


def diagnose(
    setting: Setting,
    parameters: Tensor,
    own_lr: Tensor,
    *,
    samples: int = 6,
    personas: int = 2,
    split: str = "validation",
    seed: int = 0,
) -> Diagnosis:
    """Measures a meta-gradient at trained parameters.

    Args:
        setting: the experiment's parts; it is sampled, not exact.
        parameters: phi_0^i, (P,).
        own_lr: (L,).
        samples: how often each persona's chain is sampled, at least 2.
        personas: how many of each group.
        split: which personas.
        seed: of the sampled actions.

    Raises:
        ValueError: the agent is trained without sampling, or by something else than its chain's meta-gradient; fewer
            than two samples; no persona.
    """
    experiment = setting.experiment
    if experiment.agent == "tabular-exact":
        raise ValueError("agent is 'tabular-exact', whose meta-gradient is exact: there is nothing to diagnose")
    if not (experiment.terms.is_its_terms and experiment.terms.meta):
        raise ValueError(f"algorithm '{experiment.algorithm}' has no meta-gradient along the chain to diagnose")
    if samples < 2:
        raise ValueError(f"samples is {samples}, expected at least 2 to compare")
    if personas < 1:
        raise ValueError(f"personas is {personas}, expected at least 1")
    population = setting.populations[choose("split", split, setting.populations)]
    generator = torch.Generator().manual_seed(seed)
    results: list[PersonaDiagnosis] = []
    for group, name in enumerate(population.group_names):
        members = (population.groups == group).nonzero().flatten()
        for index in members[torch.randperm(len(members), generator=generator)[:personas]]:
            row = population.parameters[int(index)]
            results.append(_diagnose_persona(setting, parameters, own_lr, row, name, samples, seed, len(results)))
    return Diagnosis(results)


def _diagnose_persona(
    setting: Setting,
    parameters: Tensor,
    own_lr: Tensor,
    persona: Tensor,
    group: str,
    samples: int,
    seed: int,
    round_number: int,
) -> PersonaDiagnosis:
    experiment = setting.experiment
    own = parameters.to(setting.device).expand(samples, -1).clone().requires_grad_()
    rates = own_lr.to(setting.device).expand(samples, -1)
    peers = [persona.expand(samples, -1).clone() for _ in range(setting.num_peers)]
    keys = setting.keys(seed, "other", round_number, samples, experiment.chain_length + 1)
    positions = unroll(experiment, setting.game, setting.policies, [own, *peers], rates, setting.sampler(keys))
    advantages = outer_advantages(experiment, setting.game, positions)
    gradients = _by_term(setting, positions, advantages, own)
    whole = sum(gradients.values(), torch.zeros_like(own))
    norms = whole.norm(dim=1)
    squared = whole.square().sum(1).clamp(min=1e-30)
    shares = {term: float(((g * whole).sum(1) / squared).median()) for term, g in gradients.items()}
    growth = [torch.ones(samples)] + [_amplification(position, own, whole) for position in positions[1:]]
    return PersonaDiagnosis(
        group,
        norms.cpu(),
        _mean_cosine(whole),
        torch.stack([g.median().cpu() for g in growth]),
        shares,
        torch.stack([_inner_norms(setting, position).median().cpu() for position in positions[:-1]]),
    )


def _by_term(
    setting: Setting, positions: Sequence[Position], advantages: Sequence[Tensor], own: Tensor
) -> dict[str, Tensor]:
    """The meta-gradient (M, P) by term: what is lost without it."""

    def gradient(**kept: bool) -> Tensor:
        terms = replace(setting.experiment.terms, **kept)
        objective = surrogate(setting.experiment, positions, advantages, terms)
        if not objective.requires_grad:
            return torch.zeros_like(own)
        (result,) = torch.autograd.grad(objective.sum(), own, retain_graph=True, allow_unused=True)
        return torch.zeros_like(own) if result is None else result

    current = gradient(own_learning=False, peer_learning=False)
    terms = setting.experiment.terms
    none = torch.zeros_like(own)
    return {
        "current": current,
        "own": gradient(peer_learning=False) - current if terms.own_learning else none,
        "peers": gradient(own_learning=False) - current if terms.peer_learning else none,
    }


def _inner_norms(setting: Setting, position: Position) -> Tensor:
    """Of the meta-agent's policy gradient there, before it is bounded, (M,)."""
    rule, played = setting.experiment.learning_rule, position.trajectories
    arguments = rule, position.parameters, position.log_probs, played, setting.game.num_states
    (gradient,) = policy_gradients(*arguments, differentiable=False, learners=[0])
    return gradient.norm(dim=1)


def _mean_cosine(rows: Tensor) -> float:
    """Over the pairs of rows (S, P); NaN where a row is zero or not finite."""
    directions = rows / rows.norm(dim=1, keepdim=True)
    products = directions @ directions.T
    return float(products[~torch.eye(len(rows), dtype=torch.bool, device=rows.device)].mean())


def _amplification(position: Position, own: Tensor, start: Tensor) -> Tensor:
    """The largest singular value of d phi_l / d phi_0^i, for each chain (M,), by power iteration from a direction."""
    ends = [row for row in position.parameters if row.grad_fn is not None]
    probes = [torch.zeros_like(end, requires_grad=True) for end in ends]
    # J^T w is linear in w, so that its derivative along v is J v
    (pulled,) = torch.autograd.grad(ends, own, probes, create_graph=True)
    v = start
    for _ in range(_POWER_STEPS):
        v = v / v.norm(dim=1, keepdim=True).clamp(min=1e-30)
        pushed = torch.autograd.grad(pulled, probes, v, retain_graph=True, allow_unused=True, materialize_grads=True)
        (v,) = torch.autograd.grad(ends, own, pushed, retain_graph=True)
    return v.norm(dim=1).sqrt().detach()
