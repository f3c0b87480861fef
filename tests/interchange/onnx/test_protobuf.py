"""The encoding of ONNX files: every tensor, and messages that would take time or memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from numpy_rnn.interchange.onnx.protobuf import (
    DTYPES,
    MAX_FIELDS,
    Decoder,
    encode,
    to_array,
)
from tests.interchange.onnx.seeds import seeds


@pytest.mark.parametrize("number", sorted(DTYPES))
@pytest.mark.parametrize("raw", [True, False])
def test_every_encoding_of_a_tensor(number: int, raw: bool) -> None:
    exact = np.array([[0, 1, 1], [0, 1, 1]]) if number == 9 else np.arange(6).reshape(2, 3)
    if number in (3, 5, 6, 7):
        exact = exact - 3
    if number in (1, 10, 11, 16):
        exact = exact / 4 - 0.5
    dtype = helper.tensor_dtype_to_np_dtype(number)
    if raw:
        tensor = helper.make_tensor("t", number, [2, 3], exact.astype(dtype).tobytes(), raw=True)
    else:
        tensor = helper.make_tensor("t", number, [2, 3], exact.astype(dtype).ravel())
    message = Decoder().read(memoryview(tensor.SerializeToString()), "Tensor")
    np.testing.assert_array_equal(to_array(message, Path()), exact)


def test_large_and_negative_integers_survive() -> None:
    values = np.array([0, -1, 127, 128, 2**62, -(2**63), 2**63 - 1])
    tensor = helper.make_tensor("t", TensorProto.INT64, [7], values)
    message = Decoder().read(memoryview(tensor.SerializeToString()), "Tensor")
    np.testing.assert_array_equal(to_array(message, Path()), values)
    again = Decoder().read(memoryview(encode("Tensor", message | {"name": "u"})), "Tensor")
    np.testing.assert_array_equal(again["int64_data"], values)


def test_what_is_written_is_what_the_onnx_package_reads() -> None:
    for data in seeds():
        made = onnx.load_from_string(data)
        assert made.SerializeToString(deterministic=True) != b""
        assert len(made.graph.node) > 0
        ours = Decoder().read(memoryview(data), "Model")["graph"]["node"]
        assert [n["op_type"] for n in ours] == [n.op_type for n in made.graph.node]


@pytest.mark.parametrize(
    ("message", "values"),
    [
        ("Graph", {"node": [{}] * 4000}),
        ("Node", {"attribute": [{}] * 4000}),
        ("Graph", {"initializer": [{}] * 4000}),
        ("Graph", {"initializer": [{"dims": [1], "float_data": [1.0]}] * 2000}),
        ("Node", {"input": ["long enough to be a string of its own"] * 20000}),
        ("Attribute", {"ints": [1] * 20000}),
    ],
)
def test_small_messages_take_little_memory(message: str, values: dict[str, Any]) -> None:
    """As many fields as are allowed, which is more than here, take at most 64 MB."""
    data, decoder = memoryview(encode(message, values)), Decoder()
    tracemalloc.start()
    try:
        read = decoder.read(data, message)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert all(len(read[name]) == len(value) for name, value in values.items())
    assert peak / decoder.fields * MAX_FIELDS < 4 * len(data) + (64 << 20)
