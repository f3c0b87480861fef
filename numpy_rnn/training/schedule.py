"""How the learning rate goes over a run: a factor for each step.

With n the number of the step, from 0, N how many there will be, W those of the warm-up and
p = n / N how far the run is:

    (1) warm-up    w(n) = min(1, (n + 1) / W)                             Goyal et al. 2017
    (2) constant   f(n) = w(n)
    (3) cosine     f(n) = w(n) (e + (1 - e) (1 + cos(pi p)) / 2)          Loshchilov & Hutter 2017
    (4) steps      f(n) = w(n) q^(number of the drops d with d <= p)

A schedule is a function of n and N and nothing else, so that a run that goes on from a file goes
on with the same rates. Where N is not known yet, p is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Schedule = Callable[[int, int | None], float]


def constant(warmup: int = 0) -> Schedule:
    """Return equation (2).

    Parameters
    ----------
    warmup : int
        W.
    """
    return lambda step, _: _warm(step, warmup)


def cosine(warmup: int = 0, end: float = 0.05) -> Schedule:
    """Return equation (3).

    Parameters
    ----------
    warmup : int
        W.
    end : float
        e, where the factor ends.
    """

    def factor(step: int, total: int | None) -> float:
        wave = (1 + math.cos(math.pi * _progress(step, total))) / 2
        return _warm(step, warmup) * (end + (1 - end) * wave)

    return factor


def steps(warmup: int = 0, drops: Sequence[float] = (0.5, 0.75), factor: float = 0.1) -> Schedule:
    """Return equation (4).

    Parameters
    ----------
    warmup : int
        W.
    drops : sequence of float
        Where in the run, 0 to 1, the rate drops.
    factor : float
        q, what each drop multiplies it by.
    """

    def value(step: int, total: int | None) -> float:
        progress = _progress(step, total)
        return _warm(step, warmup) * factor ** sum(drop <= progress for drop in drops)

    return value


def _warm(step: int, warmup: int) -> float:
    return min(1.0, (step + 1) / warmup) if warmup else 1.0  # (1)


def _progress(step: int, total: int | None) -> float:
    return min(1.0, step / total) if total else 0.0
