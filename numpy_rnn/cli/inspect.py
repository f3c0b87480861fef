"""``numpy-rnn inspect``: what is in a checkpoint."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

import numpy as np

from numpy_rnn.cli.saved import read_checkpoint
from numpy_rnn.cli.terminal import duration, harmless

ROWS = 20  # of the history


def add_to(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    parser = commands.add_parser(
        "inspect",
        help="show what is in a checkpoint",
        description="Show a checkpoint's settings, architecture, parameters and history.",
    )
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="what train saved: the folder or the file"
    )
    parser.set_defaults(run=run_command, prog=parser.prog)


def run_command(options: argparse.Namespace) -> None:
    """Run the command.

    Raises
    ------
    RunError
        With one line for the user.
    """
    saved = read_checkpoint(options.checkpoint)
    state, parameters = saved.state, saved.model.parameters
    total = state["total"]
    print(
        f"Trained on {harmless(str(saved.text.get('name')))!r}, "
        f"{saved.text.get('characters')} characters"
    )
    print(
        f"Step {state['optimizer']['step']} of {'?' if total is None else total}, "
        f"after {duration(state['seconds'])} {state['stopped']}".rstrip()
    )
    print("\nSettings")
    for name, value in asdict(saved.settings).items():
        print(f"  {name:20} {value}")
    print(f"  {'vocabulary':20} {saved.vocabulary.characters!r}")
    print(f"\nModel: {parameters.data.size:,} parameters, {parameters.dtype}")
    for name, layer in saved.model.layers.items():
        print(f"  {name:20} {layer!r}")
    print(f"\n  {'parameter':24} {'shape':>14} {'norm':>12} {'largest':>12}")
    for name, value in parameters.values.items():
        print(
            f"  {name:24} {value.shape!s:>14} {np.linalg.norm(value):12.4f} "
            f"{np.abs(value).max(initial=0):12.4f}"
        )
    _show_history(state["callbacks"])


def _show_history(callbacks: dict[str, Any]) -> None:
    measured = dict(callbacks.get("validation", {}).get("history", []))
    losses = dict(callbacks.get("history", {}).get("losses", []))
    steps = sorted(measured or losses)
    shown = steps[:: -(-len(steps) // ROWS) or 1]
    if steps and shown[-1] != steps[-1]:
        shown.append(steps[-1])
    print(f"\n  {'step':>8} {'training':>10} {'validation':>10}   nats per character")
    for step in shown:
        before = [at for at in losses if at <= step]
        training = f"{losses[max(before)]:10.4f}" if before else f"{'':10}"
        validation = f"{measured[step]:10.4f}" if step in measured else ""
        print(f"  {step:8} {training} {validation}")
