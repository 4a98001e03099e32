"""The chain of joint policies and its meta-gradient: Meta-MAPG, Meta-PG, the ablations, REINFORCE.

May import from ``policies`` and everything before it. :mod:`mamrl.meta.chain` runs the chain,
:mod:`mamrl.meta.inner_step` and :mod:`mamrl.meta.own_step` are what happens between two positions,
:mod:`mamrl.meta.estimators` the meta-gradient, :mod:`mamrl.meta.exact_chain` the same without sampling,
:mod:`mamrl.meta.algorithm` and :mod:`mamrl.meta.registry` the algorithms by name.
"""

from mamrl.meta.algorithm import Algorithm, Outcome, Problem
from mamrl.meta.chain import ESTIMATORS, Chain, OwnGradient, PeerModel, Position, Sampler, joint_log_probs, unroll
from mamrl.meta.estimators import meta_objective, outer_advantages, surrogate
from mamrl.meta.registry import ALGORITHMS

__all__ = [
    "ALGORITHMS",
    "ESTIMATORS",
    "Algorithm",
    "Chain",
    "Outcome",
    "OwnGradient",
    "PeerModel",
    "Position",
    "Problem",
    "Sampler",
    "joint_log_probs",
    "meta_objective",
    "outer_advantages",
    "surrogate",
    "unroll",
]
