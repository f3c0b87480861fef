"""A tour of the museum with the checker in hand: whether each mistake is caught, and named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from numpy_rnn.checking.check import Report, check_gradients
from numpy_rnn.museum import (
    Exhibit,
    OptimizerRoom,
    Room,
    check_optimizer,
    patched,
)

VANISHING_STEPS = 30


class Verdict(NamedTuple):
    """What the checker says of a mistake."""

    caught: bool
    named: bool  # at the place that the exhibit's label gives
    text: str  # the finding, in a line


def judge(exhibit: Exhibit) -> Verdict:
    """Check one exhibit with inputs that the checker chooses.

    Parameters
    ----------
    exhibit : Exhibit
        Room and patch.

    Returns
    -------
    verdict : Verdict
    """
    room = exhibit.room
    if isinstance(room, OptimizerRoom):
        (step,) = patched(exhibit)
        wrong = check_optimizer(step, room.closed_form, room.options)
        text = "" if wrong is None else str(wrong)
        return Verdict(wrong is not None, all(word in text for word in exhibit.named), text)
    # What the first regime shows needs no other.
    report = _check(exhibit, {"T": exhibit.steps}, ["usual"])
    if report.ok:
        report = _check(exhibit, {"T": exhibit.steps}, None)
    said = _findings(report)
    named = all(
        word in said or (word[:1] == "d" and word[1:] in room.shapes and _names(said, word[1:]))
        for word in exhibit.named
    )
    return Verdict(not report.ok, named, _line(report))


def judge_vanishing(exhibit: Exhibit) -> Verdict | None:
    """Check one exhibit on inputs whose gradient vanishes over 30 steps.

    Parameters
    ----------
    exhibit : Exhibit
        Room and patch.

    Returns
    -------
    verdict : Verdict or None
        None where nothing can vanish, because nothing recurs.
    """
    room = exhibit.room
    if isinstance(room, OptimizerRoom) or "W_hh" not in room.shapes:
        return None
    sizes = {"T": VANISHING_STEPS, "D": 2, "H": 3}
    report = _check(exhibit, sizes, ["vanishing"], locate=False)
    return Verdict(not report.ok, False, _line(report))


def false_alarm(room: Room, sizes: Mapping[str, int], seed: int) -> Report | None:
    """Check a room's right code; a report is a false alarm.

    Parameters
    ----------
    room : Room
        Whose textbook code is checked.
    sizes : mapping of str to int
        Of the letters.
    seed : int
        Of the inputs.

    Returns
    -------
    report : Report or None
    """
    report = check_gradients(
        (room.forward, room.backward),
        dict(room.shapes),
        gates=room.gates or None,
        sizes=sizes,
        seed=seed,
    )
    return None if report.ok else report


def _check(
    exhibit: Exhibit, sizes: dict[str, int], regimes: list[str] | None, *, locate: bool = True
) -> Report:
    room: Any = exhibit.room
    return check_gradients(
        patched(exhibit),
        dict(room.shapes),
        gates=room.gates or None,
        sizes=sizes,
        regimes=regimes,
        locate=locate,
    )


def _findings(report: Report) -> str:
    """Return everything that the report holds against the code."""
    rows = [row.name for row in report.rows if not row.right]
    faults = [f"{violation.kind} {violation.text}" for violation in report.violations]
    return "\n".join([*rows, *faults, str(report.location), *report.suggestions])


def _names(said: str, argument: str) -> bool:
    return argument in said.splitlines() or f" {argument}: " in said


def _line(report: Report) -> str:
    if report.location is not None:
        return str(report.location)
    return "; ".join(f"{violation.kind}: {violation.text}" for violation in report.violations)
