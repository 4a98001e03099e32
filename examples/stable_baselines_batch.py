"""stable-baselines3's PPO on environments that step together in C++: 256 prisoner's dilemmas against tit-for-tat.

    python examples/stable_baselines_batch.py           # some ten seconds

It learns to cooperate (.5 a step). examples/stable_baselines.py does the same with single environments.
"""

import argparse

import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor

from mamrl.envs import StableBaselinesVecEnv

EPISODE = 50


def train(num_envs: int, steps: int, seed: int) -> float:
    """PPO's mean reward a step after ``steps`` environment steps."""
    settings = {"num_envs": num_envs, "episode_length": EPISODE, "autoreset_mode": "SameStep"}
    env = VecMonitor(StableBaselinesVecEnv(gymnasium.make_vec("mamrl/IPD-v0", **settings)))
    agent = PPO("MlpPolicy", env, n_steps=EPISODE, batch_size=800, gamma=0.96, learning_rate=3e-3, seed=seed)
    agent.learn(steps)
    total, _ = evaluate_policy(agent, env, n_eval_episodes=num_envs, deterministic=False)
    return float(total) / EPISODE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--num-envs", type=int, default=256)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"{train(arguments.num_envs, arguments.steps, arguments.seed):+.2f} a step")


if __name__ == "__main__":
    main()
