"""What each reader of a file must hold for any input, with seeds of its format.

A new reader is one line in FORMATS: its seeds, the call that reads, its exception types. For a long
search run ``python -m benchmarks.fuzz FORMAT``.
"""

from __future__ import annotations

import contextlib
import faulthandler
import itertools
import random
import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy_rnn
from numpy_rnn.apps import recall
from numpy_rnn.apps.language_model import Settings, run
from numpy_rnn.apps.memory import Run, TrainingConfig, read_record, write_record
from numpy_rnn.cli import checkpoint as commands
from numpy_rnn.cli import train_options
from numpy_rnn.cli.errors import UsageError
from numpy_rnn.interchange import read as read_model
from numpy_rnn.reading import DamagedFileError
from numpy_rnn.text import strip_control_characters
from numpy_rnn.training import checkpoint, trainer
from tests.interchange import audio_files
from tests.interchange import seeds as models
from tests.interchange.keras import files as keras_files
from tests.interchange.onnx import seeds as onnx_seeds
from tests.mutations import mutate

SLOW = 1.0  # seconds of processor time
SLACK = 64 << 20  # bytes that an input may cost besides four times its size


class Format(NamedTuple):
    """A reader, and the files that the search begins with."""

    seeds: Callable[[Path], list[bytes]]  # of an empty folder
    read: Callable[[Path], object]
    error: type[Exception] | tuple[type[Exception], ...]  # that refuses a file
    suffix: str


class Fuzzer:
    """The seeds of a format, and the check of one input.

    Memory is what an input adds to the process's greatest resident size, because a search of a
    million inputs itself keeps some. It is measured after so many inputs as `together` says.
    `slow` are the seconds of processor time that no input may take.
    """

    def __init__(self, name: str, folder: Path, together: int = 1, slow: float = SLOW) -> None:
        self.format, self.together, self.slow = FORMATS[name], together, slow
        self.seeds = self.format.seeds(folder)
        self.path = folder / f"input{self.format.suffix}"
        # A loop in a library in C never returns to Python, so no Python function could end it.
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        faulthandler.register(signal.SIGPROF, file=2, chain=True)
        self.refused = self.accepted = 0
        self.last, self.slowest, self.largest = b"", 0.0, 0
        self.longest, self.peak = 0, peak_memory()
        for seed in self.seeds:  # imports and caches count once
            self.check(seed)
        assert self.accepted == len(self.seeds)
        self.largest, self.peak = 0, peak_memory()

    def check(self, data: bytes) -> None:
        """Read an input. Raise AssertionError or what the reader raised if that is not allowed."""
        self.last = data
        signal.setitimer(signal.ITIMER_PROF, 60 * self.slow)  # the process ends, so the input stays
        self.path.write_bytes(data)
        start = time.process_time()
        try:
            self.format.read(self.path)
        except self.format.error as error:
            message = str(error)
            assert len(message.splitlines()) == 1, message
            assert strip_control_characters(message) == message
            assert len(message) < 1000
            self.refused += 1
        else:
            self.accepted += 1
        took = time.process_time() - start
        signal.setitimer(signal.ITIMER_PROF, 0)
        self.slowest = max(took, self.slowest)
        assert took < self.slow, f"{took} s"
        self.longest = max(len(data), self.longest)
        if (self.refused + self.accepted) % self.together == 0:
            self._check_memory()

    def _check_memory(self) -> None:
        before, self.peak = self.peak, peak_memory()
        cost = self.peak - before
        self.largest = max(cost, self.largest)
        assert cost <= 4 * self.longest + SLACK, f"{cost} bytes for a file of {self.longest}"
        self.longest = 0

    def report(self, seconds: float) -> str:
        """Return a line about all inputs so far."""
        count = self.refused + self.accepted
        return (
            f"{count} inputs in {seconds:.0f} s: {self.refused} refused, {self.accepted} read, "
            f"slowest {self.slowest:.3f} s, at most {self.largest / 1e6:.1f} MB for one"
        )


def peak_memory() -> int:
    """Return the process's greatest resident size so far, in bytes."""
    import resource  # noqa: PLC0415 (only in POSIX, where the fuzzing is done)

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# Seeds


