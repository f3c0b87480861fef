"""Operators beside onnxruntime, in the forms that they have in several versions of ONNX."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from numpy_rnn.interchange import read
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.graph.graph import Graph
from numpy_rnn.interchange.graph.nodes import Node
from numpy_rnn.interchange.onnx import operators, windows
from tests.interchange.onnx.nodes import onnxruntime_outputs

MICROSOFT = "com.microsoft"
R = np.random.default_rng(0)
X = R.standard_normal((2, 3, 4)).astype(np.float32)
BYTES = np.arange(90, 234, 6, dtype=np.uint8).reshape(2, 3, 4)
LINE = R.standard_normal((2, 4, 9)).astype(np.float32)
IMAGE = R.standard_normal((2, 4, 5, 6)).astype(np.float32)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def floats(*shape: int) -> Any:
    return R.standard_normal(shape).astype(np.float32)


class Case(NamedTuple):
    op: str
    inputs: list[Any]
    attributes: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    opset: int = 17
    outputs: int = 1
    domain: str = ""


CASES = [
    *[Case(op, [X]) for op in ("Abs", "Neg", "Exp", "Tanh", "Sigmoid", "Relu", "Erf", "Floor")],
    *[Case(op, [X]) for op in ("Softplus", "Softsign", "Elu", "LeakyRelu", "HardSigmoid", "Sign")],
    *[Case(op, [X, X[:1, :, :1]]) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min")],
    Case("Mod", [ints(7, -7, 7), ints(2, 3, -3)]),
    Case("Mod", [X, np.float32(0.7)], {"fmod": 1}),
    Case("Mean", [X, X[:1]], {}, 13),
    Case("Div", [ints(7, -7, 7), ints(2, 2, -2)]),
    Case("Pow", [np.abs(X), np.float32(0.5)]),
    Case("Pow", [X, np.float32(2)]),
    Case("Gemm", [X[0], floats(5, 4), floats(5)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    Case("Softmax", [X], {"axis": 1}),
    Case("Softmax", [X], {"axis": 1}, 11),
    Case("LogSoftmax", [X], {}, 11),
    Case("Squeeze", [X[:, :1], ints(1)]),
    Case("Squeeze", [X[:, :1]], {"axes": [1]}, 11),
    Case("Unsqueeze", [X, ints(0, -1)]),
    Case("Unsqueeze", [X], {"axes": [1]}, 11),
    Case("Slice", [X], {"starts": [0, -3], "ends": [1, 99], "axes": [0, 2]}, 9),
    Case("Slice", [X, ints(-1), ints(-(2**62)), ints(2), ints(-1)]),
    Case("Slice", [X, ints(2), ints(-99), ints(1), ints(-2)]),
    Case("Split", [X], {"axis": 2, "split": [1, 3]}, 11, 2),
    Case("Split", [X, ints(1, 3)], {"axis": -1}, 17, 2),
    Case("Split", [X], {"axis": 2}, 17, 2),
    Case("Split", [X], {"axis": 1, "num_outputs": 2}, 18, 2),
    Case("ReduceSum", [X, ints(0, 2)], {"keepdims": 0}),
    Case("ReduceSum", [X], {"noop_with_empty_axes": 1}),
    Case("ReduceMean", [X], {"axes": [-1]}),
    Case("ReduceMean", [X, ints(1)], {}, 18),
    Case("ReduceProd", [X], {"axes": [0], "keepdims": 0}),
    Case("Clip", [X], {"min": -0.5, "max": 0.5}, 6 + 4),
    Case("Clip", [X, np.float32(-0.5), np.float32(0.5)]),
    Case("Pad", [X], {"pads": [0, 1, 0, 0, 0, 2], "value": 1.5}, 10),
    Case("Pad", [X, ints(0, 1, -1, 0, 0, 2), np.float32(3)]),
    Case("Pad", [X, ints(0, 1, 2, 0, 2, 3)], {"mode": "reflect"}),
    Case("Pad", [X, ints(0, 1, 2, 0, 2, 3)], {"mode": "edge"}),
    Case("Conv", [LINE, floats(6, 4, 3), floats(6)], {"pads": [1, 2], "strides": [2]}),
    Case("Conv", [LINE, floats(6, 2, 3)], {"group": 2, "dilations": [2]}),
    Case("Conv", [LINE, floats(6, 4, 4)], {"auto_pad": "SAME_LOWER", "strides": [2]}),
    Case("Conv", [floats(1, 2, 5, 6), floats(3, 2, 2, 3)], {"pads": [1, 0, 0, 2]}),
    Case("LayerNormalization", [X, floats(4), floats(4)], {"epsilon": 1e-3}),
    Case("BatchNormalization", [X, *(np.abs(floats(4, 3)) + 0.5)], {"training_mode": 0}),
    Case("BatchNormalization", [X, *(np.abs(floats(4, 3)) + 0.5)], {"momentum": 0.5}, 9),
    Case("Expand", [X[:, :1], ints(2, 3, 1)]),
    Case("Tile", [X, ints(1, 2, 1)]),
    Case("ConstantOfShape", [ints(2, 3)], {"value": onnx.numpy_helper.from_array(ints(7))}),
    Case("Range", [np.int64(2), np.int64(9), np.int64(3)]),
    Case("Gather", [X, ints(0, -1)], {"axis": 2}),
    Case("Where", [X > 0, X, np.float32(0)]),
    Case("Flatten", [X], {"axis": 2}),
    Case("Reshape", [X, ints(0, -1)]),
    Case("ArgMax", [X], {"axis": -1, "keepdims": 0, "select_last_index": 0}),
    *[
        Case(op, [np.round(X)], {"axis": axis, "select_last_index": last}, 13)
        for op in ("ArgMax", "ArgMin")
        for axis, last in ((1, 1), (-1, 1), (2, 0))
    ],
    Case("Shape", [X], {"start": 1}),
    Case("Cast", [X], {"to": TensorProto.INT32}),
    *[Case(op, [X]) for op in ("HardSwish", "Selu", "Celu", "Atan", "Sinh", "IsNaN")],
    Case("Celu", [X], {"alpha": 0.5}),
    Case("Mish", [X], {}, 18),
    Case("Swish", [X], {"alpha": 0.5}, 24),
    Case("ThresholdedRelu", [X], {"alpha": 0.5}),
    Case("IsInf", [np.array([1, -np.inf, np.inf, np.nan], np.float32)], {"detect_negative": 0}),
    Case("Gelu", [X], {}, 20),
    Case("Gelu", [X], {"approximate": "tanh"}, 20),
    Case("PRelu", [X, floats(4)]),
    Case("Hardmax", [X], {"axis": 1}),
    Case("Shrink", [X], {"lambd": 0.3, "bias": 0.1}),
    Case("MeanVarianceNormalization", [X], {"axes": [0, 2]}),
    Case("BitShift", [BYTES, np.uint8(1)], {"direction": "RIGHT"}),
    *[Case(f"Bitwise{op}", [BYTES, BYTES[:1]], {}, 18) for op in ("And", "Or", "Xor")],
    Case("Einsum", [X, floats(4, 2)], {"equation": "abi,ij->bj"}),
    Case("GatherElements", [X, ints(0, 2, -1).reshape(1, 3, 1)], {"axis": 1}),
    Case("GatherElements", [X, np.full((2, 1, 4), 2)], {"axis": 1}),
    Case("CumSum", [X, np.array(1)], {"exclusive": 1, "reverse": 1}),
    Case("CumSum", [X, ints(-1)]),
    Case("TopK", [X, ints(2)], {"axis": 1}, 17, 2),
    Case("TopK", [X], {"k": 2}, 9, 2),
    Case("TopK", [X, ints(3)], {"largest": 0}, 17, 2),
    Case("TopK", [np.round(X), ints(3)], {"axis": 1, "sorted": 1}, 11, 2),
    Case("TopK", [ints(3, -(2**63), 2, 3, 0), ints(4)], {"largest": 1}, 17, 2),
    Case("TopK", [BYTES.astype(np.int64), ints(2)], {"axis": 0}, 17, 2),
    Case("ScatterElements", [X, ints(2, 0).reshape(1, 2, 1), floats(1, 2, 1)], {"axis": 1}),
    *[
        Case("ScatterElements", [X, ints(2, 0, 2).reshape(1, 3, 1), floats(1, 3, 1)], options, 18)
        for options in ({"axis": 1, "reduction": "add"}, {"axis": -2, "reduction": "max"})
    ],
    Case("ScatterND", [X, ints(1, 2, 0, 1).reshape(2, 2), floats(2, 4)]),
    Case("ScatterND", [X, ints(1, -2, 1, 1).reshape(2, 2), floats(2, 4)], {"reduction": "mul"}),
    Case("GatherND", [X, ints(1, 2, 0, 1).reshape(2, 2)]),
    Case("GatherND", [X, ints(1, 0).reshape(2, 1)], {"batch_dims": 1}),
    *[Case("Trilu", [X, np.array(k)], {"upper": k % 2}) for k in (-1, 0, 1, 2)],
    Case("Trilu", [X]),
    Case("OneHot", [ints(1, -1, 5).reshape(3, 1), np.int64(3), floats(2)], {"axis": 1}),
    Case("Compress", [X, np.array([True, False, True])], {"axis": 1}),
    Case("Compress", [X, np.array([False, True])]),
    Case(
        "Unique",
        [
            np.round(X),
        ],
        {"axis": 1, "sorted": 1},
        17,
        4,
    ),
    Case("Range", [np.array([2]), np.array([9]), np.array([3])]),
    Case("NonZero", [np.round(X)]),
    Case("EyeLike", [X[0]], {"k": 1, "dtype": TensorProto.FLOAT}),
    Case("ReverseSequence", [X, ints(2, 3)], {"batch_axis": 0, "time_axis": 1}),
    Case("ReverseSequence", [X, ints(1, 2, 0)], {"batch_axis": 1, "time_axis": 0}),
    Case("GlobalAveragePool", [LINE]),
    Case("GlobalMaxPool", [LINE]),
    Case("MaxPool", [LINE], {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
    Case("MaxPool", [floats(2, 3, 6, 5)], {"kernel_shape": [2, 3], "auto_pad": "SAME_UPPER"}),
    Case("AveragePool", [LINE], {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
    Case("AveragePool", [LINE], {"kernel_shape": [2], "pads": [1, 0], "count_include_pad": 1}),
    Case("MaxPool", [BYTES], {"kernel_shape": [2], "pads": [1, 1]}),
    Case("MaxPool", [LINE], {"kernel_shape": [2], "ceil_mode": 0, "storage_order": 0}),
    *[
        Case("MaxPool", [line], {"kernel_shape": [k], "strides": [s], "ceil_mode": 1, "pads": p})
        for line in (LINE, LINE[..., :8])
        for k, s, p in ((2, 2, [0, 0]), (3, 2, [1, 1]), (2, 3, [0, 0]), (3, 3, [1, 0]))
    ],
    *[
        Case("AveragePool", [LINE], {"kernel_shape": [k], "strides": [s], "ceil_mode": 1, **more})
        for more in ({}, {"pads": [1, 1]}, {"pads": [1, 1], "count_include_pad": 1})
        for k, s in ((2, 2), (3, 2), (3, 4))
    ],
    *[
        Case("AveragePool", [LINE[..., :7]], {"ceil_mode": 1, "count_include_pad": 1, **more})
        for more in (
            {"kernel_shape": [2], "strides": [2]},
            {"kernel_shape": [3], "strides": [3], "pads": [1, 0]},
        )
    ],
    *[
        Case("ConvTranspose", [LINE, floats(4, 3, 4), floats(3)], options)
        for options in (
            {},
            {"strides": [3], "pads": [1, 2], "dilations": [2], "auto_pad": "NOTSET"},
            {"strides": [2], "output_padding": [1], "kernel_shape": [4]},
            {"strides": [2], "auto_pad": "SAME_UPPER"},
            {"strides": [5], "auto_pad": "SAME_LOWER"},
        )
    ],
    *[
        Case(
            "ConvTranspose", [LINE, floats(4, 1, 3)], {"strides": [2], "output_shape": [n], **more}
        )
        for n in (18, 17, 20)
        for more in ({}, {"auto_pad": "SAME_UPPER"})
    ],
    Case("ConvTranspose", [LINE, floats(4, 1, 3)], {"group": 2, "strides": [2]}),
    Case("ConvTranspose", [IMAGE, floats(4, 2, 3, 2)], {"strides": [1, 2], "pads": [0, 1, 1, 0]}),
    Case("InstanceNormalization", [LINE, floats(4), floats(4)]),
    Case("InstanceNormalization", [IMAGE, floats(4), floats(4)], {"epsilon": 0.1}),
    Case("GroupNormalization", [IMAGE, floats(2), floats(2)], {"num_groups": 2}, 18),
    Case("GroupNormalization", [IMAGE, floats(4), floats(4)], {"num_groups": 2}, 21),
    *[Case(f"Reduce{op}", [X], {"axes": [1]}) for op in ("L1", "L2", "SumSquare", "LogSumExp")],
    Case("ReduceLogSum", [np.abs(X)], {"axes": [0, 2], "keepdims": 0}),
    Case("ReduceLogSumExp", [X]),
    Case("ReduceMax", [X, ints(0)], {"keepdims": 0}, 18),
    *[
        Case("Resize", [LINE, "", np.array([1, 1, by], np.float32)], {"mode": mode, **way}, 13)
        for mode in ("nearest", "linear")
        for by, way in (
            (2.5, {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
            (2, {"coordinate_transformation_mode": "align_corners"}),
            (2.5, {"coordinate_transformation_mode": "pytorch_half_pixel", "nearest_mode": "ceil"}),
            (2.5, {}),
        )
    ],
    *[
        Case(
            "AffineGrid",
            [floats(2, n - 2, n - 1), ints(2, 3, 4, 6, 5)[:n]],
            {"align_corners": k},
            20,
        )
        for n in (4, 5)
        for k in (0, 1)
    ],
    Case("Col2Im", [floats(2, 24, 4), ints(5, 4), ints(3, 2)], {"strides": [2, 2]}, 18),
    Case(
        "Col2Im",
        [floats(2, 8, 25), ints(5, 4), ints(2, 2)],
        {"pads": [0, 1, 1, 2], "dilations": [1, 2]},
        18,
    ),
    Case("DFT", [LINE[..., :1]], {"axis": 1, "onesided": 1}),
    Case("DFT", [LINE[..., :2], np.array(6)], {"inverse": 1}),
    Case("DFT", [floats(2, 4, 3, 2)]),
    Case("DFT", [LINE[..., :2].reshape(2, 2, 2, 2), "", np.array(1)], {}, 20),
    Case("STFT", [LINE.reshape(2, -1, 1), np.array(3), np.abs(floats(8)), np.array(8)]),
    Case("STFT", [LINE.reshape(2, -1, 1), np.array(4), "", np.array(8)], {"onesided": 0}),
    *[Case("DepthToSpace", [IMAGE], {"blocksize": 2, "mode": mode}) for mode in ("DCR", "CRD")],
    Case("SpaceToDepth", [IMAGE[:, :, :4]], {"blocksize": 2}),
    Case("Resize", [IMAGE, "", "", ints(2, 4, 3, 12)], {"mode": "linear"}, 18),
    *[
        Case(
            "Resize",
            [IMAGE, np.array([0, 0, 0.2, 0.3, 1, 1, 0.9, 1.2], np.float32), "", ints(2, 4, 3, 12)],
            {"mode": mode, "coordinate_transformation_mode": "tf_crop_and_resize"},
            18,
        )
        for mode in ("nearest", "linear")
    ],
    Case("Resize", [LINE, np.array([1, 1, 2], np.float32)], {}, 10),
    *[
        Case("Upsample", [LINE, np.array([1, 1, 2], np.float32)], {"mode": mode}, 9)
        for mode in ("nearest", "linear")
    ],
    Case("DynamicQuantizeLinear", [X], {}, 17, 3),
    Case("QuantizeLinear", [X, np.float32(0.05), np.uint8(100)]),
    Case("QuantizeLinear", [X, np.abs(floats(4)), np.array([1, 2, 3, 4], np.int8)], {"axis": -1}),
    Case("QuantizeLinear", [X, np.float32(0.05)]),
    Case("MatMulInteger", [BYTES, BYTES.view("i1").swapaxes(1, 2), np.uint8(7), np.int8(2)]),
    Case("MatMulInteger", [BYTES[0], BYTES[1].T, np.uint8(7), np.array([2, 3, 4], np.uint8)]),
    Case("ConvInteger", [BYTES, BYTES[:, :, :2], np.uint8(7), np.uint8(9)], {"pads": [1, 0]}),
    Case("ConvInteger", [BYTES, BYTES[:, :1, :2].repeat(3, 0)], {"group": 3, "kernel_shape": [2]}),
    Case("DequantizeLinear", [np.arange(6, dtype=np.int8), np.float32(0.5), np.int8(3)]),
    Case("DequantizeLinear", [BYTES, floats(3), np.array([7, 90, 100], np.uint8)], {"axis": 1}),
    Case("DequantizeLinear", [BYTES.view("i1"), floats(4)], {"axis": -1}),
    *[
        Case("FusedMatMul", [a, b], {"alpha": 0.5, **options}, 17, 1, MICROSOFT)
        for a, b, options in (
            (X, floats(2, 3, 5), {"transA": 1}),
            (X, floats(5, 4), {"transB": 1}),
            (X, floats(2, 3, 5), {"transA": 1, "transBatchA": 0}),
        )
    ],
    *[Case(op, [X], {}, 17, 1, MICROSOFT) for op in ("Gelu", "QuickGelu")],
    Case("BiasGelu", [X, floats(4)], {}, 17, 1, MICROSOFT),
    *[Case("FastGelu", [X, *more], {}, 17, 1, MICROSOFT) for more in ([], [floats(4)])],
    *[
        Case("SkipLayerNormalization", [X, floats(2, 3, 4), *more], {}, 17, 1, MICROSOFT)
        for more in ([floats(4)], [floats(4), floats(4)], [floats(4), floats(4), floats(4)])
    ],
    *[
        Case(
            "Attention",
            [floats(2, 4, 3, 5), floats(2, n, 6, 5), floats(2, n, 6, 5), *more],
            options,
            23,
        )
        for n, more, options in (
            (4, [], {}),
            (4, [], {"is_causal": 1, "scale": 0.5}),
            (2, [floats(3, 6)], {}),
            (4, [floats(2, 1, 3, 6) > -1], {}),
            (4, [np.array([[True] * 6, [False] * 6, [True] * 6])], {}),
        )
    ],
    Case(
        "Attention",
        [floats(2, 3, 8)] * 3,
        {"softcap": 0.0, "q_num_heads": 2, "kv_num_heads": 2},
        23,
    ),
    Case("RMSNormalization", [X, floats(4)], {"epsilon": 1e-3}, 23),
    Case("SimplifiedLayerNormalization", [X, floats(4)], {"epsilon": 1e-3, "axis": -1}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.op}-{case.opset}")
def test_an_operator_equals_onnxruntime(case: Case, tmp_path: Path) -> None:
    """The first input is the graph's; the others are constants, then inputs too."""
    reads = ["" if isinstance(x, str) else f"i{n}" for n, x in enumerate(case.inputs)]
    arrays = [np.asarray(x) for x in case.inputs if not isinstance(x, str)]
    names = [name for name in reads if name]
    outputs = [f"o{n}" for n in range(case.outputs)]
    node = helper.make_node(case.op, reads, outputs, domain=case.domain, **case.attributes)
    for constants in {1, len(arrays)}:
        values = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for n, x in zip(names[:constants], arrays, strict=False)
        ]
        tensors = [
            onnx.numpy_helper.from_array(x, n)
            for n, x in zip(names[constants:], arrays[constants:], strict=True)
        ]
        results = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph([node], "graph", values, results, tensors)
        made = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", case.opset), helper.make_opsetid(MICROSOFT, 1)],
            ir_version=8,
        )
        path = tmp_path / "node.onnx"
        path.write_bytes(made.SerializeToString())
        given = dict(zip(names[:constants], arrays, strict=False))
        theirs = onnxruntime_outputs(path.read_bytes(), given)
        ours = read(path).build(graph=True)
        for _ in range(2):  # the second time with what the first one prepared
            for a, b in zip(ours(given).values(), theirs, strict=True):
                assert (a.dtype, a.shape) == (b.dtype, b.shape)
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_every_unsupported_node_is_named_before_anything_runs(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Det", ["x"], ["a"], name="first"),
        helper.make_node("Pad", ["x", "p"], ["b"], name="second", mode="mirror"),
        helper.make_node("Relu", ["x"], ["c"], name="third", slope=1.0),
        helper.make_node("FusedThing", ["x"], ["d"], name="fourth", domain=MICROSOFT),
        helper.make_node("LSTM", ["x", "w", "r"], ["e"], name="fifth", activations=["Sin"]),
        helper.make_node("GRU", ["x", "w", "r"], ["f"], name="sixth", activations=5),
        helper.make_node("Conv", ["x", "w"], ["g"], name="seventh", padding=1),
        helper.make_node("MaxPool", ["x"], ["h"], name="eighth", kernel_shape=[1], storage_order=1),
        helper.make_node("Add", ["x", "x"], ["i"], name="ninth", out=1),
        helper.make_node("Relu", ["x"], ["y"], name="good"),
    ]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    constants = [onnx.numpy_helper.from_array(ints(0, 0), name) for name in "pwr"]
    graph = helper.make_graph(nodes, "graph", [value], [], constants)
    path = tmp_path / "bad.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(UnsupportedError) as raised:
        read(path).build()
    for name, reason in {
        "first": "no such operator",
        "second": "'mirror'",
        "third": "slope",
        "fourth": "com.microsoft::FusedThing",
        "fifth": "'Sin'",
        "sixth": "types of attributes do not fit",
        "seventh": "'padding'",
        "eighth": "storage_order is 1",
        "ninth": "out is 1",
    }.items():
        line = next(line for line in str(raised.value).split("; ") if name in line)
        assert reason in line
    assert "good" not in str(raised.value)


