"""Training in several processes of mpiexec ends at the bits of training in one.

mpiexec is started by this module, which is also the script of the processes:
``mpiexec -n 3 python -m tests.training.test_ranks FOLDER``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_rnn.training import (
    Checkpoints,
    History,
    JsonLines,
    Trainer,
    Validation,
    load,
    ranks,
    world,
)
from tests.cli.command import run_command
from tests.training import small

pytestmark = pytest.mark.posix  # there is no wheel with mpiexec for Windows
ROOT = Path(__file__).parents[2]
STEPS, FIRST = 8, 3


def make(folder: Path, name: str) -> Trainer:
    """Four shards, so that three processes have different numbers of them."""
    trainer = small.trainer(dropout=0.4, shards=4)
    validation = Validation(lambda: float(trainer.model.parameters.data[0]), 2)
    log = JsonLines(folder / f"{name}.jsonl", every=2, validation=validation)
    files = Checkpoints(folder / f"{name}.safetensors", seconds=0)
    for callback in (History(every=3), validation, log, files):
        callback.attach(trainer)
        trainer.callbacks.append(callback)
    trainer.total = STEPS
    return trainer


def begin(trainer: Trainer) -> None:
    """Take the first steps, as if the process was killed then."""
    for _ in range(FIRST):
        step = trainer.step()
        for callback in trainer.callbacks:
            callback.after_step(trainer, step)


def final(trainer: Trainer) -> Any:
    """The state of a trainer, without times, as bytes and plain values."""

    def plain(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {k: plain(v) for k, v in tree.items() if k != "seconds"}
        return tree.tobytes() if isinstance(tree, np.ndarray) else tree

    return plain(trainer.state_dict())


def mpiexec(count: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "mpiexec"  # of the package mpich
    return subprocess.run(
        [program, "-n", str(count), sys.executable, "-m", "tests.training.test_ranks", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
    )


def test_three_processes_end_at_the_bits_of_one_and_go_on_for_each_other(tmp_path: Path) -> None:
    whole = make(tmp_path, "whole")
    whole.fit(STEPS)
    begin(make(tmp_path, "one"))
    done = mpiexec(3, str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("three", "one"):  # the second was begun here
        other = make(tmp_path, name)
        load(tmp_path / f"{name}.safetensors", other)
        assert final(other) == final(whole), name
        log = (tmp_path / f"{name}.jsonl").read_bytes()
        assert log.count(b"\n") == STEPS // 2
    half = make(tmp_path, "half")
    load(tmp_path / "half.safetensors", half)  # that three processes have stopped
    half.fit(STEPS)
    assert final(half) == final(whole)


def test_an_error_of_one_process_ends_all() -> None:
    done = mpiexec(2, "fail")
    assert done.returncode != 0
    assert done.stderr.count("Traceback") == 1
    assert "ValueError: only here" in done.stderr


def test_an_error_of_all_processes_is_reported_once(tmp_path: Path) -> None:
    done = mpiexec(2, "train", str(tmp_path / "none.txt"))
    assert done.returncode == 1
    line, _, rest = done.stderr.partition("\n")
    assert line.endswith("none.txt': No such file or directory")
    assert "numpy-rnn" not in rest
    assert rest == "" or "non-zero status" in rest  # Open MPI's own report


def test_a_launcher_without_mpi4py_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    world.cache_clear()
    try:
        done = run_command("train", "text.txt")
    finally:
        world.cache_clear()
    assert done.returncode == 2
    assert done.stderr.startswith("numpy-rnn: error: mpiexec needs the extra mpi: pip")
    assert done.stderr.count("\n") == 1


def main(what: str, *rest: str) -> None:
    """What each process does."""
    if what == "fail":
        ranks.PATIENCE = 0.1
        if world().rank == 1:
            raise ValueError("only here")
        world().every(lambda: None)
    elif what == "train":
        from numpy_rnn.__main__ import main as command  # noqa: PLC0415 (its signals)

        sys.argv[1:] = [what, *rest]
        sys.exit(command())
    else:
        folder = Path(what)
        make(folder, "three").fit(STEPS)
        begin(make(folder, "half"))
        resumed = make(folder, "one")
        load(folder / "one.safetensors", resumed)
        resumed.fit(STEPS)


if __name__ == "__main__":
    main(*sys.argv[1:])
