"""The verdict on an answer: right, or where it is wrong and which known mistake it is.

An answer is right if its results are those of the solution, and if ``numpy_rnn.checking`` finds its
gradients right. The results of a wrong answer are compared with those of known mistakes.
"""

from __future__ import annotations

import re
import sys
import tomllib
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.apps.learn.exercise import FOLDER, Exercise, wrong_lines
from numpy_rnn.arguments import NUMBERS
from numpy_rnn.checking.check import check_gradients
from numpy_rnn.checking.locate import suggest_whole
from numpy_rnn.checking.nested import Arguments
from numpy_rnn.checking.regimes import REGIMES
from numpy_rnn.checking.report import Report
from numpy_rnn.checking.shapes import complete_sizes, draw, draw_gradients
from numpy_rnn.checking.target import Target
from numpy_rnn.functional.types import Array

SIZES = {"T": 4, "B": 2, "D": 3, "H": 4, "V": 6, "P": 3}
LETTERS = {"T": "t =", "B": "batch row", "D": "input", "H": "unit", "V": "class"}
PLAIN = tomllib.loads((FOLDER / "plain.toml").read_text("utf-8"))  # for NumPy's error messages


class Verdict(NamedTuple):
    """What was found out about an answer."""

    kind: str  # passed, gap, error, wrong, timeout or ended
    place: str = ""  # the first wrong place, the error, or the lines of the gaps
    report: str = ""  # which gradients are right and which are wrong
    suggestion: str = ""  # of the checker
    mistake: str = ""  # the known mistake with the same results
    printed: str = ""  # what the answer printed
    line: str = ""  # a wrong line of the solution that has the same results


def run_code(source: str, file: str) -> ModuleType:
    """Return what the code of an answer or of a probe defines."""
    module = ModuleType(Path(file).stem)
    exec(compile(source, file, "exec"), vars(module))  # noqa: S102 (what the course is for)
    return module


def judge(exercise: Exercise, source: str, file: str = "answer.py") -> Verdict:
    """Return the verdict on the code of an answer, whatever exception it raises.

    `file` is a name for error messages. An endless loop does not return: see ``process.py``.

    >>> from numpy_rnn.apps.learn import load
    >>> exercise = load()[3]
    >>> judge(exercise, exercise.solution).kind
    'passed'
    >>> judge(exercise, exercise.mistakes[0].code).place[:44]
    'gradient of the pre-activation (dz), t = 2, '
    """
    gaps = {line.strip() for line in exercise.start.splitlines() if line.strip()[:3] == "..."}
    left = [str(i) for i, line in enumerate(source.splitlines(), 1) if line.strip() in gaps]
    if left:
        return Verdict("gap", ", ".join(left))
    with np.errstate(all="ignore"):
        probe = _probe(exercise)
        found, error = _run(probe, source, file)
        expected, _ = _run(probe, exercise.solution, file)
        axes = exercise.options.get("axes", {}) | exercise.options.get("outputs", {})
        place = error or _difference(found, expected, axes)
        report: Report | None = None
        if not error and "pair" in exercise.options:
            report, error = _run(partial(check, exercise), source, file)
            place = error or place
        if not place and (report is None or report.ok):
            return Verdict("passed")
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")  # what the mistakes print is not the learner's
            mistake, line = _known_mistake(exercise, probe, found, expected, error)
    if report is None:
        looks = "" if error or mistake else _observation(found, expected)
        return Verdict("error" if error else "wrong", place, "", looks, mistake, line=line)
    if place[:1] not in ("", "d"):  # an output is wrong, and so are its gradients
        return Verdict("wrong", place, mistake=mistake, line=line)
    if report.location:
        place = f"d{report.location}"
        if place.startswith("dpre-activation"):
            place = f"gradient of the {place[1:].replace(',', ' (dz),', 1)}"
    place = place or "; ".join(violation.text for violation in report.violations)
    names = [", ".join(f"d{r.name}" for r in report.rows if r.right == right) for right in (1, 0)]
    summary = f"right: {names[0] or 'none'}\nWRONG: {names[1]}" if names[1] else ""
    return Verdict("wrong", place, summary, "\n".join(report.suggestions), mistake, line=line)


def check(exercise: Exercise, answer: Any) -> Report:
    """Check the gradients of an answer's pair in the usual regime, then in all of them."""
    pair = tuple(getattr(answer, name) for name in exercise.options["pair"])
    shapes, gates = exercise.shapes(), exercise.options.get("gates") or None
    for regimes in (["usual"], None):
        options: dict[str, Any] = {"sizes": SIZES, "gates": gates, "regimes": regimes}
        # The cause would be the solution.
        report = check_gradients(pair, shapes, cause_seconds=0, **options)
        if not report.ok:
            break
    return report


def _probe(exercise: Exercise) -> Callable[[Any], dict[str, Array]]:
    """Return a function that returns the results of an answer as arrays, by name."""

    def of_pair(answer: Any) -> dict[str, Any]:
        pair = (getattr(answer, name) for name in exercise.options["pair"])
        forward, backward = map(_aloud(sys.stdout), pair)
        target = Target(forward, backward, Arguments(exercise.shapes()))
        rng = np.random.default_rng(0)
        values, _ = draw(rng, exercise.shapes(), complete_sizes(SIZES), REGIMES[0])
        made = target.run(values)
        douts = draw_gradients(rng, made.outputs, None, REGIMES[0])
        names = exercise.options.get("outputs") or map("output {}".format, count())
        results = dict(zip(names, made.outputs, strict=False))
        return results | {f"d{name}": g for name, g in made.backward(douts).items()}

    probe = run_code(exercise.probe, "probe.py").probe if exercise.probe else of_pair
    return lambda answer: {name: np.asarray(value) for name, value in probe(answer).items()}


