"""The prisoner's dilemma under TorchRL: its Gymnasium wrapper over one environment, and over a batch of them.

python examples/torchrl_rollout.py
"""

import gymnasium
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.envs import ExplorationType, GymWrapper, check_env_specs, set_exploration_type
from torchrl.modules import OneHotCategorical, ProbabilisticActor

import mamrl  # noqa: F401  (Gymnasium knows mamrl/IPD-v0 by it)


def one(steps: int) -> TensorDict:
    """A random policy in one environment, whose specifications TorchRL checks."""
    env = GymWrapper(gymnasium.make("mamrl/IPD-v0", observation="one-hot", episode_length=50))
    check_env_specs(env)
    env.set_seed(0)
    return env.rollout(steps)


def many(num_envs: int, steps: int) -> TensorDict:
    """An untrained network in a batch of environments that step together in C++; TorchRL resets them by mask."""
    settings = {"observation": "one-hot", "opponent": "win-stay-lose-shift", "episode_length": 8}
    env = GymWrapper(gymnasium.make_vec("mamrl/IPD-v0", num_envs=num_envs, autoreset_mode="Disabled", **settings))
    env.set_seed(0)
    network = TensorDictModule(nn.Linear(5, 2), in_keys=["observation"], out_keys=["logits"])
    policy = ProbabilisticActor(network, spec=env.action_spec, in_keys=["logits"], distribution_class=OneHotCategorical)
    with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
        return env.rollout(steps, policy, break_when_any_done=False)


def main() -> None:
    print(one(20))
    played = many(64, 20)
    print(f"mean reward of {played.numel()} steps: {played['next', 'reward'].mean():+.3f}")


if __name__ == "__main__":
    main()
