"""The longest length that is solved: double until one is not, then bisect."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count


def longest(solves: Callable[[int], bool], start: int, limit: int, resolution: float) -> int:
    """Search for the longest length that is solved, as if all shorter ones were.

    Parameters
    ----------
    solves : callable
        Whether a length is solved.
    start : int
        The first length to try, at least 1.
    limit : int
        No longer one is tried, at least `start`.
    resolution : float
        Bisection ends when the shortest failure is longer than the longest success by at most
        this share of it, or by 1.

    Returns
    -------
    length : int
        The longest length that was solved; 0 if the first was not.
    """
    solved, failed = 0, limit + 1
    for power in count():
        length = min(start << power, limit)
        if not solves(length):
            failed = length
            break
        solved = length
        if length == limit:
            return solved
    while solved and failed - solved > max(1, int(solved * resolution)):
        middle = (solved + failed) // 2
        if solves(middle):
            solved = middle
        else:
            failed = middle
    return solved
