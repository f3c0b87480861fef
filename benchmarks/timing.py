"""Fair timing: contenders take turns, everything has one thread, medians are compared.

The speed of a machine changes for seconds at a time (frequency, other processes, caches).
Contenders that take short turns share these changes, so the ratio of two turns of the same round
is more exact than the ratio of two times measured minutes apart.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from statistics import median, quantiles
from time import perf_counter
from typing import Literal


# Read by the libraries when they are imported, so to be set before. NPROC is the size of
# XLA's thread pool, which the flag alone does not reduce.
def threads(count: int) -> dict[str, str]:
    """Return the environment that gives every library this many threads."""
    names = ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM")
    return {
        f"{name}_NUM_THREADS".replace("MAXIMUM_NUM", "MAXIMUM"): str(count) for name in names
    } | {
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'true' if count > 1 else 'false'}",
        "NPROC": str(count),
        "JAX_PLATFORMS": "cpu",
    }


ONE_THREAD = threads(1)

# For each thing that was timed: seconds and, where there is a target, whether it was reached.
Results = dict[str, dict[str, float]]


def surroundings(*packages: str) -> dict[str, str]:
    """Return what a time depends on: date, number of cores, versions of Python and packages."""
    found = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "cores": str(os.cpu_count()),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def call_seconds(
    action: Callable[[], object], turn: float, clock: Callable[[], float] = perf_counter
) -> float:
    """Call again and again, for `turn` seconds, and return the median duration of a call.

    On one thread ``time.process_time`` as the clock leaves out the waits for other processes.
    """
    times: list[float] = []
    end = perf_counter() + turn
    while not times or perf_counter() < end:
        start = clock()
        action()
        times.append(clock() - start)
    return median(times)


def process_seconds(*arguments: str) -> float:
    """Return how long a fresh Python with these arguments takes from start to exit."""
    start = perf_counter()
    run_python(*arguments)
    return perf_counter() - start


def import_seconds(module: str, *, after: str) -> float:
    """Return how long a fresh Python takes to import a module after another one.

    Measured inside the process: whole processes differ by more than a small import.
    """
    clock = "from time import perf_counter as now; start = now()"
    return float(
        run_python("-c", f"import {after}; {clock}; import {module}; print(now() - start)")
    )


def working(
    measurements: Mapping[str, Callable[[], float]], left_out: dict[str, str]
) -> dict[str, Callable[[], float]]:
    """Try each measurement once, as a warm-up, and return those that do not fail.

    Parameters
    ----------
    measurements : mapping of str to callable
        What to try.
    left_out : dict of str to str
        Receives the reason for each that is not returned.
    """
    able = {}
    for name, measure in measurements.items():
        try:
            measure()
        except RuntimeError as error:
            left_out[name] = str(error)
        else:
            able[name] = measure
    return able


def alternate(
    measurements: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Take every measurement once in each round, in turn.

    Parameters
    ----------
    measurements : mapping of str to callable
        What to call; each returns one number.
    rounds : int
        How often.

    Returns
    -------
    numbers : dict of str to list of float
        What each returned, round by round.
    """
    numbers: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, measure in measurements.items():
            numbers[name].append(measure())
    return numbers


def medians(times: Mapping[str, list[float]]) -> Results:
    """Start the results: the median over the rounds of each time."""
    return {name: {"seconds": median(seconds)} for name, seconds in times.items()}


def at_least(
    results: Results, times: Mapping[str, list[float]], targets: Mapping[str, float], reference: str
) -> Results:
    """Add the quartiles, over the rounds, of each time divided by the reference's.

    The target is for the median ratio.
    """
    for name in targets.keys() & times.keys():
        each = [t / r for t, r in zip(times[name], times[reference], strict=True)]
        low, middle, high = quantiles(each, method="inclusive") if len(each) > 1 else each * 3
        results[name] |= {"low": low, "ratio": middle, "high": high}
        results[name] |= {"at_least": targets[name], "reached": middle >= targets[name]}
    return results


def at_most(results: Results, targets: Mapping[str, float]) -> Results:
    """Add to each time the time it may take, and whether it stays within."""
    for name in targets.keys() & results.keys():
        reached = results[name]["seconds"] <= targets[name]
        results[name] |= {"at_most": targets[name], "reached": reached}
    return results


def show(title: str, results: Results, unit: Literal["us", "ms"]) -> None:
    """Print a title and a line for each result, with its target where it has one."""
    scale = {"us": 1e6, "ms": 1e3}[unit]
    print(f"\n{title}")
    for name, r in results.items():
        line = f"  {name:30}{r['seconds'] * scale:8.0f} {unit}"
        if "ratio" in r:
            line += f"{r['ratio']:8.2f} x ({r['low']:.2f} to {r['high']:.2f})"
            line += f"  target at least {r['at_least']:g}"
        if "at_most" in r:
            line += f"  target at most {r['at_most'] * scale:.0f}"
        if "reached" in r:
            line += ": reached" if r["reached"] else ": MISSED"
        print(line)


def run_python(*arguments: str) -> str:
    """Run a fresh Python with these arguments and return what it prints.

    Byte code is written even where the environment forbids it: an installed package has
    it, and a source tree has it after its first import.

    Raises
    ------
    RuntimeError
        With the last line of its complaint, if the process fails.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    child = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if child.returncode:
        raise RuntimeError((child.stderr.strip() or f"status {child.returncode}").splitlines()[-1])
    return child.stdout
