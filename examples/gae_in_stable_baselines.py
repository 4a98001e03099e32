"""mamrl.ops.gae inside someone else's PPO: stable-baselines3 with its advantages computed by the kernel.

python examples/gae_in_stable_baselines.py
"""

import argparse

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.env_util import make_vec_env

import mamrl  # noqa: F401  (Gymnasium knows mamrl/IPD-v0 by it)
from mamrl import ops


class KernelRolloutBuffer(RolloutBuffer):
    """A rollout buffer whose advantages are one call of the kernel instead of a loop over time."""

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: np.ndarray) -> None:
        # an episode start at t + 1 is an end after t
        ends = np.concatenate([self.episode_starts[1:], dones[None]]).astype(bool)
        values = np.concatenate([self.values, last_values.detach().numpy().reshape(1, -1)])
        advantages = ops.gae(
            torch.from_numpy(self.rewards),
            torch.from_numpy(values),
            self.gamma,
            self.gae_lambda,
            terminations=torch.from_numpy(ends),
        )
        self.advantages = advantages.numpy()
        self.returns = self.advantages + self.values


def train(buffer: type[RolloutBuffer] | None, steps: int) -> PPO:
    env = make_vec_env("mamrl/IPD-v0", n_envs=8, seed=0, env_kwargs={"episode_length": 50})
    agent = PPO("MlpPolicy", env, n_steps=64, batch_size=128, seed=0, rollout_buffer_class=buffer)
    return agent.learn(steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=8192)
    steps = parser.parse_args().steps
    theirs, ours = train(None, steps), train(KernelRolloutBuffer, steps)
    apart = max(
        float((a - b).detach().abs().max())
        for a, b in zip(theirs.policy.parameters(), ours.policy.parameters(), strict=True)
    )
    print(f"after {steps} steps the parameters of the two agents differ by at most {apart:.1e}")


if __name__ == "__main__":
    main()
