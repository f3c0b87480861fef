"""The operators of ONNX as NumPy functions: parameters are the inputs, then the attributes.

A function whose name begins with a capital letter is the operator of that name. Operators of one
expression are in each module's table `SHORT`. Parameters have the names of the specification, so
one function serves all versions of an operator of which an attribute, such as the axes of Squeeze,
became an input. A tuple is several outputs. With `out`, a function fills that array.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from numpy_rnn.interchange.onnx import integers, math, shapes, windows
from numpy_rnn.interchange.onnx.protobuf import BFLOAT16, DTYPES

OPERATORS: dict[str, Callable[..., Any]] = {}
for module in (math, shapes, integers, windows):
    named = [(name, f) for name, f in vars(module).items() if name[0].isupper()]
    OPERATORS |= {name: f for name, f in named if inspect.isfunction(f)} | module.SHORT
# Attributes that a function passes on, as `options`. The weights have the form of a kernel, too.
PASSED_ON = {"strides", "dilations", "pads", "auto_pad", "ceil_mode", "kernel_shape"}
# The values of attributes that are implemented. A function has no argument for those of one value.
VALUES: dict[str, tuple[Any, ...]] = {
    "auto_pad": ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"),
    "Pad.mode": ("constant", "reflect", "edge", "wrap"),
    "approximate": ("none", "tanh"),
    "reduction": ("none", *shapes.REDUCTIONS),
    **dict.fromkeys(("to", "dtype"), tuple(sorted(set(DTYPES) - {BFLOAT16}))),
    "spatial": (1,),
    **dict.fromkeys(("storage_order", "training_mode"), (0,)),
    **windows.VALUES,
}
WITHOUT_EFFECT = {"stash_type", "momentum", "saturate", "seed", "sorted"}  # whatever they are
WITHOUT_EFFECT |= {"cubic_coeff_a", "extrapolation_value"}
WITHOUT_EFFECT |= {name for name, values in VALUES.items() if len(values) == 1}


def _arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in WITHOUT_EFFECT}


def function_of(op: str, options: Mapping[str, Any]) -> Callable[..., Any]:
    """Return an operator as a function of its inputs. KeyError if there is none."""
    arguments = _arguments(options)
    return partial(OPERATORS[op], **arguments) if arguments else OPERATORS[op]


def takes_out(function: Callable[..., Any]) -> bool:
    """Whether a function puts its one result, a new array, into `out` if that is given."""
    inner = function.func if isinstance(function, partial) else function
    return isinstance(inner, np.ufunc) or "out" in (getattr(inner, "__kwdefaults__", None) or ())


def why_not(op: str, options: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """Return why a node cannot run, or ''."""
    for name, value in options.items():
        expected = VALUES.get(f"{op}.{name}", VALUES.get(name))
        if expected is not None and value not in expected:
            return f"{name} is {value!r}, expected one of {expected}"
    function, options = OPERATORS[op], _arguments(options)
    nin = 3 if function is np.where else getattr(function, "nin", None)
    if "out" in options or (nin is not None and (options or len(inputs) != nin)):
        return f"{len(inputs)} inputs and attributes {list(options)}, expected {nin} inputs"
    if nin is None:
        signature = inspect.signature(function)
        given = set(options) - PASSED_ON if "options" in signature.parameters else set(options)
        if unknown := given - set(signature.parameters):
            return f"attribute {min(unknown)!r} is not known"
        try:
            signature.bind(*inputs, **options)
        except TypeError as error:
            return str(error)
    return ""
