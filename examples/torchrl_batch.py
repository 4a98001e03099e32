"""TorchRL's PPO on environments that step together in C++: 256 prisoner's dilemmas against tit-for-tat.

    python examples/torchrl_batch.py                    # some ten seconds

It learns to cooperate (.5 a step). examples/torchrl_rollout.py goes through TorchRL's own wrapper.
"""

import argparse

import gymnasium
import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.envs import ExplorationType, set_exploration_type
from torchrl.modules import ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from mamrl.envs import TorchRLEnv

EPISODE = 50


def network(outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 32), nn.Tanh(), nn.Linear(32, outputs))


def train(num_envs: int, iterations: int, seed: int) -> float:
    """PPO's mean reward a step in its last rollout."""
    torch.manual_seed(seed)
    settings = {"observation": "one-hot", "episode_length": EPISODE, "autoreset_mode": "Disabled"}
    env = TorchRLEnv(gymnasium.make_vec("mamrl/IPD-v0", num_envs=num_envs, **settings))
    env.set_seed(seed)
    logits = TensorDictModule(network(2), in_keys=["observation"], out_keys=["logits"])
    actor = ProbabilisticActor(
        logits,
        ["logits"],
        spec=env.action_spec,
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
    )
    critic = ValueOperator(network(1), in_keys=["observation"])
    loss = ClipPPOLoss(actor, critic, entropy_coeff=0.01)
    advantages = GAE(gamma=0.96, lmbda=0.95, value_network=critic)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-2)
    for _ in range(iterations):
        with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
            played = env.rollout(EPISODE, actor, break_when_any_done=False)
            advantages(played)
        for _ in range(8):
            losses = loss(played.reshape(-1))
            total = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
    return float(played["next", "reward"].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--num-envs", type=int, default=256)
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"{train(arguments.num_envs, arguments.iterations, arguments.seed):+.2f} a step")


if __name__ == "__main__":
    main()
