"""``numpy-rnn explain``: a folder with pictures of why a network forgets, and a page about them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy.random  # noqa: F401 (see cli/recall.py)

from numpy_rnn.cli.errors import RunError, UsageError
from numpy_rnn.explain import pictures, story
from numpy_rnn.explain.study import study, train
from numpy_rnn.files import check_writable
from numpy_rnn.layers import GRU, LSTM
from numpy_rnn.text import recall
from numpy_rnn.text.recall import Experiment, TrainingFailedError


def add_to(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    parser = commands.add_parser(
        "explain",
        help="draw why a network forgets, and explain the pictures on a page",
        description="Write a folder with pictures, their numbers and one page of HTML that "
        "explains them: how far a loss reaches back in time, before and after training, and why.",
    )
    parser.add_argument(
        "what",
        nargs="?",
        default="recall",
        metavar="recall|FILE.npz",
        help="train the notebook's network, an LSTM and a GRU on its sentence (default), or read "
        "what numpy-rnn recall --save wrote",
    )
    parser.add_argument("--out", default="explained", metavar="FOLDER", help="default: explained")
    parser.set_defaults(run=run, prog=parser.prog)


def run(options: argparse.Namespace) -> None:
    """Run the command.

    Parameters
    ----------
    options : argparse.Namespace
        As parsed.

    Raises
    ------
    UsageError, RunError
        With one line for the user.
    """
    folder = Path(options.out)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out: {options.out!r} is a file, expected a folder")
    try:
        pictures.require_matplotlib()
        check_writable(folder / "index.html" if folder.is_dir() else folder)
    except ImportError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"--out: {error.strerror or error}") from None
    if options.what == "recall":
        experiment = Experiment()
        try:
            studies = [train(experiment, kind) for kind in (None, LSTM, GRU)]
        except TrainingFailedError as error:
            raise RunError(error) from None
    else:
        try:
            experiment, model = recall.load(Path(options.what))
        except OSError as error:
            raise UsageError(f"{options.what!r}: {error.strerror or error}") from None
        except ValueError as error:
            raise UsageError(error) from None
        studies = [study(experiment, model)]
    try:
        names = story.write(folder, experiment, studies)
    except OSError as error:
        raise RunError(f"--out {options.out!r}: {error.strerror or error}") from None
    print(f"Wrote {len(names)} files to {options.out}; open {folder / 'index.html'}")
