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
import ctypes
import gc
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import groupby, islice
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import numpy as np

from numpy_rnn.checking.changes import edits_of
from numpy_rnn.checking.derivatives import Method, directional
from numpy_rnn.checking.edits import Edit, Source, one_of
from numpy_rnn.checking.losses import times_gradient
from numpy_rnn.checking.nested import Gradients, walk
from numpy_rnn.checking.target import Point, is_real
from numpy_rnn.checking.traced import HERE, NUMPY
from numpy_rnn.functional.types import Array

CLOSE = 1e-7  # relative error of a derivative along a random direction that counts as right
MENDED = "every gradient is right"  # the end of such a suggestion
MAX_TEXT = 90  # characters of a statement in a report
MAX_KEPT = 10_000  # parts of the module's values that are restored
MAX_TRIAL = 0.5  # seconds of a trial, beside those of the first runs
MAX_GROUP = 64  # changes of one place that are compiled together
CHOICE = "numpy_rnn_change"  # a global name of the code under test during a trial


def suggest_repair(
    points: list[Point], method: Method, verify: Callable[[], bool], seconds: float
) -> list[str]:
    """Return the change that makes every gradient right, as a list of one sentence, or nothing.

    `points` are where a gradient may be wrong, the cheapest first. `verify` checks the code as it
    is then, in every regime. The search ends after this many seconds of processor time.
    """
    end = time.process_time() + seconds
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trials = list[_Trial]()
        for point in points:
            with contextlib.suppress(Exception):  # code that takes no inputs of this size
                trials += [trial for trial in [_Trial(point, method)] if trial.is_finite]
        wrong = [trial for trial in trials if trial.wrong]
        sources = list(_sources(wrong[0].point)) if wrong else []
        found = [(edit, source) for source in sources for edit in edits_of(source, sources)]
        with _kept(sources) as restore:
            found = list(_promising(found, trials[:-1] or trials, restore))
            found.sort(key=lambda pair: pair[0].rank)
            for group, source in _groups(found):
                for edit in _made(group, source, restore):
                    if time.process_time() > end:
                        return []
                    with contextlib.suppress(Exception):  # whatever changed code raises
                        if all(trial.succeeds() for trial in wrong) and verify():
                            return [_sentence(edit, source)]
    return []


@contextlib.contextmanager
def _attempt(seconds: float) -> Iterator[None]:
    """Run changed code, which may raise anything and may not end."""
    thread, lock, ended = threading.get_ident(), threading.Lock(), list[bool]()

    def stop() -> None:
        with lock:
            if not ended:
                error = ctypes.py_object(TimeoutError)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error)

    timer = threading.Timer(seconds, stop)
    timer.start()
    with contextlib.suppress(Exception):
        try:
            yield
        finally:
            timer.cancel()
            with lock:  # here an error that was sent too late arrives
                ended.append(True)


@contextlib.contextmanager
def _kept(sources: list[Source]) -> Iterator[Callable[[], None]]:
    """Give a function that restores what outlives a run of the code: its module's values."""
    spaces = {id(s.function.__globals__): s.function.__globals__ for s in sources}
    names = {name for s in sources for name in s.function.__code__.co_names}
    read = [(space, {n: space[n] for n in names if n in space}) for space in spaces.values()]
    cells = [c.cell_contents for s in sources for c in s.function.__closure__ or ()]
    parts = [part for _, part in islice(walk([[v for _, v in read], cells]), MAX_KEPT)]
    arrays = [(a, a.copy()) for a in parts if isinstance(a, np.ndarray) and a.flags.writeable]
    lists = [(part, part[:]) for part in parts if isinstance(part, list)]
    tables = [part if isinstance(part, dict) else getattr(part, "__dict__", None) for part in parts]
    dicts = [(table, dict(table)) for table in tables if isinstance(table, dict)]

    def restore() -> None:
        for space, values in read:
            space.update(values)
        for array, old in arrays:
            array[...] = old
        for part, entries in lists:
            part[:] = entries
        for table, items in dicts:
            if table.keys() != items.keys():
                table.clear()
            table.update(items)

    try:
        yield restore
    finally:
        restore()


