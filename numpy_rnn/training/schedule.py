"""Learning-rate schedules: a factor of the base learning rate for each step.

With n the number of the step, from 0, N the number of steps of the run, W of the warm-up, and
p = n / N the progress:

    (1) warm-up      w(n) = min(1, (n + 1) / W)                           Goyal et al. 2017
    (2) constant     f(n) = w(n)
    (3) cosine       f(n) = w(n) (e + (1 - e) (1 + cos(pi p)) / 2)        Loshchilov & Hutter 2017
    (4) step decay   f(n) = w(n) q^(number of the drops d with d <= p)

A schedule is a function of n and N alone, so a resumed run continues with the same rates. While N
is unknown, p is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

Schedule = Callable[[int, int | None], float]


class _Schedule(partial[float]):
    """A schedule with its options: it can be pickled, and its repr is the call that made it."""

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.keywords.items())
        return f"{self.func.__name__.lstrip('_')}({options})"


def constant(warmup: int = 0) -> Schedule:
    """Return equation (2); `warmup` is W.

    Examples
    --------
    >>> [constant(warmup=4)(n, None) for n in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    return _Schedule(_constant, warmup=warmup)


def cosine(warmup: int = 0, end: float = 0.05) -> Schedule:
    """Return equation (3).

    Parameters
    ----------
    warmup : int
        W.
    end : float
        e, the factor at the end of the run.

    Examples
    --------
    >>> [round(cosine(end=0.1)(n, 4), 3) for n in range(5)]
    [1.0, 0.868, 0.55, 0.232, 0.1]
    """
    return _Schedule(_cosine, warmup=warmup, end=end)


def step_decay(
    warmup: int = 0, drops: Sequence[float] = (0.5, 0.75), factor: float = 0.1
) -> Schedule:
    """Return equation (4).

    Parameters
    ----------
    warmup : int
        W.
    drops : sequence of float
        Progress of the run, 0 to 1, at each drop of the rate.
    factor : float
        q, the factor of each drop.

    Examples
    --------
    >>> [round(step_decay()(n, 8), 3) for n in range(8)]
    [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """
    return _Schedule(_step_decay, warmup=warmup, drops=tuple(drops), factor=factor)


def _constant(step: int, total: int | None, *, warmup: int) -> float:  # noqa: ARG001 (a Schedule)
    return min(1.0, (step + 1) / warmup) if warmup else 1.0  # (1)


def _cosine(step: int, total: int | None, *, warmup: int, end: float) -> float:
    wave = (1 + math.cos(math.pi * _progress(step, total))) / 2
    return _constant(step, total, warmup=warmup) * (end + (1 - end) * wave)


def _step_decay(
    step: int, total: int | None, *, warmup: int, drops: Sequence[float], factor: float
) -> float:
    passed = sum(drop <= _progress(step, total) for drop in drops)
    return _constant(step, total, warmup=warmup) * factor**passed


def _progress(step: int, total: int | None) -> float:
    return min(1.0, step / total) if total else 0.0
