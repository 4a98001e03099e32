"""A game and a learning rule of one's own, on the batched API: REINFORCE with regard for the other.

Both agents follow the policy gradient of their own reward plus ``regard`` times the other's, in 1024 games at once that
share the two agents' tables.

    python examples/own_algorithm.py
"""

import torch

from mamrl import ops
from mamrl.envs import batched
from mamrl.games import MatrixGame

HORIZON, DISCOUNT = 20, 0.9
# who grazes a second cow gains by it whatever the other does, and takes more from the other than it gains
GAME = MatrixGame([[[3.0, 0.0], [4.0, 1.0]], [[3.0, 4.0], [0.0, 1.0]]], "two herders", ("One cow", "Two cows"))


def learn(regard: float, iterations: int = 60, num_envs: int = 1024, lr: float = 0.3) -> float:
    """The mean of both rewards a step after learning."""
    env = batched(GAME, num_envs, episode_length=HORIZON)
    logits = [torch.zeros(GAME.num_states, 2, requires_grad=True) for _ in range(2)]
    optimizer = torch.optim.Adam(logits, lr=lr)
    for _ in range(iterations):
        states, _ = env.reset()
        log_probs, rewards = [], []
        for _ in range(HORIZON):
            policies = [
                torch.distributions.Categorical(logits=table[s]) for table, s in zip(logits, states, strict=True)
            ]
            actions = torch.stack([policy.sample() for policy in policies])
            log_probs.append(torch.stack([p.log_prob(a) for p, a in zip(policies, actions, strict=True)]))
            states, reward, *_ = env.step(actions)
            rewards.append(reward)
        own = torch.stack(rewards)  # (T, 2, E)
        returns = ops.discounted_returns(own + regard * own.flip(1), DISCOUNT)
        surrogate = torch.stack(log_probs) * (returns - returns.mean(-1, keepdim=True))
        optimizer.zero_grad()
        (-surrogate.mean()).backward()
        optimizer.step()
    return float(own.mean())


def main() -> None:
    torch.manual_seed(0)
    for regard in (0.0, 1.0):
        print(f"regard for the other {regard:g}: {learn(regard):.2f} a step")


if __name__ == "__main__":
    main()
