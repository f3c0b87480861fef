"""The references are correct: what is wrong in the museum is the patches."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from numpy_rnn.checking.regimes import REGIMES
from numpy_rnn.checking.shapes import SIZES, draw
from numpy_rnn.functional.types import Array
from numpy_rnn.museum import BUGS, OPTIMIZER_REFERENCES, REFERENCES
from numpy_rnn.museum.bug import TABLES
from numpy_rnn.museum.registry import RegisteredPair
from tests.complex_step import as_tuple, complex_step, is_real, slice_errors
from tests.museum.layers import LAYERS

PAGES = [reference for reference in REFERENCES if reference.name not in LAYERS]
OTHERS = [reference for reference in REFERENCES if reference.name in LAYERS]


def each(references: list[RegisteredPair]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("reference", references, ids=lambda reference: reference.name)


def run(
    reference: RegisteredPair, sizes: Any = SIZES
) -> tuple[tuple[Array, ...], tuple[Array, ...], Any]:
    """Arguments, outputs and a random gradient for each output."""
    rng = np.random.default_rng(0)
    drawn = tuple(draw(rng, reference.shapes, sizes, REGIMES[0])[0].values())
    outputs = as_tuple(reference.forward(*drawn)[0])
    return drawn, outputs, tuple(np.asarray(rng.standard_normal(np.shape(o))) for o in outputs)


def close(actual: Any, expected: Any) -> None:
    if expected is None:
        assert actual is None
    else:
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_every_reference_has_bugs() -> None:
    assert {reference.name for reference in REFERENCES} <= {bug.reference.name for bug in BUGS}
    assert len(PAGES) == 12
    assert set(LAYERS) == {reference.name for reference in OTHERS}


def test_every_reference_has_one_place_in_the_tables_and_all_tables_are_read() -> None:
    names = [reference.name for reference in REFERENCES]
    names += [reference.name for reference in OPTIMIZER_REFERENCES]
    texts = [table.read_text("utf-8") for table in TABLES.iterdir()]
    assert sorted(re.findall(r"(?m)^\[(.*)\]$", "\n".join(texts))) == sorted(names)
    assert len(BUGS) == sum(len(re.findall(r"(?m)^(?![#\[ ]).+ \| ", text)) for text in texts)


@each(PAGES)
def test_a_reference_is_its_textbook_page(reference: RegisteredPair) -> None:
    page = import_module(f"numpy_rnn.textbook.{reference.name}")
    assert reference.backward is getattr(page, f"{reference.name}_backward")
    forward = getattr(reference.forward, "func", reference.forward)
    assert forward is getattr(page, f"{reference.name}_forward")


@each(OTHERS)
@pytest.mark.parametrize("sizes", [SIZES, {**SIZES, "T": 1, "B": 1}], ids=["standard", "one"])
def test_a_reference_equals_the_layers(reference: RegisteredPair, sizes: Any) -> None:
    drawn, outputs, douts = run(reference, sizes)
    expected_outputs, expected = LAYERS[reference.name](drawn, douts)
    for actual, output in zip(outputs, expected_outputs, strict=True):
        close(actual, output)
    gradients = reference.backward(*douts, reference.forward(*drawn)[1])
    for gradient, other in zip(gradients, expected, strict=True):
        close(gradient, other)


@each(REFERENCES)
def test_a_reference_equals_the_complex_step(reference: RegisteredPair) -> None:
    drawn, _, douts = run(reference)
    gradients = reference.backward(*douts, reference.forward(*drawn)[1])
    expected = complex_step(reference.forward, drawn, douts)
    for gradient, other, shape in zip(gradients, expected, reference.shapes.values(), strict=True):
        if other is None:
            assert gradient is None
        else:
            axis = 0 if isinstance(shape, str) and shape.startswith("T") else None
            assert slice_errors(gradient, other, axis).max() <= 1e-11


@each(REFERENCES)
def test_a_reference_follows_the_dtype(reference: RegisteredPair) -> None:
    drawn, _, douts = run(reference)
    halves = [a.astype(np.float32) if is_real(a) else a for a in drawn]
    _, cache = reference.forward(*halves)
    gradients = reference.backward(*(d.astype(np.float32) for d in douts), cache)
    assert {g.dtype for g in gradients if g is not None} == {np.dtype(np.float32)}
