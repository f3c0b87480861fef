"""Activations as layers, with the names and arguments of ``torch.nn``'s.

The functions and their derivatives are in functional/activations.py. Softmax and LogSoftmax, where
numbers of one axis depend on each other:

    (1)  p = softmax(x)      dx = p (dy - sum(dy p))
    (2)  l = log(p)          dx = dy - p sum(dy)
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np

from numpy_rnn.arguments import check_number, check_size
from numpy_rnn.functional.activations import ActivationSpec, check_activation, make_activation
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.stateless import Call, StatelessLayer
from numpy_rnn.layers.validate import check_float
from numpy_rnn.parameters import Parameters

MAX_AXES = 64  # of an array of NumPy


class Activation(StatelessLayer):
    """Any nonlinearity by its name, such as ``Activation("hard_sigmoid", 0.2, 0.5)``.

    Parameters
    ----------
    name : str
        A name in functional/activations.py.
    *constants : float
        Its constants, ONNX's alpha and beta; by default those of ONNX.

    Examples
    --------
    >>> import numpy as np
    >>> Activation("leaky_relu", 0.5)(np.array([-2.0, 3.0]))
    array([-1.,  3.])
    """

    _named: ClassVar[str] = ""  # the nonlinearity of a subclass

    def __init__(self, name: str, *constants: float) -> None:
        self.parameters = Parameters({}, np.float64)
        self._spec: ActivationSpec = (name, *constants)
        try:
            check_activation(self._spec)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: name is {error}") from None

    def __repr__(self) -> str:
        return super().__repr__() if self._named else f"Activation{self._spec}".replace(",)", ")")

    def describe(self) -> dict[str, Any]:
        """Return the name of the class and the arguments. See :meth:`Layer.describe`."""
        if self._named:
            return super().describe()
        return {"class": type(self).__name__, "name": self._spec[0], "constants": self._spec[1:]}

    def check_input(self, x: Array, lengths: Array | None = None) -> None:  # noqa: ARG002 (padding is treated like the rest)
        """Raise TypeError or ValueError if `x` is not an input of this layer."""
        check_float(f"{type(self).__name__}.forward", "x", x)

    def _apply(self, x: Array, call: Call) -> tuple[Array, Any]:  # noqa: ARG002 (every row is treated alike)
        self.check_input(x)
        y = make_activation(self._spec).value(x, np.empty_like(x))
        return y, (x, y.copy())

    def _vjp(self, cache: Any, dy: Array, keep: Keep) -> tuple[Array, dict[str, Array]]:  # noqa: ARG002 (there is no sum over time)
        x, y = cache
        return dy * make_activation(self._spec).slope(y, x), {}


class _Named(Activation):
    """Base of the activations with a name of their own, and with names for their constants."""

    _constants: ClassVar[dict[str, float]] = {}

    @classmethod
    def _arguments(cls) -> dict[str, Any]:
        return cls._constants

    def __init__(self, *given: float, **named: float) -> None:
        kind, names = type(self).__name__, list(self._constants)
        values = self._constants | dict(zip(names, given, strict=False)) | named
        if len(given) > len(names) or list(values) != names or {*names[: len(given)]} & {*named}:
            raise TypeError(f"{kind}: expected no arguments but {', '.join(names) or 'none'}")
        for name, value in values.items():
            setattr(self, name, check_number(kind, name, value))
        super().__init__(self._named, *(float(value) for value in values.values()))


def _named(name: str, nonlinearity: str, formula: str, **constants: float) -> Any:
    """Return the class of a nonlinearity with a name, and with names for its constants."""
    doc = f"""``{formula}``.

    Parameters
    ----------
    {", ".join(f"{key}={value:.4g}" for key, value in constants.items()) or "none"}

    Examples
    --------
    >>> {name}()(np.zeros((2, 3))).shape
    (2, 3)
    """
    own = {"__doc__": doc, "__module__": __name__, "_named": nonlinearity, "_constants": constants}
    return type(name, (_Named,), own)


Identity = _named("Identity", "linear", "x")
ReLU = _named("ReLU", "relu", "max(x, 0)")
Tanh = _named("Tanh", "tanh", "tanh(x)")
Sigmoid = _named("Sigmoid", "sigmoid", "1 / (1 + exp(-x))")
SiLU = _named("SiLU", "silu", "x sigmoid(x)")
Softsign = _named("Softsign", "softsign", "x / (1 + |x|)")
LeakyReLU = _named(
    "LeakyReLU", "leaky_relu", "x if x > 0 else negative_slope x", negative_slope=0.01
)
ELU = _named("ELU", "elu", "x if x > 0 else alpha (exp(x) - 1)", alpha=1.0)
# torch.nn.Hardsigmoid has no arguments. In Keras 1 and 2 and in ONNX alpha is 0.2.
HardSigmoid = _named("HardSigmoid", "hard_sigmoid", "alpha x + beta, 0 to 1", alpha=1 / 6, beta=0.5)
Softplus = _named(
    "Softplus",
    "softplus",
    "log(1 + exp(beta x)) / beta, x where beta x > threshold",
    beta=1.0,
    threshold=20.0,
)
_OWN = ReLU, Tanh, Sigmoid, SiLU, Softsign, LeakyReLU, ELU, HardSigmoid
_CLASSES = {kind._named: kind for kind in _OWN}


def activation_layer(name: str, *constants: float) -> Activation:
    """Return the layer of a nonlinearity, of the class with its name if there is one."""
    kind: Any = _CLASSES.get(name, partial(Activation, name))
    layer: Activation = kind(*constants)
    return layer


class Softmax(StatelessLayer):
    """``exp(x) / sum(exp(x))`` along an axis, as ``torch.nn.Softmax``.

    Parameters
    ----------
    dim : int
        The axis; by default the last one. A model takes single steps only with the default.

    Examples
    --------
    >>> import numpy as np
    >>> Softmax()(np.zeros((1, 4)))
    array([[0.25, 0.25, 0.25, 0.25]])
    """

    _log: ClassVar[bool] = False

    def __init__(self, dim: int = -1) -> None:
        self.dim = check_size(type(self).__name__, "dim", dim, least=-MAX_AXES)
        self.causal = self.dim == -1
        self.parameters = Parameters({}, np.float64)

    def check_input(self, x: Array, lengths: Array | None = None) -> None:  # noqa: ARG002 (padding is treated like the rest)
        """Raise TypeError or ValueError if `x` is not an input of this layer."""
        check_float(f"{type(self).__name__}.forward", "x", x)
        if not -x.ndim <= self.dim < x.ndim:
            raise ValueError(f"{self!r}.forward: x has shape {x.shape}, expected axis {self.dim}")

    def _apply(self, x: Array, call: Call) -> tuple[Array, Array]:  # noqa: ARG002 (every row is treated alike)
        self.check_input(x)
        x = x - x.real.max(axis=self.dim, keepdims=True, initial=-np.inf)
        e = np.exp(x)
        total = e.sum(axis=self.dim, keepdims=True)
        p = e / total  # (1)
        return (x - np.log(total) if self._log and x.size else p.copy()), p  # (2)

    def _vjp(self, cache: Any, dy: Array, keep: Keep) -> tuple[Array, dict[str, Array]]:  # noqa: ARG002 (there is no sum over time)
        p: Array = cache
        if self._log:
            return dy - p * dy.sum(axis=self.dim, keepdims=True), {}  # (2)
        return p * (dy - (dy * p).sum(axis=self.dim, keepdims=True)), {}  # (1)


class LogSoftmax(Softmax):
    """``log(softmax(x))``, as ``torch.nn.LogSoftmax``. Parameters as :class:`Softmax`.

    >>> LogSoftmax()(np.zeros((1, 2))).round(4)
    array([[-0.6931, -0.6931]])
    """

    _log = True
