"""A user's file, which mypy checks from outside: what it reveals is compared in test_types.py."""

from typing import reveal_type

import numpy as np
import torch

import mamrl
import mamrl.envs

reveal_type(mamrl.games.ipd())
reveal_type(mamrl.envs.batched("ipd", 4))
reveal_type(mamrl.envs.batched("half-cheetah", 4))
reveal_type(mamrl.envs.batched("coin-game", 4))
reveal_type(mamrl.envs.batched(np.zeros((2, 2, 2)), 4))
reveal_type(mamrl.ops.gae(torch.zeros(3, 1), torch.zeros(4, 1), 0.9, 0.9))
reveal_type(mamrl.train(mamrl.preset("ipd")))
reveal_type(mamrl.meta_test("run"))
