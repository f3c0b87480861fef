"""All parameters of a model in one flat vector, with named views into it.

    data  [ weight_ih_l0 | weight_hh_l0 | bias_ih_l0 | bias_hh_l0 | weight | bias ]
    grad  [ the same layout                                                       ]

Zeroing, clipping, an optimiser's step, saving and summing over workers are then each one
operation on one array, and a layer still sees its matrices under their names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array, DTypeLike

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def check_dtype(dtype: DTypeLike, where: str = "") -> np.dtype[Any]:
    """Return `dtype` as a NumPy dtype, if parameters can have it; `where` begins the message.

    Raises
    ------
    ValueError
        If it is neither float32 nor float64.
    """
    try:
        known: np.dtype[Any] | None = np.dtype(dtype)
    except TypeError:
        known = None
    if known is None or known not in DTYPES:
        shown = repr(dtype) if known is None else known.name
        known_ones = ", ".join(map(str, DTYPES))
        raise ValueError(f"{where}dtype is {shown}, expected one of {known_ones}")
    return known


class IncompatibleKeys(NamedTuple):
    """What a load that was not strict left alone."""

    missing_keys: list[str]
    unexpected_keys: list[str]


_numbers = count()


class _Version:
    """A number that a whole and its parts share, and that no other ever has."""

    def __init__(self) -> None:
        self.number = next(_numbers)


class Parameters:
    """Named arrays that live in one flat vector, and their gradients in a second.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Name and shape of each parameter, in the order of the vector.
    dtype : dtype
        float32 or float64.
    kind : str
        The layer's, for the message.

    Attributes
    ----------
    data, grad : (N,) arrays
        The parameters and the gradients.
    values, grads : dict of str to array
        Views into `data` and `grad`, with their shapes.

    Raises
    ------
    ValueError
        If the dtype is neither float32 nor float64.
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], dtype: DTypeLike, kind: str = ""
    ) -> None:
        self.dtype = check_dtype(dtype, f"{kind}: " if kind else "")
        self.shapes = dict(shapes)
        size = sum(math.prod(shape) for shape in self.shapes.values())
        self._joined = False
        self._parts: list[Parameters] = []
        self._live_in(np.zeros(size, self.dtype), np.zeros(size, self.dtype), _Version())

    def _live_in(self, data: Array, grad: Array, version: _Version) -> None:
        """Make `data` and `grad` this object's vectors, and point the views at them."""
        self.data, self.grad, self.dtype, self._version = data, grad, data.dtype, version
        self.values: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        start = 0
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            self.values[name] = data[start:stop].reshape(shape)
            self.grads[name] = grad[start:stop].reshape(shape)
            start = stop
        start = 0
        for part in self._parts:
            part._joined = True
            piece = slice(start, start + part.data.size)
            part._live_in(data[piece], grad[piece], version)
            start = piece.stop

    @classmethod
    def join(cls, children: Mapping[str, Parameters]) -> Parameters:
        """Move several sets of parameters into one new vector.

        The children keep working: their vectors become pieces of the new one.

        Parameters
        ----------
        children : mapping of str to Parameters
            The name of each child becomes the prefix of its parameters: ``rnn.bias_hh_l0``.

        Returns
        -------
        joined : Parameters
            With the values the children have now.

        Raises
        ------
        ValueError
            If there are no children, if they differ in dtype, or if one of them is part of
            another model already (the same weights cannot live in two vectors).
        """
        dtypes = {name: child.dtype.name for name, child in children.items()}
        if len(set(dtypes.values())) != 1:
            raise ValueError(f"dtypes of the parts are {dtypes}, expected one for all of them")
        seen: set[int] = set()
        for name, child in children.items():
            if child._joined or id(child) in seen:
                raise ValueError(f"part {name!r} belongs to a model already, expected a new one")
            seen.add(id(child))
        joined = cls(
            {
                f"{prefix}.{name}": shape
                for prefix, child in children.items()
                for name, shape in child.shapes.items()
            },
            next(iter(dtypes.values())),
        )
        joined._parts = list(children.values())
        joined.data[...] = np.concatenate([part.data for part in joined._parts])
        joined.grad[...] = np.concatenate([part.grad for part in joined._parts])
        joined._live_in(joined.data, joined.grad, _Version())
        return joined

    def share(self, other: Parameters) -> None:
        """Live in another one's values from now on, with gradients of one's own.

        Several threads can then go through copies of one model at the same time.

        Parameters
        ----------
        other : Parameters
            Of a copy of the model.

        Raises
        ------
        ValueError
            If its names, shapes or dtype are different.
        """
        if (self.shapes, self.dtype) != (other.shapes, other.dtype):
            raise ValueError("share: parameters of another model, expected those of a copy")
        self._live_in(other.data, self.grad, other._version)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle needs; the views are made anew by `__setstate__`."""
        return {
            "dtype": self.dtype,
            "shapes": self.shapes,
            "parts": self._parts,
            "vectors": (self.data.copy(), self.grad.copy()),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a state; parts come to live in this object's vectors again."""
        self.dtype, self.shapes, self._parts = state["dtype"], state["shapes"], state["parts"]
        self._joined = False  # unless the whole it belonged to is copied too
        data, grad = state["vectors"]
        self._live_in(data, grad, _Version())

    @property
    def version(self) -> int:
        """A number that is another one after each change by an optimiser or a load."""
        return self._version.number

    def changed(self) -> None:
        """Note that the parameters were changed: whoever writes to `data` calls it.

        A layer's ``step`` uses copies of the weights until then.
        """
        self._version.number = next(_numbers)

    def check_unchanged(self, where: str, version: int) -> None:
        """Raise RuntimeError if the parameters are not those that `version` was read from.

        A backward pass with other weights than its forward pass had is no gradient.
        """
        if version != self.version:
            raise RuntimeError(
                f"{where}: the parameters have changed since forward, expected backward first"
            )

    def to(self, dtype: DTypeLike) -> None:
        """Convert the parameters and their gradients, and those of every part.

        Parameters
        ----------
        dtype : dtype
            float32 or float64; also complex128, for the complex step.

        Raises
        ------
        ValueError
            If the dtype is another one, or this is part of a model: convert the whole.
        """
        if self._joined:
            raise ValueError("these parameters are part of a model, expected the model's")
        if dtype != np.complex128:
            check_dtype(dtype)
        self._live_in(self.data.astype(dtype), self.grad.astype(dtype), self._version)
        self.changed()

    def add(self, gradients: Mapping[str, Array]) -> None:
        """Add to the gradients, by name."""
        for name, gradient in gradients.items():
            self.grads[name] += gradient

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        self.grad.fill(0)

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of every parameter under its name.

        Returns
        -------
        state : dict of str to array
            PyTorch's names and shapes for the same architecture.
        """
        return {name: value.copy() for name, value in self.values.items()}

    def load_state_dict(
        self, state: Mapping[str, Array], *, strict: bool = True, where: str = ""
    ) -> IncompatibleKeys:
        """Copy parameters in by name. All of them, or on an error none.

        Parameters
        ----------
        state : mapping of str to array
            As :meth:`state_dict` returns it, or PyTorch's with each tensor's ``.numpy()``.
            Real numbers of another dtype are converted.
        strict : bool
            Whether every name must match. A wrong shape is an error in any case.
        where : str
            The layer or model, for the message.

        Returns
        -------
        keys : IncompatibleKeys
            The names that `strict` would have refused; empty lists if it is true.

        Raises
        ------
        TypeError
            If `state` is no mapping.
        ValueError
            Naming every entry that is missing, unexpected, misshapen or not finite real numbers.
        """
        where = f"{where}.load_state_dict" if where else "load_state_dict"
        if not isinstance(state, Mapping):
            raise TypeError(f"{where}: state is a {type(state).__name__}, expected a mapping")
        keys = IncompatibleKeys(
            missing_keys=[name for name in self.shapes if name not in state],
            unexpected_keys=[name for name in state if name not in self.shapes],
        )
        wrong: list[str] = []
        if strict:
            wrong += [f"{name!r} is missing" for name in keys.missing_keys]
            wrong += [f"{name!r} is unexpected" for name in keys.unexpected_keys]
        arrays = {name: np.asarray(state[name]) for name in self.shapes if name in state}
        for name, array in arrays.items():
            if array.dtype.kind not in "fiu":
                wrong.append(f"{name!r} has dtype {array.dtype}, expected real numbers")
            elif array.shape != self.shapes[name]:
                wrong.append(f"{name!r} has shape {array.shape}, expected {self.shapes[name]}")
            else:
                with np.errstate(over="ignore"):  # what does not fit becomes infinite
                    finite = np.isfinite(array.astype(self.dtype))
                if not finite.all():
                    first = tuple(map(int, np.argwhere(~finite)[0]))
                    wrong.append(
                        f"{name!r} is {array[first]} at index {first}, expected finite {self.dtype}"
                    )
        if wrong:
            raise ValueError(f"{where}: {'; '.join(wrong)}")
        for name, array in arrays.items():
            self.values[name][...] = array
        self.changed()
        return keys
