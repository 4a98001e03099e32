"""LOQA's closed form against its graph, written out from the paper."""

import pytest
import torch

from mamrl.shaping.actor_critic import Batch
from mamrl.shaping.loqa import LOQA, earlier_sums

STEPS, GAMES, ACTIONS, DISCOUNT = 6, 5, 3, 0.9


def batch_of(log_probs, values, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    actions = torch.randint(ACTIONS, (2, STEPS, GAMES), generator=generator)
    q_values = normal(2, STEPS, GAMES, ACTIONS)
    return Batch(
        log_probs,
        log_probs.detach(),
        values,
        normal(STEPS, GAMES),
        normal(2, STEPS, GAMES),
        actions,
        q_values,
        normal(2, STEPS, GAMES),
    )


def paper_loss(batch, shaper, detached=True):
    """-(log pi(a_t) + weight * sum of log softmax(Q~ / temperature)[b_t]) A_t, Q~ by loaded DiCE with a decay."""
    advantages = batch.rewards + DISCOUNT * batch.values[1:] - batch.values[:-1]
    if detached:
        advantages = advantages.detach()
    total = batch.log_probs * advantages
    causal = batch.log_probs.cumsum(0)
    box = (causal - causal.detach()).exp()
    before = torch.cat([torch.ones_like(box[:1]), box[:-1]])
    for rewards, taken, q_values, values in zip(
        batch.other_rewards, batch.other_actions, batch.other_q, batch.other_values, strict=True
    ):
        for t in range(STEPS):
            differentiable = rewards[t]
            for s in range(t + 1, STEPS):
                # the return from t + 1 on, and what loaded DiCE adds to it at its value 0
                differentiable = differentiable + DISCOUNT ** (s - t) * rewards[s]
                future = sum(DISCOUNT ** (u - s) * rewards[u] for u in range(s, STEPS))
                influence = DISCOUNT * (DISCOUNT * shaper.decay) ** (s - t - 1)
                differentiable = differentiable + influence * (future - values[s]) * (box[s] - before[s])
            replaced = q_values[t].scatter(-1, taken[t].unsqueeze(-1), differentiable.unsqueeze(-1))
            logs = torch.log_softmax(replaced / shaper.temperature, -1)
            gained = logs.gather(-1, taken[t].unsqueeze(-1)).squeeze(-1) * advantages[t]
            total = total + shaper.weight * torch.nn.functional.one_hot(torch.tensor(t), STEPS).unsqueeze(-1) * gained
    return -total.mean()


@pytest.mark.parametrize("shaper", [LOQA(), LOQA(0.7, 1.6, 0.5), LOQA(1.0)], ids=["paper", "others", "no decay"])
def test_loqa_is_a_policy_gradient_with_other_advantages(shaper):
    log_probs = torch.randn(STEPS, GAMES, dtype=torch.float64).requires_grad_()
    batch = batch_of(log_probs, torch.randn(STEPS + 1, GAMES, dtype=torch.float64))
    (expected,) = torch.autograd.grad(paper_loss(batch, shaper), log_probs)
    (given,) = torch.autograd.grad(shaper.loss(batch, DISCOUNT), log_probs)
    torch.testing.assert_close(given, expected)


def test_the_published_code_differentiates_its_advantages_too():
    log_probs = torch.randn(STEPS, GAMES, dtype=torch.float64).requires_grad_()
    values = torch.randn(STEPS + 1, GAMES, dtype=torch.float64).requires_grad_()
    batch, shaper = batch_of(log_probs, values), LOQA(through_advantages=True)
    expected = torch.autograd.grad(paper_loss(batch, shaper, detached=False), [log_probs, values])
    given = torch.autograd.grad(shaper.loss(batch, DISCOUNT), [log_probs, values])
    torch.testing.assert_close(given, expected)


def test_earlier_sums_leave_out_their_own_time():
    x = torch.randn(5, 2, dtype=torch.float64)
    sums = earlier_sums(x, 0.5)
    torch.testing.assert_close(sums[0], torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(sums[3], x[2] + 0.5 * x[1] + 0.25 * x[0])
