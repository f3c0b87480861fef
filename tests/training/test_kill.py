"""Training that is killed at every point of a save ends at the bits of the run never killed.

A separate process does it, by ``python -m tests.training.test_kill``, because it forks: a
process with the tests' threads should not. The script under benchmarks/ kills at random moments.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kill import SETTINGS, GivenPlans, final_state, make_text
from numpy_rnn import safetensors
from numpy_rnn.apps.language_model import Settings, run
from numpy_rnn.training import Callback, StepInfo, TimeBudget, Trainer, callbacks, trainer
from tests.kill_points import NAMES, SURVIVED, Points, in_a_fork, last_words, leave_litter

ROOT = Path(__file__).parents[2]
BUDGET = replace(SETTINGS, epochs=None, time_budget=1.0)


class Clock:
    """A clock that advances by 1/160 of a second whenever it is read: 40 steps fit into one."""

    def __init__(self) -> None:
        self.read = 0

    def monotonic(self) -> float:
        self.read += 1
        return self.read / 160


class Recorder(Callback):
    """Keeps what is in the checkpoint after every step. The last of the callbacks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.states = folder, dict[int, Any]()

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:  # noqa: ARG002
        if not trainer.done:  # the last one is written at the end
            self.end(trainer)

    def end(self, trainer: Trainer) -> None:
        self.states[trainer.num_steps] = final_state(self.folder)


