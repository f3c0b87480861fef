"""What the usual checkers say of an exhibit, each with its own defaults.

| checker | how | wrong is |
| --- | --- | --- |
| central differences | loss = sum, step 1e-5, as in Stanford's cs231n | relative error of a tensor > 1e-5 |
| torch.autograd.gradcheck | the whole Jacobian, step 1e-6 | off by 1e-5 + 1e-3 of the entry |
| jax.test_util.check_grads | one random direction, float32 (JAX's default) | off by 2e-3 + 2e-3 |
| scipy.optimize.check_grad | loss = sum, forward differences, step 1.5e-8 | norm of the error > 1e-5 |

The inputs are those of problem.py. What raises an error counts as caught.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from numpy_rnn.checking.museum.exhibit import Function, OptimizerRoom, Room
from numpy_rnn.checking.museum.problem import Problem, Regime, problem
from numpy_rnn.functional.types import Array

Pair: TypeAlias = tuple[Function, ...]
UsualChecker: TypeAlias = Callable[[Pair, Room | OptimizerRoom, Regime], bool | None]

TOLERANCE = 1e-5


def usual_checkers() -> dict[str, UsualChecker]:
    """Return each usual checker by its name.

    Returns
    -------
    checkers : dict of str to callable
        ``checker((forward, backward), room, regime)`` says whether the gradient was found wrong;
        None where the checker is not installed or the room has nothing for it to check.
    """
    return {
        "central differences": partial(_caught, _central_differences, "numpy"),
        "torch.autograd.gradcheck": partial(_caught, _torch, "torch"),
        "jax.test_util.check_grads": partial(_caught, _jax, "jax"),
        "scipy.optimize.check_grad": partial(_caught, _scipy, "scipy"),
    }


def installed(name: str) -> bool:
    """Return whether a usual checker's package is there.

    Parameters
    ----------
    name : str
        A key of :func:`usual_checkers`.
    """
    package = name.split(".")[0]
    return "." not in name or importlib.util.find_spec(package) is not None


def _caught(
    passes: Callable[[Problem], bool],
    package: str,
    pair: Pair,
    room: Room | OptimizerRoom,
    regime: Regime,
) -> bool | None:
    if isinstance(room, OptimizerRoom) or importlib.util.find_spec(package) is None:
        return None
    forward, backward = pair
    posed = problem(forward, backward, room, regime)
    if posed is None:
        return None
    try:
        return not passes(posed)
    except Exception:  # noqa: BLE001 (a checker reports by raising, and wrong code may raise anything)
        return True


def _loss(posed: Problem, theta: Array) -> float:
    return float(posed.run(theta)[0].sum())


def _loss_gradient(posed: Problem, theta: Array) -> Array:
    out, pull = posed.run(theta)
    return pull(np.ones_like(out))


def _central_differences(posed: Problem, step: float = 1e-5) -> bool:
    gradient = _loss_gradient(posed, posed.theta)
    expected = np.zeros_like(gradient)
    for k in range(len(expected)):
        moved = posed.theta.copy()
        moved[k] += step
        above = _loss(posed, moved)
        moved[k] -= 2 * step
        expected[k] = (above - _loss(posed, moved)) / (2 * step)
    for tensor in posed.tensors:
        error = np.abs(gradient[tensor] - expected[tensor]).max()
        scale = np.abs(gradient[tensor]).max() + np.abs(expected[tensor]).max()
        if not error / max(scale, 1e-8) <= TOLERANCE:
            return False
    return True


def _scipy(posed: Problem) -> bool:
    from scipy.optimize import check_grad  # noqa: PLC0415 (an extra)

    error = check_grad(partial(_loss, posed), partial(_loss_gradient, posed), posed.theta)
    return bool(error <= TOLERANCE)


def _torch(posed: Problem) -> bool:
    import torch  # noqa: PLC0415 (an extra)

    class Pair(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, theta: Any) -> Any:
            out, ctx.pull = posed.run(theta.detach().numpy())
            return torch.from_numpy(out)

        @staticmethod
        @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
        def backward(ctx: Any, dout: Any) -> Any:
            return torch.from_numpy(ctx.pull(dout.numpy()))

    theta = torch.from_numpy(posed.theta.copy()).requires_grad_()
    return bool(torch.autograd.gradcheck(Pair.apply, (theta,)))


def _jax(posed: Problem) -> bool:
    import jax  # noqa: PLC0415 (an extra)
    from jax.test_util import check_grads  # noqa: PLC0415

    theta = jax.numpy.asarray(posed.theta)  # float32, unless the user has switched to float64
    out = jax.ShapeDtypeStruct(posed.run(posed.theta)[0].shape, theta.dtype)

    def value(theta: Any) -> Any:
        def call(theta: Any) -> Array:
            return posed.run(np.array(theta))[0].astype(out.dtype)

        return jax.pure_callback(call, out, theta)

    def pulled(theta: Any, dout: Any) -> tuple[Any]:
        def call(theta: Any, dout: Any) -> Array:
            return posed.run(np.array(theta))[1](np.array(dout)).astype(out.dtype)

        return (jax.pure_callback(call, theta, theta, dout),)

    function = jax.custom_vjp(value)
    function.defvjp(lambda theta: (value(theta), theta), pulled)
    check_grads(function, (theta,), order=1, modes=["rev"])
    return True
