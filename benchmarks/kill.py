"""Kill training with SIGKILL at random moments, resume it, and compare the final bits.

    python -m benchmarks.kill [--kills 1000] [--seed 0] [--time-budget SECONDS]

A tiny language model is trained on a generated text, with a save after every step. Its process is
killed after a random time of a few steps and starts again from the file. Some kills hit a save and
leave a temporary file, which is counted. Every checkpoint must load and must not be older than the
one before it. Every run must end at the bits of a run that was never killed.

With a time budget the clock decides the number of steps, so no two runs are the same. The plans are
in the checkpoint, and the run that was never killed is given the same plans.
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
from numpy_rnn.training import StepInfo, TimeBudget, Trainer

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
    shards=2,
)


@dataclass
class Report:
    """Counts of kills and runs."""

    kills: int = 0
    in_a_save: int = 0  # left a temporary file
    before_the_first_save: int = 0
    completed: int = 0  # runs that ended, each at the right bits
    steps: int = 0  # of a run


def make_text(folder: Path) -> Path:
    """Write a small text, always the same."""
    rng = random.Random(0)  # noqa: S311 (not a secret)
    words = ["".join(rng.choices("abcdefghij", k=rng.randint(2, 6))) for _ in range(30)]
    path = folder / "text.txt"
    path.write_text(" ".join(rng.choices(words, k=180)), encoding="utf-8")
    return path


class GivenPlans(TimeBudget):
    """A replacement of TimeBudget with given plans instead of measured ones."""

    def __init__(self, plans: list[tuple[int, int]]) -> None:
        super().__init__(seconds=1.0)
        self.given = dict(plans)

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:
        """Follow the plan of this step."""
        trainer.total = self.given.get(step.number, trainer.total)


def never_killed(text: Path, settings: Settings, folder: Path, plans: list[Any]) -> Any:
    """Return the final state of a run that was not killed."""
    folder.mkdir()
    job = run.start(text, settings, folder, threads=2)
    job.trainer.callbacks = [
        GivenPlans(plans) if isinstance(callback, TimeBudget) else callback
        for callback in job.trainer.callbacks
    ]
    job.trainer.fit()
    return final_state(folder)


def final_state(folder: Path) -> Any:
    """Return the state in a checkpoint, without times, as bytes and plain values."""
    state = run.read(folder / run.FILE).trainer.state_dict()
    state["callbacks"].pop("time budget", None)

    def plain(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {k: plain(v) for k, v in tree.items() if k != "seconds"}
        return tree.tobytes() if hasattr(tree, "tobytes") else tree

    return plain(state)


def train_in_a_fork(text: Path, settings: Settings, folder: Path) -> int:
    """Train in a new process and return its id.

    A fork of this process has imported everything already, so it trains at once.
    """
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        if (folder / run.FILE).exists():
            run.resume(text, folder, save_every=0, threads=2).trainer.fit()
        else:
            run.start(text, settings, folder, save_every=0, threads=2).trainer.fit()
        status = 0
    finally:
        os._exit(status)


def kill_at_random(kills: int, seed: int, work: Path, time_budget: float | None) -> Report:
    """Kill runs at random moments, and check every file and every result.

    Parameters
    ----------
    kills : int
        Number of kills.
    seed : int
        Seed of the moments.
    work : Path
        An empty folder.
    time_budget : float or None
        Time budget of each run in seconds.

    Returns
    -------
    report : Report

    Raises
    ------
    AssertionError
        If a run fails or ends at other bits.
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
        saved = run.read(folder).trainer.state_dict()
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
    """Kill a run again and again until it ends, or there are enough kills."""
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
        step = run.read(folder).trainer.num_steps
        assert step >= reached, f"step {step} after step {reached}"  # noqa: S101
        reached = step


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=1000, help="number of kills")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--time-budget", type=float, metavar="SECONDS", help="budget of a run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        print(kill_at_random(options.kills, options.seed, Path(work), options.time_budget))


if __name__ == "__main__":
    main()