@contextmanager
def _aloud(stream: Any) -> Iterator[None]:
    """Let a decorated function print, although the checker that calls it captures prints."""
    with redirect_stdout(stream):
        yield


def _run(function: Callable[[Any], Any], source: str, file: str) -> tuple[Any, str]:
    """Return what a function makes of an answer, or None and the error in one line."""
    try:
        return function(run_code(source, file)), ""
    except BaseException as error:  # whatever the answer raises
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        if isinstance(error, SyntaxError) and error.filename == file:
            lines = [error.lineno]
        where = f"line {lines[-1]}: " if lines else ""
        words = error.msg if isinstance(error, SyntaxError) else str(error)  # else the line twice
        message = " ".join(words.split())[:400]
        for pattern, plain in PLAIN.items():
            message = re.sub(pattern, plain, message)
        return None, f"{where}{type(error).__name__}: {message}".rstrip(": ")


def _known_mistake(
    exercise: Exercise, probe: Any, found: Any, expected: Any, error: str
) -> tuple[str, str]:
    """Return the name of the mistake with the results, or the error, of an answer.

    If there is none, the second text is a wrong line of the solution that has its results. Without
    such a line too, the mistake shares the first wrong result, and the most others.
    """
    wrong = (name for name in expected if _difference(found, {name: expected[name]}, {}))
    first, partly, most = next(wrong, "") if found else "", "", 0
    for mistake in (mistake for mistake in exercise.mistakes if mistake.code):
        results, failure = _run(probe, mistake.code, "mistake.py")
        same = bool(results and found) and not _difference(found, results, {})
        if same or (error and failure.partition(": ")[2] == error.partition(": ")[2]):
            return mistake.name, ""
        shared = [n for n in results or () if not _difference(found or {}, {n: results[n]}, {})]
        if first in shared and len(shared) > most:
            partly, most = mistake.name, len(shared)
    # A right or an infinite result fits many lines. The probe of an exercise with needs trains.
    looks = first and "needs" not in exercise.options and _finite(found.get(first))
    for line, code in wrong_lines(exercise) if looks else ():
        results, _ = _run(probe, code, "mistake.py")
        if results and not _difference(found, results, {}):
            return "", line
    return partly, ""


def _finite(result: Array | None) -> bool:
    return result is None or result.dtype.kind not in NUMBERS or bool(np.isfinite(result).all())


def _observation(found: Mapping[str, Array], expected: Mapping[str, Array]) -> str:
    """Return what the first wrong result looks like, if it is something simple."""
    for name, right in expected.items():
        got = found.get(name, np.asarray(None))
        if got.dtype.kind in NUMBERS and right.ndim and _difference(found, {name: right}, {}):
            text = (
                suggest_whole(got, right, {}) if got.shape in (right.shape, right.T.shape) else ""
            )
            return f"{name} {text}" if text else ""
    return ""


def _difference(found: Mapping[str, Array], expected: Mapping[str, Array], axes: Any) -> str:
    """Return the first difference between results in one line, or nothing.

    Of results with an axis of time, the earliest step counts. Else the order of the results does.
    """
    places: list[tuple[int, str]] = []
    for name, right in expected.items():
        got, numbers = found.get(name, np.asarray(None)), right.dtype.kind in NUMBERS
        if got.shape != right.shape or (got.dtype.kind in NUMBERS) != numbers:
            return f"{name}: got {_show(got)}, expected {_show(right)}"
        if not numbers and got.tolist() != right.tolist():
            places.append((-1, f"{name}: got {got.tolist()!r}, expected {right.tolist()!r}"))
        if numbers and got.tobytes() != right.tobytes():
            for index in map(tuple, np.argwhere(~_close(got, right))[:1].tolist()):
                letters = [LETTERS[x] for x in axes.get(name, "").split()]
                if len(letters) != len(index):
                    letters = ["row", "column"] if len(index) == 2 else ["entry" for _ in index]
                words = [f"{x} {i}" for x, i in zip(letters, index, strict=True)]
                place = ", ".join([name, *words])
                text = f"{place}: got {got[index]:.10g}, expected {right[index]:.10g}"
                places.append((index[0] if letters[:1] == [LETTERS["T"]] else -1, text))
    in_time = [place for place in places if place[0] >= 0]
    return "" if not places else min(in_time)[1] if places[0] in in_time else places[0][1]


def _close(got: Array, right: Array) -> Array:
    """Return where results agree, as np.isclose does in four times the time."""
    relative, size = 1e-9, np.abs(right)
    slack = 1e-12 * size.max(initial=0) + relative * size
    if right.dtype.kind in "fc" and np.isfinite(slack).all():
        return np.asarray(np.abs(got - right) <= slack)
    absolute = 1e-12 * np.abs(np.nan_to_num(right)).max(initial=0)
    return np.isclose(got, right, relative, absolute, equal_nan=True)


def _show(value: Array) -> str:
    return f"shape {value.shape}" if value.ndim else repr(value.item())[:60]