def _promising(
    found: list[tuple[Edit, Source]], trials: list[_Trial], restore: Callable[[], None]
) -> Iterator[tuple[Edit, Source]]:
    """Yield the changes of what the wrong gradients depend on; later, what right ones depend on."""
    called = {source.function.__name__ for _, source in found}
    values = dict[ast.AST, ast.expr | None]()
    reached = dict[ast.expr, list[tuple[set[str], set[str]]]]()
    for edit, source in found:
        (spot, _), *more = edit.parts
        if spot not in values:
            values[spot] = _changed_value(edit.statement, spot, source, called)
        value = None if more else values[spot]
        if value is not None:
            if value not in reached:
                reached[value] = [t.reached(edit.statement, source, value, restore) for t in trials]
            pairs = list(zip((t.wrong for t in trials), reached[value], strict=True))
            inside = source.holds(value, spot)
            if inside and any(not wrong <= moved for wrong, (moved, _) in pairs):
                continue
            later = sum(not scaled <= wrong for wrong, (_, scaled) in pairs)
            edit = edit._replace(rank=edit.rank + 2 * later)  # noqa: PLW2901
        yield edit, source


def _changed_value(
    statement: ast.stmt, spot: ast.AST, source: Source, called: set[str]
) -> ast.expr | None:
    """Return the value that a change concerns, if it is one.

    That is what the statement computes. What a function of the code gets is also a value.
    """
    whole = getattr(statement, "value", None)
    if whole is None or source.ends_loop(statement):
        return None
    found: ast.expr = whole
    for part in ast.walk(whole):
        name = ast.unparse(part.func).split(".")[-1] if isinstance(part, ast.Call) else ""
        inner: list[ast.expr] = []
        if isinstance(part, ast.Tuple) and part is whole:
            inner = part.elts
        elif isinstance(part, ast.Call) and (name in called or isinstance(statement, ast.Expr)):
            inner = part.args
        found = next((node for node in inner if source.holds(node, spot)), found)
    # Of np.clip(dW, -5, 5, out=dW) no result is used.
    return None if isinstance(statement, ast.Expr) and found is whole else found


def _groups(found: list[tuple[Edit, Source]]) -> Iterator[tuple[list[Edit], Source]]:
    """Yield the changes in groups of one place and rank, which are compiled together."""
    keys = ((edit.rank, [node for node, _ in edit.parts]) for edit, _ in found)
    for _, pairs in groupby(zip(keys, found, strict=True), lambda pair: pair[0]):
        group = [pair for _, pair in pairs]
        for i in range(0, len(group), MAX_GROUP):
            yield [edit for edit, _ in group[i : i + MAX_GROUP]], group[0][1]


def _made(group: list[Edit], source: Source, restore: Callable[[], None]) -> Iterator[Edit]:
    """Yield each change of a group while the function runs with it."""
    function: Any = source.function
    original, code = function.__code__, source.compiled(one_of(group, CHOICE))
    if code is None and len(group) > 1:
        for edit in group:
            yield from _made([edit], source, restore)
    elif code is not None:
        function.__code__ = code
        try:
            for number, edit in enumerate(group):
                function.__globals__[CHOICE] = number
                yield edit
                restore()
        finally:
            function.__code__ = original
            function.__globals__.pop(CHOICE, None)


