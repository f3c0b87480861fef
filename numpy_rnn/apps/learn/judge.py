"""The verdict on an answer: right, or where it is wrong and which known mistake it is.

An answer is right if its results are those of the solution, and if ``numpy_rnn.checking`` finds its
gradients right. The results of a wrong answer are compared with those of known mistakes.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.apps.learn.exercise import Exercise
from numpy_rnn.checking.check import Report, check_gradients
from numpy_rnn.checking.shapes import REGIMES, complete_sizes, draw
from numpy_rnn.checking.target import as_tuple, copied
from numpy_rnn.functional.types import Array

SIZES = {"T": 5, "B": 3, "D": 2, "H": 4, "V": 6, "P": 3}
LETTERS = {"T": "t =", "B": "batch row", "D": "input", "H": "unit", "V": "class"}


class Verdict(NamedTuple):
    """What was found out about an answer."""

    kind: str  # passed, gap, error, wrong, timeout or ended
    place: str = ""  # the first wrong place, the error, or the lines of the gaps
    report: str = ""  # which gradients are right and which are wrong
    suggestion: str = ""  # of the checker
    mistake: str = ""  # the known mistake with the same results
    printed: str = ""  # what the answer printed


class Answer:
    """The names that an answer defines. A missing one is an error with a clear message."""

    def __init__(self, source: str | bytes, file: str) -> None:
        self._names: dict[str, Any] = {"__name__": "answer"}
        exec(compile(source, file, "exec"), self._names)  # noqa: S102 (what the course is for)

    def __getattr__(self, name: str) -> Any:
        if name not in self._names:
            raise NameError(f"the file has no {name!r}, expected a function of that name")
        return self._names[name]


def judge(exercise: Exercise, source: str | bytes, file: str = "answer.py") -> Verdict:
    """Return the verdict on the code of an answer, whatever exception it raises.

    `file` is a name for error messages. An endless loop does not return: see ``process.py``.

    Examples
    --------
    >>> from numpy_rnn.apps.learn import load
    >>> exercise = load()[3]
    >>> judge(exercise, exercise.solution).kind
    'passed'
    >>> judge(exercise, exercise.mistakes[0].code)[:2]
    ('wrong', 'pre-activation, t = 3, batch row 0, unit 3: got -0.135394367, expected -0.702136758')
    """
    text = source.decode("utf-8", "replace") if isinstance(source, bytes) else source
    gaps = {line.strip() for line in exercise.start.splitlines() if line.strip()[:3] == "..."}
    left = [str(i) for i, line in enumerate(text.splitlines(), 1) if line.strip() in gaps]
    if left:
        return Verdict("gap", ", ".join(left))
    with np.errstate(all="ignore"):
        probe = Answer(exercise.probe, "probe.py").probe if exercise.probe else _of_pair(exercise)
        found, error = _run(probe, source, file)
        expected, _ = _run(probe, exercise.solution, file)
        place, report = error or _difference(found, expected, exercise.options), None
        if not error and "pair" in exercise.options:
            report, error = _run(partial(check, exercise), source, file)
            place = error or place
        if not place and (report is None or report.ok):
            return Verdict("passed")
        mistake = _known_mistake(exercise, probe, found, error)
    kind = "error" if error else "wrong"
    if report is None:
        return Verdict(kind, place, mistake=mistake)
    if report.location and not place.startswith("output"):
        place = str(report.location)
    place = place or "; ".join(violation.text for violation in report.violations)
    names = [", ".join(f"d{r.name}" for r in report.rows if r.right is right) for right in (1, 0)]
    summary = f"right: {names[0] or '-'}\nWRONG: {names[1] or '-'}"
    return Verdict(kind, place, summary, "\n".join(report.suggestions), mistake)


def check(exercise: Exercise, answer: Any) -> Report:
    """Check the gradients of an answer's pair in the usual regime, then in all of them."""
    options = exercise.options
    forward, backward = (getattr(answer, name) for name in options["pair"])
    drawn, gates = _drawn(options), options.get("gates") or None
    sizes = SIZES | {"T": options.get("steps", SIZES["T"])}
    pair: Any = (forward, backward)
    for regimes in (["usual"], None):
        report = check_gradients(pair, drawn, sizes=sizes, gates=gates, regimes=regimes)
        if not report.ok:
            break
    return report


