"""A pytest plugin: the fixture ``gradcheck``, and the mark of the same name.

    def test_my_cell(gradcheck):
        gradcheck((forward, backward), "T B D", "H D", allow={"accumulates"})

    @pytest.mark.gradcheck("T B D", "H D")
    def test_my_cell():
        return forward, backward

The marked function returns what is to be checked. A failure shows the report alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import TestCase

import pytest


@pytest.fixture
def gradcheck() -> Callable[..., None]:
    """Return a function that takes what assert_gradients takes."""
    return _check


def _check(target: Any, *arguments: Any, **options: Any) -> None:
    # Imported where they are used: every run of pytest loads this file.
    from numpy_rnn.checking.check import check_gradients  # noqa: PLC0415
    from numpy_rnn.checking.nested import FormError  # noqa: PLC0415

    try:
        report = check_gradients(target, *arguments, **options)
        text = "" if report.ok else str(report)
    except (FormError, ValueError) as error:  # wrong use, in one line
        text = str(error)
    if text:
        pytest.fail(text, pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    text = "gradcheck(*shapes, **options): check the gradients of what the test returns"
    config.addinivalue_line("markers", text)


def pytest_runtest_call(item: pytest.Item) -> None:
    """Refuse the mark where nothing reads what a test returns."""
    of_unittest = issubclass(getattr(item, "cls", None) or object, TestCase)
    if of_unittest and item.get_closest_marker("gradcheck"):
        text = "gradcheck: unittest reads no result of a test, so call assert_gradients in it"
        pytest.fail(text, pytrace=False)


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test with the mark, and check what it returns."""
    mark = pyfuncitem.get_closest_marker("gradcheck")
    if mark is None:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    target = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    if target is None:
        pytest.fail("gradcheck: the test returned None, not what is to be checked", pytrace=False)
    _check(target, *mark.args, **mark.kwargs)
    return True
