"""One step of the Markov chain of joint policies: objective -> adapted parameters (Kim et al. 2021, equation 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mamrl.games.trajectories import Trajectories
from mamrl.meta.objectives import inner_objective


@dataclass(frozen=True)
class InnerStep:
    """How agents learn between two positions of the chain.

    Attributes:
        discount: gamma.
        gae_lambda: lambda of loaded DiCE's advantages.
        objective: "loaded-dice" or "dice".
        peer_influence: whose influence the objective's higher derivatives carry: all agents' (Meta-MAPG), or the
            learner's own alone (Meta-PG, REINFORCE).
        frozen_weights: hold the sampled weights fixed and differentiate the log-probabilities only, as
            ``estimator="sampled"`` asks.
    """

    discount: float
    gae_lambda: float
    objective: str = "loaded-dice"
    peer_influence: bool = True
    frozen_weights: bool = False


def policy_gradients(
    step: InnerStep,
    parameters: Sequence[Tensor],
    log_probs: Sequence[Tensor],
    trajectories: Trajectories,
    num_states: int | None,
    differentiable: bool,
    learners: Sequence[int] | None = None,
) -> list[Tensor]:
    """The learners' policy gradients (M, P_a) at their parameters (M, P_a).

    Args:
        step: the kind of objective.
        parameters: each agent's rows, which ``log_probs`` depend on.
        log_probs: each agent's (T, M, K).
        trajectories: what was sampled under the parameters.
        num_states: S.
        differentiable: whether the gradients are to be differentiated again.
        learners: which agents' gradients, in the order asked for; None is all.

    Returns:
        (M, P_a) for each agent.
    """
    joint = sum(log_probs[1:], log_probs[0])
    gradients = []
    for agent in range(len(parameters)) if learners is None else learners:
        rows, own = parameters[agent], log_probs[agent]

        def objective(influence: Tensor, agent: int = agent) -> Tensor:
            return inner_objective(
                influence,
                trajectories.states[agent],
                trajectories.rewards[agent],
                num_states,
                step.discount,
                step.gae_lambda,
                step.objective,
            )

        if step.frozen_weights:
            value = _with_frozen_weights(objective, own)
        else:
            value = objective(joint if step.peer_influence else own)
        (gradient,) = torch.autograd.grad(value.sum(), rows, create_graph=differentiable, retain_graph=True)
        gradients.append(gradient)
    return gradients


def _with_frozen_weights(objective: Callable[[Tensor], Tensor], log_probs: Tensor) -> Tensor:
    """sum_t w_t log pi_t with the objective's first derivative w held constant: same gradient, no influence beyond."""
    probe = log_probs.detach().requires_grad_()
    (weights,) = torch.autograd.grad(objective(probe).sum(), probe)
    return (log_probs * weights).sum((0, 2))
