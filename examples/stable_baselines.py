"""stable-baselines3's PPO in the iterated prisoner's dilemma, against tit-for-tat and against a peer that learns.

    python examples/stable_baselines.py                 # about two minutes
    python examples/stable_baselines.py --steps 2000

Against tit-for-tat it learns to cooperate (.5 a step). A peer that takes policy-gradient steps is another game: what is
learned depends on the peer that is met, which is what meta-learning is for.
"""

import argparse

from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

import mamrl.envs

EPISODE = 50
OPPONENTS = {"tit-for-tat": "tit-for-tat", "learning": mamrl.envs.LearningOpponent(episodes=4, lifetime=7)}


def train(opponent: object, steps: int, seed: int) -> float:
    """PPO's mean reward a step after ``steps`` environment steps."""
    settings = {"opponent": opponent, "episode_length": EPISODE}
    env = make_vec_env("mamrl/IPD-v0", n_envs=8, seed=seed, env_kwargs=settings)
    agent = PPO("MlpPolicy", env, n_steps=EPISODE, batch_size=100, gamma=0.96, learning_rate=1e-3, seed=seed, verbose=0)
    agent.learn(steps)
    total, _ = evaluate_policy(agent, env, n_eval_episodes=16, deterministic=False)
    return float(total) / EPISODE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for name, opponent in OPPONENTS.items():
        print(f"{name}: {train(opponent, arguments.steps, arguments.seed):+.2f} a step")


if __name__ == "__main__":
    main()
