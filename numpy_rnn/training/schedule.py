"""Learning-rate schedules: a factor of the base learning rate for each step.

With n the number of the step, from 0, N the number of steps of the run, W of the warm-up, and
p = n / N the progress:

    (1) warm-up      w(n) = min(1, (n + 1) / W)                           Goyal et al. 2017
    (2) constant     f(n) = w(n)
    (3) cosine       f(n) = w(n) (e + (1 - e) (1 + cos(pi p)) / 2)        Loshchilov & Hutter 2017
    (4) step decay   f(n) = w(n) q^(number of the drops d with d <= p)

A schedule is a function of n and N alone, so a resumed run continues with the same rates. While N
is unknown, p is 0. The three are classes only so that they can be pickled and show their options.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy_rnn.arguments import (
    Validated,
    check_kind,
    check_non_negative,
    check_probability,
    checked,
    integer,
)

Schedule = Callable[[int, int | None], float]


@dataclass(frozen=True)
class constant(Validated):  # noqa: N801 (called like a function)
    """Equation (2). `warmup` is W.

    Examples
    --------
    >>> [constant(warmup=4)(n, None) for n in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """

    warmup: int = checked(0, integer(0))

    def __call__(self, step: int, total: int | None) -> float:  # noqa: ARG002 (a Schedule)
        """Return the factor of a step, from 0. `total` is the number of steps of the run."""
        return min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0  # (1)


@dataclass(frozen=True)
class cosine(constant):  # noqa: N801
    """Equation (3). `end` is e, the factor at the end of the run.

    Examples
    --------
    >>> [round(cosine(end=0.1)(n, 4), 3) for n in range(5)]
    [1.0, 0.868, 0.55, 0.232, 0.1]
    """

    end: float = checked(0.05, check_non_negative)

    def __call__(self, step: int, total: int | None) -> float:  # noqa: D102 (as above)
        wave = (1 + math.cos(math.pi * _progress(step, total))) / 2
        return super().__call__(step, total) * (self.end + (1 - self.end) * wave)


def _check_drops(where: object, name: str, value: Any) -> tuple[float, ...]:
    return tuple(
        check_probability(where, name, drop) for drop in check_kind(where, name, value, tuple)
    )


@dataclass(frozen=True)
class step_decay(constant):  # noqa: N801
    """Equation (4). `drops` are progresses of the run, 0 to 1, and `factor` is q.

    Examples
    --------
    >>> [round(step_decay()(n, 8), 3) for n in range(8)]
    [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """

    drops: tuple[float, ...] = checked((0.5, 0.75), _check_drops)
    factor: float = checked(0.1, check_non_negative)

    def __call__(self, step: int, total: int | None) -> float:  # noqa: D102 (as above)
        passed = sum(drop <= _progress(step, total) for drop in self.drops)
        return super().__call__(step, total) * self.factor**passed


def _progress(step: int, total: int | None) -> float:
    return min(1.0, step / total) if total else 0.0
