"""Every nonlinearity by its name: the value, the derivative by the complex step, the dtype."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from numpy_rnn.functional.activations import (
    NONLINEARITIES,
    RELU,
    TANH,
    check_activation,
    make_activation,
)
from numpy_rnn.functional.types import Array
from tests.complex_step import STEP

# On both sides of every branch, and far out; no number is a branch itself.
Z = np.array([-700.0, -31.0, -3.3, -2.4, -1.01, -0.4, -1e-9, 0.3, 0.9, 1.02, 2.6, 3.2, 7.1, 33.0])
SPECS: list[Any] = [
    *NONLINEARITIES,
    ("affine", -1.5, 0.25),
    ("leaky_relu", -0.3),
    ("thresholded_relu", -0.5),
    ("scaled_tanh", 1.7159, 2 / 3),
    ("hard_sigmoid", 1 / 6),
    ("hard_sigmoid", -0.2, 0.5),
    ("hard_tanh", 0.0, 6.0),
    ("elu", 0.4),
    ("softplus", 2.0, 20.0),
]


@pytest.mark.parametrize("clip", [None, 2.5])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_derivative_equals_the_complex_step(spec: Any, clip: float | None) -> None:
    phi = make_activation(spec, clip)
    value = phi.value(Z.copy(), np.empty_like(Z))
    moved = phi.value(Z + 1j * STEP, np.empty(Z.shape, complex))
    np.testing.assert_allclose(moved.real, value, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(phi.slope(value, Z), moved.imag / STEP, rtol=1e-13, atol=1e-15)
    if clip is not None:
        inside = make_activation(spec).value(np.clip(Z, -clip, clip), np.empty_like(Z))
        np.testing.assert_array_equal(value, inside)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_dtype_in_is_dtype_out(spec: Any, dtype: type) -> None:
    name, constants = check_activation(spec)
    z: Array = Z.astype(dtype)
    h = NONLINEARITIES[name].value(z, *constants)
    assert h.dtype == dtype
    assert NONLINEARITIES[name].slope(h, z, *constants).dtype == dtype
    assert not np.shares_memory(h, z)


@pytest.mark.parametrize(("name", "phi"), [("tanh", TANH), ("relu", RELU)])
def test_the_two_of_the_fast_path_are_the_same(name: str, phi: Any) -> None:
    other = make_activation(name)
    h = phi.value(Z, np.empty_like(Z))
    np.testing.assert_array_equal(other.value(Z, np.empty_like(Z)), h)
    np.testing.assert_array_equal(other.slope(h, Z), phi.slope(h))


@pytest.mark.parametrize(
    ("spec", "z", "h"),
    [
        ("affine", 2.0, 2.0),
        ("leaky_relu", -2.0, -0.02),
        ("thresholded_relu", 1.0, 1.0),  # ONNX's RNN: z if z >= alpha
        ("thresholded_relu", 0.999, 0.0),
        ("scaled_tanh", 1.0, math.tanh(1)),
        ("hard_sigmoid", 1.0, 0.7),
        ("elu", -1.0, math.expm1(-1)),
        ("selu", -1.0, -1.1113307378125625),  # torch.nn.functional.selu
        ("softsign", -3.0, -0.75),
        ("softplus", 0.0, math.log(2)),
        ("softplus", 800.0, 800.0),
        ("silu", 1.0, 1 / (1 + math.exp(-1))),
        ("exponential", 1.0, math.e),
    ],
)
def test_values_with_the_default_constants(spec: str, z: float, h: float) -> None:
    value = make_activation(spec).value(np.array([z]), np.empty(1))
    assert value[0] == pytest.approx(h, rel=1e-15)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("Tanh", "'Tanh', expected a name of tanh, relu, linear"),
        (3, "3, expected a name of"),
        ((), r"\(\), expected a name of"),
        ((["tanh"],), r"expected a name of"),
        (("relu", 1.0), r"\('relu', 1.0\), expected 'relu' with at most 0 numbers"),
        (("elu", "1"), r"expected 'elu' with at most 1 numbers"),
        (("elu", True), r"expected 'elu' with at most 1 numbers"),
        (("elu", math.nan), r"expected 'elu' with at most 1 numbers"),
    ],
)
def test_a_wrong_specification_is_an_error(spec: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_activation(spec)
