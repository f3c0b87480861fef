"""``numpy-rnn recall``: train the notebook's network and generate the sentence in two ways."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

# NumPy would import numpy.random at its first use, in the middle of a run. A signal that arrives
# while compiled modules are imported can get lost.
import numpy.random  # noqa: F401

from numpy_rnn.apps import recall
from numpy_rnn.apps.recall import Experiment, RecallResult
from numpy_rnn.cli.errors import RunError, UsageError, check_output, errors_as
from numpy_rnn.cli.options import (
    add_command,
    add_option,
    add_options,
    described,
    naming_options,
    values,
)
from numpy_rnn.cli.terminal import diff, progress
from numpy_rnn.training import TrainingFailedError

PRINT_EVERY = 10  # epochs between two printed losses, as in the notebook
DESCRIPTION = (
    "Train the notebook's character RNN on one sentence. Then generate the sentence twice: with "
    "the raw output fed back (the notebook's way), and with the one-hot of the argmax fed back."
)
CONCLUSIONS = {  # by whether the raw output and the argmax recalled the sentence exactly
    (False, True): """\
The one-hot of the argmax recalled the sentence exactly; the raw output did not.
The weights are the same, so the network has learned the sentence. It was
trained on one-hot vectors and has never seen a raw output: the feedback loop
was at fault.""",
    (True, True): """\
Both recalled the sentence exactly. The network has learned it so well that
even its raw output, which it has never seen in training, is close enough to a
one-hot vector.""",
    (True, False): """\
The raw output recalled the sentence exactly; the one-hot of the argmax did not.
The network has not learned every step: with the inputs of training it fails.""",
    (False, False): """\
Neither recalled the sentence exactly. The network was trained on one-hot
vectors, so with these settings it has not learned the sentence. More epochs, a
larger --hidden-size or another --lr may help.""",
}


def add_to(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    summary = "train on one sentence and generate it in two ways"
    parser = add_command(commands, "recall", run, summary, DESCRIPTION)
    parser.add_argument(
        "text", nargs="?", default=Experiment.text, help="the sentence (default: the notebook's)"
    )
    characters = "known characters, the last two for start and end (default: the notebook's 35)"
    add_option(parser, "--vocabulary", "CHARACTERS", Experiment.characters, characters)
    extend = "add the sentence's characters to the vocabulary"
    add_option(parser, "--extend-vocabulary", bool, False, extend)
    add_options(parser, Experiment)
    add_option(parser, "--json", bool, False, "result as JSON")
    add_option(parser, "--save", "FILE.safetensors", None, "file for the weights and the settings")


def run(options: argparse.Namespace) -> None:
    """Run the command. Raise UsageError or RunError for one line about a failure."""
    experiment = _experiment(options)
    if options.save is not None:
        check_output("--save", options.save, (".safetensors",))
    lines = not options.json
    if lines:
        print(_headline(experiment), flush=True)
    try:
        with progress(experiment.epochs, "epoch") as bar:

            def on_epoch(epoch: int, loss: float) -> None:
                bar.advance(f"loss {loss:.4f}")
                if lines and (epoch % PRINT_EVERY == 0 or epoch == experiment.epochs - 1):
                    bar.write(f"epoch {epoch:4d}  loss {loss:.4f}")

            result = recall.run(experiment, on_epoch)
    except TrainingFailedError as error:
        raise RunError(error) from None
    if options.save:  # before anything is printed, because the reader may have left by now
        with errors_as(RunError, options.save, "--save"):
            recall.save(Path(options.save), result)
    if lines:
        print("\n".join(report(result)))
        if options.save:
            print(f"Saved to {options.save}.")
    else:
        print(json.dumps(as_data(result)))


def _experiment(options: argparse.Namespace) -> Experiment:
    characters, names = options.vocabulary, described(Experiment)
    try:
        with naming_options(*names, "vocabulary"):
            if options.extend_vocabulary:
                characters = recall.extend(characters, options.text)
            return Experiment(options.text, characters, **values(options, names))
    except UsageError as error:
        unknown = "expected one of the vocabulary's" in str(error)
        raise UsageError(f"{error}{', or --extend-vocabulary' * unknown}") from None


def _headline(experiment: Experiment) -> str:
    V, H = len(experiment.vocabulary), experiment.hidden_size
    return (
        f"{experiment.nonlinearity} RNN {V}-{H}-{V}, {len(experiment.text) + 1} steps, "
        f"{experiment.loss}, Adam lr {experiment.lr:g}, {experiment.epochs} epochs, "
        f"seed {experiment.seed}, {experiment.dtype}"
    )


def report(result: RecallResult) -> list[str]:
    """Return the lines that show both generated texts and explain them."""
    total = len(result.experiment.text)
    lines: list[str] = []
    for how, output in (
        ("the raw output fed back (the notebook's way)", result.raw),
        ("the one-hot of the argmax fed back", result.argmax),
    ):
        wrong = result.wrong(output)
        score = f"all {total} characters right"
        if wrong:
            right = total - len(wrong)
            score = f"{right} of {total} characters right, first wrong at position {wrong[0]}"
        lines += ["", f"With {how}:", f"  {score}", *diff(result.experiment.text, output)]
        if len(output) < total:
            lines.append(f"  stopped after {len(output)}: the output is no longer finite")
    exact = not result.wrong(result.raw), not result.wrong(result.argmax)
    return [*lines, "", CONCLUSIONS[exact]]


def as_data(result: RecallResult) -> dict[str, Any]:
    """Return the result as plain data: settings, losses, and both texts with their errors."""
    generated = {
        name: {"text": text, "exact": text == result.experiment.text, "wrong": result.wrong(text)}
        for name, text in (("raw", result.raw), ("argmax", result.argmax))
    }
    return {"experiment": asdict(result.experiment), "losses": result.losses} | generated