class _Trial:
    """The exact derivative along a random direction for each value, to compare a trial with."""

    def __init__(self, point: Point, method: Method) -> None:
        rng = np.random.default_rng(0)
        begin = time.perf_counter()
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
        self.is_finite = bool(np.isfinite([exact for _, _, exact in self.known]).all())
        self.wrong = set(self._wrong(self.claimed))
        self.limit = MAX_TRIAL + time.perf_counter() - begin

    def succeeds(self) -> bool:
        """Whether the code as it is now gives the same outputs, and right gradients."""
        with _attempt(self.limit):
            result = self.point.target.run(self.point.values)
            pairs = zip(result.outputs, self.outputs, strict=True)
            if all(np.array_equal(a, b, equal_nan=True) for a, b in pairs):
                return not any(self._wrong(result.backward(self.point.own_douts())))
        return False

    def _wrong(self, claimed: Gradients) -> Iterator[str]:
        """Yield the names of the gradients that are not right."""
        for name, direction, exact in self.known:
            got = np.asarray(claimed.get(name))  # of a number, a number
            if not is_real(got) or got.shape != direction.shape:
                yield name
                continue
            terms = got * direction
            size = max(float(np.sqrt(np.sum(terms**2))), abs(exact))
            if not abs(float(terms.sum()) - exact) <= self.close * size:
                yield name

    def reached(
        self, statement: ast.stmt, source: Source, value: ast.expr, restore: Callable[[], None]
    ) -> tuple[set[str], set[str]]:
        """Return which gradients may change if a value is moved, and which do if it is scaled.

        Scaled, zero stays zero. Of a value that is no number nothing is known.
        """
        found = [set(self.claimed), set[str]()]
        for i, how in enumerate(("((%s) * 1.01 + 0.01)", "((%s) * 1.01)")):
            edit = Edit(0, "", statement, ((value, how % ast.unparse(value)),))
            for _ in _made([edit], source, restore):
                with _attempt(self.limit):  # what is no number raises
                    new, old = self.point.claimed(), self.claimed
                    found[i] = {n for n in old if not np.array_equal(new[n], old[n])}
        return found[0], found[1]


def _sources(point: Point) -> Iterator[Source]:
    """Yield the functions that make the gradients, each once."""
    running = _running(point)
    for function in gc.get_referrers(*running) if running else ():
        if isinstance(function, FunctionType) and function.__code__ in running:
            with contextlib.suppress(OSError, TypeError, SyntaxError):  # its text is in no file
                yield Source(function, running.pop(function.__code__))


def _running(point: Point) -> dict[CodeType, tuple[dict[str, Any], dict[str, Any]]]:
    """Return what runs while the gradients are made, and its values, but for libraries.

    A function that another one makes in each run is a part of that one.
    """
    seen: dict[CodeType, tuple[dict[str, Any], dict[str, Any]]] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "return":
            seen[frame.f_code] = frame.f_globals, dict(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        result = point.target.run(point.values)
        makers, is_loss = dict(seen), point.target.backward is times_gradient
        if not is_loss:  # a loss makes the gradients with its value
            seen.clear()
        result.backward(point.own_douts())
    finally:
        sys.setprofile(before)
    makers |= seen
    made_by = {inner: code for code in makers for inner in code.co_consts}
    found: dict[CodeType, tuple[dict[str, Any], dict[str, Any]]] = {}
    for code, (space, values) in seen.items():
        outer = code
        while outer in made_by:
            outer = made_by[outer]
            values = makers[outer][1] | values  # noqa: PLW2901
        found[outer] = space, found.get(outer, (space, {}))[1] | values
    standard = str(Path(contextlib.__file__).parent)
    return {
        code: values
        for code, values in found.items()
        if not code.co_filename.startswith((HERE, NUMPY, standard, "<frozen"))
        and "site-packages" not in code.co_filename
        and not code.co_name.startswith("<")
    }


def _sentence(edit: Edit, source: Source) -> str:
    """Return what a change says of the cause."""
    old, new = source.before_and_after(edit, MAX_TEXT)
    change = f'with "{new}" instead of "{old}"' if new else f'without "{old}"'
    line = getattr(edit.parts[0][0], "lineno", 0)
    where = f"{source.function.__name__}, line {line} of {source.file}"
    return f"{edit.cause}? {where}: {change} {MENDED}"
