"""``numpy-rnn sample``: let a trained model write."""

from __future__ import annotations

import argparse
import itertools
import sys
from typing import Any

from numpy_rnn.apps.language_model import generate
from numpy_rnn.cli.errors import UsageError
from numpy_rnn.cli.saved import add_checkpoint, model_of, read_checkpoint
from numpy_rnn.cli.terminal import harmless
from numpy_rnn.training.process import one_blas_thread


def add_to(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    parser = commands.add_parser(
        "sample", help="let a trained model write", description="Let a trained model write."
    )
    add_checkpoint(parser)
    parser.add_argument(
        "--prompt",
        metavar="TEXT",
        help="what it goes on from (default: its first character, in most texts the end of a line)",
    )
    parser.add_argument(
        "--length", type=int, default=500, metavar="N", help="characters (default: 500)"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="T",
        help="below 1 more likely characters, 0 the likeliest (default: 1)",
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="only the K likeliest characters")
    parser.add_argument(
        "--top-p",
        type=float,
        default=1.0,
        metavar="P",
        help="only the likeliest, which together have this probability (default: 1)",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="to get the same text again")
    parser.set_defaults(run=run_command, prog=parser.prog)


def run_command(options: argparse.Namespace) -> None:
    """Run the command.

    Raises
    ------
    UsageError, RunError
        With one line for the user.
    """
    saved = read_checkpoint(options.checkpoint)
    model = model_of(saved, options)
    if options.length < 0:
        raise UsageError(f"--length is {options.length}, expected at least 0")
    if options.seed is not None and options.seed < 0:
        raise UsageError(f"--seed is {options.seed}, expected at least 0")
    prompt = saved.vocabulary.characters[0] if options.prompt is None else options.prompt
    try:
        symbols = saved.vocabulary.encode(prompt, "--prompt")
        made = generate(
            model,
            symbols,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            rng=options.seed,
        )
        shown = harmless if sys.stdout.isatty() else str
        print(shown(options.prompt or ""), end="", flush=True)
        with one_blas_thread():
            for symbol in itertools.islice(made, options.length):
                print(shown(saved.vocabulary.characters[symbol]), end="", flush=True)
    except ValueError as error:
        message = str(error)
        for name in ("temperature", "top_k", "top_p", "prompt"):
            message = message.replace(f"{name} is", f"--{name.replace('_', '-')} is", 1)
        raise UsageError(message) from None
    print()
