"""Regimes: the kinds of inputs that a check draws, and further ones that depend on the code.

Whether a check finds a bug depends on its inputs. T and B differ from each other and from every
other size. Eight regimes put the gradient where a bug is hard to see:

    usual           every step sends a gradient
    last-step-only  the loss is at the last step, so early slices see only what crossed time
    saturated       pre-activations near +-5: slopes of 1e-3 and far less
    vanishing       recurrent weights so small that the gradient shrinks 10 to 100 times a step;
                    the loss is at the last step and at one in the middle
    exploding       recurrent weights so large that the gradient grows; the loss is at the
                    last step
    wide            magnitudes from 1e-3 to 300, with both signs
    zeros and ties  a part of every array is exactly zero, another part is twice the same number
    one step        T = 1 and B = 1

Further inputs vary what a caller gave (:func:`variations`), and take the other sides of the code's
comparisons (:class:`Branches`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

Sides = dict[str, set[bool]]  # by comparison and line, its outcomes
FARTHEST = 6.0  # powers of ten by which a value is moved


class InputRegime(NamedTuple):
    """The scales of the inputs, the steps with a loss, and the tolerance that goes with them."""

    name: str
    weights: float = 1.0
    recurrent: float = 1.0
    loss_steps: Literal["all", "last", "last and middle"] = "all"
    rtol: float = 1e-10  # of a time slice, for an exact method
    values: Literal["normal", "wide", "with zeros"] = "normal"
    single: str = ""  # letters whose size is 1
    factors: tuple[tuple[str, float], ...] = ()  # on values, to reach another side of a branch
    extra: bool = False  # other than what the caller gave
    given: Mapping[str, Any] | None = None  # instead of what the caller gave
    sizes: tuple[tuple[str, int], ...] = ()  # of letters, instead of those of the call

    @property
    def optional(self) -> bool:
        """Whether code need not take such inputs: a failure or an overflow is a remark."""
        return self.values != "normal" or bool(self.single) or bool(self.factors) or self.extra

    @property
    def visible(self) -> bool:
        """Whether gradients of usual size pass: nothing saturates or explodes everywhere."""
        return self.weights == 1 and self.recurrent <= 1 and self.values == "normal"


REGIMES = (
    InputRegime("usual"),
    InputRegime("last-step-only", loss_steps="last"),
    # 1 - h^2, from an h within 1e-9 of 1, has lost nine of its sixteen digits.
    InputRegime("saturated", weights=3.0, rtol=1e-6),
    InputRegime("vanishing", recurrent=0.03, loss_steps="last and middle"),
    InputRegime("exploding", recurrent=3.0, loss_steps="last", rtol=1e-8),
)
# Inputs that code may refuse, where values and not the flow of the gradient matter.
OPTIONAL_REGIMES = (
    InputRegime("wide", values="wide", rtol=1e-6),
    InputRegime("zeros and ties", values="with zeros", rtol=1e-8),
    InputRegime("one step", single="TB"),
)
# With several steps. Where T and B are axes, all regimes have it besides.
ONE_ROW = InputRegime("one row", single="B")
# For arguments that are given as arrays, whose scale is not ours to choose.
GIVEN_REGIMES = (InputRegime("given"), InputRegime("given, last step only", loss_steps="last"))


def choose_regimes(names: Sequence[str] | None) -> tuple[InputRegime, ...]:
    """Return the regimes of these names, or all of them for None."""
    if names is None:
        return REGIMES + OPTIONAL_REGIMES
    known = {regime.name: regime for regime in (*REGIMES, *OPTIONAL_REGIMES, ONE_ROW)}
    wrong = [repr(name) for name in names if name not in known]
    if wrong or not names:
        raise ValueError(f"regimes: {[*wrong, 'none'][0]}, expected some of {', '.join(known)}")
    return tuple(known[name] for name in names)


def variations(given: Mapping[str, Any], sizes: Mapping[str, int]) -> Iterator[InputRegime]:
    """Yield regimes with other forms of what a caller gave, of those that differ from it."""
    for name, others in (
        ("with repeated indices", {n: _with_repeats(value) for n, value in given.items()}),
        ("of one entry", _of_one_entry(given, 0)),
        ("of one entry, axis 1", _of_one_entry(given, 1)),
    ):
        if any(others[n] is not value for n, value in given.items()):
            yield InputRegime(name, extra=True, given=others)
    shapes = " ".join(shape for shape in given.values() if isinstance(shape, str))
    other_sizes = _without_coincidences(given, sizes)
    if other_sizes != sizes and shapes:
        yield InputRegime("of other sizes", extra=True, sizes=tuple(other_sizes.items()))
    if "T" in shapes and "B" in shapes:
        yield ONE_ROW


def _with_repeats(value: Any) -> Any:
    """Return indices some of which repeat along every axis, if those given do not; else `value`.

    Permutations and limits of parts stay as they are, and rows of zeros and ones stay whole.
    """
    if not (isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.size > 1):
        return value
    ordered = [np.sort(np.moveaxis(value, axis, -1)) for axis in range(value.ndim)]
    if any((rows == np.arange(rows.shape[-1])).all() for rows in ordered):
        return value
    if value.ndim == 1 and (np.unique(value).size < value.size or (np.diff(value) > 0).all()):
        return value
    repeated = value.copy()
    for axis in range(1 if value.max() <= 1 else value.ndim):
        first = np.moveaxis(repeated, axis, 0)
        first[1:2] = first[0]
    return value if np.array_equal(repeated, value) else repeated


def of_one(
    given: Mapping[str, Any], sizes: Mapping[str, int], letters: str
) -> tuple[dict[str, Any], dict[str, int]]:
    """Return arguments and sizes in which these letters are 1; of indices, the first ones."""
    used = "".join(shape for shape in given.values() if isinstance(shape, str))
    cut, one = dict(given), {**sizes, **dict.fromkeys(letters, 1)}
    arrays = {n: v for n, v in given.items() if isinstance(v, np.ndarray)}
    for letter in (x for x in letters if x in used):
        for name, value in arrays.items():
            for axis in (i for i, size in enumerate(value.shape) if size == sizes[letter]):
                if value.dtype.kind in "biu":
                    cut[name] = np.take(cut[name], [0], axis)
                else:  # what its axes are is not known
                    one[letter] = sizes[letter]
    return cut, one


def _of_one_entry(given: Mapping[str, Any], axis: int) -> dict[str, Any]:
    """Return arrays of whole numbers cut to the first entry of an axis, if all have it alike."""
    arrays = [v for v in given.values() if isinstance(v, np.ndarray) and v.dtype.kind in "biu"]
    sizes = {v.shape[axis] for v in arrays if v.ndim > axis}
    if len(arrays) < len(given) or len(sizes) != 1 or sizes <= {0, 1}:
        return dict(given)
    return {n: np.take(v, [0], axis) if v.ndim > axis else v for n, v in given.items()}


def _without_coincidences(given: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, int]:
    """Return sizes in which no letter but T and B has a size of an array that was given."""
    taken = {n for v in given.values() if isinstance(v, np.ndarray) for n in v.shape}
    others = dict(sizes)
    for letter, size in sizes.items():
        if letter not in "TB" and size in taken:
            taken |= set(others.values())
            others[letter] = next(n for n in range(size + 1, 10**9) if n not in taken)
    return others


class Branches:
    """Which sides of each comparison were reached, anywhere and where gradients can be seen.

    Inputs of a large scale saturate what comes after a comparison, and then no gradient passes.
    So a side that only they have reached is looked for once more.
    """

    def __init__(self) -> None:
        self.anywhere: Sides = {}
        self.seen: Sides = {}

    def record(self, sides: Sides, regime: InputRegime) -> None:
        """Add what was reached with the inputs of a regime."""
        for found in (self.anywhere, self.seen) if regime.visible else (self.anywhere,):
            for site, outcomes in sides.items():
                found.setdefault(site, set()).update(outcomes)

    def moves(
        self, names: Sequence[str], sides_at: Callable[[InputRegime], Sides]
    ) -> Iterator[InputRegime]:
        """Yield regimes that move values, each to a side of a comparison that was not seen.

        One value grows, by as little as it takes. Values after it shrink by as much, so that
        what follows the comparison does not saturate. Then all values grow or shrink together.
        """
        signs = [{n: 1, **dict.fromkeys(names[i + 1 :], -1)} for i, n in enumerate(names)]
        for moved in [*reversed(signs), dict.fromkeys(names, 1), dict.fromkeys(names, -1)]:
            if all(len(self.seen.get(site, ())) == 2 for site in self.anywhere):
                return
            low, high = 0.0, FARTHEST
            if self._is_new(sides_at(_moved_by(high, moved))):
                while high - low > 0.2:
                    middle = (low + high) / 2
                    is_new = self._is_new(sides_at(_moved_by(middle, moved)))
                    low, high = (low, middle) if is_new else (middle, high)
                yield _moved_by(high, moved)

    def _is_new(self, sides: Sides) -> bool:
        return any(
            outcomes - self.seen.get(site, set())
            for site, outcomes in sides.items()
            if not site.startswith(("equal", "not_equal"))  # no factor makes values equal
        )

    def notes(self) -> list[str]:
        """Return a remark for each comparison of which one side was never reached."""
        return [
            f"only one side was reached of a comparison that was always {str(*sides).lower()}: "
            + site.replace("|", " at ", 1)
            for site, sides in self.anywhere.items()
            if len(sides) == 1
        ]


def _moved_by(power: float, signs: dict[str, int]) -> InputRegime:
    name, factor = next(iter(signs)), 10 ** (power * next(iter(signs.values())))
    alike = len(signs) > 1 and len(set(signs.values())) == 1
    what = "everything" if alike else name
    factors = tuple((n, 10 ** (power * sign)) for n, sign in signs.items())
    return InputRegime(f"{what} times {factor:.3g}", factors=factors)
