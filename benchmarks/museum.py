"""Which of the usual checkers catch the museum's wrong gradients.

Run with ``python -m benchmarks.museum`` (it needs torch, jax and scipy; those that are missing
are named); ``--missed`` also lists what nobody catches. Right code is put before them, too: a
false alarm ends the program with status 1.
"""

from __future__ import annotations

import argparse
import sys
import time

from numpy_rnn.checking.museum import (
    EXHIBITS,
    REGIMES,
    ROOMS,
    Regime,
    Room,
    UsualChecker,
    installed,
    patched,
    usual_checkers,
)


def ask(checker: UsualChecker, regime: Regime) -> tuple[set[int], set[int]]:
    """Which exhibits there were to check, and which of them are caught."""
    said = {
        number: checker(patched(exhibit), exhibit.room, regime)
        for number, exhibit in enumerate(EXHIBITS)
        if isinstance(exhibit.room, Room)
    }
    asked = {number for number, caught in said.items() if caught is not None}
    return asked, {number for number in asked if said[number]}


def main() -> int:
    """Print one line for each checker and regime."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--missed", action="store_true", help="list what no checker catches")
    wanted = parser.parse_args()
    false_alarms = 0
    for regime in REGIMES:
        asked, seen = set[int](), set[int]()
        for name, checker in usual_checkers().items():
            if not installed(name):
                print(f"{regime:10} {name:26} not installed")
                continue
            start = time.perf_counter()
            asked, caught = ask(checker, regime)
            alarms = sum(checker(room.functions, room, regime) is True for room in ROOMS)
            seconds = time.perf_counter() - start
            print(f"{regime:10} {name:26} catches {len(caught):3} of {len(asked)}, ", end="")
            print(f"{alarms} false alarms, {seconds:.0f} s", flush=True)
            seen |= caught
            false_alarms += alarms
        print(f"{regime:10} {'any of them':26} catches {len(seen):3}")
        for number in sorted(asked - seen) if wanted.missed else ():
            print(f"{regime:10} missed: {EXHIBITS[number].room.name}, {EXHIBITS[number].name}")
    return min(false_alarms, 1)


if __name__ == "__main__":
    sys.exit(main())
