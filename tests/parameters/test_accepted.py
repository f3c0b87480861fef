"""What parameters accept: dtypes, and states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn.parameters import Parameters
from tests.parameters.small import two


def test_a_state_goes_out_and_in_as_copies() -> None:
    _, _, joined = two()
    state = joined.state_dict()
    joined.data[...] = 0
    assert joined.load_state_dict(state) == ([], [])
    assert joined.data.tolist() == list(range(12))
    state["first.b"][...] = 99
    assert joined.data.tolist() == list(range(12))


def test_a_state_that_does_not_fit_names_every_entry_and_changes_nothing() -> None:
    _, _, joined = two()
    state: dict[str, Any] = joined.state_dict()
    del state["first.b"]
    state["second.w"] = np.zeros((1, 3))
    state["third.w"] = np.zeros(1)
    state["first.w"] = np.full((2, 3), "x")
    with pytest.raises(ValueError, match="load_state_dict") as caught:
        joined.load_state_dict(state)
    for part in (
        "'first.b' is missing",
        "'third.w' is unexpected",
        "'second.w' has shape (1, 3), expected (3, 1)",
        "'first.w' has dtype <U1, expected real numbers",
    ):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert joined.data.tolist() == list(range(12))


@pytest.mark.parametrize(
    ("number", "shown"), [(np.nan, "nan"), (-np.inf, "-inf"), (1e300, "1e\\+300")]
)
def test_a_state_with_a_number_that_is_not_finite_changes_nothing(
    number: float, shown: str
) -> None:
    parameters = Parameters({"w": (2, 2), "b": (2,)}, "float32")
    state = {"w": np.array([[1, 2], [number, 3]]), "b": np.ones(2)}
    match = rf"'w' is {shown} at index \(1, 0\), expected finite float32$"
    with pytest.raises(ValueError, match=match):
        parameters.load_state_dict(state)
    assert not parameters.data.any()


def test_what_is_not_strict_still_refuses_a_wrong_shape() -> None:
    _, _, joined = two()
    keys = joined.load_state_dict({"first.b": np.full(3, 5.0), "new": np.ones(1)}, strict=False)
    assert keys.missing_keys == ["first.w", "second.w"]
    assert keys.unexpected_keys == ["new"]
    assert joined.values["first.b"].tolist() == [5, 5, 5]
    with pytest.raises(ValueError, match=r"'first.b' has shape \(2,\), expected \(3,\)"):
        joined.load_state_dict({"first.b": np.ones(2)}, strict=False)


@pytest.mark.parametrize("dtype", ["float16", "int64", "complex128", "no dtype", object])
def test_a_dtype_that_parameters_cannot_have(dtype: Any) -> None:
    with pytest.raises(ValueError, match=r"dtype is .*, expected one of float32, float64"):
        Parameters({"w": (1,)}, dtype)
