"""All parameters of a model in one flat vector, with named views into it.

    data  [ weight_ih_l0 | weight_hh_l0 | bias_ih_l0 | bias_hh_l0 | weight | bias ]
    grad  [ the same layout                                                       ]

Zeroing, clipping, an optimiser's step, saving and summing over workers are then one operation on
one array each. A layer still sees its matrices under their names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Never

import numpy as np

from numpy_rnn.arguments import check_kind, check_mapping, check_size
from numpy_rnn.functional.types import Array, DTypeLike
from numpy_rnn.parameters.accepted import (
    IncompatibleKeys,
    check_count,
    check_dtype,
    read_state,
)


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
    dtype: np.dtype[Any]
    _vectors: Array
    _views: Mapping[str, Array]

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], dtype: DTypeLike, kind: str = ""
    ) -> None:
        check_kind("Parameters", "kind", kind, str)
        dtype = check_dtype(dtype, f"{kind}: " if kind else "")
        shapes = dict(check_mapping("Parameters", "shapes", shapes))
        for name, shape in shapes.items():
            for size in check_kind("Parameters", f"shapes[{name!r}]", shape, tuple):
                check_size("Parameters", f"shapes[{name!r}]", size, least=0)
        count = _count(shapes)
        check_count(count)
        self._assemble(shapes, {name: name for name in shapes}, {}, np.zeros((2, count), dtype))

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {shape}" for name, shape in self.shapes.items())
        return f"Parameters({shapes}; {self.dtype})"

    def _assemble(
        self,
        shapes: dict[str, tuple[int, ...]],
        sources: dict[str, str],
        parts: dict[str, Parameters],
        vectors: Array,
    ) -> None:
        """Make this object of its vectors, (2, N), and of the parts that live in them.

        `sources` has all names in their order, and the name in `shapes` whose numbers each has. The
        two differ for a tied name. One that is tied to another part is not in the part's `shapes`.
        """
        self.shapes, self._sources, self._parts = shapes, sources, parts
        self._joined = False  # whether it is a part
        for name, source in sources.items():
            if name != source:
                self._release(name)
        self._live_in(vectors)

    def _live_in(self, vectors: Array, views: Mapping[str, Array] | None = None) -> None:
        """Make the rows of `vectors`, (2, N), this object's data and gradients, with views of them.

        A part takes its `views`, each of a parameter and its gradient, from the whole, which may
        have tied some to another part. The vectors before them become read-only: to write to one
        would change nothing.
        """
        if "data" in self.__dict__:
            for array in (self.data, self.grad, *self.values.values(), *self.grads.values()):
                array.setflags(write=False)
        if views is None:
            views = dict(zip(self.shapes, _cut(vectors, self.shapes.values()), strict=True))
            views = {name: views[source] for name, source in self._sources.items()}
        self.__dict__.update(data=vectors[0], grad=vectors[1], dtype=vectors.dtype)
        self.__dict__.update(_vectors=vectors, _views=views)
        values, grads = ({name: view[k, ...] for name, view in views.items()} for k in (0, 1))
        self.__dict__.update(values=_Views(values), grads=_Views(grads))
        sizes = [(_count(part.shapes),) for part in self._parts.values()]
        for (prefix, part), own in zip(self._parts.items(), _cut(vectors, sizes), strict=True):
            part._joined = True
            part._live_in(own, {name: views[f"{prefix}.{name}"] for name in part._sources})

    def _gather(self, names: Iterable[str]) -> Array:
        """Return some parameters and their gradients one after another, in new vectors."""
        views = [self._views[name].reshape(2, -1) for name in names]
        return np.concatenate([np.empty((2, 0), self.dtype), *views], axis=1)

    def _release(self, name: str) -> None:
        """Take a name out of the vectors, here and in the part that it is of."""
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
        vectors = self._gather(name for name in self.shapes if name not in tied)
        self._assemble(self.shapes, self._sources | dict(tied), self._parts, vectors)

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
        dtype = next(iter(dtypes.values()), next(iter(children.values())).dtype.name)
        named = [(f"{prefix}.", child) for prefix, child in children.items()]
        shapes = {prefix + name: shape for prefix, c in named for name, shape in c.shapes.items()}
        sources = {prefix + n: prefix + s for prefix, c in named for n, s in c._sources.items()}
        check_count(_count(shapes))
        vectors = np.concatenate([child._vectors for _, child in named], axis=1)
        joined = cls.__new__(cls)
        joined._assemble(shapes, sources, dict(children), vectors.astype(dtype, copy=False))
        return joined

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle needs. The views are made anew by `__setstate__`.

        A copy of a part has numbers of its own for a name that the whole ties.
        """
        own = [name for name, source in self._sources.items() if name == source]
        return {
            "shapes": {name: self.values[name].shape for name in own},
            "sources": self._sources,
            "parts": self._parts,
            "vectors": self._gather(own),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy or a pickle. The parts live in this object's vectors again."""
        self._assemble(**state)

    def to(self, dtype: DTypeLike) -> None:
        """Convert the parameters and their gradients, and those of every part.

        `dtype` is float32 or float64; also complex128, for the complex step. Parameters that are
        part of a model are converted with the model alone.
        """
        if self._joined:
            raise ValueError("these parameters are part of a model, expected the model's")
        if dtype is not complex and str(dtype) not in ("complex128", str(np.complex128)):
            check_dtype(dtype, "Parameters.to: ")
        self._live_in(self._vectors.astype(dtype))

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
        tied = {name: source for name, source in self._sources.items() if name != source}
        arrays, keys = read_state(where, state, self.values, tied, strict=strict)
        for name, array in arrays.items():
            self.values[name][...] = array
        return keys


def _count(shapes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


def _cut(vectors: Array, shapes: Iterable[tuple[int, ...]]) -> list[Array]:
    """Return consecutive parts of the vectors, (2, N), as views of these shapes, (2, ...)."""
    parts, start = list[Array](), 0
    for shape in shapes:
        stop = start + math.prod(shape)
        parts.append(vectors[:, start:stop].reshape(2, *shape))
        start = stop
    return parts
