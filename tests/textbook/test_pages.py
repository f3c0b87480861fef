"""Every page's gradients equal the complex step, for every argument and timestep."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.complex_step import as_tuple, complex_step, is_real, slice_errors
from tests.textbook.pages import CELLS, PAGES, REDUCTIONS, SIZES, Page, draw, in_regime, masked_mse

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.title)
each_cell = pytest.mark.parametrize("page", CELLS, ids=lambda page: page.title)

TOLERANCE = 1e-11


def with_time_and_batch(T: int, B: int) -> dict[str, int]:
    return SIZES | {"T": T, "B": B}


def run(
    page: Page, sizes: dict[str, int], seed: int = 0
) -> tuple[tuple[Any, ...], tuple[Any, ...], Any]:
    """Arguments, a random gradient for every output, and the cache."""
    rng = np.random.default_rng(seed)
    arguments = draw(page, rng, sizes)
    outputs, cache = page.forward(*arguments)
    douts = tuple(np.asarray(rng.standard_normal(np.shape(out))) for out in as_tuple(outputs))
    return arguments, douts, cache


def check(
    page: Page,
    arguments: tuple[Any, ...],
    douts: tuple[Any, ...],
    backward: Callable[..., Any] | None = None,
    absolute: float = 0,
) -> None:
    """Compare each gradient with the complex step, each time slice on its own scale.

    `absolute` is the error that a slice may have in any case: 0, but for saturated units.
    """
    _, cache = page.forward(*arguments)
    gradients = (backward or page.backward)(*douts, cache)
    assert len(gradients) == len(arguments)
    for position, expected in enumerate(complex_step(page.forward, arguments, douts)):
        got = gradients[position]
        if expected is None:
            assert got is None
        elif np.abs(got - expected).max(initial=0) > absolute:
            errors = slice_errors(got, expected, 0 if position in page.over_time else None)
            assert errors.max(initial=0) <= TOLERANCE, (position, errors)


@each_page
def test_equals_the_complex_step(page: Page) -> None:
    arguments, douts, _ = run(page, SIZES)
    check(page, arguments, douts)


@each_page
@pytest.mark.parametrize(("T", "B"), [(0, 0), (0, 1), (0, 3), (1, 0), (1, 1), (1, 3), (2, 1)])
def test_equals_the_complex_step_for_the_smallest_sizes(page: Page, T: int, B: int) -> None:
    arguments, douts, _ = run(page, with_time_and_batch(T, B))
    check(page, arguments, douts)
    assert all(dout.shape[:2] in {(T, B), ()} for dout in douts)


@each_cell
@pytest.mark.parametrize(
    ("recurrent", "inputs"), [(0.02, 1.0), (0.05, 0.1), (3.0, 0.01), (1.5, 0.3)]
)
def test_each_timestep_is_right_however_little_reaches_it(
    page: Page, recurrent: float, inputs: float
) -> None:
    arguments = in_regime(page, recurrent, inputs, T=15)
    outputs, _ = page.forward(*arguments)
    douts = tuple(np.zeros(out.shape) for out in as_tuple(outputs))
    for dout in douts:
        dout[-1] = np.random.default_rng(2).standard_normal(dout[-1].shape)
    check(page, arguments, douts)


@each_cell
@pytest.mark.parametrize("scale", [30.0, 1e4])
def test_saturated_units_give_finite_gradients(page: Page, scale: float) -> None:
    # 1 - h^2 is as exact as h is: its error is 1e-16 of the incoming gradient, not of itself.
    arguments = in_regime(page, 0.1, scale, T=11)
    outputs, cache = page.forward(*arguments)
    douts = tuple(np.random.default_rng(3).standard_normal(o.shape) for o in as_tuple(outputs))
    assert all(np.isfinite(g).all() for g in page.backward(*douts, cache))
    check(page, arguments, douts, absolute=1e-13 * scale)


# A check that has never failed has shown nothing: one wrong line for every page.
BUGS = {
    "elman": ("dz.T @ h[t]", "dz.T @ h[t + 1]"),
    "lstm": ("dc[t] + dc_next + dh_t", "dc[t] + dh_t"),
    "projected_lstm": ("dm = dh_t @ W_hr", "dm = dh[t] @ W_hr"),
    "peephole_lstm": (" + dz_o * w_o", ""),
    "gru": ("dr = da_n * s_n", "dr = dn * s_n"),
    "gru_reset_before": (" + dm * r", ""),
    "indrnn": ("dh_next = dz * w_hh", "dh_next = dz"),
    "mingru": ("dh_t * (n - h[t])", "dh_t * (n - h[t + 1])"),
    "lru": ("p * dim - q * dre", "p * dim + q * dre"),
    "linear": ("dW += dy[t].T", "dW = dy[t].T"),
    "embedding": ("] += dy[t, b]", "] = dy[t, b]"),
    "layer_norm": ("dx = dd + dmean / H", "dx = dd"),
    "dropout": ("/ (1 - p)", "/ p"),
    "mse": ("de * 2 * difference", "de * difference"),
    "cross_entropy": ("-= 1", "-= 0"),
}


def with_bug(page: Page, before: str, after: str) -> Callable[..., Any]:
    """Return a page's backward with one part of its text replaced."""
    function = page.function("backward")
    text = inspect.getsource(function)
    assert text.count(before) == 1
    namespace = dict(function.__globals__)
    exec(text.replace(before, after), namespace)  # noqa: S102 (our own source, changed)
    backward: Callable[..., Any] = namespace[function.__name__]
    return backward


@each_page
def test_the_check_fails_on_a_planted_bug(page: Page) -> None:
    arguments, douts, _ = run(page, SIZES)
    with pytest.raises(AssertionError):
        check(page, arguments, douts, with_bug(page, *BUGS[page.name]))


@each_page
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("T", [0, 4])
def test_dtype_in_is_dtype_out(page: Page, dtype: type, T: int) -> None:
    arguments, douts, _ = run(page, SIZES | {"T": T})
    arguments = tuple(a.astype(dtype) if is_real(a) else a for a in arguments)
    outputs, cache = page.forward(*arguments)
    gradients = page.backward(*(dout.astype(dtype) for dout in douts), cache)
    for array in (*as_tuple(outputs), *gradients):
        assert array is None or array.dtype == dtype


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("T", "B"), [(11, 3), (1, 1), (0, 2), (2, 0)])
def test_a_masked_mean_squared_error_equals_the_complex_step(
    reduction: str, T: int, B: int
) -> None:
    page = masked_mse(reduction, with_time_and_batch(T, B))
    arguments, douts, _ = run(page, with_time_and_batch(T, B))
    check(page, arguments, douts)


def freeze(value: Any) -> None:
    """Make every array in a cache refuse to be written to."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    elif isinstance(value, tuple | list):
        for part in value:
            freeze(part)


@each_page
def test_nothing_handed_in_is_changed_and_nothing_returned_is_shared(page: Page) -> None:
    arguments, douts, _ = run(page, SIZES)
    freeze(arguments)
    freeze(douts)
    _, cache = page.forward(*arguments)
    freeze(cache)  # writing to any of them would raise
    gradients = [g for g in page.backward(*douts, cache) if g is not None]
    for position, gradient in enumerate(gradients):
        for other in (*gradients[position + 1 :], *arguments, *douts):
            assert other is None or not np.shares_memory(gradient, other)
