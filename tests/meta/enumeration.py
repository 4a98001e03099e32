"""Every outcome of a two-step, two-player game and its probability: what an estimator's expectation is summed over."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from mamrl.games import MatrixGame, ipd
from mamrl.games.exact import expected_rewards
from mamrl.games.trajectories import Trajectories
from mamrl.meta import Chain, meta_objective
from mamrl.ops import reference
from mamrl.policies import TabularPolicy

HORIZON = 2
POLICY = TabularPolicy(5, 2)
GAME: MatrixGame = ipd().to(torch.float64)


def batches(num_trajectories: int) -> Trajectories:
    """All batches of K two-step trajectories, one batch a chain: 16^K chains."""
    joint_actions = list(product(range(2), repeat=4))  # (a_0, b_0, a_1, b_1)
    rows = torch.tensor(list(product(joint_actions, repeat=num_trajectories)))
    actions = rows.view(-1, num_trajectories, HORIZON, 2).permute(3, 2, 0, 1).contiguous()
    first = torch.zeros_like(actions[:, 0])
    second = torch.stack([reference.joint_state(actions[:, 0], player, (2, 2)) for player in range(2)])
    rewards = GAME.payoffs[:, actions[0], actions[1]]
    return Trajectories(torch.stack([first, second], dim=1), actions, rewards)


def repeat(trajectories: Trajectories, each: int, whole: int) -> Trajectories:
    """Repeats every chain ``each`` times, and the whole ``whole`` times."""

    def tiled(x: Tensor) -> Tensor:
        return x.repeat_interleave(each, dim=2).repeat(1, 1, whole, 1)

    return Trajectories(tiled(trajectories.states), tiled(trajectories.actions), tiled(trajectories.rewards))


def log_probability(parameters: list[Tensor], trajectories: Trajectories) -> Tensor:
    """log p(batch | joint parameters) for each chain (M,), from the definition of a Bernoulli policy."""
    total = torch.zeros(parameters[0].shape[0], dtype=torch.float64)
    for player, rows in enumerate(parameters):
        logits = rows[torch.arange(len(rows))[:, None], trajectories.states[player].permute(1, 0, 2).flatten(1)]
        cooperates = trajectories.actions[player].permute(1, 0, 2).flatten(1) == 0
        total = total + torch.where(
            cooperates, torch.nn.functional.logsigmoid(logits), torch.nn.functional.logsigmoid(-logits)
        ).sum(1)
    return total


def adapted(chain: Chain, parameters: list[Tensor], trajectories: Trajectories, own_lr: float) -> list[Tensor]:
    """phi_1 as a function of phi_0 with the sampled weights fixed, written out for Bernoulli tables."""
    result = []
    for player, (rows, rate) in enumerate(zip(parameters, (own_lr, chain.peer_lr), strict=True)):
        weights = inner_weights(chain, trajectories, player).permute(1, 0, 2).flatten(1)
        states = trajectories.states[player].permute(1, 0, 2).flatten(1)
        cooperates = (trajectories.actions[player] == 0).permute(1, 0, 2).flatten(1)
        visited = torch.nn.functional.one_hot(states, 5).to(torch.float64)
        score = cooperates.to(torch.float64) - torch.sigmoid(rows.gather(1, states))
        result.append(rows + rate * ((weights * score).unsqueeze(-1) * visited).sum(1))
    return result


def inner_weights(chain: Chain, trajectories: Trajectories, player: int) -> Tensor:
    """DiCE's first derivative: (R_t - g^t b_t) / K, or g^t A_t / K when loaded."""
    rewards, states = trajectories.rewards[player], trajectories.states[player]
    powers = reference.discount_powers(rewards, chain.discount)
    returns = reference.discounted_returns(rewards, None, None, None, chain.discount)
    baseline = reference.linear_baseline(states, returns, 5, 1e-5)
    if chain.inner_objective == "dice":
        weights = (powers * rewards).flip(0).cumsum(0).flip(0) - powers * baseline
    else:
        following = torch.cat([baseline[1:], torch.zeros_like(baseline[:1])])
        weights = powers * reference.gae(
            rewards, baseline, following, None, None, chain.discount, chain.inner_gae_lambda
        )
    return weights / rewards.shape[-1]


