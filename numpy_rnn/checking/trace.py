"""Which line of somebody's code is not analytic, or drops to float32.

The complex step needs code that is analytic: no absolute value, conjugate, real part or buffer
of real numbers between input and output. Where it is not, arrays that watch what is done to them
tell which operation it was.
"""

from __future__ import annotations

import contextlib
import linecache
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from numpy_rnn.checking.subject import Subject, Values, is_real

# Functions of a complex number that have no complex derivative, or another one.
BREAKING = {
    "absolute", "fabs", "conjugate", "real", "imag", "angle", "sign", "norm", "vdot", "floor",
    "ceil", "rint", "around", "round", "nan_to_num", "real_if_close", "hypot", "cbrt",
}  # fmt: skip
SINGLE = (np.dtype(np.float32), np.dtype(np.complex64), np.dtype(np.float16))
HERE = str(Path(__file__).parent)
NUMPY = str(Path(np.__file__).parent)


class Watched(np.ndarray[Any, Any]):
    """An array that notes the operations it goes through."""

    notes: list[str]

    def __array_finalize__(self, source: Any) -> None:
        self.notes = getattr(source, "notes", [])

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        if out is not None:
            options["out"] = tuple(_plain(o) for o in out)
        result = getattr(ufunc, method)(*(_plain(i) for i in inputs), **options)
        self._judge(ufunc.__name__, [np.asarray(i).dtype for i in inputs], result)
        if out is not None:
            return out[0] if len(out) == 1 else out
        return self._watch(result)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__name__ in BREAKING and np.iscomplexobj(self):
            self._note(f"np.{func.__name__}")
        return super().__array_function__(func, types, args, kwargs)

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        """Convert, and note what is lost."""
        target = np.dtype(dtype)
        if self.dtype.kind == "c" and target.kind == "f":
            self._note(f"astype({target})")
        if target in SINGLE and self.dtype not in SINGLE:
            self._note(f"astype({target})")
        return super().astype(dtype, *args, **options)

    def conj(self) -> Any:
        """Conjugate, and note it."""
        return np.conjugate(self)

    @property  # type: ignore[misc]
    def real(self) -> Any:  # read-only: nothing is assigned to it on the way
        """Return the real part, and note it."""
        if self.dtype.kind == "c":
            self._note(".real")
        return np.asarray(self).real

    def _judge(self, name: str, dtypes: list[np.dtype[Any]], result: Any) -> None:
        made = np.asarray(result).dtype if not isinstance(result, tuple) else result[0].dtype
        if name in BREAKING and any(dtype.kind == "c" for dtype in dtypes):
            self._note(f"np.{name}")
        if made in SINGLE and any(d.kind in "fc" and d not in SINGLE for d in dtypes):
            self._note(f"np.{name} in {made}")

    def _watch(self, result: Any) -> Any:
        if isinstance(result, np.ndarray) and result.dtype.kind in "fc":
            watched = result.view(Watched)
            watched.notes = self.notes
            return watched
        return result

    def _note(self, operation: str) -> None:
        self.notes.append(f"{operation} at {_caller(sys._getframe(2))}")


def _plain(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, Watched) else value


def _caller(frame: FrameType | None) -> str:
    """Return file, line and text of the innermost line that is neither NumPy's nor ours."""
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((HERE, NUMPY)):
            return _line(name, frame.f_lineno)
        frame = frame.f_back
    return "a line that is not known"


def _line(filename: str, number: int) -> str:
    text = linecache.getline(filename, number).strip()
    return f"{Path(filename).name}:{number}: {text}" if text else f"{Path(filename).name}:{number}"


def why_not_analytic(subject: Subject, values: Values) -> str:
    """Say which operation the complex step does not get through.

    Parameters
    ----------
    subject : Subject
        Whose forward is not analytic.
    values : dict
        Where.

    Returns
    -------
    reason : str
        The operation and its line, as far as they can be seen.
    """
    moved = {n: v + 1e-30j if is_real(v) else v for n, v in values.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            subject.run(moved)
    except Exception as error:  # whatever somebody's code raises is the answer
        return f"{_place_of(error)} ({type(error).__name__}: {error})"
    notes = _watch_run(subject, moved, lambda _run, _notes: None)
    return notes[0] if notes else "the imaginary part it returns is not its slope"


def precision_losses(subject: Subject, values: Values, douts: list[Any]) -> list[str]:
    """Return the operations that turn float64 into float32, each with its line."""

    def backward(run: Any, notes: list[str]) -> None:
        run.backward([_watched(d, notes) for d in douts])

    return [note for note in _watch_run(subject, values, backward) if "32" in note or "16" in note]


def _watch_run(
    subject: Subject, values: Values, then: Callable[[Any, list[str]], None]
) -> list[str]:
    notes: list[str] = []
    watched = {n: _watched(v, notes) if is_real(v) else v for n, v in values.items()}
    # Code that refuses the watching arrays tells nothing, which is no error.
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        then(subject.run(watched), notes)
    return list(dict.fromkeys(notes))


def _watched(value: Any, notes: list[str]) -> Any:
    array = np.array(value).view(Watched)
    array.notes = notes
    return array


def _place_of(error: BaseException) -> str:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((HERE, NUMPY))
    ]
    if not frames:
        return "its code"
    return _line(frames[-1].filename, frames[-1].lineno or 0)
