"""What parameters may be."""

from __future__ import annotations

from typing import Any

import pytest

from numpy_rnn.parameters import Parameters


@pytest.mark.parametrize("dtype", ["float16", "int64", "complex128", "no dtype", object])
def test_a_dtype_that_parameters_cannot_have(dtype: Any) -> None:
    with pytest.raises(ValueError, match=r"dtype is .*, expected one of float32, float64"):
        Parameters({"w": (1,)}, dtype)
