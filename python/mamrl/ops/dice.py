"""DiCE objectives by their weights: value, gradient and Hessian-vector product, one pass over time each.

The gradient does not depend on the log-probabilities' values, only the estimator's meaning does: they are passed on
so that autograd knows what each derivative is to be differentiated in.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mamrl.ops import _checks
from mamrl.ops._call import bind, filled, register_autograd, underivable

_dice = bind("dice_objective")
_loaded_dice = bind("loaded_dice_objective")
_gradient = bind("dice_gradient")
_hessian_product = bind("dice_hessian_product")
_derivatives = bind("dice_derivatives")

_WHY_CONSTANT = "DiCE holds it constant"
_NO_THIRD = "mamrl: DiCE objectives have two derivatives here, and a third was asked for"


def dice_objective(log_probs: Tensor, rewards: Tensor, baseline: Tensor, discount: float) -> Tensor:
    """The DiCE objective with a baseline (Foerster et al. 2018c, equations 4 and 8).

        S = mean_k sum_t box(sum_{s<=t} D_s) g^t r_t + mean_k sum_t (1 - box(D_t)) g^t b_t,    box(x) = exp(x - stop(x))

    Its value is the mean discounted return; with R_t = sum_{s>=t} g^s r_s its derivatives are

        dS / dD_t = (R_t - g^t b_t) / K,         d2S / dD_t dD_s = (R_max(t,s) - [t = s] g^t b_t) / K

    A third derivative raises RuntimeError: it is another number than these ops hold.

    Args:
        log_probs: D (T, M, K) float32 or float64, the summed log-probabilities of the agents whose influence is to be
            differentiated; or (T, K).
        rewards: r, of the same shape and dtype; a constant of the estimator.
        baseline: b, of the same shape and dtype; a constant of the estimator.
        discount: g, in [0, 1].

    Returns:
        S (M,), or a scalar for (T, K).

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape, a device or discount is not as above, or rewards or baseline require grad.
    """
    _checks.constant("rewards", rewards, _WHY_CONSTANT)
    _checks.constant("baseline", baseline, _WHY_CONSTANT)
    return _dice(log_probs, rewards, baseline, discount)[0]


def loaded_dice_objective(log_probs: Tensor, advantages: Tensor, discount: float) -> Tensor:
    """The Loaded DiCE objective (Farquhar et al. 2019, equation 11), less its constant.

        S = mean_k sum_t (box(sum_{s<=t} D_s) - box(sum_{s<t} D_s)) g^t A_t,    box(x) = exp(x - stop(x))

    Its value is zero; its derivatives are

        dS / dD_t = g^t A_t / K,         d2S / dD_t dD_s = g^max(t,s) A_max(t,s) / K

    A third derivative raises RuntimeError: it is another number than these ops hold.

    Args:
        log_probs: D (T, M, K) float32 or float64, the summed log-probabilities of the agents whose influence is to be
            differentiated; or (T, K).
        advantages: A, of the same shape and dtype; a constant of the estimator.
        discount: g, in [0, 1].

    Returns:
        S (M,), or a scalar for (T, K).

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape, a device or discount is not as above, or advantages require grad.
    """
    _checks.constant("advantages", advantages, _WHY_CONSTANT)
    return _loaded_dice(log_probs, advantages, discount)[0]


def dice_derivatives(
    log_probs: Tensor, rewards: Tensor, baseline: Tensor, vector: Tensor, discount: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The value of :func:`dice_objective`, its gradient, and the product of its Hessian with a vector, without a graph.

    Where nothing further is to be differentiated this is what ``torch.autograd.grad`` twice over gives, in a
    tenth of the time.

    Args:
        log_probs: as in :func:`dice_objective`, like the next two and the discount.
        rewards: likewise.
        baseline: likewise.
        vector: of the same shape and dtype.
        discount: likewise.

    Returns:
        S (M,), or a scalar for (T, K); the gradient and the product, of the shape of log_probs. With several chains
        both are those of the sum over chains.

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape, a device or discount is not as above.
    """
    given = [x.detach() if getattr(x, "requires_grad", False) else x for x in (log_probs, rewards, baseline, vector)]
    derivatives: tuple[Tensor, Tensor, Tensor] = _derivatives(*given, discount)
    return derivatives


@torch.library.register_fake("mamrl::dice_objective")
def _(log_probs: Tensor, rewards: Tensor, baseline: Tensor, discount: float) -> tuple[Tensor, Tensor]:
    _checks.same_devices(log_probs=log_probs, rewards=rewards, baseline=baseline)
    return log_probs.new_empty(log_probs.shape[1:-1]), log_probs.new_empty(log_probs.shape)


@torch.library.register_fake("mamrl::loaded_dice_objective")
def _(log_probs: Tensor, advantages: Tensor, discount: float) -> tuple[Tensor, Tensor]:
    _checks.same_devices(log_probs=log_probs, advantages=advantages)
    return log_probs.new_empty(log_probs.shape[1:-1]), log_probs.new_empty(log_probs.shape)


