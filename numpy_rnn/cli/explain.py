"""``numpy-rnn explain``: a folder with pictures of why a network forgets, and a page about them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy.random  # noqa: F401 (see cli/recall.py)

from numpy_rnn.apps import recall
from numpy_rnn.apps.explain import report
from numpy_rnn.apps.explain.measurements import Measurements, measure, train
from numpy_rnn.apps.explain.sample import Sample, of_checkpoint, of_recall
from numpy_rnn.apps.language_model import run as run_of_training
from numpy_rnn.apps.language_model.model import build
from numpy_rnn.apps.plotting import require_matplotlib
from numpy_rnn.apps.recall import Experiment
from numpy_rnn.cli.errors import RunError, UsageError
from numpy_rnn.cli.progress import progress
from numpy_rnn.files import check_writable
from numpy_rnn.layers import GRU, LSTM
from numpy_rnn.npz import DamagedFileError
from numpy_rnn.training import TrainingFailedError
from numpy_rnn.training.process import one_blas_thread


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
        metavar="recall|CHECKPOINT",
        help="train the notebook's network, an LSTM and a GRU on its sentence (default), or read "
        "what numpy-rnn train or numpy-rnn recall --save wrote",
    )
    parser.add_argument(
        "--text",
        help="what a model from numpy-rnn train reads, 2 to 256 characters (default: what it "
        "writes itself)",
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
        require_matplotlib()
        check_writable(folder / "index.html" if folder.is_dir() else folder)
    except ImportError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        where = f" {options.out!r}" if error.strerror else ""  # our own messages name it
        raise UsageError(f"--out{where}: {error.strerror or error}") from None
    if options.what == "recall":
        experiment = Experiment()
        sample, kinds = of_recall(experiment), (None, LSTM, GRU)
        _check_no_text(options)
        steps = experiment.epochs + _steps(sample)
        try:
            with progress(len(kinds) * steps, "step") as bar:
                studies = [train(experiment, kind, bar.advance) for kind in kinds]
        except TrainingFailedError as error:
            raise RunError(error) from None
    else:
        try:
            with one_blas_thread():  # eigenvalues come later from two than from one
                sample, found = _read(Path(options.what), options)
        except OSError as error:
            name = error.filename or options.what
            raise UsageError(f"{str(name)!r}: {error.strerror or error}") from None
        except ValueError as error:
            raise UsageError(error) from None
        studies = [found]
    try:
        with progress(len(report.picture_names(studies)), "picture") as bar:
            names = report.write(folder, sample, studies, bar.advance)
    except OSError as error:
        raise RunError(f"--out {options.out!r}: {error.strerror or error}") from None
    print(f"Wrote {len(names)} files to {options.out}; open {folder / 'index.html'}")


def _read(path: Path, options: argparse.Namespace) -> tuple[Sample, Measurements]:
    """Return the study of a file, of whichever kind it is."""
    reasons = ""
    if not path.is_dir():
        try:
            experiment, model = recall.load(path)
        except DamagedFileError as error:
            reasons = f"{error}; "
        else:
            _check_no_text(options)
            sample = of_recall(experiment)
            with progress(_steps(sample), "step") as bar:
                return sample, measure(
                    sample, recall.build(experiment), model, on_progress=bar.advance
                )
    try:
        saved = run_of_training.read(path)
    except DamagedFileError as error:
        raise UsageError(f"{reasons}{error}") from None
    model = run_of_training.best(saved)
    sample = of_checkpoint(saved, model, options.text)
    kept = saved.state["callbacks"]
    losses = kept.get("history", {}).get("losses", [])
    held_out = kept.get("validation", {}).get("history", [])
    fresh = build(saved.settings, len(saved.vocabulary))
    with progress(_steps(sample), "step") as bar:
        return sample, measure(sample, fresh, model, losses, held_out, bar.advance)


def _steps(sample: Sample) -> int:
    """Return how many steps a study goes back: the text's, in the fresh and the trained one."""
    return 2 * len(sample.x)


def _check_no_text(options: argparse.Namespace) -> None:
    if options.text is not None:
        raise UsageError("--text: a recall has its own text, expected a checkpoint of train")