def two_step_value(chain: Chain, parameters: list[Tensor]) -> Tensor:
    """The meta-agent's exact discounted return over the horizon, (M,)."""
    rewards = expected_rewards(GAME.payoffs, [POLICY.table(rows) for rows in parameters], HORIZON)[:, 0]
    return (reference.discount_powers(rewards, chain.discount).view(-1, 1) * rewards).sum(0)


def exact_gradient(chain: Chain, own: Tensor, peer: Tensor, own_lr: float) -> Tensor:
    """Gradient of sum_{tau_0} p(tau_0 | phi_0) V(phi_1(tau_0, phi_0)) in phi_0^i, (P,)."""
    own = own.clone().requires_grad_()
    first = batches(chain.num_trajectories)
    count = first.states.shape[2]
    start = [own.expand(count, -1), peer.expand(count, -1)]
    value = two_step_value(chain, adapted(chain, start, first, own_lr))
    (log_probability(start, first).exp() * value).sum().backward()
    assert own.grad is not None
    return own.grad


@dataclass(frozen=True)
class Enumerated:
    """An estimator's expectation (P,), beside the exact gradient (P,) and the total probability of the outcomes."""

    expectation: Tensor
    exact: Tensor
    total_probability: float

    @property
    def error(self) -> float:
        return float((self.expectation - self.exact).abs().max())


def enumerate_estimator(chain: Chain, own: Tensor, peer: Tensor, own_lr: float) -> Enumerated:
    """Sums probability times estimate over every (tau_0, tau_1) of a chain with L = 1."""
    single = batches(chain.num_trajectories)
    count = single.states.shape[2]
    first, second = repeat(single, count, 1), repeat(single, 1, count)
    rows = [own.expand(count**2, -1).clone().requires_grad_(), peer.expand(count**2, -1).clone()]
    rates = torch.full((count**2, 1), own_lr, dtype=torch.float64)
    zeros = [torch.zeros_like(first.rewards[0])] * 2
    objective = meta_objective(chain, GAME, [POLICY, POLICY], rows, rates, [first, second], zeros)
    (estimates,) = torch.autograd.grad(objective.sum(), rows[0])
    with torch.no_grad():
        # phi_1 depends on tau_0 alone, so once for each of its outcomes
        start = [own.expand(count, -1), peer.expand(count, -1)]
        later = [row.repeat_interleave(count, dim=0) for row in adapted(chain, start, single, own_lr)]
        probability = (log_probability(rows, first) + log_probability(later, second)).exp()
    expectation = (probability.unsqueeze(1) * estimates).sum(0)
    return Enumerated(expectation, exact_gradient(chain, own, peer, own_lr), float(probability.sum()))


def main() -> None:
    """Prints the table of docs/estimators.md."""
    own = torch.tensor([0.3, -0.4, 0.8, -1.1, 0.2], dtype=torch.float64)
    peer = torch.tensor([-0.5, 0.9, 0.1, 0.4, -0.7], dtype=torch.float64)
    print("| estimator | algorithm | inner objective | K | error | cosine |\n|---|---|---|---|---|---|")
    for estimator, algorithm, objective, num_trajectories in product(
        ("sampled", "published", "expected"), ("meta-mapg", "meta-pg"), ("dice", "loaded-dice"), (1, 2)
    ):
        chain = Chain(
            algorithm=algorithm,
            estimator=estimator,
            inner_objective=objective,
            num_trajectories=num_trajectories,
            horizon=HORIZON,
            chain_length=1,
            gae_lambda=1.0,
            discounted_outer=True,
            cross_chain_baseline=False,
        )
        result = enumerate_estimator(chain, own, peer, own_lr=0.7)
        # the published sum is divided by L + 1
        expectation = result.expectation * (2 if estimator == "published" else 1)
        error = float((expectation - result.exact).abs().max())
        cosine = float(torch.cosine_similarity(expectation, result.exact, dim=0))
        print(f"| {estimator} | {algorithm} | {objective} | {num_trajectories} | {error:.1e} | {cosine:.6f} |")


if __name__ == "__main__":
    main()
