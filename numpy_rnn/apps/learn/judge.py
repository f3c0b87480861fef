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

SIZES = {"T": 4, "B": 2, "D": 3, "H": 4, "V": 6, "P": 3}
NUMBERS = "biufc"  # dtype kinds
LETTERS = {"T": "t =", "B": "batch row", "D": "input", "H": "unit", "V": "class", "": "entry"}


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
        probe = _probe(exercise)
        found, error = _run(probe, source, file)
        expected, _ = _run(probe, exercise.solution, file)
        place, report = (
            error or _difference(found, expected, exercise.options.get("axes", {})),
            None,
        )
        if not error and "pair" in exercise.options:
            report, error = _run(partial(check, exercise), source, file)
            place = error or place
        if not place and (report is None or report.ok):
            return Verdict("passed")
        mistake = _known_mistake(exercise, probe, found, error)
    kind = "error" if error else "wrong"
    if report is None:
        return Verdict(kind, place, mistake=mistake)
    if report.location and place[:1] in ("", "d"):  # else the output is wrong
        place = str(report.location)
    place = place or "; ".join(violation.text for violation in report.violations)
    names = [", ".join(f"d{r.name}" for r in report.rows if r.right == right) for right in (1, 0)]
    summary = f"right: {names[0] or '-'}\nWRONG: {names[1] or '-'}"
    return Verdict(kind, place, summary, "\n".join(report.suggestions), mistake)


def check(exercise: Exercise, answer: Any) -> Report:
    """Check the gradients of an answer's pair in the usual regime, then in all of them."""
    options = exercise.options
    forward, backward = (getattr(answer, name) for name in options["pair"])
    drawn, gates = _drawn(options), options.get("gates") or None
    pair: Any = (forward, backward)
    for regimes in (["usual"], None):
        report = check_gradients(pair, drawn, sizes=SIZES, gates=gates, regimes=regimes)
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


def _probe(exercise: Exercise) -> Callable[[Any], dict[str, Array]]:
    """Return a function that returns the results of an answer as arrays, by name."""
    of_text = exercise.probe and Answer(exercise.probe, "probe.py").probe
    probe = of_text or _of_pair(exercise)
    return lambda answer: {name: np.asarray(value) for name, value in probe(answer).items()}


def _of_pair(exercise: Exercise) -> Callable[[Any], dict[str, Any]]:
    """Return the probe of a forward/backward pair: its outputs and its gradients."""
    names, rng = exercise.options["pair"], np.random.default_rng(0)
    values, _ = draw(rng, _drawn(exercise.options), complete_sizes(SIZES), REGIMES[0])

    def probe(answer: Answer) -> dict[str, Any]:
        forward, backward = (getattr(answer, name) for name in names)
        made = forward(*copied(values).values())
        if not isinstance(made, tuple) or len(made) != 2:
            raise TypeError(
                f"{names[0]} returned {type(made).__name__}, expected a pair (result, cache)"
            )
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


def _difference(found: Mapping[str, Array], expected: Mapping[str, Array], axes: Any) -> str:
    """Return the first difference between results in one line, or nothing."""
    for name, right in expected.items():
        got, numbers = found[name], right.dtype.kind in NUMBERS
        if got.shape != right.shape or (got.dtype.kind in NUMBERS) != numbers:
            return f"{name}: got {_show(got)}, expected {_show(right)}"
        if not numbers and got.item() != right.item():
            return f"{name}: got {got.item()!r}, expected {right.item()!r}"
        if numbers:
            slack = 1e-12 * np.abs(np.nan_to_num(right)).max(initial=0)
            wrong = np.argwhere(~np.isclose(got, right, 1e-9, slack, equal_nan=True))
            for index in map(tuple, wrong[:1].tolist()):
                letters = axes.get(name, "").split() or ["" for _ in index]
                words = [f", {LETTERS[x]} {i}" for x, i in zip(letters, index, strict=True)]
                place = name + "".join(words)
                return f"{place}: got {got[index]:.10g}, expected {right[index]:.10g}"
    return ""


def _show(value: Array) -> str:
    return f"shape {value.shape}" if value.ndim else repr(value.item())[:60]
