"""Activations as layers, with the names and arguments of ``torch.nn``'s.

The functions and their derivatives are in functional/activations.py. Softmax and LogSoftmax, where
numbers of one axis depend on each other:

    (1)  p = softmax(x)      dx = p (dy - sum(dy p))
    (2)  l = log(p)          dx = dy - p sum(dy)
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numpy_rnn.functional.activations import ActivationSpec, check_activation, make_activation
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.base import Call, StatelessLayer
from numpy_rnn.layers.validate import check_float, is_number
from numpy_rnn.parameters import Parameters


class _Elementwise(StatelessLayer):
    """Base of the activations. A subclass sets ``_spec``."""

    _spec: ActivationSpec = "linear"

    def __init__(self) -> None:
        self.parameters = Parameters({}, np.float64)
        try:
            check_activation(self._spec)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: {error}") from None

    def check_input(self, x: Array, lengths: Array | None = None) -> None:  # noqa: ARG002 (padding is treated like the rest)
        """Raise TypeError or ValueError if `x` is not an input of this layer."""
        check_float(f"{type(self).__name__}.forward", "x", x)

    def _apply(self, x: Array, call: Call) -> tuple[Array, tuple[Array, Array]]:  # noqa: ARG002 (every row is treated alike)
        self.check_input(x)
        y = make_activation(self._spec).value(x, np.empty_like(x))
        return y, (x, y.copy())

    def _vjp(self, cache: tuple[Array, Array], dy: Array, keep: Keep) -> tuple[Array, Any]:  # noqa: ARG002 (there is no sum over time)
        x, y = cache
        return dy * make_activation(self._spec).slope(y, x), {}


class Activation(_Elementwise):
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

    def __init__(self, name: str, *constants: float) -> None:
        self._spec = (name, *constants)
        super().__init__()

    def __repr__(self) -> str:
        return f"Activation({', '.join(map(repr, self._spec))})"


class Identity(_Elementwise):
    """``y = x``, as ``torch.nn.Identity``.

    Examples
    --------
    >>> import numpy as np
    >>> Identity()(np.array([-1.0, 2.0]))
    array([-1.,  2.])
    """


class ReLU(_Elementwise):
    """``max(x, 0)``, as ``torch.nn.ReLU``.

    Examples
    --------
    >>> import numpy as np
    >>> ReLU()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    _spec = "relu"


class Tanh(_Elementwise):
    """``tanh(x)``, as ``torch.nn.Tanh``.

    Examples
    --------
    >>> import numpy as np
    >>> Tanh()(np.array([0.0, 1.0])).round(4)
    array([0.    , 0.7616])
    """

    _spec = "tanh"


class Sigmoid(_Elementwise):
    """``1 / (1 + exp(-x))``, as ``torch.nn.Sigmoid``.

    Examples
    --------
    >>> import numpy as np
    >>> Sigmoid()(np.array([0.0, 1.0])).round(4)
    array([0.5   , 0.7311])
    """

    _spec = "sigmoid"


class SiLU(_Elementwise):
    """``x sigmoid(x)``, as ``torch.nn.SiLU``.

    Examples
    --------
    >>> import numpy as np
    >>> SiLU()(np.array([0.0, 1.0])).round(4)
    array([0.    , 0.7311])
    """

    _spec = "silu"


class Softsign(_Elementwise):
    """``x / (1 + |x|)``, as ``torch.nn.Softsign``.

    Examples
    --------
    >>> import numpy as np
    >>> Softsign()(np.array([-1.0, 3.0]))
    array([-0.5 ,  0.75])
    """

    _spec = "softsign"


class _WithConstants(_Elementwise):
    """Base of the activations with constants. ``_options`` names them in order."""

    _name: str

    def __init__(self, **constants: float) -> None:
        for name, value in constants.items():
            if not is_number(value):
                raise TypeError(f"{type(self).__name__}: {name} is {value!r}, expected a number")
            setattr(self, name, float(value))
        self._spec = (self._name, *(float(value) for value in constants.values()))
        super().__init__()