def test_a_rare_operator_names_the_extra_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph([Node("rare", "Celu", ("x",), ("y",), opset=12)], ["x"], ["y"])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UnsupportedError, match=r"'rare' \(Celu\): .* the extra onnx: pip"):
        graph(X)


@pytest.mark.parametrize("last", [ints(2, 4, 10**12), np.array([1, 1, 1e11], np.float32)])
def test_a_resized_output_that_would_take_all_memory_is_refused(last: Any) -> None:
    names = ("x", "", "", "n") if last.dtype.kind == "i" else ("x", "", "n")
    graph = Graph([Node("large", "Resize", names, ("y",), opset=18)], ["x", "n"], ["y"])
    with pytest.raises(ValueError, match=r"'large' .*the output has shape"):
        graph(LINE, last)


def test_sizes_that_programs_round_differently_are_refused() -> None:
    options = {"coordinate_transformation_mode": "align_corners"}
    graph = Graph([Node("r", "Resize", ("x", "", "n"), ("y",), options, 18)], ["x", "n"], ["y"])
    with pytest.raises(ValueError, match=r"'r' \(Resize\): sizes are .*22.5.*, expected whole"):
        graph(LINE, np.array([1, 1, 2.5]))


def test_random_numbers_that_would_take_all_memory_are_refused() -> None:
    options = {"shape": (1 << 20, 1 << 20)}
    graph = Graph([Node("large", "RandomNormal", (), ("y",), options, 17)], [], ["y"])
    with pytest.raises(UnsupportedError, match=r"'large' .*the output has shape"):
        graph()


