"""One flat vector and its named views: edits, joins, copies, conversions."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from numpy_rnn.parameters import Parameters
from tests.parameters.small import two


def test_views_and_vector_are_the_same_memory() -> None:
    parameters = Parameters({"w": (2, 3), "b": (3,)}, np.float32)
    parameters.values["b"][...] = 5
    parameters.grads["w"][1, 2] = 7
    assert parameters.data.tolist() == [0] * 6 + [5] * 3
    assert parameters.grad.tolist() == [0] * 5 + [7] + [0] * 3
    assert parameters.data.dtype == parameters.grad.dtype == np.float32
    parameters.zero_grad()
    assert not parameters.grad.any()


def test_joining_moves_values_and_keeps_the_parts_working() -> None:
    a, b, joined = two()
    assert joined.data.tolist() == list(range(12))
    assert joined.grad.tolist() == [1] * 9 + [0] * 3
    assert list(joined.shapes) == ["first.w", "first.b", "second.w"]
    a.values["b"][...] = -1
    b.grads["w"][...] = -2
    b.data[0] = -3
    assert joined.values["first.b"].tolist() == [-1] * 3
    assert joined.grads["second.w"].tolist() == [[-2]] * 3
    assert joined.data[9] == -3


def test_joined_parts_can_be_joined_again() -> None:
    a, _, joined = two()
    top = Parameters.join({"model": joined, "head": Parameters({"w": (1,)}, np.float64)})
    a.values["w"][0, 0] = 42  # two levels below
    joined.values["second.w"][0, 0] = 43
    assert top.values["model.first.w"][0, 0] == top.data[0] == 42
    assert top.values["model.second.w"][0, 0] == 43


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])  # noqa: S301 (our own bytes)
def test_a_copy_is_whole_and_apart(copied: Callable[[Any], Any]) -> None:
    a, _, joined = two()
    other_a, other = copied((a, joined))
    other_a.values["b"][...] = -5
    other_a.grads["w"][...] = -6
    assert other.values["first.b"].tolist() == [-5] * 3
    assert other.grad[:6].tolist() == [-6] * 6
    assert joined.data.tolist() == list(range(12))
    alone = copied(a)
    alone.values["b"][...] = 7
    assert alone.data[6:].tolist() == [7] * 3
    assert a.values["b"].tolist() == [6, 7, 8]
    assert Parameters.join({"x": alone}).values["x.b"].tolist() == [7] * 3


def test_weights_cannot_live_in_two_models() -> None:
    a, _, _ = two()
    with pytest.raises(ValueError, match="part 'x' belongs to a model already"):
        Parameters.join({"x": a})
    c = Parameters({"w": (1,)}, np.float64)
    with pytest.raises(ValueError, match="part 'second' belongs to a model already"):
        Parameters.join({"first": c, "second": c})


def test_parts_have_one_dtype() -> None:
    parts = {name: Parameters({"w": (1,)}, name) for name in ("float32", "float64")}
    with pytest.raises(ValueError, match="expected one for all of them"):
        Parameters.join(parts)


def test_numbers_can_be_edited_in_every_way_and_the_views_follow() -> None:
    a, _, joined = two()
    joined.data *= 2
    assert a.values["w"].ravel().tolist() == [0, 2, 4, 6, 8, 10]
    joined.data = np.ones(12)
    joined.values["first.b"] *= 3
    joined.values["first.b"] += 1
    joined.values["second.w"][...] = 7
    assert joined.data.tolist() == [1] * 6 + [4] * 3 + [7] * 3
    a.data = np.array(5.0)
    assert joined.data.tolist() == [5] * 9 + [7] * 3
    joined.grad = np.arange(12)
    joined.grads["first.w"] -= 1
    assert a.grad.tolist() == [-1, 0, 1, 2, 3, 4, 6, 7, 8]
    numbers = np.zeros(12)
    joined.data = numbers
    numbers[...] = 9
    assert not joined.data.any()  # assigning copies
    with pytest.raises(ValueError, match=r"set to shape \(5,\), expected \(12,\)"):
        joined.data = np.ones(5)


def test_the_views_cannot_be_replaced() -> None:
    parameters = Parameters({"w": (2, 3), "b": (3,)}, np.float64)
    for name in ("values", "grads"):
        with pytest.raises(AttributeError, match=rf"parameters\.{name} cannot be replaced"):
            setattr(parameters, name, {})
        views = getattr(parameters, name)
        replacements: list[Callable[[Any], Any]] = [
            lambda v: v.__setitem__("w", np.ones((2, 3))),
            lambda v: v.__setitem__("new", np.ones(1)),
            lambda v: v.__delitem__("w"),
            lambda v: v.pop("w"),
            lambda v: v.update(w=np.ones((2, 3))),
            lambda v: v.setdefault("new", 1),
            lambda v: v.__ior__({"w": 1}),
            lambda v: v.clear(),
            lambda v: v.popitem(),
        ]
        for replace in replacements:
            with pytest.raises(TypeError, match=r"is a view into the flat vector .*\[\.\.\.\] ="):
                replace(views)
        assert list(views) == ["w", "b"]
    parameters.values["b"][...] = 1
    assert parameters.data[6:].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, dict, lambda v: pickle.loads(pickle.dumps(v))],  # noqa: S301 (our own bytes)
)
def test_the_views_are_copied_as_a_plain_dict(copied: Callable[[Any], Any]) -> None:
    _, _, joined = two()
    stored = copied(joined.values)
    assert type(stored) is dict
    assert list(stored) == list(joined.values)
    for name, value in stored.items():
        np.testing.assert_array_equal(value, joined.values[name])
    stored["first.w"] = 1
    assert joined.values["first.w"].shape == (2, 3)


def test_what_was_a_view_before_a_join_or_a_conversion_cannot_be_written_to() -> None:
    part = Parameters({"w": (2, 3)}, np.float64)
    before = [part.data, part.grad, part.values["w"], part.grads["w"]]
    joined = Parameters.join({"part": part})
    between = [joined.data, joined.values["part.w"], part.values["w"]]
    joined.to(np.float32)
    for array in (*before, *between):  # writing would change nothing of the model
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1
    part.values["w"][...] = 1
    assert joined.data.all()


def test_conversion_keeps_numbers_parts_and_names() -> None:
    a, b, joined = two()
    for dtype in (np.float32, np.float64, np.complex128):
        joined.to(dtype)
        for each in (a, b, joined):
            assert each.dtype == each.data.dtype == each.grad.dtype == dtype
            assert all(value.dtype == dtype for value in each.values.values())
        assert joined.data.real.tolist() == list(range(12))
        assert np.shares_memory(a.data, joined.data)
    for wrong in ("float16", "int64", "complex64"):
        with pytest.raises(ValueError, match="expected one of float32, float64"):
            joined.to(wrong)
    with pytest.raises(ValueError, match="part of a model"):
        a.to(np.float32)


def test_a_gradient_set_to_none_is_zero_and_what_is_no_number_is_refused() -> None:
    parameters = Parameters({"w": (2,)}, "float64")
    parameters.grad[...] = 3
    parameters.grad = None  # type: ignore[assignment]  # PyTorch's habit
    assert not parameters.grad.any()
    for value in (None, "abc"):
        with pytest.raises(TypeError, match=r"parameters\.data is set to .*, expected numbers"):
            parameters.data = value  # type: ignore[assignment]  # wrong on purpose
