"""Kill training with SIGKILL at random moments, go on each time, and compare the last bits.

    python -m benchmarks.kill [--kills 1000] [--seed 0] [--time-budget SECONDS]

A tiny language model is trained on a text made here, saving after every step, in a process that
is killed after a random time of a few steps and starts again from what is on the disk. Some kills
hit a save: they leave a temporary file, which is counted. Every checkpoint has to load and to be
no older than the one before it; every run has to end at the bits of the run never killed.

With a time budget the clock decides how many steps there are, so no two runs are the same. What
has been decided is in the checkpoint: the run never killed is one that is told the same decisions.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy_rnn.apps.language_model import Settings, run
from numpy_rnn.training import Callback, StepInfo, TimeBudget, Trainer

SETTINGS = Settings(
    cell="lstm",
    hidden_size=8,
    layers=2,
    embedding=4,
    dropout=0.2,
    batch_size=4,
    window=8,
    validate_every=5,
    warmup=5,
    epochs=1.0,
    threads=2,
)


@dataclass
class Report:
    """What the kills did."""

    kills: int = 0
    in_a_save: int = 0  # left a temporary file
    before_the_first_save: int = 0
    completed: int = 0  # runs that came to their end, each at the right bits
    steps: int = 0  # of a run


def make_text(folder: Path) -> Path:
    """Write a small text, the same each time."""
    rng = random.Random(0)  # noqa: S311 (not a secret)
    words = ["".join(rng.choices("abcdefghij", k=rng.randint(2, 6))) for _ in range(30)]
    path = folder / "text.txt"
    path.write_text(" ".join(rng.choices(words, k=180)), encoding="utf-8")
    return path


class Told(Callback):
    """In place of a TimeBudget: how many steps there are is told, not measured."""

    def __init__(self, plans: list[tuple[int, int]]) -> None:
        self.plans = dict(plans)

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:
        """Do what was done then."""
        trainer.total = self.plans.get(step.number, trainer.total)


def never_killed(text: Path, settings: Settings, folder: Path, plans: list[Any]) -> Any:
    """Return the final state of a run that was not killed."""
    folder.mkdir()
    job = run.start(text, settings, folder)
    job.trainer.callbacks = [
        Told(plans) if isinstance(callback, TimeBudget) else callback
        for callback in job.trainer.callbacks
    ]
    job.trainer.fit()
    return final_state(folder)


def final_state(folder: Path) -> Any:
    """Return everything in a checkpoint but how long it took, as bytes and plain values."""
    state = run.read(folder / run.FILE).state
    state["callbacks"].pop("time budget", None)

    def plain(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {k: plain(v) for k, v in tree.items() if k != "seconds"}
        return tree.tobytes() if hasattr(tree, "tobytes") else tree

    return plain(state)


def train_in_a_fork(text: Path, settings: Settings, folder: Path) -> int:
    """Begin to train in a process of its own and return its id.

    A fork of this process has everything imported: it trains at once.
    """
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        if (folder / run.FILE).exists():
            run.resume(text, folder, save_every=0).trainer.fit()
        else:
            run.start(text, settings, folder, save_every=0).trainer.fit()
        status = 0
    finally:
        os._exit(status)


def kill_at_random(kills: int, seed: int, work: Path, time_budget: float | None) -> Report:
    """Kill so many times, and check everything.

    Parameters
    ----------
    kills : int
    seed : int
        Of the moments.
    work : Path
        An empty folder.
    time_budget : float or None
        Seconds.

    Returns
    -------
    report : Report

    Raises
    ------
    AssertionError
        If a checkpoint does not load, or a run ends at other bits.
    """
    text, rng, report = make_text(work), random.Random(seed), Report()  # noqa: S311
    settings = (
        SETTINGS if time_budget is None else replace(SETTINGS, epochs=None, time_budget=time_budget)
    )
    start = time.perf_counter()
    whole = work / "whole"
    whole.mkdir()
    os.waitpid(train_in_a_fork(text, settings, whole), 0)
    longest = (time.perf_counter() - start) / 3
    while report.kills < kills:
        folder = work / f"killed-{report.completed}"
        folder.mkdir()
        report.completed += 1
        kill_one_run(text, settings, folder, rng, longest, kills, report)
        saved = run.read(folder).state
        plans = saved["callbacks"].get("time budget", {}).get("plans", [])
        wanted = never_killed(text, settings, work / f"whole-{report.completed}", plans)
        report.steps = wanted["optimizer"]["step"]
        assert final_state(folder) == wanted, "the run ended at other bits"  # noqa: S101
        litter = sorted(name.name for name in folder.iterdir())
        assert litter == [run.FILE], litter  # noqa: S101
    return report


def kill_one_run(
    text: Path,
    settings: Settings,
    folder: Path,
    rng: random.Random,
    longest: float,
    kills: int,
    report: Report,
) -> None:
    """Kill a run again and again until it comes to its end, or there are enough kills."""
    reached = 0
    while True:
        child = train_in_a_fork(text, settings, folder)
        if report.kills < kills:
            time.sleep(rng.uniform(0, longest))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "training failed"  # noqa: S101
            return
        report.kills += 1
        report.in_a_save += any(name.suffix == ".tmp" for name in folder.iterdir())
        if not (folder / run.FILE).exists():
            report.before_the_first_save += 1
            continue
        step = run.read(folder).state["optimizer"]["step"]
        assert step >= reached, f"step {step} after step {reached}"  # noqa: S101
        reached = step


def main() -> None:
    """Print what happened."""
    parser = argparse.ArgumentParser(description="Kill training at random moments.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-budget", type=float, metavar="SECONDS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        print(kill_at_random(options.kills, options.seed, Path(work), options.time_budget))


if __name__ == "__main__":
    main()