@pytest.mark.parametrize("op", ["Conv", "MaxPool", "Pad"])
def test_a_padding_that_would_take_all_memory_is_refused(op: str) -> None:
    most = windows.MAX_PADDING
    for pads in ([most + 1, 0], [0, 10**12]):
        options = {"kernel_shape": [3], "pads": pads} if op == "MaxPool" else {"pads": pads}
        given = {"Conv": [LINE, floats(6, 4, 3)], "MaxPool": [LINE], "Pad": [LINE[0, 0]]}[op]
        with pytest.raises(
            ValueError, match=f"the padding is {max(pads)}, expected at most {most}"
        ):
            operators.OPERATORS[op](*given, **options)


@pytest.mark.parametrize(
    ("op", "inputs", "options"),
    [
        ("ConvTranspose", [LINE, floats(4, 1, 3)], {"strides": [10**9]}),
        ("ConvTranspose", [LINE, floats(4, 1, 3)], {"output_padding": [10**12]}),
        ("OneHot", [ints(1), np.int64(10**12), floats(2)], {}),
        ("ConstantOfShape", [ints(10**5, 10**5)], {}),
        ("Expand", [floats(2), ints(10**12, 2)], {}),
        ("Tile", [floats(2), ints(10**12)], {}),
        ("Range", [np.float32(0), np.float32(1e30), np.float32(1)], {}),
    ],
)
def test_an_output_that_would_take_all_memory_is_refused(
    op: str, inputs: list[Any], options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="the output has shape"):
        operators.OPERATORS[op](*inputs, **options)