class HardSigmoid(_WithConstants):
    """``alpha x + beta`` between 0 and 1; by default ``torch.nn.Hardsigmoid``.

    Parameters
    ----------
    alpha, beta : float
        1/6 and 1/2 in PyTorch and Keras 3; 0.2 and 1/2 in Keras 1 and 2 and in ONNX.

    Examples
    --------
    >>> import numpy as np
    >>> HardSigmoid()(np.array([-3.0, 0.0, 1.5]))
    array([0.  , 0.5 , 0.75])
    """

    alpha: float
    beta: float
    _name = "hard_sigmoid"
    _options: ClassVar = {"alpha": 1 / 6, "beta": 0.5}

    def __init__(self, alpha: float = 1 / 6, beta: float = 0.5) -> None:
        super().__init__(alpha=alpha, beta=beta)


class LeakyReLU(_WithConstants):
    """``x`` or, if it is negative, ``negative_slope x``, as ``torch.nn.LeakyReLU``.

    Examples
    --------
    >>> import numpy as np
    >>> LeakyReLU()(np.array([-1.0, 2.0]))
    array([-0.01,  2.  ])
    """

    negative_slope: float
    _name = "leaky_relu"
    _options: ClassVar = {"negative_slope": 0.01}

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__(negative_slope=negative_slope)


class ELU(_WithConstants):
    """``x`` or, if it is negative, ``alpha (exp(x) - 1)``, as ``torch.nn.ELU``.

    Examples
    --------
    >>> import numpy as np
    >>> ELU()(np.array([-1.0, 2.0])).round(4)
    array([-0.6321,  2.    ])
    """

    alpha: float
    _name = "elu"
    _options: ClassVar = {"alpha": 1.0}

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha=alpha)


class Softplus(_WithConstants):
    """``log(1 + exp(beta x)) / beta``, as ``torch.nn.Softplus``: x where beta x > threshold.

    Examples
    --------
    >>> import numpy as np
    >>> Softplus()(np.array([0.0, 50.0])).round(4)
    array([ 0.6931, 50.    ])
    """

    beta: float
    threshold: float
    _name = "softplus"
    _options: ClassVar = {"beta": 1.0, "threshold": 20.0}

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta=beta, threshold=threshold)


class Softmax(_Elementwise):
    """``exp(x) / sum(exp(x))`` along an axis, as ``torch.nn.Softmax``.

    Parameters
    ----------
    dim : int
        The axis; by default the last one. Not one of time, if the model is to take single steps.

    Examples
    --------
    >>> import numpy as np
    >>> Softmax()(np.zeros((1, 4)))
    array([[0.25, 0.25, 0.25, 0.25]])
    """

    _options: ClassVar = {"dim": -1}
    _log = False

    def __init__(self, dim: int = -1) -> None:
        if isinstance(dim, bool) or not isinstance(dim, int):
            raise TypeError(f"{type(self).__name__}: dim is {dim!r}, expected a whole number")
        self.dim = dim
        self.causal = dim == -1
        super().__init__()

    def check_input(self, x: Array, lengths: Array | None = None) -> None:
        """Raise TypeError or ValueError if `x` is not an input of this layer."""
        super().check_input(x, lengths)
        if not -x.ndim <= self.dim < x.ndim:
            raise ValueError(f"{self!r}.forward: x has shape {x.shape}, expected axis {self.dim}")

    def _apply(self, x: Array, call: Call) -> tuple[Array, Any]:  # noqa: ARG002 (every row is treated alike)
        self.check_input(x)
        largest = x.real.max(axis=self.dim, keepdims=True, initial=-np.inf)
        e = np.exp(x - largest)
        total = e.sum(axis=self.dim, keepdims=True)
        p = e / total  # (1)
        return (x - largest - np.log(total) if self._log else p.copy()), p  # (2)

    def _vjp(self, cache: Any, dy: Array, keep: Keep) -> tuple[Array, Any]:  # noqa: ARG002 (there is no sum over time)
        p: Array = cache
        if self._log:
            return dy - p * dy.sum(axis=self.dim, keepdims=True), {}  # (2)
        return p * (dy - (dy * p).sum(axis=self.dim, keepdims=True)), {}  # (1)


class LogSoftmax(Softmax):
    """``log(softmax(x))``, as ``torch.nn.LogSoftmax``. Parameters as :class:`Softmax`.

    Examples
    --------
    >>> import numpy as np
    >>> LogSoftmax()(np.zeros((1, 2))).round(4)
    array([[-0.6931, -0.6931]])
    """

    _log = True
