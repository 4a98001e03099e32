"""PPO in one file, in CleanRL's manner, on 1024 vectorised prisoner's dilemmas.

python examples/single_file_ppo.py                  # a few seconds
python examples/single_file_ppo.py --opponent learning --num-envs 256
"""

import argparse

import gymnasium
import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

import mamrl  # noqa: F401  (Gymnasium knows mamrl/IPD-v0 by it)
from mamrl import ops


class Agent(nn.Module):
    """One logit vector and one value a state: the game has five."""

    def __init__(self, num_states: int, num_actions: int) -> None:
        super().__init__()
        self.actor = nn.Embedding.from_pretrained(torch.zeros(num_states, num_actions), freeze=False)
        self.critic = nn.Embedding.from_pretrained(torch.zeros(num_states, 1), freeze=False)

    def forward(self, states: torch.Tensor) -> tuple[Categorical, torch.Tensor]:
        return Categorical(logits=self.actor(states)), self.critic(states).squeeze(-1)


def main(arguments: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--opponent", default="tit-for-tat")
    parser.add_argument("--num-envs", type=int, default=1024)
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--num-steps", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--gamma", type=float, default=0.96)
    parser.add_argument("--gae-lambda", type=float, default=0.95)
    parser.add_argument("--clip", type=float, default=0.2)
    parser.add_argument("--entropy", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)

    torch.manual_seed(args.seed)
    envs = gymnasium.make_vec(
        "mamrl/IPD-v0", num_envs=args.num_envs, opponent=args.opponent, autoreset_mode="SameStep", episode_length=100
    )
    agent = Agent(int(envs.single_observation_space.n), int(envs.single_action_space.n))
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.lr)
    shape = (args.num_steps, args.num_envs)
    states, actions = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
    log_probs, rewards, values = torch.zeros(shape), torch.zeros(shape), torch.zeros(args.num_steps + 1, args.num_envs)
    truncations = torch.zeros(shape, dtype=torch.bool)

    state = torch.from_numpy(envs.reset(seed=args.seed)[0])
    for iteration in range(args.iterations):
        for t in range(args.num_steps):
            states[t] = state
            with torch.no_grad():
                policy, values[t] = agent(state)
            actions[t] = policy.sample()
            log_probs[t] = policy.log_prob(actions[t])
            observation, reward, _, truncated, _ = envs.step(actions[t].numpy())
            state, rewards[t] = torch.from_numpy(observation), torch.from_numpy(reward)
            truncations[t] = torch.from_numpy(truncated)
        with torch.no_grad():
            values[-1] = agent(state)[1]
            # a game of fixed length that goes on is cut there as if it had ended
            advantages = ops.gae(rewards, values, args.gamma, args.gae_lambda, terminations=truncations)
        returns = advantages + values[:-1]
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        for _ in range(args.epochs):
            policy, value = agent(states)
            ratio = (policy.log_prob(actions) - log_probs).exp()
            clipped = ratio.clamp(1 - args.clip, 1 + args.clip)
            objective = torch.minimum(ratio * advantages, clipped * advantages) + args.entropy * policy.entropy()
            loss = 0.5 * (value - returns).square().mean() - objective.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if iteration % 10 == 9 or iteration + 1 == args.iterations:
            cooperation = agent(torch.arange(5))[0].probs[:, 0].tolist()
            shown = np.array2string(np.array(cooperation), precision=2, floatmode="fixed")
            print(f"{iteration + 1:4d}: {rewards.mean():+.2f} a step, P(C) at start, CC, CD, DC, DD: {shown}")
    return float(rewards.mean())


if __name__ == "__main__":
    main()
