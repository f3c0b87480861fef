"""What the tests of the checker ask of a report."""

from __future__ import annotations

from typing import Any

from numpy_rnn.checking import check_gradients

ONE = ["usual"]


def wrong(subject: Any, *arguments: Any, **options: Any) -> list[str]:
    """Return the names of the wrong gradients; without any, everything has to be right."""
    report = check_gradients(subject, *arguments, cause_seconds=0, **options)
    names = [row.name for row in report.rows if not row.right]
    assert report.gradients_ok == (not names), str(report)
    return names
