"""The cause of a wrong gradient: one small change of the code that makes every gradient right.

The exact gradients are known, so a suspected cause can be tried: change the code of the backward
pass in memory, run it, and compare. The changes are those of ``changes.py``, the likeliest first. A
change that explains the wrong numbers at one set of inputs is then checked like any other code, in
every regime. Only a change that passes is reported, with the line that it concerns.

The functions are those that run while the gradients are made and whose source can be read. Their
``__code__`` is replaced for a trial. Afterwards it is the original again.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import numpy as np

from numpy_rnn.checking.changes import edits_of
from numpy_rnn.checking.derivatives import Method, directional
from numpy_rnn.checking.edits import Edit, Source, names_in, one_of
from numpy_rnn.checking.nested import Gradients
from numpy_rnn.checking.target import Point, is_real, times_gradient
from numpy_rnn.checking.traced import HERE, NUMPY
from numpy_rnn.functional.types import Array

CLOSE = 1e-7  # relative error of a derivative along a random direction that counts as right
MENDED = "every gradient is right"  # the end of such a suggestion
MAX_TEXT = 90  # characters of a statement in a report
MAX_GROUP = 64  # changes of one place that are compiled together
CHOICE = "numpy_rnn_change"  # a global name of the code under test during a trial


def suggest_repair(
    points: list[Point], method: Method, verify: Callable[[], bool], seconds: float
) -> list[str]:
    """Return the change that makes every gradient right, as a list of one sentence, or nothing.

    `points` are where a gradient may be wrong, the cheapest first. `verify` checks the code as it
    is then, in every regime. The search ends after this many seconds of processor time.
    """
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trials = list[_Trial]()
        for point in points:
            with contextlib.suppress(Exception):  # code that takes no inputs of this size
                trials += [trial for trial in [_Trial(point, method)] if not trial.succeeds()]
        sources = list(_sources(trials[0].point)) if trials else []
        found = [(edit, source) for source in sources for edit in edits_of(source, sources)]
        found = list(_promising(found, trials[0])) if found else []
        found.sort(key=lambda pair: pair[0].rank)
        end = time.process_time() + seconds
        for group, source in _groups(found):
            for edit in _made(group, source):
                if time.process_time() > end:
                    return []
                with contextlib.suppress(Exception):  # whatever changed code raises
                    if all(trial.succeeds() for trial in trials) and verify():
                        return [_sentence(edit, source)]
    return []


def _promising(found: list[tuple[Edit, Source]], trial: _Trial) -> Iterator[tuple[Edit, Source]]:
    """Yield the changes of what the wrong gradients depend on; later, what right ones depend on."""
    wrong, reached = set(trial.wrong(trial.claimed)), dict[tuple[int, int], set[str] | None]()
    for edit, source in found:
        value = getattr(edit.statement, "value", None)
        (place, _), *more = edit.parts
        if value is not None and not more:
            span = source.span(value)
            if span.start <= place.start and place.stop <= span.stop:
                key = id(source), span.start
                if key not in reached:
                    reached[key] = trial.reached(edit.statement, source)
                names = reached[key]
                if names is not None and not wrong <= names:
                    continue
                if names is not None and not names <= wrong:
                    edit = edit._replace(rank=edit.rank + 3)  # noqa: PLW2901
        yield edit, source


def _groups(found: list[tuple[Edit, Source]]) -> Iterator[tuple[list[Edit], Source]]:
    """Yield the changes in groups of one place and rank, which are compiled together."""

    def place(pair: tuple[Edit, Source]) -> Any:
        edit, source = pair
        return edit.rank, id(source), [(part.start, part.stop) for part, _ in edit.parts]

    for _, pairs in groupby(found, place):
        group = list(pairs)
        for i in range(0, len(group), MAX_GROUP):
            yield [edit for edit, _ in group[i : i + MAX_GROUP]], group[0][1]


def _made(group: list[Edit], source: Source) -> Iterator[Edit]:
    """Yield each change of a group while the function runs with it."""
    function: Any = source.function
    original, code = function.__code__, source.compiled(one_of(group, CHOICE))
    if code is None and len(group) > 1:
        for edit in group:
            yield from _made([edit], source)
    elif code is not None:
        function.__code__ = code
        try:
            for number, edit in enumerate(group):
                function.__globals__[CHOICE] = number
                yield edit
        finally:
            function.__code__ = original
            function.__globals__.pop(CHOICE, None)


class _Trial:
    """The exact derivative along a random direction for each value, to compare a trial with."""

    def __init__(self, point: Point, method: Method) -> None:
        rng = np.random.default_rng(0)
        self.point, self.outputs = point, point.target.run(point.values).outputs
        self.known: list[tuple[str, Array, float]] = []  # with the exact derivative
        real = [v for v in (*point.values.values(), *point.douts) if is_real(v)]
        self.close = 1e-4 if any(v.dtype == np.float32 for v in real) else CLOSE
        self.claimed = {n: np.array(g) for n, g in point.claimed().items() if g is not None}
        for name in point.real_names():
            if name not in self.claimed:
                continue
            direction = rng.standard_normal(point.values[name].shape)
            exact = directional(point, {name: direction}, method).value
            self.known.append((name, direction, exact))

    def succeeds(self) -> bool:
        """Whether the code as it is now gives the same outputs, and right gradients."""
        result = self.point.target.run(self.point.values)
        if len(result.outputs) != len(self.outputs) or not all(
            np.array_equal(a, b, equal_nan=True)
            for a, b in zip(result.outputs, self.outputs, strict=True)
        ):
            return False
        return not any(self.wrong(result.backward(self.point.own_douts())))

    def wrong(self, claimed: Gradients) -> Iterator[str]:
        """Yield the names of the gradients that are not right."""
        for name, direction, exact in self.known:
            got = claimed.get(name)
            if got is None or not is_real(got) or got.shape != direction.shape:
                yield name
                continue
            terms = got * direction
            size = max(float(np.sqrt(np.sum(terms**2))), abs(exact))
            if not abs(float(terms.sum()) - exact) <= self.close * size:
                yield name

    def reached(self, statement: ast.stmt, source: Source) -> set[str] | None:
        """Return which gradients change with what a statement computes, None if it is not seen."""
        if not isinstance(statement, ast.Assign | ast.AugAssign) or source.ends_loops & names_in(
            statement
        ):
            return None
        span = source.span(statement.value)
        text = f"(({source.code[span].decode()}) * 1.01 + 0.01)"
        for _ in _made([Edit(0, "", statement, ((span, text),))], source):
            with contextlib.suppress(Exception):  # what is no number
                claimed = self.point.claimed()
                return {n for n, g in self.claimed.items() if not np.array_equal(claimed[n], g)}
        return None


def _sources(point: Point) -> Iterator[Source]:
    """Yield the functions that make the gradients, each once."""
    running = _running(point)
    for function in gc.get_referrers(*running) if running else ():
        if isinstance(function, FunctionType) and function.__code__ in running:
            with contextlib.suppress(OSError, TypeError, SyntaxError):  # its text is in no file
                yield Source(function, running[function.__code__])


def _running(point: Point) -> dict[CodeType, tuple[dict[str, Any], dict[str, Any]]]:
    """Return what runs while the gradients are made, and its values, but for libraries."""
    seen: dict[CodeType, tuple[dict[str, Any], dict[str, Any]]] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "return":
            seen[frame.f_code] = frame.f_globals, dict(frame.f_locals)

    result, before = point.target.run(point.values), sys.getprofile()
    sys.setprofile(note)
    try:
        if point.target.backward is times_gradient:  # a loss makes them with its value
            result = point.target.run(point.values)
        result.backward(point.own_douts())
    finally:
        sys.setprofile(before)
    standard = str(Path(contextlib.__file__).parent)
    return {
        code: values
        for code, values in seen.items()
        if not code.co_filename.startswith((HERE, NUMPY, standard, "<frozen"))
        and "site-packages" not in code.co_filename
        and not code.co_name.startswith("<")
    }


def _sentence(edit: Edit, source: Source) -> str:
    """Return what a change says of the cause."""
    old, new = source.before_and_after(edit, MAX_TEXT)
    change = f'with "{new}" instead of "{old}"' if new else f'without "{old}"'
    where = f"{source.function.__name__}, line {source.line(edit)} of {source.file}"
    return f"{edit.cause}? {where}: {change} {MENDED}"
