"""Reading a checkpoint for a command."""

from __future__ import annotations

import argparse
from pathlib import Path

from numpy_rnn.apps.language_model import run
from numpy_rnn.cli.errors import RunError
from numpy_rnn.layers import Sequential
from numpy_rnn.npz import DamagedFileError


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which model."""
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="what train saved: the folder or the file"
    )
    parser.add_argument(
        "--last", action="store_true", help="the last step's parameters, not the best ones"
    )


def read_checkpoint(name: str) -> run.SavedRun:
    """Return what a checkpoint holds.

    Raises
    ------
    RunError
        In one line, if it cannot be read.
    """
    try:
        return run.read(Path(name))
    except DamagedFileError as error:
        raise RunError(error) from None
    except OSError as error:
        raise RunError(f"{error.filename or name!r}: {error.strerror or error}") from None


def model_of(saved: run.SavedRun, options: argparse.Namespace) -> Sequential:
    """Return the best model, or with ``--last`` the last."""
    return saved.model if options.last else run.best(saved)
