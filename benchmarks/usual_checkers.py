"""The usual gradient checkers, each with its own defaults, applied to the museum's bugs.

``python -m benchmarks.proof`` counts what they catch. They are here and not in the package because
they need torch, jax and scipy.

| checker | method | calls wrong |
| --- | --- | --- |
| central differences | loss = sum, step 1e-5 (cs231n) | a tensor off by 1e-5 of its largest entry |
| torch.autograd.gradcheck | whole Jacobian, step 1e-6 | an entry off by 1e-5 and by 1e-3 of it |
| jax.test_util.check_grads | one direction, float32 | a derivative off by 2e-3 and by 2e-3 of it |
| scipy.optimize.check_grad | loss = sum, one-sided, step 1.5e-8 | an error norm above 1e-5 |

A checker is given a pair as a function of one vector. This is the first output, h or the loss, as a
function of all real arguments, including the initial states. There are two kinds of inputs:

typical
    Normal numbers with standard deviation 0.1, initial states of zero, and 5 steps.
vanishing
    30 steps, of which only the last is seen. W_hh has norm 0.1, and a bias sets the forget or
    update gate to 0.1, so the gradient that reaches t = 0 is 1e-29 or less.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.shapes import parse
from numpy_rnn.functional.types import Array
from numpy_rnn.museum import OptimizerReference
from numpy_rnn.museum.bug import Function
from numpy_rnn.museum.evaluate import Inputs
from numpy_rnn.museum.registry import RegisteredPair

SIZES: dict[Inputs, dict[str, int]] = {
    "typical": {"T": 5, "B": 2, "D": 2, "H": 2, "P": 2, "V": 3},
    "vanishing": {"T": 30, "B": 2, "D": 1, "H": 2, "P": 2, "V": 2},
}
SCALE = 0.1
CARRY_BIAS = float(np.log(0.1 / 0.9))  # the logit of a gate of 0.1
TOLERANCE = 1e-5


class Problem(NamedTuple):
    """A pair as a function of one vector.

    ``out, pull = run(theta)`` returns the output, (M,), and the function from the output's
    gradient, (M,), to that of theta, (N,).
    """

    theta: Array  # (N,): all real arguments, flattened and concatenated
    tensors: tuple[slice, ...]  # the place of each argument in theta
    run: Callable[[Array], tuple[Array, Callable[[Array], Array]]]

    def loss(self, theta: Array) -> float:
        """Return the sum of the outputs."""
        return float(self.run(theta)[0].sum())

    def gradient(self, theta: Array) -> Array:
        """Return the gradient of the sum of the outputs."""
        out, pull = self.run(theta)
        return pull(np.ones_like(out))


class UsualChecker(NamedTuple):
    """A gradient checker that is applied to a pair by calling it.

    ``checker((forward, backward), reference, inputs)`` is True if the gradient was found wrong,
    and False if not. An exception in the checker counts as found wrong. The answer is None if the
    checker's package is not installed, or if the reference has nothing to check.

    Examples
    --------
    >>> from numpy_rnn.museum import REFERENCES
    >>> USUAL_CHECKERS["central differences"](REFERENCES[0].checked(), REFERENCES[0], "typical")
    False
    """

    package: str  # that holds the checker
    passes: Callable[[Problem], bool]  # whether the checker calls the gradient correct

    @property
    def installed(self) -> bool:
        """Whether the package is installed."""
        return importlib.util.find_spec(self.package) is not None

    def __call__(
        self,
        functions: tuple[Function, ...],
        reference: RegisteredPair | OptimizerReference,
        inputs: Inputs,
    ) -> bool | None:
        """Return whether the gradient was found wrong."""
        if isinstance(reference, OptimizerReference) or not self.installed:
            return None
        problem = pose_problem(functions, reference, inputs)
        if problem is None:
            return None
        try:
            return not self.passes(problem)
        except Exception:  # a checker reports by raising, and wrong code may raise anything
            return True


def pose_problem(
    functions: tuple[Function, ...], reference: RegisteredPair, inputs: Inputs
) -> Problem | None:
    """Return a pair as a function of one vector, as a user would give it to a usual checker.

    None for vanishing inputs of a pair that is not recurrent.
    """
    if inputs == "vanishing" and not reference.recurrent:
        return None
    forward, backward = functions
    drawn = _draw(reference, inputs)
    real = [k for k, argument in enumerate(drawn) if argument.dtype.kind == "f"]
    ends = list(itertools.accumulate((drawn[k].size for k in real), initial=0))
    tensors = tuple(slice(start, stop) for start, stop in itertools.pairwise(ends))
    seen = -1 if inputs == "vanishing" else ...  # the last step, or all of the output

    def run(theta: Array) -> tuple[Array, Callable[[Array], Array]]:
        arguments: list[Any] = list(drawn)
        for k, tensor in zip(real, tensors, strict=True):
            arguments[k] = theta[tensor].reshape(drawn[k].shape)
        out, cache = forward(*arguments)
        outputs = [np.asarray(output) for output in (out if isinstance(out, tuple) else (out,))]
        first = outputs[0][seen]

        def pull(dfirst: Array) -> Array:
            douts = [np.zeros_like(output) for output in outputs]
            douts[0][seen] = dfirst.reshape(first.shape)
            gradients = backward(*douts, cache)
            return np.concatenate([gradients[k].ravel() for k in real])

        return first.ravel(), pull

    return Problem(np.concatenate([drawn[k].ravel() for k in real]), tensors, run)


def _draw(reference: RegisteredPair, inputs: Inputs) -> tuple[Array, ...]:
    rng, sizes = np.random.default_rng(0), SIZES[inputs]
    named: dict[str, Array] = {
        name: shape(rng, sizes)
        if callable(shape)
        else rng.standard_normal(parse(name, str(shape), sizes)[1]) * SCALE
        for name, shape in reference.shapes.items()
    }
    for name, argument in named.items():
        if name[:2] in {"h0", "c0"}:
            argument[...] = 0
        if inputs == "vanishing" and name.startswith("W_hh"):
            argument[...] = argument * (SCALE / np.linalg.norm(argument, 2))
    if inputs == "vanishing" and reference.gates:
        H = sizes["H"]  # f of i, f, g, o and z of r, z, n: both are the second block
        named["b_ih"][H : 2 * H] = CARRY_BIAS
    return tuple(named.values())


def _central_differences(problem: Problem, step: float = 1e-5) -> bool:
    gradient = problem.gradient(problem.theta)
    expected = np.zeros_like(gradient)
    for k in range(len(expected)):
        moved = problem.theta.copy()
        moved[k] += step
        above = problem.loss(moved)
        moved[k] -= 2 * step
        expected[k] = (above - problem.loss(moved)) / (2 * step)
    for tensor in problem.tensors:
        error = np.abs(gradient[tensor] - expected[tensor]).max()
        scale = np.abs(gradient[tensor]).max() + np.abs(expected[tensor]).max()
        if not error / max(scale, 1e-8) <= TOLERANCE:
            return False
    return True


def _scipy(problem: Problem) -> bool:
    optimize: Any = importlib.import_module("scipy.optimize")
    error = optimize.check_grad(problem.loss, problem.gradient, problem.theta)
    return bool(error <= TOLERANCE)


def _torch(problem: Problem) -> bool:
    torch: Any = importlib.import_module("torch")

    class ProblemFunction(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, theta: Any) -> Any:
            out, ctx.pull = problem.run(theta.detach().numpy())
            return torch.from_numpy(out)

        @staticmethod
        def backward(ctx: Any, dout: Any) -> Any:
            return torch.from_numpy(ctx.pull(dout.detach().numpy()))

    theta = torch.from_numpy(problem.theta.copy()).requires_grad_()
    return bool(torch.autograd.gradcheck(ProblemFunction.apply, (theta,)))


def _jax(problem: Problem) -> bool:
    numpy: Any = importlib.import_module("jax.numpy")
    test_util: Any = importlib.import_module("jax.test_util")
    theta = numpy.asarray(problem.theta)  # float32, unless the user has switched to float64
    function, asked = _jax_function(problem.run(problem.theta)[0].size)
    asked.append(problem)
    test_util.check_grads(function, (theta,), order=1, modes=["rev"])
    return True


@cache
def _jax_function(size: int) -> tuple[Any, list[Problem]]:
    """Return a function (N,) -> (size,) in JAX, and a list. It computes the list's last problem.

    JAX compiles each function that it calls back. With one function for all problems, it compiles
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


USUAL_CHECKERS: dict[str, UsualChecker] = {
    "central differences": UsualChecker("numpy", _central_differences),
    "torch.autograd.gradcheck": UsualChecker("torch", _torch),
    "jax.test_util.check_grads": UsualChecker("jax", _jax),
    "scipy.optimize.check_grad": UsualChecker("scipy", _scipy),
}
