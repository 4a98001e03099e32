"""Gaussian LSTM policies against torch's own LSTM and normal distribution, and their derivatives."""

import pytest
import torch

from mamrl.policies.gaussian import GaussianLSTMPolicy, gaussian_policies

SMALL = GaussianLSTMPolicy(observation_columns=(2, 5, 9), action_columns=(1, 4), hidden_size=3)


def parameters_of(policy, chains, scale=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    return scale * torch.randn(chains, policy.num_parameters, generator=generator, dtype=dtype)


def played(chains=2, horizon=4, trajectories=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(4)
    observations = torch.randn(horizon, chains, trajectories, 17, generator=generator, dtype=dtype)
    return observations, torch.randn(horizon, chains, trajectories, 6, generator=generator, dtype=dtype)


def torch_means(policy, row, observations):
    """The same network of one chain by torch.nn, whose second gate bias stays zero."""
    w_in, b_in, w_gates, w_recurrent, b_gates, w_head, b_head, _ = (w[0] for w in policy.weights(row.unsqueeze(0)))
    lstm = torch.nn.LSTM(policy.hidden_size, policy.hidden_size, dtype=row.dtype)
    with torch.no_grad():
        for name, value in (
            ("weight_ih_l0", w_gates),
            ("weight_hh_l0", w_recurrent),
            ("bias_ih_l0", b_gates),
            ("bias_hh_l0", torch.zeros_like(b_gates)),
        ):
            getattr(lstm, name).copy_(value)
        embedded = torch.relu(observations[..., list(policy.observation_columns)] @ w_in.T + b_in)
        return lstm(embedded)[0] @ w_head.T + b_head


def test_means_are_those_of_torchs_lstm_chain_by_chain():
    policy = gaussian_policies("2x3", hidden_size=20)[1]
    rows = parameters_of(policy, 2, 0.3)
    observations, _ = played()
    means = policy.means(rows, observations)
    for chain in range(2):
        expected = torch_means(policy, rows[chain], observations[:, chain])
        torch.testing.assert_close(means[:, chain], expected, rtol=1e-12, atol=1e-12)


def test_log_probs_and_entropies_are_those_of_independent_normals():
    rows = parameters_of(SMALL, 2)
    observations, actions = played()
    means = SMALL.means(rows, observations)
    normal = torch.distributions.Normal(means, SMALL.weights(rows)[-1].exp().unsqueeze(1).expand_as(means))
    expected = normal.log_prob(actions[..., [1, 4]]).sum(-1)
    torch.testing.assert_close(SMALL.log_probs(rows, observations, actions), expected)
    torch.testing.assert_close(SMALL.entropies(rows, observations), normal.entropy().sum(-1))


def test_log_probs_are_differentiable_twice():
    rows = parameters_of(SMALL, 1, 0.5).requires_grad_()
    observations, actions = played(chains=1, horizon=3, trajectories=2)

    def total(parameters):
        return SMALL.log_probs(parameters, observations, actions).sum()

    assert torch.autograd.gradcheck(total, (rows,))
    assert torch.autograd.gradgradcheck(total, (rows,))


def test_a_standard_deviation_has_a_floor():
    rows = torch.zeros(1, SMALL.num_parameters, dtype=torch.float64)
    rows[:, -2:] = -1e3
    observations, actions = played(chains=1)
    at_floor = torch.distributions.Normal(0.0, 1e-6).log_prob(actions[..., [1, 4]]).sum(-1)
    torch.testing.assert_close(SMALL.log_probs(rows, observations, actions), at_floor)


def test_each_policy_of_a_factorization_takes_its_own_columns():
    back, front = gaussian_policies("2x3", neighbours=0)
    assert (back.action_columns, front.action_columns) == ((0, 1, 2), (3, 4, 5))
    assert back.observation_columns == (4, 13, 3, 12, 2, 11, 0, 1, 8, 9, 10)
    rows = parameters_of(front, 1)
    observations, actions = played(chains=1)
    unseen = observations.clone()
    unseen[..., list(back.observation_columns[:6])] += 1
    unseen_actions = actions.clone()
    unseen_actions[..., :3] += 1
    torch.testing.assert_close(
        front.log_probs(rows, unseen, unseen_actions), front.log_probs(rows, observations, actions), rtol=0, atol=0
    )


def test_the_papers_policy_has_as_many_parameters_as_its_layers():
    # 17*64+64, 64*256 twice, 256, 64*3+3, and 3 standard deviations
    assert gaussian_policies("2x3")[0].num_parameters == 1152 + 2 * 16384 + 256 + 195 + 3


def test_wrong_parameters_are_refused():
    with pytest.raises(ValueError, match=r"parameters have shape \(2, 5\), expected \(chains, "):
        SMALL.log_probs(torch.zeros(2, 5), *played())
