"""What a backward pass must not do, whatever its numbers.

It must not change its inputs, its cache or the gradient it was given; called twice it must
return the same bits; it is linear in its gradient (clipping inside is not); nothing in it is
random; float64 in is float64 throughout; and no number is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.subject import Gradients, Subject, Values, arrays_in, copies, is_real
from numpy_rnn.checking.trace import precision_losses
from numpy_rnn.functional.types import Array


class Fault(NamedTuple):
    """Something a pass did that it must not do."""

    kind: str  # "input changed", "cache changed", "not linear", ...
    text: str  # one line: what, and where


def not_finite(subject: Subject, values: Values, douts: Sequence[Array]) -> Fault | None:
    """Find the first NaN or infinity: in the outputs, by time, then in the gradients.

    Parameters
    ----------
    subject : Subject
        Whose passes are run.
    values : dict
        Where.
    douts : sequence of arrays
        Gradient of each output.

    Returns
    -------
    fault : Fault or None
    """
    run = subject.run(values)
    for i, out in enumerate(run.outputs):
        if not np.isfinite(out).all():
            which = f"output {i}" if len(run.outputs) > 1 else "the output"
            return Fault("not finite", f"{which} of forward is {_first_bad(out, earliest=True)}")
    for name, gradient in run.backward(copies(douts)).items():
        if gradient is not None and not np.isfinite(gradient).all():
            return Fault("not finite", f"the gradient of {name} is {_first_bad(gradient)}")
    return None


def _first_bad(array: Any, *, earliest: bool = False) -> str:
    array = np.asarray(array)
    bad = np.argwhere(~np.isfinite(array))
    # Forward goes wrong first at the earliest step; backward comes from the other end.
    index = tuple(int(i) for i in bad[0 if earliest else -1])
    time = f", first at t = {index[0]}" if len(index) == 3 else ""
    return f"{array[index]} at index {index}{time}"


def faults(subject: Subject, values: Values, douts: Sequence[Array]) -> list[Fault]:
    """Run both passes several times and return what they did that they must not do.

    Parameters
    ----------
    subject : Subject
        Whose passes are run.
    values : dict
        Where; finite outputs are expected.
    douts : sequence of arrays
        Gradient of each output.

    Returns
    -------
    found : list of Fault
    """
    found: list[Fault] = []
    sent = copies(douts)
    run = subject.run(values)
    mine = {name: value for name, value in values.items() if name in run.given}
    outputs = [np.array(out) for out in run.outputs]  # a backward may write to them
    found += _changed("forward", "input changed", mine, run.given)
    before = {path: array.copy() for path, array in arrays_in(run.cache, "cache").items()}
    first = _copies(run.backward(sent))
    found += _changed("backward", "input changed", mine, run.given)
    after = arrays_in(run.cache, "cache")
    found += _changed("backward", "cache changed", before, after)
    named = dict(zip(subject.incoming(len(douts)), douts, strict=True))
    found += _changed(
        "backward", "incoming gradient changed", named, dict(zip(named, sent, strict=True))
    )
    other = subject.run(values)
    same = all(a.tobytes() == b.tobytes() for a, b in zip(outputs, other.outputs, strict=True))
    repeated = _copies(other.backward(copies(douts)))
    name = _differ(first, repeated)
    if not same or name:
        what = f"gradient of {name}" if same else "output"
        text = f"two calls with the same arguments return another {what}: is something random?"
        found.append(Fault("random", text))
    else:
        if subject.again and (name := _differ(first, _copies(other.backward(copies(douts))))):
            text = f"a second backward returns another gradient of {name}: did the first write?"
            found.append(Fault("second backward differs", text))
        found += _not_linear(subject, values, douts, first)
    return found + _single_precision(subject, values, douts, first)


def _not_linear(
    subject: Subject, values: Values, douts: Sequence[Array], first: Gradients
) -> list[Fault]:
    for factor in (1e4, -1e-20):  # a clip bites on large gradients, a threshold on small ones
        scaled = subject.run(values).backward([factor * d for d in douts])
        for name, g in first.items():
            if g is None or scaled[name] is None:
                continue
            scale = float(np.abs(g).max(initial=0.0))
            off = float(np.abs(np.asarray(scaled[name]) / factor - g).max(initial=0.0))
            if np.array_equal(np.asarray(scaled[name]), g) and scale:
                text = f"the gradient of {name} does not depend on the one that comes in: ignored?"
                return [Fault("not linear", text)]
            if off > 1e-5 * scale:  # more than float32's rounding, which is a fault of its own
                text = (
                    f"a gradient {factor:g} times as large comes back as another one for {name}: "
                    "is it clipped inside?"
                )
                return [Fault("not linear", text)]
    return []


def _single_precision(
    subject: Subject, values: Values, douts: Sequence[Array], gradients: Gradients
) -> list[Fault]:
    if any(is_real(v) and v.dtype != np.float64 for v in values.values()):
        return []  # not a float64 computation
    made = {f"output {i}": out for i, out in enumerate(subject.run(values).outputs)}
    made |= {f"the gradient of {n}": np.asarray(g) for n, g in gradients.items() if g is not None}
    for name, array in made.items():
        # Numbers that all fit in float32 have been through it, whatever they are stored in.
        rounded = array.size > 8 and np.array_equal(array.astype(np.float32), array)
        if array.dtype.itemsize < 8 or (rounded and np.ptp(array) > 0 and _is_fine(array)):
            lines = precision_losses(subject, values, list(douts))
            where = f": {lines[0]}" if lines else ""
            return [Fault("float32", f"{name} has only float32's digits{where}")]
    lines = precision_losses(subject, values, list(douts))
    return [Fault("float32", f"float64 becomes float32: {lines[0]}")] if lines else []


def _is_fine(array: Array) -> bool:
    """Whether the numbers are not small multiples of a power of two, which fit by right."""
    return not np.array_equal(np.round(array * 1024), array * 1024)


def _copies(gradients: Gradients) -> Gradients:
    return {n: None if g is None else np.array(g) for n, g in gradients.items()}


def _differ(a: Gradients, b: Gradients) -> str:
    """Return the name of a gradient that differs in a bit, or nothing."""
    for name, g in a.items():
        h = b[name]
        if (g is None) != (h is None) or (g is not None and g.tobytes() != h.tobytes()):
            return name
    return ""


def _changed(who: str, kind: str, before: Any, after: Any) -> list[Fault]:
    for name, old in before.items():
        new = after.get(name)
        if isinstance(old, np.ndarray) and (new is None or not _same(old, new)):
            return [Fault(kind, f"{who} changes {name}")]
    return []


def _same(a: Array, b: Array) -> bool:
    return bool(a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes())
