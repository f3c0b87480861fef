"""All parameters of a model in one flat vector, with named views into it.

    data  [ weight_ih_l0 | weight_hh_l0 | bias_ih_l0 | bias_hh_l0 | weight | bias ]
    grad  [ the same layout                                                       ]

Zeroing, clipping, an optimiser's step, saving and summing over workers are then one operation on
one array each. A layer still sees its matrices under their names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Never

import numpy as np

from numpy_rnn.arguments import check_kind, check_mapping, check_size
from numpy_rnn.functional.types import Array, DTypeLike
from numpy_rnn.parameters.limits import check_count, check_dtype
from numpy_rnn.parameters.state_dict import IncompatibleKeys, read_state


def check_parameters(where: object, parameters: Any) -> Parameters:
    """Return `parameters` if that is what they are."""
    if not isinstance(parameters, Parameters):
        raise TypeError(
            f"{where}: parameters is a {type(parameters).__name__}, "
            "expected a layer's or model's .parameters"
        )
    return parameters


class _Views(dict[str, Array]):
    """Arrays by name, whose numbers can be written, but which cannot be replaced."""

    def __setitem__(self, name: str, value: Array) -> None:
        if value is not self.get(name):  # `views[name] *= 2` ends in such an assignment
            self._refuse(name)

    def _refuse(self, name: str = "name", *_: Any, **__: Any) -> Never:
        raise TypeError(
            f"parameters: {name!r} is a view into the flat vector and cannot be replaced, "
            f"expected [{name!r}][...] = array"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle as a dict, because a copy is no view."""
        return dict, (dict(self),)

    __delitem__ = pop = setdefault = _refuse
    clear = popitem = update = __ior__ = _refuse  # type: ignore[assignment]  # they refuse


