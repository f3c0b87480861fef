"""Run a page on a small example and print every number that it computes.

The page's own functions run, line by line, and each line that assigns is printed with the number
of its equation. ``python -m numpy_rnn.textbook.elman`` does this, and so does every other page.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

SIZES = {"T": 2, "B": 1, "D": 1, "H": 2, "P": 1, "G": 2, "E": 2, "V": 3}
COMMENT = re.compile(r"# (?:\((\d+'?)\) )?(\(.*\))")


class Line(NamedTuple):
    """A line that assigns, and what its comment says."""

    names: list[str]  # as Python expressions: "z", "dx[t]", "h[-1]" for h.append
    number: str  # of the equation: "1'", or "" without one
    shapes: list[str]  # "B, 4H": one for each name, or one for all
    in_loop: bool
    adds: bool  # by +=
    zeros: bool  # that later lines add to or fill in


class Event(NamedTuple):
    """A line that has run."""

    line: Line
    t: int  # the timestep, from 1; 0 outside the loop
    values: list[Any]  # of the line's names
    added: Any  # by +=, zero in the elements that it has not changed


def read_lines(function: Callable[..., Any]) -> dict[int, Line]:
    """Return the lines of a function that assign, by their number in the file."""
    source, first = inspect.getsourcelines(function)
    lines = {}
    for node, in_loop in _statements(ast.parse("".join(source)).body[0]):
        names = _assigned(node)
        if names:
            found = COMMENT.search(source[node.lineno - 1])
            number, shapes = (found[1] or "", found[2]) if found else ("", "")
            lines[first + node.lineno - 1] = Line(
                names,
                number,
                re.findall(r"\(([^()]*)\)", shapes),
                in_loop,
                isinstance(node, ast.AugAssign),
                "zeros_like" in source[node.lineno - 1] and "_next" not in names[0],
            )
    return lines


def _statements(parent: ast.stmt, in_loop: bool = False) -> Iterator[tuple[ast.stmt, bool]]:
    in_loop = in_loop or isinstance(parent, ast.For)
    for node in getattr(parent, "body", []):
        yield node, in_loop
        yield from _statements(node, in_loop)


def _assigned(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.AugAssign):
        return [ast.unparse(node.target)]
    if isinstance(node, ast.Assign):
        return [ast.unparse(n) for n in getattr(node.targets[0], "elts", node.targets)]
    name, appends, _ = ast.unparse(node).partition(".append(")
    return [f"{name}[-1]"] if appends and name.isidentifier() else []


def trace(function: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, list[Event]]:
    """Call a function; return its result, and an event for every assigning line that ran."""
    lines = read_lines(function)
    events: list[Event] = []
    running: list[tuple[Line, Any]] = []  # the line that runs now, and what it adds to

    def value(name: str, frame: FrameType) -> Any:
        found = eval(name, frame.f_globals, dict(frame.f_locals))  # noqa: S307 (page text)
        return found.copy() if isinstance(found, np.ndarray) else found

    def base(line: Line, frame: FrameType) -> Any:
        return value(line.names[0].partition("[")[0], frame) if line.adds else 0

    def on_line(frame: FrameType, event: str, _: Any) -> Any:
        if running:  # it has run
            line, before = running.pop()
            values = [value(name, frame) for name in line.names]
            t = int(frame.f_locals["t"]) + 1 if line.in_loop else 0
            events.append(Event(line, t, values, base(line, frame) - before))
        if event == "line" and frame.f_lineno in lines:
            line = lines[frame.f_lineno]
            running.append((line, base(line, frame)))
        return on_line

    before = sys.gettrace()
    sys.settrace(lambda frame, *_: on_line if frame.f_code is function.__code__ else None)
    try:
        return function(*arguments, **options), events
    finally:
        sys.settrace(before)


def show(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    arguments: Mapping[str, Any],
    **options: Any,
) -> None:
    """Print forward, backward and ledger of a page for two timesteps and one sequence.

    Parameters
    ----------
    forward, backward : callable
        The page's pair.
    arguments : mapping of str to str or array
        Each argument of `forward`, as a shape such as "T B 4H" to draw, or as an array.
    **options
        Keyword arguments of `forward`.
    """
    rng = np.random.default_rng(1)
    given = {n: _draw(a, rng) if isinstance(a, str) else a for n, a in arguments.items()}
    (outputs, cache), events = trace(forward, *given.values(), **options)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    names = list(inspect.signature(backward).parameters)[:-1]
    douts = {n: _tenths(np.shape(out), rng) for n, out in zip(names, outputs, strict=True)}
    gradients, back_events = trace(backward, *douts.values(), cache)
    over_time = {n for n, a in arguments.items() if not isinstance(a, str) or a.startswith("T ")}
    ledger: dict[str, list[Event]] = {}
    for event in back_events:
        if event.line.adds:
            ledger.setdefault(event.line.names[0].partition("[")[0], []).append(event)

    print("The numbers in front are those of the equations at the head of the page.")
    print("\nGIVEN")
    for name, array in given.items():
        _print_argument("(0)", name, array, name in over_time)
    for name, option in options.items():
        print(f"     (0) {name} = {option}")
    print("\nFORWARD")
    _print_events(events)
    print("\nBACKWARD, given what the loss sends directly")
    for name, array in douts.items():
        _print_argument("", name, array, np.ndim(array) > 0)
    _print_events(back_events)
    if ledger:
        print("\nLEDGER: what each timestep adds to the sum over time")
        for name, adding in ledger.items():
            _print_ledger(name, adding)
    print("\nRETURNED" + ", besides the sums of the ledger" * bool(ledger))
    for name, gradient in zip(given, gradients, strict=True):
        if f"d{name}" not in ledger:
            _print_argument("(0')", f"d{name}", gradient, name in over_time)


def _draw(shape: str, rng: np.random.Generator) -> Any:
    """Return an array of a shape such as "T B 4H"."""
    lengths = (
        int(axis) if axis.isdigit() else int(axis[:-1] or 1) * SIZES[axis[-1]]
        for axis in shape.split()
    )
    return _tenths(tuple(lengths), rng)


def _tenths(shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    return rng.integers(1, 10, shape) * rng.choice([-0.1, 0.1], shape)


def _print_argument(number: str, name: str, array: Any, over_time: bool) -> None:
    if array is None:
        print(f"{number:>8} {name:<8} None")
    elif over_time:
        for t in range(len(array)):
            _print_rows(number, f"{name}[{t + 1}]", array[t])
    else:
        _print_rows(number, name, array)


def _print_events(events: list[Event]) -> None:
    t = 0
    for event in events:
        if event.t != t:
            t = event.t
            print(f"  t = {t}" if t else "  after the loop")
        for name, value in zip(event.line.names, event.values, strict=True):
            if event.line.shapes and not event.line.adds and not event.line.zeros:
                number = f"({event.line.number})" if event.line.number else ""
                _print_rows(number, re.sub(r"\[.*", "_t", name), value)


def _print_rows(number: str, name: str, value: Any) -> None:
    for row in np.reshape(value, (-1, np.shape(value)[-1] if np.ndim(value) else 1)):
        print(f"{number:>8} {name:<7}" + "".join(_number(v) for v in row))
        number = name = ""


def _number(value: Any) -> str:
    return f"{value:8.4f}" if isinstance(value, float) else f"{value!s:>8}"


def _print_ledger(name: str, events: list[Event]) -> None:
    steps = sorted({event.t for event in events})
    columns = [sum(event.added for event in events if event.t == t) for t in steps]
    tables = [c.reshape(len(c), -1) for c in (*columns, sum(columns))]
    width = 8 * tables[0].shape[1]
    titles = "   ".join(f"{title:>{width}}" for title in (*(f"t = {t}" for t in steps), "sum"))
    print(f"    ({events[0].line.number}) {name:<7}" + titles)
    for rows in zip(*tables, strict=True):
        print(" " * 16 + "   ".join("".join(_number(v) for v in row) for row in rows))
