"""The meta-agent's own step between two positions of the chain: as long as its gradient says, or bounded.

Every chain, sampled or exact, takes its step through :class:`OwnStep`, in training and in the meta-test alike:

    "gradient"  d = g,                                as published
    "bounded"   d = g * min(1, bound / ||g||),        each chain's own norm

with g the meta-agent's inner policy gradient and phi_{l+1} = phi_l + own_lr_l * d. Differentiation takes the step
exactly as it is taken, the scaling included. With ``curvature="first-order"`` the derivative of g in phi_l^i itself is
dropped: g stays a function of the peers' parameters, and so of what phi_0^i made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from mamrl.errors import choose
from mamrl.games.trajectories import Trajectories
from mamrl.meta.gradients import clip_rows_by_norm
from mamrl.meta.inner_step import InnerStep, policy_gradients
from mamrl.policies import Policy

INNER_STEPS = ("gradient", "bounded")
CURVATURES = ("full", "first-order")


@dataclass(frozen=True)
class OwnStep:
    """How the meta-agent steps from phi_l^i to phi_{l+1}^i.

    Attributes:
        kind: one of ``INNER_STEPS``.
        bound: the largest norm of a chain's step before its learning rate; "bounded" alone looks at it.
        curvature: one of ``CURVATURES``, what the meta-gradient sees of the step's derivative in phi_l^i.
    """

    kind: str = "gradient"
    bound: float = 1.0
    curvature: str = "full"

    def __post_init__(self) -> None:
        choose("inner_step", self.kind, INNER_STEPS)
        choose("own_curvature", self.curvature, CURVATURES)
        if not 0 < self.bound < float("inf"):
            raise ValueError(f"inner_bound is {self.bound}, expected a number above 0")

    @property
    def first_order(self) -> bool:
        """Whether the inner gradient's derivative in phi_l^i is dropped."""
        return self.curvature == "first-order"

    def direction(self, gradient: Tensor) -> Tensor:
        """What is added to phi_l^i, times its learning rate: a function of the inner gradients (M, P), row by row."""
        return gradient if self.kind == "gradient" else clip_rows_by_norm(gradient, self.bound)


def first_order_gradient(
    policy: Policy,
    rule: InnerStep,
    parameters: Sequence[Tensor],
    log_probs: Sequence[Tensor],
    trajectories: Trajectories,
    num_states: int | None,
) -> Tensor:
    """The meta-agent's inner policy gradient (M, P_0) without a derivative in its own parameters.

    Args:
        policy: the meta-agent's.
        rule: the kind of objective.
        parameters: each agent's rows (M, P_a), the meta-agent's first.
        log_probs: each agent's (T, M, K); the peers' keep their graphs.
        trajectories: what was sampled under the parameters.
        num_states: S.
    """
    here = parameters[0].detach().requires_grad_()
    own = policy.log_probs(here, trajectories.states[0], trajectories.actions[0], trajectories.recorded_of(0))
    rows, logs = [here, *parameters[1:]], [own, *log_probs[1:]]
    (gradient,) = policy_gradients(rule, rows, logs, trajectories, num_states, True, learners=[0])
    return gradient
