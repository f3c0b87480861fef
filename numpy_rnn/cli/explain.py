"""``numpy-rnn explain``: write plots that show why a network forgets, and a page about them."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path
from typing import Any

import numpy.random  # noqa: F401 (imported early for the reason given in cli/recall.py)

from numpy_rnn.apps import recall
from numpy_rnn.apps.explain import Measurements, Sample, measure, of_model, of_recall, report, train
from numpy_rnn.apps.language_model import run as run_of_training
from numpy_rnn.apps.language_model.model import build
from numpy_rnn.apps.plotting import require_matplotlib
from numpy_rnn.apps.recall import Experiment
from numpy_rnn.cli.errors import RunError, UsageError, check_output, errors_as
from numpy_rnn.cli.options import add_command, add_option
from numpy_rnn.cli.terminal import progress
from numpy_rnn.layers import GRU, LSTM, Layer
from numpy_rnn.layers.base import MODEL_FILE
from numpy_rnn.layers.model_file import untrained
from numpy_rnn.layers.workers import one_blas_thread
from numpy_rnn.locks import hold
from numpy_rnn.safetensors import open_safetensors
from numpy_rnn.training import TrainingFailedError

OWN_TEXT = "--input: a saved recall has its own text, expected a checkpoint of train"


def add_to(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    summary = "write an HTML page that shows why a network forgets"
    description = (
        "Write a folder with plots, their numbers and one HTML page that explains them: how far "
        "back in time the gradient of a loss reaches, before and after training, and why."
    )
    parser = add_command(commands, "explain", run, summary, description)
    parser.add_argument(
        "what",
        nargs="?",
        default="recall",
        metavar="recall|CHECKPOINT",
        help="network to explain: the notebook's network, an LSTM and a GRU, trained now on the "
        "notebook's sentence (default), or a model of characters: a file of numpy-rnn train, of "
        "numpy-rnn recall --save, or of a model's save",
    )
    text = "input for a model of numpy-rnn train, 2 to 256 characters (default: generated)"
    add_option(parser, "--input", "TEXT", None, text)
    add_option(parser, "--out", "FOLDER", "explained", "folder for the result")
    add_option(parser, "--text", bool, False, "report as text on the terminal, without pictures")
    add_option(parser, "--open", bool, False, "open the page in a browser")


def run(options: argparse.Namespace) -> None:
    """Run the command. Raise UsageError or RunError for one line about a failure."""
    folder = Path(options.out)
    if not options.text:
        _check_folder(options.out)
    if options.what == "recall":
        if options.input is not None:
            raise UsageError(OWN_TEXT)
        sample, measurements = _train()
    else:
        # With two BLAS threads the eigenvalues are computed more slowly than with one.
        with errors_as(UsageError, options.what), one_blas_thread():
            sample, found = _read(Path(options.what), options)
        measurements = [found]
    if options.text:
        print(report.as_text(sample, measurements))
        return
    pictures = len(list(report.render(sample, measurements)))
    with errors_as(RunError, options.out, "--out"), progress(pictures, "picture") as bar:
        folder.mkdir(exist_ok=True)
        hold(folder / "index.html", "--out")
        names = report.write(folder, sample, measurements, bar.advance)
    print(f"Wrote {len(names)} files to {options.out}; open {folder / 'index.html'}")
    if options.open:
        webbrowser.open((folder / "index.html").resolve().as_uri())


def _check_folder(name: str) -> None:
    """Raise UsageError if matplotlib is missing or the folder cannot be written."""
    folder = Path(name)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out: {name!r} is a file, expected a folder")
    with errors_as(UsageError, name):
        require_matplotlib()
    check_output("--out", str(folder / "index.html") if folder.is_dir() else name)


def _train() -> tuple[Sample, list[Measurements]]:
    """Train the notebook's network, an LSTM and a GRU, and return their measurements."""
    experiment = Experiment()
    sample, kinds = of_recall(experiment), (None, LSTM, GRU)
    steps = experiment.epochs + _steps(sample)
    try:
        with progress(len(kinds) * steps, "step") as bar:
            return sample, [train(experiment, kind, bar.advance) for kind in kinds]
    except TrainingFailedError as error:
        raise RunError(error) from None


def _read(path: Path, options: argparse.Namespace) -> tuple[Sample, Measurements]:
    """Return the measurements of a file's model: a saved recall, a checkpoint or a model."""
    losses: tuple[Any, Any] = (), ()
    with open_safetensors(run_of_training.file_of(path), MODEL_FILE) as file:
        entries = list(file.metadata)
    fresh: Layer
    model: Layer
    if recall.ENTRY in entries:
        if options.input is not None:
            raise UsageError(OWN_TEXT)
        experiment, model = recall.load(path)
        sample, fresh = of_recall(experiment), recall.build(experiment)
    elif run_of_training.is_run(path):
        saved = run_of_training.read(path)
        model, losses = run_of_training.best(saved), saved.losses
        origin = f"was trained on the file {saved.text.name!r}"
        sample = of_model(model, saved.vocabulary, origin, options.input)
        fresh = build(saved.settings, len(saved.vocabulary))
    else:
        model, vocabulary, _ = run_of_training.load_model(path)
        sample = of_model(model, vocabulary, f"is in the file {path.name!r}", options.input)
        fresh = untrained(model, 0)
    with progress(_steps(sample), "step") as bar:
        return sample, measure(sample, fresh, model, *losses, bar.advance)


def _steps(sample: Sample) -> int:
    """Return how many steps of a text the measurements go back, with both networks together."""
    return 2 * len(sample.x)
