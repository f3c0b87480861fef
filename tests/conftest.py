"""Settings of hypothesis, randomness and signals that all tests share, and the mark `torch`."""

from __future__ import annotations

import gc
import os
import random
import re
import signal
import sys
import tempfile
from collections.abc import Generator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

# Before NumPy is imported: two workers of pytest with two threads each would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

from numpy_rnn.checking import check
from tests.windows.plugin import (  # noqa: F401 (pytest finds its hooks here)
    leave_out_posix,
    pytest_addoption,
    pytest_sessionstart,
)

# No deadline, because machines are noisy; derandomised, so that a failure is the same for
# everyone. `--hypothesis-seed` and more examples are a command-line option away.
settings.register_profile("numpy_rnn", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("numpy_rnn")
# For a search that takes half an hour: --hypothesis-profile=thorough.
settings.register_profile("thorough", settings.get_profile("numpy_rnn"), max_examples=500)
# For mutmut (pyproject.toml), which runs the tests once for each of some thousand mutants.
settings.register_profile("mutants", settings.get_profile("numpy_rnn"), max_examples=5)

# The search for a cause takes seconds, and tests/checking/test_slips.py asks for it.
check.CAUSE_SECONDS = 0.0

ROOT = Path(__file__).parent.parent
HAS_TORCH = find_spec("torch") is not None
# A layer or a generator without a seed would draw other numbers in each run. In the tests the n-th
# generator without a seed has the seed n, counted from 0 at the beginning of each test.
real_default_rng, unseeded = np.random.default_rng, count()


def seeded_default_rng(seed: Any = None) -> np.random.Generator:
    """Return a generator with this seed, or with the next number."""
    return real_default_rng(next(unseeded) if seed is None else seed)


np.random.default_rng = seeded_default_rng


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin each test with the same random numbers."""
    global unseeded  # noqa: PLW0603 (one count for all layers of a test)
    unseeded = count()
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (user's code in tests/checking calls the old functions)
    if torch := sys.modules.get("torch"):  # its import takes two seconds
        # torch.manual_seed takes up to a millisecond more, to write down its caller for a GPU.
        torch.default_generator.manual_seed(0)
        # On a busy machine the threads of small products wait for each other a thousand times
        # longer than they compute.
        torch.set_num_threads(1)


# A caller can ignore a signal, as nohup and the background jobs of a shell do, or block it, and
# the processes that it starts inherit that. Tests signal themselves and the programs that they
# run. With a handler here, a program that is run begins with the default, and the tests ignore
# the signal as before.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "pthread_sigmask"):  # Windows has none of these
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # with SIG_IGN a child's exit status is lost
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


# An import at the top level of a module, whose names may be in brackets on several lines.
IMPORT = re.compile(r"^(?:from (\S+) )?import (\([^)]*\)|.*)", re.MULTILINE)


@cache
def needs_torch(path: Path) -> bool:
    """Whether a module of the tests or benchmarks imports PyTorch or Keras, or one that does."""
    for module, imported in IMPORT.findall(path.read_text(encoding="utf-8")):
        names = re.findall(r"(?:^|,)[\s(]*([\w.]+)", imported)
        for name in [module, *(f"{module}.{name}" for name in names)] if module else names:
            parts = name.split(".")
            other = ROOT.joinpath(*parts).with_suffix(".py")
            if parts[0] in ("torch", "keras") or (other.is_file() and needs_torch(other)):
                return True
    return False


BYTECODE = "NUMPY_RNN_BYTECODE"  # the environment variable with the folder that workers share


def keep_bytecode(config: pytest.Config) -> None:
    """Let the programs that the tests start keep their bytecode in a folder of its own.

    With PYTHONDONTWRITEBYTECODE, each of 200 programs would compile NumPy and this package anew.
    The workers of ``-n`` inherit the folder from the process that starts them.
    """
    if BYTECODE not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="numpy-rnn-")
        config.add_cleanup(folder.cleanup)
        os.environ[BYTECODE] = folder.name
    if config.getoption("dist", "no") == "no":  # this process runs tests
        os.environ["PYTHONPYCACHEPREFIX"] = os.environ[BYTECODE]
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Without PyTorch, ask for the choice, so that no comparison is left out unnoticed."""
    if sys.dont_write_bytecode:
        keep_bytecode(config)
    if not HAS_TORCH and "not torch" not in config.option.markexpr:
        raise pytest.UsageError(
            'PyTorch is not installed, expected it for the comparisons: pip install ".[torch]", '
            'or leave them out with pytest -m "not torch"'
        )


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Without PyTorch, the modules that import it cannot be collected."""
    is_module = collection_path.suffix == ".py"
    return True if is_module and not HAS_TORCH and needs_torch(collection_path) else None


# Files and folders whose tests share what takes seconds: trained networks, an import.
SHARING = (
    "test_fuzzing.py",
    "museum/test_evaluate.py",
    "apps/test_recall.py",
    "apps/explain/",
    "apps/learn/test_exercises.py",
    "apps/memory/test_plot.py",
    "checking/test_against_torch.py",
    "interchange/keras/",
)


# They begin first, and so do those with a long test, so that no worker ends long after the other.
FIRST = (
    *SHARING,
    "test_book.py",
    "apps/test_recall_against_torch.py",
    "cli/test_check.py",
    "training/test_kill.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the long tests first."""
    leave_out_posix(config, items)
    items.sort(key=lambda item: not any(part in item.path.as_posix() for part in FIRST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``-n``, run the tests that share something in one worker.

    A mark xdist_group would do the same, but has no effect with pytest 9.2 and pytest-xdist 3.8.
    The unit for other files is a test with all its parameters: the scheduler's own work grows with
    the square of the number of units.
    """
    if config.getoption("dist") != "load":
        return None
    config.option.loadscopereorder = False
    scheduler: Any = import_module("xdist.scheduler").LoadScopeScheduling(config, log)

    def scope(nodeid: str) -> str:
        shared = (part for part in SHARING if part in nodeid.partition("::")[0])
        return next(shared, nodeid.partition("[")[0])

    scheduler._split_scope = scope
    return scheduler


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Mark the tests of modules that import PyTorch. Others that need it carry the mark."""
    if isinstance(collector, pytest.Module) and needs_torch(collector.path):
        collector.add_marker("torch")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without a search for garbage, and never search in what the collection made.

    It would be searched again and again, which takes a quarter of the collection's time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
