"""The operators of ONNX as NumPy functions: parameters are the inputs, then the attributes.

A function whose name begins with a capital letter is the operator of that name. Operators of one
expression are in each module's table `SHORT`. Parameters have the names of the specification, so
one function serves all versions of an operator of which an attribute, such as the axes of Squeeze,
became an input. A tuple is several outputs. With `out`, a function fills that array.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from numpy_rnn.interchange.onnx import integers, math, shapes, windows
from numpy_rnn.interchange.onnx.protobuf import BFLOAT16, DTYPES
from numpy_rnn.interchange.onnx.recurrent import KINDS, RecurrentNode
from numpy_rnn.interchange.onnx.reference import RARE, reference_of

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
    "out": (),  # a parameter of functions, and no attribute
    **dict.fromkeys(("storage_order", "training_mode"), (0,)),
    "Resize.mode": ("nearest", "linear"),
    **dict.fromkeys(("antialias", "exclude_outside"), (0,)),
    "keep_aspect_ratio_policy": ("stretch",),
}
WITHOUT_EFFECT = {"stash_type", "momentum", "saturate", "seed", "sorted"}  # whatever they are
WITHOUT_EFFECT |= {name for name, values in VALUES.items() if len(values) == 1}
PREPARED = {*KINDS, "Conv"}  # whose functions return a step and what it fills


def function_of(node: Any) -> Callable[..., Any]:
    """Return a Node of a graph as a function of its inputs.

    ValueError or TypeError says why it cannot run, ImportError that ``onnx`` is missing.
    """
    op, count = node.op, len(node.inputs)
    for name, value in node.attributes.items():
        expected = VALUES.get(f"{op}.{name}", VALUES.get(name))
        if expected is not None and value not in expected:
            raise ValueError(f"{name} is {value!r}, expected one of {expected}")
    if op in RARE:
        return reference_of(node)
    if op not in OPERATORS and op not in KINDS:
        raise ValueError("there is no such operator here")
    if op in KINDS:
        function: Any = RecurrentNode(op, node.attributes).bind
        options: dict[str, Any] = {}
    else:
        function = OPERATORS[op]
        options = {k: v for k, v in node.attributes.items() if k not in WITHOUT_EFFECT}
    if isinstance(function, np.ufunc):
        if options or count != function.nin:
            given = f"{count} inputs and attributes {list(options)}"
            raise ValueError(f"{given}, expected {function.nin} inputs")
        return function
    signature = inspect.signature(function)
    passed_on = PASSED_ON if "options" in signature.parameters else set()
    if unknown := {*options} - passed_on - {*signature.parameters}:
        raise ValueError(f"attribute {min(unknown)!r} is not known")
    signature.bind(*node.inputs, **options)
    return partial(function, **options) if options else function


def takes_out(function: Callable[..., Any]) -> bool:
    """Whether a function puts its one result, a new array, into `out` if that is given."""
    inner = function.func if isinstance(function, partial) else function
    return isinstance(inner, np.ufunc) or "out" in (getattr(inner, "__kwdefaults__", None) or ())
