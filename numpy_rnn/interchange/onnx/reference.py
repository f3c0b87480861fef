"""Rare operators of ONNX, as the package ``onnx`` computes them: the extra onnx.

Its reference implementation is NumPy too, and slower. It has all operators, but some disagree with
onnxruntime. Only those are used that a test compares with onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.onnx.windows import check_memory

RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial"}
RARE = RANDOM - {"Multinomial"} | {
    *("AffineGrid", "Attention", "BitShift", "Celu", "Col2Im", "Compress", "DFT", "DepthToSpace"),
    *("EyeLike", "Hardmax", "IsInf", "MeanVarianceNormalization", "Resize", "STFT"),
    *("Shrink", "SpaceToDepth", "ThresholdedRelu", "Unique", "Upsample"),
}


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
        if given.op in ("Resize", "Upsample"):
            _check_resized(*arrays, axes=options.get("axes"))
        try:
            found: Any = run(None, feeds)
            if any(np.asarray(x).dtype == object for x in [*feeds.values(), *found]):
                raise TypeError("expected tensors, not sequences")  # noqa: TRY301 (as any other)
        except Exception as error:  # the same
            raise ValueError(" ".join(str(error).split())) from error
        return tuple(found) if len(found) > 1 else found[0]

    return function


def _check_resized(X: Any, *given: Any, axes: Any) -> None:
    """Raise ValueError if an output takes too much memory. Its sizes or scales are given last."""
    shape = [*X.shape]
    for axis, n in zip(range(X.ndim) if axes is None else axes, given[-1], strict=True):
        shape[axis] = n if given[-1].dtype.kind == "i" else n * shape[axis]
    check_memory(*shape)
