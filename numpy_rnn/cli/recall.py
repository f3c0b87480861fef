"""``numpy-rnn recall``: train the notebook's network, generate twice, say what that means."""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

# NumPy would import it at its first use, in the middle of a run; and a signal that comes while
# its compiled modules are being imported can get lost.
import numpy.random  # noqa: F401

from numpy_rnn.apps import recall
from numpy_rnn.apps.recall import Experiment, RecallResult
from numpy_rnn.cli.errors import RunError, UsageError
from numpy_rnn.cli.marks import compare
from numpy_rnn.cli.progress import progress
from numpy_rnn.files import check_writable
from numpy_rnn.training import TrainingFailedError

EVERY = 10  # epochs between two printed losses, as in the notebook


def add_to(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    default = Experiment()
    parser = commands.add_parser(
        "recall",
        help="learn one sentence by heart, generate it in two ways",
        description="Train the notebook's character RNN on one sentence, then generate it with "
        "the raw output fed back (the notebook's way) and with the one-hot of the argmax.",
    )
    parser.add_argument(
        "text", nargs="?", default=default.text, help="the sentence (default: the notebook's)"
    )
    parser.add_argument(
        "--alphabet",
        default=default.characters,
        metavar="CHARACTERS",
        help="what the network knows; the last two are the start and end symbols "
        "(default: the notebook's 35)",
    )
    parser.add_argument(
        "--grow-alphabet", action="store_true", help="add the text's characters to the alphabet"
    )
    for name, kind, help_text in (
        ("--hidden-size", int, "units of the recurrent layer"),
        ("--lr", float, "Adam's learning rate"),
        ("--epochs", int, "updates, each from the whole sentence"),
        ("--seed", int, "of the initial weights"),
    ):
        value = getattr(default, name[2:].replace("-", "_"))
        parser.add_argument(
            name, type=kind, default=value, metavar="N", help=f"{help_text} (default: {value})"
        )
    for name, choices, help_text in (
        ("--nonlinearity", ["tanh", "relu"], "of the recurrent layer"),
        ("--loss", ["mse", "cross-entropy"], "summed over the steps"),
        ("--dtype", ["float32", "float64"], "of every number"),
    ):
        value = getattr(default, name[2:])
        parser.add_argument(
            name, choices=choices, default=value, help=f"{help_text} (default: {value})"
        )
    parser.add_argument("--json", action="store_true", help="print the result as JSON instead")
    parser.add_argument("--save", metavar="FILE.npz", help="write weights and settings to a file")
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
    experiment = _experiment(options)
    if options.save is not None:
        _check_save(options.save)
    lines = not options.json
    if lines:
        print(_headline(experiment), flush=True)
    try:
        with progress(experiment.epochs, "epoch") as bar:

            def on_epoch(epoch: int, loss: float) -> None:
                bar.advance(f"loss {loss:.4f}")
                if lines and (epoch % EVERY == 0 or epoch == experiment.epochs - 1):
                    bar.write(f"epoch {epoch:4d}  loss {loss:.4f}")

            result = recall.run(experiment, on_epoch)
    except TrainingFailedError as error:
        raise RunError(error) from None
    if options.save:  # before anything is printed: whoever reads may have gone by now
        try:
            recall.save(Path(options.save), result)
        except OSError as error:
            raise RunError(f"--save {options.save!r}: {error.strerror or error}") from None
    if lines:
        print("\n".join(report(result)))
        if options.save:
            print(f"Saved to {options.save}.")
    else:
        json.dump(as_data(result), sys.stdout)
        print()


def _experiment(options: argparse.Namespace) -> Experiment:
    try:
        characters = options.alphabet
        if options.grow_alphabet:
            characters = recall.extend(characters, options.text)
        return Experiment(
            text=options.text,
            characters=characters,
            hidden_size=options.hidden_size,
            nonlinearity=options.nonlinearity,
            loss=options.loss,
            lr=options.lr,
            epochs=options.epochs,
            seed=options.seed,
            dtype=options.dtype,
        )
    except ValueError as error:
        hint = ", or --grow-alphabet" if "expected one of the vocabulary's" in str(error) else ""
        raise UsageError(f"{_as_options(str(error))}{hint}") from None


def _as_options(message: str) -> str:
    """Name the command line's options where the library names arguments."""
    return re.sub(
        r"^(hidden_size|epochs|lr|seed|alphabet) ",
        lambda match: f"--{match[1].replace('_', '-')} ",
        message.removeprefix("Experiment: ").replace("vocabulary has ", "alphabet has ", 1),
    )


def _check_save(name: str) -> None:
    path = Path(name)
    if path.suffix != ".npz":
        raise UsageError(f"--save {name!r}: expected a name that ends in .npz")
    try:
        check_writable(path)
    except OSError as error:
        where = "" if error.strerror is None else f" {name!r}"  # our own messages name it
        raise UsageError(f"--save{where}: {error.strerror or error}") from None


def _headline(experiment: Experiment) -> str:
    V, H = len(experiment.vocabulary), experiment.hidden_size
    return (
        f"{experiment.nonlinearity} RNN {V}-{H}-{V}, {len(experiment.text) + 1} steps, "
        f"{experiment.loss}, Adam lr {experiment.lr:g}, {experiment.epochs} epochs, "
        f"seed {experiment.seed}, {experiment.dtype}"
    )


def report(result: RecallResult) -> list[str]:
    """Return the lines that show both texts and say what they mean.

    Parameters
    ----------
    result : RecallResult
        Of the experiment.

    Returns
    -------
    lines : list of str
    """
    total = len(result.experiment.text)
    lines: list[str] = []
    for how, made in (
        ("the raw output fed back (the notebook's way)", result.raw),
        ("the one-hot of the argmax fed back", result.argmax),
    ):
        wrong = result.wrong(made)
        verdict = (
            f"{total - len(wrong)} of {total} characters right, first wrong at {wrong[0]}"
            if wrong
            else f"all {total} characters right"
        )
        lines += ["", f"With {how}: {verdict}", *compare(result.experiment.text, made)]
        if len(made) < total:
            lines.append(f"        stopped at {len(made)}: what was fed back is no longer finite")
    return [*lines, "", *conclusion(result)]


def conclusion(result: RecallResult) -> list[str]:
    """Return what the two texts mean, in two or three lines."""
    raw, argmax = not result.wrong(result.raw), not result.wrong(result.argmax)
    if argmax and not raw:
        return [
            "The one-hot of the argmax recalled the sentence exactly; the raw output did not.",
            "The weights are the same, so the network has learned the sentence. Training fed it",
            "one-hot rows, the raw output is something it has never seen: the loop was at fault.",
        ]
    if argmax:
        return [
            "Both recalled the sentence exactly: the network has learned it, and so well that",
            "even its raw output, which training never fed it, is close enough to a one-hot row.",
        ]
    if raw:
        return [
            "The raw output recalled the sentence exactly; the one-hot of the argmax did not.",
            "The network has not learned every step: fed what training fed it, it goes wrong.",
        ]
    return [
        "Neither recalled the sentence exactly. The one-hot of the argmax is what training fed",
        "the network, so with these settings it has not learned the sentence: more epochs, a",
        "larger --hidden-size or another --lr may do it.",
    ]


def as_data(result: RecallResult) -> dict[str, Any]:
    """Return the result as plain data.

    Parameters
    ----------
    result : RecallResult
        Of the experiment.

    Returns
    -------
    data : dict
        ``experiment``, ``losses`` of every epoch, and for ``raw`` and ``argmax`` the ``text``,
        whether it is ``exact``, and the positions that are ``wrong``.
    """
    generated = {
        name: {"text": made, "exact": made == result.experiment.text, "wrong": result.wrong(made)}
        for name, made in (("raw", result.raw), ("argmax", result.argmax))
    }
    return {"experiment": asdict(result.experiment), "losses": result.losses} | generated
