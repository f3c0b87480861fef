"""What the usual checkers say of an exhibit, each with its own defaults.

| checker | how | what it calls wrong |
| --- | --- | --- |
| central differences | loss = sum, step 1e-5 (cs231n) | a tensor, by 1e-5 of its largest |
| torch.autograd.gradcheck | the whole Jacobian, step 1e-6 | an entry, by 1e-5 and 1e-3 of it |
| jax.test_util.check_grads | one direction, float32 (JAX's default) | it, by 2e-3 and 2e-3 of it |
| scipy.optimize.check_grad | loss = sum, one-sided, step 1.5e-8 | the norm of the error over 1e-5 |

The inputs are those of problem.py. What raises an error counts as caught.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeAlias

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Function, OptimizerRoom, Room
from numpy_rnn.museum.problem import Problem, Regime, problem

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
    package = name.partition(".")[0]
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
    except Exception:  # a checker reports by raising, and wrong code may raise anything
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
    optimize: Any = importlib.import_module("scipy.optimize")
    loss, gradient = partial(_loss, posed), partial(_loss_gradient, posed)
    return bool(optimize.check_grad(loss, gradient, posed.theta) <= TOLERANCE)


def _torch(posed: Problem) -> bool:
    torch: Any = importlib.import_module("torch")

    class Pair(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, theta: Any) -> Any:
            out, ctx.pull = posed.run(theta.detach().numpy())
            return torch.from_numpy(out)

        @staticmethod
        def backward(ctx: Any, dout: Any) -> Any:
            return torch.from_numpy(ctx.pull(dout.detach().numpy()))

    theta = torch.from_numpy(posed.theta.copy()).requires_grad_()
    return bool(torch.autograd.gradcheck(Pair.apply, (theta,)))


def _jax(posed: Problem) -> bool:
    numpy: Any = importlib.import_module("jax.numpy")
    test_util: Any = importlib.import_module("jax.test_util")
    theta = numpy.asarray(posed.theta)  # float32, unless the user has switched to float64
    function, asked = _jax_function(posed.run(posed.theta)[0].size)
    asked.append(posed)
    test_util.check_grads(function, (theta,), order=1, modes=["rev"])
    return True


@cache
def _jax_function(size: int) -> tuple[Any, list[Problem]]:
    """Return a function (N,) -> (size,) in JAX, and the list whose last problem it computes.

    JAX compiles anew for every function that it calls back; one for all problems is compiled
    once per size.
    """
    jax: Any = importlib.import_module("jax")
    asked: list[Problem] = []

    def run(theta: Any) -> Array:
        out, _ = asked[-1].run(np.array(theta))
        return out.astype(theta.dtype)

    def pull(theta: Any, dout: Any) -> Array:
        _, pull = asked[-1].run(np.array(theta))
        return pull(np.array(dout)).astype(theta.dtype)

    def value(theta: Any) -> Any:
        return jax.pure_callback(run, jax.ShapeDtypeStruct((size,), theta.dtype), theta)

    function = jax.custom_vjp(value)
    function.defvjp(
        lambda theta: (value(theta), theta),
        lambda theta, dout: (jax.pure_callback(pull, theta, theta, dout),),
    )
    return function, asked