def _drawn(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shapes of a pair's arguments. One such as "T B of V" draws integers below V."""

    def integers(shape: str, below: str) -> Callable[..., Array]:
        return lambda rng, sizes: rng.integers(0, sizes[below], [sizes[x] for x in shape.split()])

    return {
        name: integers(*shape.split(" of ")) if " of " in str(shape) else shape
        for name, shape in options["shapes"].items()
    }


def _of_pair(exercise: Exercise) -> Callable[[Any], dict[str, Any]]:
    """Return the probe of a forward/backward pair: its outputs and its gradients."""
    names, rng = exercise.options["pair"], np.random.default_rng(0)
    values, _ = draw(rng, _drawn(exercise.options), complete_sizes(SIZES), REGIMES[0])

    def probe(answer: Answer) -> dict[str, Any]:
        forward, backward = (getattr(answer, name) for name in names)
        made = forward(*copied(values).values())
        if not isinstance(made, tuple) or len(made) != 2:
            raise TypeError(f"{names[0]} returned {_show(made)}, expected (result, cache)")
        outputs = as_tuple(made[0])
        douts = [np.cos(np.arange(np.size(out))).reshape(np.shape(out)) for out in outputs]
        gradients = backward(*douts, made[1])
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        if len(gradients) != len(values):
            given, count = ", ".join(values), len(gradients)
            raise TypeError(f"{names[1]} returned {count} values, expected gradients of {given}")
        results = {f"output {i}": out for i, out in enumerate(outputs)}
        return results | {f"d{n}": g for n, g in zip(values, gradients, strict=True)}

    return probe


def _run(function: Callable[[Any], Any], source: str | bytes, file: str) -> tuple[Any, str]:
    """Return what a function makes of an answer, or None and the error in one line."""
    try:
        return function(Answer(source, file)), ""
    except BaseException as error:  # whatever the answer raises
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        if isinstance(error, SyntaxError) and error.filename == file:
            lines = [error.lineno]
        where = f"line {lines[-1]}: " if lines else ""
        message = " ".join(str(error).split())[:400]
        return None, f"{where}{type(error).__name__}: {message}".rstrip(": ")


def _known_mistake(exercise: Exercise, probe: Any, found: Any, error: str) -> str:
    """Return the name of the mistake whose results, or whose error, are those of an answer."""
    for mistake in exercise.mistakes[:-1]:
        results, failure = _run(probe, mistake.code, "mistake.py")
        same = bool(results and found) and not _difference(found, results, {})
        if same or (error and failure.partition(": ")[2] == error.partition(": ")[2]):
            return mistake.name
    return ""


def _difference(found: Any, expected: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return the first difference between results in one line, or nothing."""
    for name, right in expected.items():
        value = found.get(name)
        got, wanted = np.asarray(value), np.asarray(right)
        if got.shape != wanted.shape or (got.dtype.kind in "biufc") != (
            wanted.dtype.kind in "biufc"
        ):
            return f"{name}: got {_show(value)}, expected {_show(right)}"
        numbers = wanted.dtype.kind in "biufc"
        same = np.isclose(got, wanted, rtol=1e-9, atol=1e-12) if numbers else got == wanted
        if not np.all(same):
            index = np.argwhere(~same)[0] if numbers else ()
            letters = options.get("axes", {}).get(name, "").split()
            words = [f"{LETTERS[x]} {i}" for x, i in zip(letters, index, strict=False)]
            place = ", ".join([name, *words]) if words else f"{name}{list(map(int, index)) or ''}"
            shown = [f"{x[tuple(index)]:.6g}" if numbers else repr(str(x)) for x in (got, wanted)]
            return f"{place}: got {shown[0]}, expected {shown[1]}"
    return ""


def _show(value: Any) -> str:
    shape = np.shape(value) if isinstance(value, np.ndarray | list) else ()
    return f"shape {shape}" if shape else repr(value)[:60]