def _text(folder: Path) -> Path:
    path = folder / "text.txt"
    path.write_text("the cat sat on the mat. " * 20, encoding="utf-8")
    return path


def _checkpoints(folder: Path) -> list[bytes]:
    small = Settings(
        hidden_size=3, embedding=2, batch_size=2, window=4, epochs=0.2, validate_every=4
    )
    timed = replace(small, epochs=None, time_budget=0.5, optimizer="sgd", dropout=0.5)
    seeds = []
    # By the machine's clock the file would hold 40 steps or 700, each of which tests damage.
    clock = mock.Mock(monotonic=partial(next, itertools.count(0.0, 1 / 160)))
    with mock.patch.object(trainer, "time", clock), mock.patch.object(checkpoint, "time", clock):
        for settings in (small, replace(timed, cell="lstm", validation_fraction=0.0)):
            run.start(_text(folder), settings, folder).trainer.fit(5)
            seeds.append((folder / run.FILE).read_bytes())
    return seeds


def _read_checkpoint(path: Path) -> None:
    """Do what every command that reads a checkpoint does."""
    saved = run.read(path)
    commands.describe(saved)
    run.best(saved)
    run.load_model(path)


def _and_model(read: Callable[[Path], object]) -> Callable[[Path], None]:
    """Return a function that reads a file, and each tenth one as a model file too."""
    numbers = itertools.count()

    def both(path: Path) -> None:
        if next(numbers) % 10 == 0:
            with contextlib.suppress(DamagedFileError):
                numpy_rnn.load(path)
        read(path)

    return both


def _recalls(folder: Path) -> list[bytes]:
    path = folder / "seed.safetensors"
    experiment = recall.Experiment(text="abc", characters="abc<>", hidden_size=3, epochs=1)
    recall.save(path, recall.run(experiment))
    return [path.read_bytes()]


def _records(folder: Path) -> list[bytes]:
    path = folder / "seed.safetensors"
    found = Run(25, 0, True, 1.0, 0.01, 0.7, 50, 300, 0.25)
    runs = [found, replace(found, length=50, solved=False, score=None, loss=None)]
    write_record(path, TrainingConfig(), runs)
    return [path.read_bytes()]


def _configs(_: Path) -> list[bytes]:
    return [
        b'cell = "lstm"\nhidden-size = 64\nlr = 1e-3\nepochs = 2.5\nthreads = 1\nlog = "a"  # b\n',
        b"time_budget = '3m'\nbatch_size = 0x10\nseed = 1_000\ndropout = 0.5\nthreads = 1\n",
    ]


def _read_config(path: Path) -> None:
    train_options.settings_from(train_options.read_config(str(path)))


FORMATS: dict[str, Format] = {
    "checkpoint": Format(
        _checkpoints, _and_model(_read_checkpoint), DamagedFileError, ".safetensors"
    ),
    "recall": Format(_recalls, _and_model(recall.load), DamagedFileError, ".safetensors"),
    "record": Format(_records, read_record, DamagedFileError, ".safetensors"),
    "config": Format(_configs, _read_config, UsageError, ".toml"),
} | {
    name: Format(partial(models.seeds, name), models.load, models.ERRORS, "")
    for name in ("safetensors", "torch", "npz", "pickle")
}
FORMATS["onnx"] = Format(
    lambda _: list(onnx_seeds.seeds()),
    lambda path: read_model(path).build(),
    models.ERRORS,
    "",
)
FORMATS["keras"] = Format(lambda _: keras_files.seeds(), models.load, models.ERRORS, "")
FORMATS["audio-json"] = Format(lambda _: audio_files.seeds(), models.load, models.ERRORS, "")


def fuzz(fuzzer: Fuzzer, inputs: int, seed: int) -> None:
    """Check so many mutated seeds. A warning is an error too."""
    rng = random.Random(seed)  # noqa: S311 (not a secret)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(inputs):
            data = rng.choice(fuzzer.seeds)
            for _ in range(rng.choice((1, 1, 1, 2))):
                data = mutate(data, rng)
            fuzzer.check(data)