@torch.library.register_fake("mamrl::dice_derivatives")
def _(
    log_probs: Tensor, rewards: Tensor, baseline: Tensor, vector: Tensor, discount: float
) -> tuple[Tensor, Tensor, Tensor]:
    _checks.same_devices(log_probs=log_probs, rewards=rewards, baseline=baseline, vector=vector)
    shape = log_probs.shape
    return log_probs.new_empty(shape[1:-1]), log_probs.new_empty(shape), log_probs.new_empty(shape)


@torch.library.register_fake("mamrl::dice_gradient")
def _(log_probs: Tensor, grad: Tensor, pair_weights: Tensor, baseline: Tensor | None, discount: float) -> Tensor:
    return log_probs.new_empty(log_probs.shape)


@torch.library.register_fake("mamrl::dice_hessian_product")
def _(
    log_probs: Tensor,
    vector: Tensor,
    grad: Tensor,
    pair_weights: Tensor,
    baseline: Tensor | None,
    discount: float,
) -> tuple[Tensor, Tensor]:
    return log_probs.new_empty(log_probs.shape), grad.new_empty(grad.shape)


def _setup_dice(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    log_probs, _, baseline, ctx.discount = inputs
    _setup_objective(ctx, log_probs, baseline, output)


def _setup_loaded_dice(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    log_probs, _, ctx.discount = inputs
    _setup_objective(ctx, log_probs, None, output)


def _setup_objective(ctx: Any, log_probs: Tensor, baseline: Tensor | None, output: tuple[Tensor, Tensor]) -> None:
    _, pair_weights = output
    if any(ctx.needs_input_grad[1:-1]):
        raise RuntimeError("mamrl: rewards, baseline or advantages require grad, but DiCE holds them constant")
    ctx.mark_non_differentiable(pair_weights)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(log_probs, pair_weights, baseline)


def _differentiate_dice(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    log_probs, pair_weights, baseline = ctx.saved_tensors
    return _gradient(log_probs, grad, pair_weights, baseline, ctx.discount), None, None, None


def _differentiate_loaded_dice(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    log_probs, pair_weights, baseline = ctx.saved_tensors
    return _gradient(log_probs, grad, pair_weights, baseline, ctx.discount), None, None


def _setup_gradient(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.discount = inputs
    ctx.save_for_backward(*tensors)


def _differentiate_gradient(ctx: Any, vector: Tensor) -> tuple[Tensor | None, ...]:
    log_probs, grad, pair_weights, baseline = ctx.saved_tensors
    log_probs, grad = underivable(_NO_THIRD, log_probs, grad)
    product, grad_grad = _hessian_product(log_probs, vector, grad, pair_weights, baseline, ctx.discount)
    return product, grad_grad, None, None, None


def _refuse_any(ctx: Any, *grads: Tensor) -> Any:
    raise RuntimeError("mamrl: dice_derivatives gives numbers without a graph; dice_objective is differentiable")


def _setup_hessian_product(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    log_probs, _, grad, pair_weights, baseline, ctx.discount = inputs
    ctx.save_for_backward(log_probs, grad, pair_weights, baseline)


def _differentiate_hessian_product(ctx: Any, product: Tensor, grad_grad: Tensor) -> tuple[Tensor | None, ...]:
    """In the vector, of which both results are linear: the Hessian is symmetric, so its transpose is this op again."""
    log_probs, grad, pair_weights, baseline = ctx.saved_tensors
    vector, _ = _hessian_product(log_probs, product, grad, pair_weights, baseline, ctx.discount)
    vector = vector + _gradient(log_probs, grad_grad, pair_weights, baseline, ctx.discount)
    return None, vector, None, None, None, None


def _tangent_of_dice(
    inputs: tuple[Any, ...], outputs: tuple[Tensor, Tensor], tangents: tuple[Tensor | None, ...]
) -> tuple[Tensor, None]:
    log_probs, constants, discount = inputs[0], inputs[1:-1], inputs[-1]
    if any(tangent is not None and bool(tangent.any()) for tangent in tangents[1 : 1 + len(constants)]):
        raise RuntimeError("rewards, baseline or advantages have tangents, but DiCE holds them constant")
    baseline = constants[1] if len(constants) == 2 else None
    objective, pair_weights = outputs
    gradient = _gradient(log_probs, torch.ones_like(objective), pair_weights, baseline, discount)
    (direction,) = filled(tangents[:1], inputs[:1])
    return (gradient * direction).sum((0, -1)), None


def _tangent_of_gradient(
    inputs: tuple[Any, ...], outputs: tuple[Tensor], tangents: tuple[Tensor | None, ...]
) -> Tensor:
    log_probs, grad, *constants = inputs
    direction, grad_direction = filled(tangents[:2], inputs[:2])
    product: Tensor = _hessian_product(log_probs, direction, grad, *constants)[0]
    return product + _gradient(log_probs, grad_direction, *constants)


register_autograd("dice_objective", _differentiate_dice, setup_context=_setup_dice, tangent=_tangent_of_dice)
register_autograd(
    "loaded_dice_objective", _differentiate_loaded_dice, setup_context=_setup_loaded_dice, tangent=_tangent_of_dice
)
register_autograd("dice_gradient", _differentiate_gradient, setup_context=_setup_gradient, tangent=_tangent_of_gradient)
register_autograd("dice_hessian_product", _differentiate_hessian_product, setup_context=_setup_hessian_product)
register_autograd("dice_derivatives", _refuse_any)
