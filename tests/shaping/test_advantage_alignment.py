"""Advantage Alignment against its equation, summed by hand."""

import torch

from mamrl.shaping.actor_critic import Batch
from mamrl.shaping.advantage_alignment import AdvantageAlignment

STEPS, GAMES, DISCOUNT, GAE_LAMBDA = 5, 4, 0.9, 0.8


def batch_of(log_probs, played=None):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Batch(
        log_probs,
        log_probs.detach() if played is None else played,
        normal(STEPS + 1, GAMES),
        normal(STEPS, GAMES),
        normal(2, STEPS, GAMES),
        torch.zeros(2, STEPS, GAMES, dtype=torch.int64),
        normal(2, STEPS, GAMES, 3),
        normal(2, STEPS, GAMES),
    )


def generalized(rewards, values):
    """values (T + 1, E)"""
    deltas = rewards + DISCOUNT * values[1:] - values[:-1]
    return torch.stack(
        [sum((DISCOUNT * GAE_LAMBDA) ** (s - t) * deltas[s] for s in range(t, STEPS)) for t in range(STEPS)]
    )


def advantages(batch):
    own = generalized(batch.rewards, batch.values)
    others = sum(
        generalized(rewards, torch.cat([values, values[-1:]]))
        for rewards, values in zip(batch.other_rewards, batch.other_values, strict=True)
    )
    return own, others


def log_probs():
    return torch.randn(STEPS, GAMES, dtype=torch.float64).requires_grad_()


def weights_of(shaper, batch):
    (gradient,) = torch.autograd.grad(shaper.loss(batch, DISCOUNT), batch.log_probs)
    return -gradient * STEPS * GAMES


def test_an_action_is_weighed_by_both_advantages_and_what_came_before():
    batch = batch_of(log_probs())
    own, others = advantages(batch)
    expected = torch.stack(
        [
            own[t] + 0.7 * DISCOUNT * sum((DISCOUNT ** (t - k) * own[k] for k in range(t)), 0 * own[0]) * others[t]
            for t in range(STEPS)
        ]
    )
    torch.testing.assert_close(weights_of(AdvantageAlignment(0.7, GAE_LAMBDA), batch), expected)


def test_the_published_code_takes_the_running_mean_of_normalised_advantages():
    batch = batch_of(log_probs())
    own, others = advantages(batch)
    normal = (own - own.mean()) / (own.std() + 1e-8)
    expected = torch.stack([own[0]] + [own[t] + normal[:t].mean(0) * others[t] for t in range(1, STEPS)])
    torch.testing.assert_close(weights_of(AdvantageAlignment(1.0, GAE_LAMBDA, running_mean=True), batch), expected)


def test_the_proximal_form_starts_as_the_policy_gradient_and_stops_beyond_its_clip():
    plain, proximal = AdvantageAlignment(1.0, GAE_LAMBDA), AdvantageAlignment(1.0, GAE_LAMBDA, clip=0.2)
    batch = batch_of(log_probs())
    torch.testing.assert_close(weights_of(proximal, batch), weights_of(plain, batch))
    moved = batch_of(batch.log_probs, batch.log_probs.detach() - 0.5)
    weights = weights_of(plain, moved)
    # where the advantage is positive and the ratio is e^.5 already, nothing is left to gain
    assert torch.equal(weights_of(proximal, moved) == 0, weights > 0)