class Killed:
    """Runs that are killed again and again, one after the other; each has its own folder."""

    def __init__(self, work: Path, settings: Settings) -> None:
        self.work, self.settings, self.text = work, settings, make_text(work)
        self.log = work / "last words"
        self.completed = 0
        self.whole: dict[str, dict[int, Any]] = {}  # of runs never killed, by their plans
        (work / "first").mkdir()  # imports and caches, once for all forks
        run.start(self.text, settings, work / "first", save_every=0).trainer.fit(1)
        self.begin()

    def begin(self) -> None:
        """Begin another run."""
        self.folder = self.work / f"run-{self.completed}"
        self.folder.mkdir()
        self.found: dict[int, Any] = {}

    def look(self) -> tuple[int, int | None]:
        """Return the step of the checkpoint, 0 if there is none, and how many there will be."""
        if not (self.folder / run.FILE).exists():
            return 0, None
        state = final_state(self.folder)
        step = int(state["optimizer"]["step"])
        assert self.found.setdefault(step, state) == state
        return step, state["total"]

    def session(self, save: int, name: str = "", number: int = 0) -> int:
        """Train until this point of this save, and return how that ended."""

        def train() -> None:
            log = os.open(self.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            points = Points(save, name, number, log)
            points.install()
            vars(safetensors)["write_atomically"] = points.write_atomically
            vars(trainer)["time"] = vars(callbacks)["time"] = clock
            if (self.folder / run.FILE).exists():
                job = run.resume(self.text, self.folder, save_every=0)
            else:
                job = run.start(self.text, self.settings, self.folder, save_every=0)
            job.trainer.fit()

        clock = Clock()
        return in_a_fork(train)

    def finish(self) -> None:
        """Let the run come to its end, and compare all that was found with one never killed."""
        assert self.session(0) == 0
        self.look()
        plans = (
            run.read(self.folder)
            .trainer.state_dict()["callbacks"]
            .get("time budget", {})
            .get("plans", [])
        )
        states = self.whole.get(str(plans))
        if states is None:
            states = self.whole[str(plans)] = self.never_killed(plans)
        assert max(self.found) == max(states)
        for step, state in self.found.items():
            assert state == states[step], f"other bits at step {step}"
        assert [path.name for path in self.folder.iterdir()] == [run.FILE]
        self.completed += 1

    def never_killed(self, plans: list[Any]) -> dict[int, Any]:
        """Return what is in the checkpoint after each step of a run that is not killed."""
        folder = self.work / f"whole-{len(self.whole)}"
        folder.mkdir()
        job = run.start(self.text, self.settings, folder, save_every=0)
        recorder = Recorder(folder)
        job.trainer.callbacks = [
            *(GivenPlans(plans) if isinstance(c, TimeBudget) else c for c in job.trainer.callbacks),
            recorder,
        ]
        job.trainer.fit()
        return recorder.states

    def every_point(self, *, first: bool, save: int) -> Counter[str]:
        """Kill at every point of a save: of a run's first one, or of the n-th after resuming."""
        kills: Counter[str] = Counter()
        for name in NAMES:
            while self.one_kill(first, save, name, kills[name] + 1):
                kills[name] += 1
        return kills

    def one_kill(self, first: bool, save: int, name: str, number: int) -> bool:
        """Kill at a point and check what is left. Return False if there is no such point."""
        while True:
            if first and self.look()[0]:
                self.finish()
                self.begin()
            if not first and not self.look()[0]:
                assert self.session(1) == SURVIVED
            before, total = self.look()
            stale = next(self.folder.glob(".*.tmp"), None) or leave_litter(self.folder)
            status = self.session(save, name, number)
            if status != 0:
                break
            self.finish()  # the run ended before it came to that save
            self.begin()
        if status == SURVIVED:
            return False
        assert status == -signal.SIGKILL, status
        *passed, point = last_words(self.log)
        assert (point, passed.count(point)) == (name, number - 1)
        replaced = "replace" in passed
        # A run that was killed after its last step writes that one again.
        steps = 0 if before == total else save if replaced else save - 1
        assert self.look()[0] == before + steps
        left = {path for path in self.folder.iterdir() if path.suffix == ".tmp"}
        assert (stale in left) == (save == 1 and "unlink" not in passed)
        assert len(left - {stale}) == ("open" in passed and not replaced)
        return True


# Which save: the first of a run; the first after resuming, which finds a leftover file; the next.
SAVES = {"first": (True, 1), "next": (False, 1), "later": (False, 2)}


def main(saves: list[str], settings: Settings) -> None:
    """Kill at every point of these saves, and print how often at which."""
    with tempfile.TemporaryDirectory() as work:
        killed = Killed(Path(work), settings)
        for first, save in map(SAVES.__getitem__, saves):
            sys.stdout.write(f"{json.dumps(killed.every_point(first=first, save=save))}\n")
        killed.finish()
        sys.stdout.write(f"{killed.completed}\n")


# A file that is new has no permissions to keep. The last `unlink` of each is of the temporary
# file, which has been renamed by then; one more is of litter.
REST = {"listdir": 1, "open": 2, "chmod": 1, "fsync": 2, "replace": 1, "close": 2}
CALLS = {
    "first": REST | {"chmod": 0, "unlink": 2},
    "next": REST | {"unlink": 2},
    "later": REST | {"unlink": 1},
}


@pytest.mark.parametrize(
    ("budget", "saves"), [(False, list(SAVES)), (True, ["next"])], ids=["epochs", "time budget"]
)
def test_every_run_ends_at_the_same_bits(budget: bool, saves: list[str]) -> None:
    shown = printed("tests.training.test_kill", *["--time-budget"] * budget, *saves)
    *lines, completed = shown.splitlines()
    for name, line in zip(saves, lines, strict=True):
        kills = json.loads(line)
        assert min(kills.pop("write"), kills.pop("half-write")) > 3
        assert kills == {call: n for call, n in CALLS[name].items() if n}
    assert int(completed) >= 1


@pytest.mark.parametrize("arguments", [[], ["--time-budget", "1"]])
def test_the_campaign_of_random_kills_runs(arguments: list[str]) -> None:
    shown = printed("benchmarks.kill", "--kills", "2", *arguments)
    report = {name: int(n) for name, n in re.findall(r"(\w+)=(\d+)", shown)}
    assert report["kills"] == 2
    assert report["completed"] >= 1


def printed(module: str, *arguments: str) -> str:
    """Run a module in a separate process and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name in SAVES]
    main(names, BUDGET if "--time-budget" in sys.argv else SETTINGS)
