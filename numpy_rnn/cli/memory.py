"""``numpy-rnn memory``: search for the longest length of a task that a cell learns."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

# NumPy would import it at its first use, in the middle of a run; and a signal that comes while
# its compiled modules are being imported can get lost.
import numpy.random

from numpy_rnn.apps.memory import plot, runs, search
from numpy_rnn.apps.memory.cells import CELLS
from numpy_rnn.apps.memory.runs import TASKS, Run, TrainingConfig
from numpy_rnn.apps.plotting import require_matplotlib
from numpy_rnn.cli.errors import RunError, UsageError
from numpy_rnn.cli.progress import progress
from numpy_rnn.files import check_writable

START = 25
MOST = 10**8  # of what sizes an array: products of two are still numbers that NumPy can index by
FORMATS = (".png", ".svg", ".pdf")


def add_to(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    default = TrainingConfig()
    parser = commands.add_parser(
        "memory",
        help="find the longest length of a task that a cell learns",
        description="For each seed, double a task's length until the cell does not learn it any "
        "more within its budget of updates, then bisect. Success is judged on what training "
        "never saw.",
        epilog="cells: " + "; ".join(f"{name}: {spec.description}" for name, spec in CELLS.items()),
    )
    parser.add_argument(
        "task", nargs="?", default=default.task, choices=TASKS, help="default: recall"
    )
    parser.add_argument(
        "--cell",
        default=default.cell,
        choices=CELLS,
        help=f"default: {default.cell}",
        metavar="NAME",
    )
    for name, kind, help_text in (
        ("--hidden-size", int, "units of each recurrent layer"),
        ("--updates", int, "maximum number of updates in a run"),
        ("--batch-size", int, "sequences per update; recall has one"),
        ("--lr", float, "Adam's learning rate"),
        ("--clip-norm", float, "maximum gradient norm"),
    ):
        value = getattr(default, name[2:].replace("-", "_"))
        parser.add_argument(
            name, type=kind, default=value, metavar="N", help=f"{help_text} (default: {value})"
        )
    for name, number, help_text in (
        ("--seeds", 3, "how many searches, with seeds 0, 1, ..."),
        ("--limit", 10_000, "no longer length is tried"),
    ):
        parser.add_argument(
            name, type=int, default=number, metavar="N", help=f"{help_text} (default: {number})"
        )
    parser.add_argument(
        "--start",
        type=int,
        metavar="N",
        help=f"the first length that is tried (default: {START}, or the task's shortest)",
    )
    parser.add_argument(
        "--resolution",
        type=float,
        default=0.1,
        metavar="X",
        help="bisect until success and failure are this share of a length apart (default: 0.1)",
    )
    parser.add_argument(
        "--record",
        metavar="FILE.json",
        help="write every trial to a file as soon as it is done, and do not repeat those in it",
    )
    parser.add_argument("--plot", metavar="FILE.png", help="draw every trial (.png, .svg, .pdf)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON instead")
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
    config = _config(options)
    path = None if options.record is None else Path(options.record)
    trials = _resume(path, config)
    _check_plot(options.plot)
    lines = not options.json
    if lines:
        print(_headline(config), flush=True)
        if trials:
            print(f"{len(trials)} runs of {options.record} are not repeated", flush=True)
    found = []
    for seed in range(options.seeds):
        solves = partial(_solves, config, trials, path, lines, seed)
        found.append(
            search.search_max_length(solves, options.start, options.limit, options.resolution)
        )
        if lines:
            print(f"seed {seed}: {_reached(found[-1], options)}", flush=True)
    wanted = [t for t in trials if t.seed < options.seeds]
    if options.plot is not None:
        try:
            plot.draw(Path(options.plot), config, wanted, found)
        except OSError as error:
            raise RunError(f"--plot {options.plot!r}: {error.strerror or error}") from None
    if lines:
        middle = median(found)
        print(f"median of {len(found)}: {_reached(middle, options)}")
    else:
        asked = {name: getattr(options, name) for name in ("seeds", "start", "limit", "resolution")}
        data = {"search": asked, "max_lengths": found, "median": median(found)}
        json.dump(search.record_data(config, wanted) | data, sys.stdout)
        print()


def _solves(
    config: TrainingConfig,
    trials: list[Run],
    path: Path | None,
    lines: bool,
    seed: int,
    length: int,
) -> bool:
    """Run one trial, or find it among those that were run."""
    for known in trials:
        if (known.length, known.seed) == (length, seed):
            return known.solved
    with progress(config.updates, "update") as bar:
        done = runs.run(
            config,
            length,
            seed,
            lambda _, loss: bar.advance(f"seed {seed}, length {length}: loss {loss:.4f}"),
        )
    trials.append(done)
    if path is not None:
        try:
            search.write_record(path, config, trials)
        except OSError as error:
            raise RunError(f"--record {str(path)!r}: {error.strerror or error}") from None
    if lines:
        found = "diverged"
        if done.score is not None:
            found = f"score {done.score:.4f}  loss {done.loss:.4f} of {done.baseline:.4f}"
        print(
            f"  length {length:6}  {'solved' if done.solved else 'FAILED'}  {found}"
            f"  {done.updates} updates  {done.seconds:.1f} s",
            flush=True,
        )
    return done.solved


def _config(options: argparse.Namespace) -> TrainingConfig:
    names = ("task", "cell", "hidden_size", "updates", "batch_size", "lr", "clip_norm")
    try:
        config = TrainingConfig(**{name: getattr(options, name) for name in names})
    except ValueError as error:
        raise UsageError(
            re.sub(
                r"^TrainingConfig: (\w+)", lambda name: f"--{name[1].replace('_', '-')}", str(error)
            )
        ) from None
    shortest = TASKS[config.task].min_length
    if options.start is None:
        options.start = max(START, shortest)
    for name, least in (("seeds", 1), ("start", shortest), ("limit", options.start)):
        if getattr(options, name) < least:
            raise UsageError(f"--{name} is {getattr(options, name)}, expected at least {least}")
    for name in ("hidden_size", "batch_size", "limit"):
        if getattr(options, name) > MOST:
            option = name.replace("_", "-")
            raise UsageError(f"--{option} is {getattr(options, name)}, expected at most {MOST}")
    if not (options.resolution >= 0 and math.isfinite(options.resolution)):
        raise UsageError(
            f"--resolution is {options.resolution}, expected a finite number, at least 0"
        )
    try:
        TASKS[config.task](options.start).sample(1, numpy.random.default_rng(0))
    except ImportError as error:  # of an extra
        raise UsageError(str(error)) from None
    return config


def _resume(path: Path | None, config: TrainingConfig) -> list[Run]:
    """Return the trials of the record, if there is one, and see that it can be written."""
    if path is None:
        return []
    try:
        check_writable(path)
        if not path.exists():
            return []
        recorded, trials = search.read_record(path)
    except OSError as error:
        raise UsageError(f"--record{_named(path, error)}") from None
    except ValueError as error:
        raise UsageError(f"--record: {error}") from None
    if recorded != config:
        raise UsageError(
            f"--record: {str(path)!r} is of another search, {recorded}, expected {config}"
        )
    return trials


def _check_plot(name: str | None) -> None:
    if name is None:
        return
    if Path(name).suffix not in FORMATS:
        raise UsageError(f"--plot {name!r}: expected a name that ends in {', '.join(FORMATS)}")
    try:
        require_matplotlib()
        check_writable(Path(name))
    except ImportError as error:
        raise UsageError(f"--plot: {error}") from None
    except OSError as error:
        raise UsageError(f"--plot{_named(Path(name), error)}") from None


def _named(path: Path, error: OSError) -> str:
    """Say what the system said of a file: our own messages name it themselves."""
    return f" {str(path)!r}: {error.strerror}" if error.strerror else f": {error}"


def _headline(config: TrainingConfig) -> str:
    return (
        f"{config.task}: {config.spec.description}, {config.hidden_size} units, "
        f"at most {config.updates} updates of Adam, lr {config.lr:g}\n"
        f"solved: {TASKS[config.task].solved_when}"
    )


def _reached(length: float, options: argparse.Namespace) -> str:
    if not length:
        return f"none, not even {options.start}"
    return f"{length:g}" + (" (the limit)" if length >= options.limit else "")