class Parameters:
    """Named arrays that live in one flat vector, and their gradients in a second.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Name and shape of each parameter, in the order of the vector.
    dtype : dtype
        float32 or float64.
    kind : str
        Name of the layer, for messages.

    Attributes
    ----------
    dtype : dtype
        That of the numbers.
    data, grad : (N,) arrays
        The parameters and the gradients. Assigning copies the numbers into the vector.
    shapes : dict of str to tuple of int
        Name and shape of each parameter in the vector.
    values, grads : dict of str to array
        Views into `data` and `grad`, with their shapes. Their numbers can be changed at any time;
        the views themselves cannot be replaced. Tied weights have two names and one view.

    Examples
    --------
    >>> parameters = Parameters({"weight": (2, 3), "bias": (2,)}, "float64")
    >>> parameters.values["bias"][...] = 1
    >>> parameters.data
    array([0., 0., 0., 0., 0., 0., 1., 1.])
    """

    data: Array
    grad: Array
    values: dict[str, Array]
    grads: dict[str, Array]

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], dtype: DTypeLike, kind: str = ""
    ) -> None:
        check_kind("Parameters", "kind", kind, str)
        self.dtype = check_dtype(dtype, f"{kind}: " if kind else "")
        self.shapes = dict(check_mapping("Parameters", "shapes", shapes))
        for name, shape in self.shapes.items():
            for size in check_kind("Parameters", f"shapes[{name!r}]", shape, tuple):
                check_size("Parameters", f"shapes[{name!r}]", size, least=0)
        self._order = list(self.shapes)  # of all names; a tied one is not in `shapes`
        self._tied: dict[str, str] = {}  # a name, and the name that its numbers are under
        check_count(self._size)
        self._joined = False
        self._parts: dict[str, Parameters] = {}
        self._live_in(np.zeros(self._size, self.dtype), np.zeros(self._size, self.dtype))

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {shape}" for name, shape in self.shapes.items())
        return f"Parameters({shapes}; {self.dtype})"

    @property
    def _size(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes.values())

    def _live_in(
        self, data: Array, grad: Array, views: Mapping[str, tuple[Array, Array]] | None = None
    ) -> None:
        """Make `data` and `grad` this object's vectors, and make the views of them.

        A part takes its `views`, of each parameter and its gradient, from the whole, which may have
        tied some to another part. The vectors before them become read-only: to write to one would
        change nothing.
        """
        before = self.__dict__.get("data")
        if before is not None and before is not data:
            for array in (before, self.grad, *self.values.values(), *self.grads.values()):
                array.setflags(write=False)
        if views is None:
            views, start = {}, 0
            for name, shape in self.shapes.items():
                part = slice(start, start + math.prod(shape))
                views[name] = data[part].reshape(shape), grad[part].reshape(shape)
                start = part.stop
            views |= {name: views[source] for name, source in self._tied.items()}
        self.__dict__.update(data=data, grad=grad, dtype=data.dtype)
        values, grads = ({name: views[name][k] for name in self._order} for k in (0, 1))
        self.__dict__.update(values=_Views(values), grads=_Views(grads))
        start = 0
        for prefix, child in self._parts.items():
            child._joined = True
            part = slice(start, start + child._size)
            own = {name: views[f"{prefix}.{name}"] for name in child._order}
            child._live_in(data[part], grad[part], own)
            start = part.stop

    def _release(self, name: str) -> None:
        """Take a name out of the vector, here and in the part that it is of."""
        self.shapes.pop(name, None)
        prefix, _, rest = name.partition(".")
        if prefix in self._parts:
            self._parts[prefix]._release(rest)

    def tie(self, tied: Mapping[str, str]) -> None:
        """Give weights the numbers of others: one part of the vector with two names.

        The gradients of both names add up. `tied` has the second name of each weight, whose own
        numbers are dropped, and the first one.

        Examples
        --------
        >>> parts = {name: Parameters({"weight": (2,)}, "float64") for name in "ab"}
        >>> model = Parameters.join(parts)
        >>> model.tie({"b.weight": "a.weight"})
        >>> parts["b"].values["weight"][...] = 7
        >>> model.data
        array([7., 7.])
        """
        for name, source in tied.items():
            for key in (name, source):
                if key not in self.shapes or (key == name) == (key in tied.values()):
                    known = ", ".join(self.shapes)
                    raise ValueError(f"tied: {key!r}, expected a weight to tie once, of {known}")
            if self.shapes[name] != self.shapes[source]:
                raise ValueError(
                    f"tied: {name!r} has shape {self.shapes[name]}, expected that of {source!r}, "
                    f"{self.shapes[source]}"
                )
        kept = [name for name in self.shapes if name not in tied]
        data, grad = (_flat(views, kept, self.dtype) for views in (self.values, self.grads))
        for name in tied:
            self._release(name)
        self._tied |= tied
        self._live_in(data, grad)

    def __setattr__(self, name: str, value: Any) -> None:
        """Copy numbers into `data` and `grad`. Refuse to replace the views."""
        current: Any = self.__dict__.get(name)
        if value is current and current is not None:  # where `data *= 2` ends
            return
        if name in ("data", "grad"):
            value = 0 if name == "grad" and value is None else value  # PyTorch's habit
            numbers = np.asarray(value)
            if numbers.dtype.kind not in "fiuc":
                raise TypeError(f"parameters.{name} is set to {value!r}, expected numbers")
            if numbers.shape not in ((), current.shape):
                raise ValueError(
                    f"parameters.{name} is set to shape {numbers.shape}, expected {current.shape}"
                )
            current[...] = numbers
        elif name in ("values", "grads"):
            raise AttributeError(f"parameters.{name} cannot be replaced, expected an edit in place")
        else:
            self.__dict__[name] = value

    @classmethod
    def join(cls, children: Mapping[str, Parameters]) -> Parameters:
        """Move several sets of parameters into one new vector.

        The name of each child becomes the prefix of its parameters: ``rnn.bias_hh_l0``. The
        children keep working: their vectors become segments of the new one. A child without
        parameters takes the dtype of the others. A child that is part of another model is an error
        (ValueError): the same weights cannot live in two vectors.
        """
        dtypes = {name: child.dtype.name for name, child in children.items() if child.shapes}
        if len(set(dtypes.values())) > 1:
            raise ValueError(f"dtypes of the parts are {dtypes}, expected one for all of them")
        if not children:
            raise ValueError("there are no parts, expected at least one")
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
            next(iter(dtypes.values()), next(iter(children.values())).dtype),
        )
        joined._parts = dict(children)
        joined._order = [f"{p}.{name}" for p, child in children.items() for name in child._order]
        joined._tied = {
            f"{prefix}.{name}": f"{prefix}.{source}"
            for prefix, child in children.items()
            for name, source in child._tied.items()
        }
        joined.data[...] = np.concatenate([part.data for part in children.values()])
        joined.grad[...] = np.concatenate([part.grad for part in children.values()])
        joined._live_in(joined.data, joined.grad)
        return joined

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle needs. The views are made anew by `__setstate__`.

        A copy of a part has numbers of its own for a name that the whole ties.
        """
        own = [name for name in self._order if name not in self._tied]
        return {
            "dtype": self.dtype,
            "shapes": {name: self.values[name].shape for name in own},
            "order": self._order,
            "tied": self._tied,
            "parts": self._parts,
            "vectors": tuple(_flat(views, own, self.dtype) for views in (self.values, self.grads)),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy or a pickle. The parts live in this object's vectors again."""
        self.dtype, self.shapes, self._parts = state["dtype"], state["shapes"], state["parts"]
        self._order, self._tied = state["order"], state["tied"]
        self._joined = False  # unless the whole it belonged to is copied too
        for name in self._tied:
            self._release(name)
        self._live_in(*state["vectors"])

    def to(self, dtype: DTypeLike) -> None:
        """Convert the parameters and their gradients, and those of every part.

        `dtype` is float32 or float64; also complex128, for the complex step. Parameters that are
        part of a model are converted with the model alone.
        """
        if self._joined:
            raise ValueError("these parameters are part of a model, expected the model's")
        if dtype is not complex and str(dtype) not in ("complex128", str(np.complex128)):
            check_dtype(dtype, "Parameters.to: ")
        self._live_in(self.data.astype(dtype), self.grad.astype(dtype))

    def add(self, gradients: Mapping[str, Array]) -> None:
        """Add to the gradients, by name."""
        for name, gradient in gradients.items():
            total = self.grads[name]
            total += gradient

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        self.grad.fill(0)

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of every parameter, with PyTorch's names and shapes."""
        return {name: value.copy() for name, value in self.values.items()}

    def load_state_dict(
        self, state: Mapping[str, Array], *, strict: bool = True, where: str = ""
    ) -> IncompatibleKeys:
        """Copy parameters in by name: all of them or, if there is an error, none.

        Parameters
        ----------
        state : mapping of str to array
            As :meth:`state_dict` returns it, or PyTorch's. Other real dtypes are converted.
        strict : bool
            Whether every name must match. A wrong shape, or a number that is not finite, is always
            an error (ValueError), which names all wrong entries.
        where : str
            Layer or model, for the message.

        Returns
        -------
        keys : IncompatibleKeys
            The names that did not match; empty lists if `strict` is true.
        """
        check_kind("load_state_dict", "where", where, str)
        where = f"{where}.load_state_dict" if where else "load_state_dict"
        arrays, keys = read_state(where, state, self.values, self._tied, strict=strict)
        for name, array in arrays.items():
            self.values[name][...] = array
        return keys


def _flat(views: Mapping[str, Array], names: list[str], dtype: DTypeLike) -> Array:
    """Return the numbers of some views one after another, in a new vector."""
    return np.concatenate([np.empty(0, dtype), *(views[name].ravel() for name in names)])
