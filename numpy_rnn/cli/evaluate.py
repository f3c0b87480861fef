"""``numpy-rnn evaluate``: what a trained model knows of a text."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from numpy_rnn.apps.language_model import cross_entropy, read_tokens
from numpy_rnn.cli.errors import RunError, UsageError
from numpy_rnn.cli.saved import add_checkpoint, model_of, read_checkpoint
from numpy_rnn.cli.watch import bits
from numpy_rnn.training.process import one_blas_thread


def add_to(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    parser = commands.add_parser(
        "evaluate",
        help="measure what a trained model knows of a text",
        description="Print the mean of -log p(character | all characters before it) over a text. "
        "The first character has none before it: it is given, and does not count.",
    )
    add_checkpoint(parser)
    parser.add_argument("file", metavar="FILE", help="a text in UTF-8")
    parser.add_argument(
        "--readers",
        type=int,
        default=1,
        metavar="N",
        help="read at N places side "
        "by side, each from the zero state: quicker, and a little too high (default: 1)",
    )
    parser.set_defaults(run=run_command, prog=parser.prog)


def run_command(options: argparse.Namespace) -> None:
    """Run the command.

    Raises
    ------
    UsageError, RunError
        With one line for the user.
    """
    if options.readers < 1:
        raise UsageError(f"--readers is {options.readers}, expected at least 1")
    saved = read_checkpoint(options.checkpoint)
    model = model_of(saved, options)
    try:
        tokens = read_tokens(Path(options.file), saved.vocabulary).tokens
        with one_blas_thread():
            nats = cross_entropy(model, tokens, options.readers)
    except ValueError as error:
        raise RunError(error) from None
    except OSError as error:
        raise RunError(f"{error.filename!r}: {error.strerror or error}") from None
    print(
        f"{nats:.4f} nats, {bits(nats):.4f} bits per character, "
        f"mean over {len(tokens) - 1:,} characters"
    )
