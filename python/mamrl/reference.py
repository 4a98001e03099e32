"""A plain-torch twin of every op: what each kernel is tested against, and what a reader reads first (that of
networks over pairs is in :mod:`mamrl.pair_layers`).

Shapes: T time, M chains, K trajectories, n players, A actions, S states, N hidden units. Nothing here is fast; autograd
differentiates all of it, to any order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# ---- estimators over time ---------------------------------------------------------------------------


def gae(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor | None,
    terminations: Tensor | None,
    truncations: Tensor | None,
    discount: float,
    gae_lambda: float,
) -> Tensor:
    """A_t = delta_t + discount * lambda * A_{t+1} (Schulman et al. 2016, equation 16).

    All arguments (T, ...), but values (T + 1, ...) where next_values is None: they are values[1:] then.
    """
    if next_values is None:
        values, next_values = values[:-1], values[1:]
    ended = _mask(terminations, rewards)
    cut = torch.maximum(ended, _mask(truncations, rewards))
    deltas = rewards + discount * (1 - ended) * next_values - values
    advantages, carried = [], torch.zeros_like(rewards[:1].sum(0))
    for t in reversed(range(rewards.shape[0])):
        carried = deltas[t] + discount * gae_lambda * (1 - cut[t]) * carried
        advantages.append(carried)
    return torch.stack(advantages[::-1]) if advantages else rewards.clone()


def discounted_returns(
    rewards: Tensor,
    next_values: Tensor | None,
    terminations: Tensor | None,
    truncations: Tensor | None,
    discount: float,
) -> Tensor:
    """R_t = r_t + discount * R_{t+1}; at a truncation and at the end ``next_values`` (or zero) stands for R_{t+1}."""
    bootstrap = torch.zeros_like(rewards) if next_values is None else next_values
    ended, cut = _mask(terminations, rewards), _mask(truncations, rewards)
    returns: list[Tensor] = []
    for t in reversed(range(rewards.shape[0])):
        following = returns[-1] if returns else bootstrap[t]
        following = cut[t] * bootstrap[t] + (1 - cut[t]) * following
        returns.append(rewards[t] + discount * (1 - ended[t]) * following)
    return torch.stack(returns[::-1]) if returns else rewards.clone()


def linear_baseline(observations: Tensor, returns: Tensor, num_states: int, ridge: float) -> Tensor:
    """Least squares on [obs, obs^2, t/100, (t/100)^2, (t/100)^3, 1] (Duan et al. 2016), one fit a chain.

    observations: (T, M, K, O) floating, or (T, M, K) int64 indices of ``num_states`` one-hot states; returns:
    (T, M, K). The normal equations are built and solved in float64; the ridge is multiplied by ten, at most five times,
    while the Cholesky factorisation fails.
    """
    if observations.dtype == torch.int64:
        observations = torch.nn.functional.one_hot(observations, num_states)
    horizon, chains, trajectories = returns.shape
    obs = observations.to(torch.float64)
    time = torch.arange(horizon, dtype=torch.float64, device=obs.device).div(100).view(-1, 1, 1, 1)
    time = time.expand(horizon, chains, trajectories, 1)
    features = torch.cat([obs, obs**2, time, time**2, time**3, torch.ones_like(time)], dim=-1)
    predictions = torch.empty_like(returns)
    for m in range(chains):
        x = features[:, m].reshape(horizon * trajectories, -1)
        y = returns[:, m].reshape(-1, 1).to(torch.float64)
        gram, right = x.T @ x, x.T @ y
        weight = ridge
        for _ in range(6):
            factor, failed = torch.linalg.cholesky_ex(gram + weight * torch.eye(x.shape[1], dtype=x.dtype))
            solution = torch.cholesky_solve(right, factor)
            if not failed and solution.isfinite().all():
                break
            weight *= 10
        else:
            raise RuntimeError("linear_baseline: the normal equations stay singular; are there NaN or inf?")
        predictions[:, m] = (x @ solution).view(horizon, trajectories).to(returns.dtype)
    return predictions


def _mask(mask: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if mask is None else mask.to(like.dtype)


# ---- DiCE -------------------------------------------------------------------------------------------


def magic_box(x: Tensor) -> Tensor:
    """box(x) = exp(x - stop(x)): one at its value, with the derivative of x (Foerster et al. 2018c)."""
    return torch.exp(x - x.detach())


def dice_objective(log_probs: Tensor, rewards: Tensor, baseline: Tensor, discount: float) -> Tensor:
    """mean_k sum_t box(sum_{s<=t} D_s) g^t r_t + mean_k sum_t (1 - box(D_t)) g^t b_t; (T, M, K) each -> (M,)."""
    powers = discount_powers(log_probs, discount)
    reinforced = magic_box(log_probs.cumsum(0)) * powers * rewards
    baselined = (1 - magic_box(log_probs)) * powers * baseline
    return (reinforced + baselined).sum(0).mean(-1)


def loaded_dice_objective(log_probs: Tensor, advantages: Tensor, discount: float) -> Tensor:
    """mean_k sum_t (box(sum_{s<=t} D_s) - box(sum_{s<t} D_s)) g^t A_t (Farquhar et al. 2019); (T, M, K) -> (M,)."""
    influence = log_probs.cumsum(0)
    boxes = magic_box(influence) - magic_box(influence - log_probs)
    return (boxes * discount_powers(log_probs, discount) * advantages).sum(0).mean(-1)


def dice_pair_weights(rewards: Tensor, discount: float) -> Tensor:
    """rho_t = sum_{s>=t} g^s r_s, the second output of the op dice_objective; that of the loaded one is g^t A_t."""
    return (discount_powers(rewards, discount) * rewards).flip(0).cumsum(0).flip(0)


def dice_gradient(
    log_probs: Tensor, grad: Tensor, pair_weights: Tensor, baseline: Tensor | None, discount: float
) -> Tensor:
    """d objective / d D_t = (rho_t - g^t b_t) / K, times ``grad`` (M,). ``log_probs`` only carries the derivative."""
    return _dice_weights(pair_weights, baseline, discount) * grad[None, :, None] / log_probs.shape[-1]


def dice_hessian_product(
    log_probs: Tensor, vector: Tensor, grad: Tensor, pair_weights: Tensor, baseline: Tensor | None, discount: float
) -> tuple[Tensor, Tensor]:
    """The derivative of <vector, dice_gradient> in D and in ``grad``: (T, M, K) and (M,).

    d^2 objective / d D_t d D_s = (rho_{max(t,s)} - [t=s] g^t b_t) / K.
    """
    weights = _dice_weights(pair_weights, baseline, discount)
    later = pair_weights * vector
    product = pair_weights * vector.cumsum(0) + later.flip(0).cumsum(0).flip(0) - later
    product = product - (pair_weights - weights) * vector
    num_trajectories = log_probs.shape[-1]
    return product * grad[None, :, None] / num_trajectories, (vector * weights).sum((0, 2)) / num_trajectories


def _dice_weights(pair_weights: Tensor, baseline: Tensor | None, discount: float) -> Tensor:
    return pair_weights if baseline is None else pair_weights - discount_powers(baseline, discount) * baseline


def discount_powers(like: Tensor, discount: float) -> Tensor:
    """discount^t as (T, 1, 1), in the dtype and on the device of ``like``."""
    exponents = torch.arange(like.shape[0], dtype=torch.float64, device=like.device)
    return (discount**exponents).to(like.dtype).view(-1, *[1] * (like.dim() - 1))


# ---- tables -----------------------------------------------------------------------------------------


def table_lookup(table: Tensor, index: Tensor) -> Tensor:
    """table (M, R), index (T, M, K) int64 -> (T, M, K): out[t, m, k] = table[m, index[t, m, k]]."""
    horizon, chains, trajectories = index.shape
    flat = index.permute(1, 0, 2).reshape(chains, -1)
    return table.gather(1, flat).view(chains, horizon, trajectories).permute(1, 0, 2).contiguous()


def table_accumulate(values: Tensor, index: Tensor, num_rows: int) -> Tensor:
    """The transpose of :func:`table_lookup`: sums values (T, M, K) into (M, num_rows)."""
    chains = index.shape[1]
    flat = index.permute(1, 0, 2).reshape(chains, -1)
    return values.new_zeros(chains, num_rows).scatter_add(1, flat, values.permute(1, 0, 2).reshape(chains, -1))


# ---- the LSTM with its output layer -----------------------------------------------------------------


def lstm_cell(preactivations: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """One step, gates in torch's order input, forget, cell, output; (..., 4N) and (..., N) -> hidden, cell (..., N)."""
    i, f, g, o = preactivations.chunk(4, dim=-1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def lstm(
    gate_inputs: Tensor,
    states: Tensor | None,
    recurrent_weight: Tensor,
    head_weight: Tensor,
    head_bias: Tensor,
) -> Tensor:
    """Outputs (T, M, K, A) of an LSTM started at zero with a linear head, every chain with its own weights.

    gate_inputs: the input's share of the gates, biases included: a table (M, S, 4N) read at states (T, M, K) int64, or,
    where states is None, dense (T, M, K, 4N). recurrent_weight (M, 4N, N), head_weight (M, A, N), head_bias (M, A).
    """
    if states is None:
        horizon, chains, trajectories, _ = gate_inputs.shape
    else:
        horizon, chains, trajectories = states.shape
    units = recurrent_weight.shape[-1]
    hidden = recurrent_weight.new_zeros(chains, trajectories, units)
    cell = torch.zeros_like(hidden)
    outputs = []
    for t in range(horizon):
        if states is None:
            inputs = gate_inputs[t]
        else:
            inputs = gate_inputs.gather(1, states[t].unsqueeze(-1).expand(-1, -1, 4 * units))
        hidden, cell = lstm_cell(inputs + hidden @ recurrent_weight.mT, cell)
        outputs.append(hidden @ head_weight.mT + head_bias.unsqueeze(1))
    return torch.stack(outputs) if outputs else hidden.new_zeros(0, chains, trajectories, head_weight.shape[1])


# ---- counter-based random numbers -------------------------------------------------------------------

_WORD = 0xFFFFFFFF


def philox(counter: Sequence[Tensor], key: Sequence[Tensor]) -> list[Tensor]:
    """Philox4x32-10 (Salmon et al. 2011): four counter words and two key words, int64 in [0, 2^32) -> four words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = _multiply_words(c0, 0xD2511F53)
        high1, low1 = _multiply_words(c2, 0xCD9E8D57)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & _WORD, (k1 + 0xBB67AE85) & _WORD
    return [c0, c1, c2, c3]


def _multiply_words(word: Tensor, constant: int) -> tuple[Tensor, Tensor]:
    """The high and low words of a 32 x 32 bit product, in two halves since int64 has no room for all of it."""
    low_product = word * (constant & 0xFFFF)
    high_product = word * (constant >> 16) + (low_product >> 16)
    return high_product >> 16, ((high_product & 0xFFFF) << 16) | (low_product & 0xFFFF)


def uniforms(keys: Tensor, time: int, num_trajectories: int, player: int) -> Tensor:
    """What decides one player's actions at one time: (M, K) float64 in [0, 1), multiples of 2^-24.

    keys: (M, 2) int64, a seed and a stream for each chain. The seed is Philox's key; the counter's words are time,
    trajectory + 2^24 * (player // 4), and the two halves of the stream; the player takes word player % 4.
    """
    seed, stream = (keys[:, i, None].expand(-1, num_trajectories) for i in (0, 1))
    trajectory = torch.arange(num_trajectories, device=keys.device).expand_as(seed) + ((player // 4) << 24)
    counter = [torch.full_like(seed, time), trajectory, stream & _WORD, (stream >> 32) & _WORD]
    words = philox(counter, [seed & _WORD, (seed >> 32) & _WORD])
    return (words[player % 4] >> 8).to(torch.float64) * 2.0**-24


def sample(logits: Tensor, uniform: Tensor) -> Tensor:
    """The action at which the cumulated probability first exceeds ``uniform``: (..., A), (...) -> (...) int64."""
    probabilities = torch.exp(logits - logits.amax(-1, keepdim=True))
    cumulated = probabilities.cumsum(-1)
    reached = cumulated <= uniform.to(logits.dtype).unsqueeze(-1) * cumulated[..., -1:]
    return reached.sum(-1).clamp(max=logits.shape[-1] - 1)


# ---- rollouts of matrix games -----------------------------------------------------------------------

TABULAR, LSTM, LSTM_WITH_VALUE = 0, 1, 2
NUM_TENSORS = {TABULAR: 1, LSTM: 4, LSTM_WITH_VALUE: 8}


def matrix_game_rollout(
    payoffs: Tensor,
    networks: Sequence[Tensor],
    kinds: Sequence[int],
    keys: Tensor,
    num_trajectories: int,
    horizon: int,
) -> list[Tensor]:
    """M chains x K trajectories x T steps of an n-player matrix game.

    payoffs: (n, A_1, ..., A_n). networks: each player's tensors in turn; ``TABULAR`` has logits (M, S, A_p), ``LSTM``
    the tensors of :func:`lstm` with states (gate table, recurrent weight, head weight, head bias), ``LSTM_WITH_VALUE``
    those and four more of a value network with one output. keys: (M, 2) int64, see :func:`uniforms`.

    Player p sees state 0 at first, then 1 + the joint action in mixed radix, its own action first, then the others' in
    their order.

    Returns:
        [states (n, T, M, K) int64, actions (n, T, M, K) int64, rewards (n, T, M, K)], then for each LSTM in turn its
        outputs (T, M, K, A) and what its backward needs (here an empty tensor).
    """
    num_players, action_counts = payoffs.shape[0], payoffs.shape[1:]
    chains = keys.shape[0]
    policies = _split_networks(networks, kinds)
    state = torch.zeros(num_players, chains, num_trajectories, dtype=torch.int64)
    seen: list[list[Tensor]] = [[] for _ in range(num_players)]
    states, actions, rewards = [], [], []
    for t in range(horizon):
        chosen = []
        for player in range(num_players):
            seen[player].append(state[player])
            network = policies[player]
            if kinds[player] == TABULAR:
                index = state[player].unsqueeze(-1).expand(-1, -1, action_counts[player])
                logits = network[0].gather(1, index)
            else:
                logits = lstm(network[0], torch.stack(seen[player]), *network[1:4])[-1]
            chosen.append(sample(logits, uniforms(keys, t, num_trajectories, player)))
        joint = torch.stack(chosen)
        states.append(state)
        actions.append(joint)
        outcome: tuple[slice | Tensor, ...] = (slice(None), *chosen)
        rewards.append(payoffs[outcome])
        state = torch.stack([joint_state(joint, p, action_counts) for p in range(num_players)])
    result = [torch.stack(x, dim=1) for x in (states, actions, rewards)]
    for player, kind in enumerate(kinds):
        for first in range(0, NUM_TENSORS[kind] if kind != TABULAR else 0, 4):
            network = policies[player][first : first + 4]
            result += [lstm(network[0], result[0][player], *network[1:]), payoffs.new_zeros(0)]
    return result


def joint_state(actions: Tensor, player: int, action_counts: Sequence[int]) -> Tensor:
    """1 + the joint action (n, ...) in mixed radix as ``player`` sees it: its own action first, then the others'."""
    state = actions[player].clone()
    for other in range(len(action_counts)):
        if other != player:
            state = state * action_counts[other] + actions[other]
    return state + 1


# ---- matrix games as environments -------------------------------------------------------------------

AUTORESETS = ("next-step", "same-step", "disabled")


def matrix_game_steps(
    payoffs: Tensor, actions: Tensor, elapsed: Tensor, episode_length: int, autoreset: str
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """T steps of E environments: payoffs (n, A_1, ..., A_n), actions (n, T, E), elapsed (E,) int32 steps since a start.

    Returns:
        states (n, T, E) after each step, final_states (n, T, E) before "same-step" put the next start in their place
        (empty in other modes), rewards (n, T, E), truncations (T, E) bool, and elapsed after the last step.
    """
    num_players, action_counts = payoffs.shape[0], payoffs.shape[1:]
    joint = actions.long()
    states = torch.stack([joint_state(joint, p, action_counts) for p in range(num_players)])
    rewards = payoffs[(slice(None), *joint)]
    final_states = states.clone() if autoreset == "same-step" else states.new_empty(0)
    truncations = torch.zeros(actions.shape[1:], dtype=torch.bool, device=actions.device)
    elapsed = elapsed.clone()
    for t in range(actions.shape[1] if episode_length else 0):
        waiting = (elapsed == episode_length) & (autoreset == "next-step")
        elapsed = torch.where(waiting, 0, elapsed + 1)
        truncations[t] = elapsed == episode_length
        rewards[:, t, waiting] = 0
        started = waiting
        if autoreset == "same-step":
            started = truncations[t]
            elapsed = torch.where(started, 0, elapsed)
        states[:, t, started] = 0
    return states.to(actions.dtype), final_states.to(actions.dtype), rewards, truncations, elapsed


def matrix_game_turn(
    payoffs: Tensor,
    probabilities: Tensor,
    rows: Tensor | None,
    seeds: Tensor | None,
    clocks: Tensor | None,
    actions: Tensor,
    states: Tensor,
    elapsed: Tensor,
    episode_length: int,
    autoreset: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A step of two players, the first one's actions (E,) given and the second one's drawn at its states (E,)."""
    joint = torch.stack([actions.to(states.dtype), tabular_actions(probabilities, states, rows, seeds, clocks, 1)])
    return matrix_game_steps(payoffs, joint.unsqueeze(1), elapsed, episode_length, autoreset)


def tabular_actions(
    probabilities: Tensor,
    states: Tensor,
    rows: Tensor | None,
    seeds: Tensor | None,
    clocks: Tensor | None,
    player: int,
) -> Tensor:
    """Actions (E,) at states (E,), from row ``rows`` (E,) of probabilities (R, S, A); rows None is row 0.

    An environment's draw is Philox's, keyed by its seed and counted by its clock, both (E,) int64; where both are None
    nothing is random, and every distribution has to be sure of its action.
    """
    row = torch.zeros_like(states, dtype=torch.int64) if rows is None else rows
    cumulated = probabilities[row, states.long()].cumsum(-1)
    uniform = torch.zeros(len(states), dtype=torch.float64, device=states.device)
    if seeds is not None and clocks is not None:
        stream = clocks >> 32
        counter = [clocks & _WORD, torch.full_like(clocks, (player // 4) << 24), stream & _WORD, (stream >> 32) & _WORD]
        words = philox(counter, [seeds & _WORD, (seeds >> 32) & _WORD])
        uniform = (words[player % 4] >> 8).to(torch.float64) * 2.0**-24
    reached = cumulated[..., :-1] <= uniform.to(cumulated.dtype).unsqueeze(-1) * cumulated[..., -1:]
    return reached.sum(-1).to(states.dtype)


def _split_networks(networks: Sequence[Tensor], kinds: Sequence[int]) -> list[list[Tensor]]:
    policies, first = [], 0
    for kind in kinds:
        policies.append(list(networks[first : first + NUM_TENSORS[kind]]))
        first += NUM_TENSORS[kind]
    return policies


# ---- meta-values ------------------------------------------------------------------------------------


def quantile_huber(predicted: Tensor, target: Tensor) -> Tensor:
    """sum_i mean_j |tau_i - 1[u_ij < 0]| huber(u_ij), u_ij = target_j - predicted_i (Dabney et al. 2018); (..., Q)."""
    count = predicted.shape[-1]
    levels = (torch.arange(count, dtype=predicted.dtype, device=predicted.device) + 0.5) / count
    error = target.unsqueeze(-2) - predicted.unsqueeze(-1)
    size = error.abs()
    # huber(u) = m (|u| - m / 2) with m = min(|u|, 1)
    core = size.clamp(max=1.0)
    weight = (levels.unsqueeze(-1) - (error < 0).to(error.dtype)).abs()
    return (weight * core * (size - 0.5 * core)).mean(-1).sum(-1)
