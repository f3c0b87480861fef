"""The operators of ONNX as NumPy functions: parameters are the inputs, then the attributes.

A function whose name begins with a capital letter is the operator of that name. Operators of one
expression are in each module's table `SHORT`. Parameters have the names of the specification, so
one function serves all versions of an operator of which an attribute, such as the axes of Squeeze,
became an input. A tuple is several outputs. With `out`, a function fills that array.

Rare operators are run by the reference implementation of the package ``onnx``, the extra onnx. It
is NumPy too, and slower. It has all operators, but some disagree with onnxruntime. Only those are
used that a test compares with onnxruntime.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.onnx import integers, math, shapes, windows
from numpy_rnn.interchange.onnx.protobuf import BFLOAT16, DTYPES
from numpy_rnn.interchange.onnx.recurrent import KINDS, RecurrentNode
from numpy_rnn.interchange.onnx.windows import check_memory

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
    **dict.fromkeys(("storage_order", "training_mode", "transBatchA", "transBatchB"), (0,)),
    "Resize.mode": ("nearest", "linear"),
    "coordinate_transformation_mode": (
        *("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "tf_crop_and_resize"),
    ),
    **dict.fromkeys(("antialias", "exclude_outside"), (0,)),
    "keep_aspect_ratio_policy": ("stretch",),
}
WITHOUT_EFFECT = {"stash_type", "momentum", "saturate", "seed", "sorted"}  # whatever they are
WITHOUT_EFFECT |= {name for name, values in VALUES.items() if len(values) == 1}
FUNCTION = "numpy_rnn::Function"  # of another format: what an attribute makes for each thread
PREPARED = {*KINDS, "Conv"}  # whose functions return a step and what it fills
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial"}
RARE = RANDOM - {"Multinomial"} | {
    *("AffineGrid", "Attention", "BitShift", "Celu", "Col2Im", "Compress", "DFT", "DepthToSpace"),
    *("EyeLike", "Hardmax", "IsInf", "MeanVarianceNormalization", "Resize", "STFT"),
    *("Shrink", "SpaceToDepth", "ThresholdedRelu", "Unique"),
}


def function_of(node: Any) -> Callable[..., Any]:
    """Return a Node of a graph as a function of its inputs.

    ValueError or TypeError says why it cannot run, ImportError that ``onnx`` is missing.
    """
    op, count = node.op, len(node.inputs)
    if op in (FUNCTION, *RARE):
        return reference_of(node) if op in RARE else node.attributes["make"]()
    for name, value in node.attributes.items():
        expected = VALUES.get(f"{op}.{name}", VALUES.get(name))
        if expected is not None and value not in expected:
            raise ValueError(f"{name} is {value!r}, expected one of {expected}")
    if op in KINDS:
        most = 8 if op == "LSTM" else 6
        if not 3 <= count <= most:
            raise ValueError(f"{count} inputs, expected 3 to {most}")
        return RecurrentNode(op, node.attributes).bind
    if op not in OPERATORS:
        raise ValueError("there is no such operator here")
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


def reference_of(given: Any) -> Callable[..., Any]:
    """Return a Node as a function of its inputs, of which those without a name are left out.

    ValueError says what is wrong with the node, ImportError that ``onnx`` is missing.
    """
    from onnx import ValueInfoProto, checker, helper, numpy_helper, reference  # noqa: PLC0415 (an extra)

    options = given.attributes
    check_memory(*options.get("shape", ()))  # of random numbers
    inputs = [name and f"input {n}" for n, name in enumerate(given.inputs)]
    names = [f"output {n}" for n in range(len(given.outputs))]
    tensors = {k: numpy_helper.from_array(v) for k, v in options.items() if type(v) is np.ndarray}
    try:
        node = helper.make_node(given.op, inputs, names, **{**options, **tensors})
        context = checker.C.CheckerContext()
        context.ir_version, context.opset_imports = 10, {"": given.opset}
        checker.check_node(node, context)
        reads, makes = ([ValueInfoProto(name=n) for n in v if n] for v in (inputs, names))
        graph = helper.make_graph([node], "node", reads, makes)
        version = helper.make_opsetid("", given.opset)
        model = helper.make_model(graph, opset_imports=[version])
        run = reference.ReferenceEvaluator(model).run
    except Exception as error:  # whatever it raises for a stranger's node
        raise ValueError(" ".join(str(error).split())) from None

    def function(*arrays: Array | None) -> Any:
        feeds = {name: x for name, x in zip(inputs, arrays, strict=True) if name}
        if given.op == "Resize":
            _check_resized(*arrays, options=options)
        try:
            found: Any = run(None, feeds)
            if any(np.asarray(x).dtype == object for x in [*feeds.values(), *found]):
                raise TypeError("expected tensors, not sequences")  # noqa: TRY301 (as any other)
        except Exception as error:  # the same
            raise ValueError(" ".join(str(error).split())) from error
        return tuple(found) if len(found) > 1 else found[0]

    return function


def _check_resized(X: Any, *given: Any, options: Any) -> None:
    """Raise ValueError for an output of too many numbers, or one that programs compute differently.

    Its sizes or scales are given last.
    """
    shape = [*X.shape]
    for axis, n in zip(options.get("axes", range(X.ndim)), given[-1], strict=True):
        shape[axis] = n if given[-1].dtype.kind == "i" else n * shape[axis]
    check_memory(*shape)
    aligned = options.get("coordinate_transformation_mode") == "align_corners"
    if aligned and not np.allclose(shape, np.round(shape)):  # onnxruntime rounds them before
        sizes = [*map(float, shape)]
        raise ValueError(f"sizes are {sizes}, expected whole numbers with align_corners")
