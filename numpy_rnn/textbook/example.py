"""Run a page on a small example and print every number that it computes.

The page's own functions run, line by line, and each line that assigns is printed with the number
of its equation. ``python -m numpy_rnn.textbook.elman`` does this, and so does every other page.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

SIZES = {"T": 2, "B": 1, "D": 1, "H": 2, "P": 1, "G": 2, "E": 2, "V": 3}
ASSIGNMENT = re.compile(r" {4,}([^=#(]+?)(?: ([+-]?)= |\.append\()")
COMMENT = re.compile(r"# (\(\d+'?\))? ?(\([^()]*\).*)")  # "# (1') (B, 4H)"


class Event(NamedTuple):
    """A line that has assigned."""

    text: str
    names: list[str]  # as Python expressions: "z", "dx[t]", "h[-1]" for h.append
    number: str  # of the equation: "(1')", or "" without one
    shapes: list[str]  # "B, 4H": one for each name, or one for all
    t: int  # the timestep, from 1; 0 outside the loop
    values: list[Any]  # of the names
    added: Any  # by +=, with zero where nothing was added; None without +=


def trace(function: Any, *arguments: Any, **options: Any) -> tuple[Any, list[Event]]:
    """Call a function. Return its result, and an event for every line that has assigned."""
    source, first = inspect.getsourcelines(function)
    events: list[Event] = []
    running: list[tuple[Event, Any]] = []  # the line that runs now, and what it adds to

    def value(name: str, frame: FrameType) -> Any:
        found = eval(name, frame.f_globals, dict(frame.f_locals))  # noqa: S307 (text of a page)
        return found.copy() if isinstance(found, np.ndarray) else found

    def on_line(frame: FrameType, event: str, _: Any) -> Any:
        if running:  # it has run
            line, before = running.pop()
            values = [value(name, frame) for name in line.names]
            added = None if before is None else value(_array(line), frame) - before
            events.append(line._replace(values=values, added=added))
        text = source[frame.f_lineno - first] if event == "line" else ""
        if assignment := ASSIGNMENT.match(text):
            target, sign = assignment.groups()
            names = [target] if "[" in target else target.split(", ")
            names = [f"{target}[-1]"] if sign is None else names
            number, shapes = COMMENT.findall(text)[0] if "# (" in text else ("", "")
            t = int(frame.f_locals.get("t", -1)) + 1 if text.startswith(8 * " ") else 0
            line = Event(text, names, number, re.findall(r"\(([^()]*)\)", shapes), t, [], None)
            running.append((line, value(_array(line), frame) if sign == "+" else None))
        return on_line

    before = sys.gettrace()
    sys.settrace(lambda frame, *_: on_line if frame.f_code is function.__code__ else None)
    try:
        return function(*arguments, **options), events
    finally:
        sys.settrace(before)


def show(forward: Any, backward: Any, arguments: Mapping[str, Any], **options: Any) -> None:
    """Print forward, backward and ledger of a page. Draw the arguments given as "T B 4H"."""
    try:
        _print_page(forward, backward, arguments, options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit


def _print_page(
    forward: Any, backward: Any, arguments: Mapping[str, Any], options: dict[str, Any]
) -> None:
    rng = np.random.default_rng(43)
    given = {name: _draw(a, rng) for name, a in arguments.items()}
    (outputs, cache), forward_events = trace(forward, *given.values(), **options)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    names = list(inspect.signature(backward).parameters)[:-1]  # without the cache
    sent = {n: _draw(np.shape(out), rng) for n, out in zip(names, outputs, strict=True)}
    gradients, backward_events = trace(backward, *sent.values(), cache)
    over_time = {name for name, a in arguments.items() if str(a)[0] == "T" or np.ndim(a) > 1}
    over_time |= {f"d{name}" for name in over_time} | {n for n, a in sent.items() if np.ndim(a)}
    ledger: dict[str, list[Event]] = {}
    for event in backward_events:
        if event.added is not None:
            ledger.setdefault(_array(event), []).append(event)

    print("Two timesteps, one sequence. In front: the numbers of the page's equations.\n\nGIVEN")
    _print_arrays("(0)", given | options, over_time)
    print("\nFORWARD")
    _print_events(forward_events)
    print("\nBACKWARD, given what the loss sends directly")
    _print_arrays("", sent, over_time)
    _print_events([event for event in backward_events if event.t or "'" in event.number])
    if ledger:
        print("\nLEDGER: what each timestep adds to the sum over time")
    for name, events in ledger.items():
        _print_ledger(name, events)
    print("\nRETURNED" + ", besides the sums of the ledger" * bool(ledger))
    returned = {f"d{name}": gradient for name, gradient in zip(given, gradients, strict=False)}
    _print_arrays("(0')", {n: a for n, a in returned.items() if n not in ledger}, over_time)


def _array(event: Event) -> str:
    return event.names[0].partition("[")[0]


def _draw(shape: Any, rng: np.random.Generator) -> Any:
    """Return tenths of a shape such as "T B 4H" or (2, 1, 8), or an array as it is."""
    if isinstance(shape, str):
        axes = [re.fullmatch(r"(\d*)([A-Z]?)", axis) for axis in shape.split()]
        shape = tuple(int(axis[1] or 1) * SIZES.get(axis[2], 1) for axis in axes if axis)
    if isinstance(shape, tuple):
        return rng.integers(1, 10, shape) * rng.choice([-0.1, 0.1], shape)
    return shape


def _print_arrays(number: str, arrays: Mapping[str, Any], over_time: set[str]) -> None:
    for name, array in arrays.items():
        if name in over_time and array is not None:
            for t, row in enumerate(array):
                _print_rows(number, f"{name}[{t + 1}]", row)
        else:
            _print_rows(number, name, array)


def _print_events(events: list[Event]) -> None:
    t = 0
    for event in events:
        starts = "zeros_like" in event.text and "_next" not in event.text  # nothing to see yet
        if not event.shapes or starts or event.added is not None:
            continue
        if event.t != t:
            t = event.t
            print(f"  t = {t}" if t else "  after the loop")
        for name, value in zip(event.names, event.values, strict=True):
            step = "_t" * ("[" in name) + "[v]" * (name.count("[") > 1)
            _print_rows(event.number, name.partition("[")[0] + step, value)


def _print_ledger(name: str, events: list[Event]) -> None:
    steps = sorted({event.t for event in events})
    columns = [sum(event.added for event in events if event.t == t) for t in steps]
    tables = [column.reshape(len(column), -1) for column in (*columns, sum(columns))]
    titles = [f"{t:>{8 * tables[0].shape[1]}}" for t in (*(f"t = {t}" for t in steps), "sum")]
    print(f"{events[0].number:>5} {name:<10}" + "   ".join(titles))
    for rows in zip(*tables, strict=True):
        print(16 * " " + "   ".join("".join(map(_cell, row)) for row in rows))


def _print_rows(number: str, name: str, value: Any) -> None:
    for row in np.reshape(value, (-1, np.shape(value)[-1] if np.ndim(value) else 1)):
        print(f"{number:>5} {name:<10}" + "".join(map(_cell, row)))
        number = name = ""


def _cell(value: Any) -> str:
    return f"{round(value, 4) + 0.0:8.4f}" if isinstance(value, float) else f"{value!s:>8}"
