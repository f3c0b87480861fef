"""The options of ``numpy-rnn train``: the command line's, a TOML file's, or the defaults."""

from __future__ import annotations

import argparse
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from numpy_rnn.apps.language_model.settings import CELLS, OPTIMIZERS, SCHEDULES, Settings
from numpy_rnn.cli.errors import UsageError
from numpy_rnn.training.process import default_threads

EPOCHS = 10.0
# Of these a run does not depend: they may be others when it goes on.
FREE = ("checkpoint", "log", "plot", "save_every")
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}

# What each setting is, in the order of the help; its default is Settings' own.
HELP: dict[str, tuple[Any, str, str]] = {
    "cell": (CELLS, "", "of the recurrent layers"),
    "hidden_size": (int, "H", "units of a recurrent layer"),
    "layers": (int, "N", "recurrent layers on each other"),
    "embedding": (int, "E", "size of the vectors that characters become"),
    "dropout": (float, "P", "of the recurrent layers' outputs"),
    "batch_size": (int, "B", "places of the text read side by side"),
    "window": (int, "T", "steps the gradient goes back: truncated backpropagation"),
    "optimizer": (OPTIMIZERS, "", ""),
    "lr": (float, "RATE", "learning rate"),
    "weight_decay": (float, "RATE", "of the optimizer"),
    "schedule": (SCHEDULES, "", "how the learning rate falls"),
    "warmup": (int, "STEPS", "over which the learning rate rises first"),
    "clip_norm": (float, "NORM", "longest gradient, 0 for any"),
    "validation_fraction": (float, "F", "of the text, at its end, held out"),
    "validate_every": (int, "STEPS", "from one validation to the next"),
    "patience": (int, "N", "validations without a new best until the end; 0 for no such end"),
    "seed": (int, "N", "of the initial weights and of dropout"),
    "threads": (int, "N", "that split a batch; each product of matrices then has one"),
    "dtype": (("float32", "float64"), "", "of every number"),
}


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options that make :class:`Settings`, and the file that may hold them."""
    parser.add_argument("--config", metavar="FILE.toml", help="options, under their names here")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs", type=float, metavar="N", help=f"passes over the text (default: {EPOCHS:g})"
    )
    length.add_argument(
        "--time-budget", metavar="TIME", help="how long to train instead: 90s, 3m, 1h"
    )
    default = {field.name: field.default for field in fields(Settings)}
    default["threads"] = "the cores, up to 4"
    for name, (kind, metavar, text) in HELP.items():
        kinds = {"choices": kind} if isinstance(kind, tuple) else {"type": kind, "metavar": metavar}
        parser.add_argument(
            option(name), help=f"{text} (default: {default[name]})".lstrip(), **kinds
        )


def option(name: str) -> str:
    """Return the option of a setting: ``hidden_size`` is ``--hidden-size``."""
    return f"--{name.replace('_', '-')}"


def merged(options: argparse.Namespace) -> dict[str, Any]:
    """Return what was asked for: the TOML file's options, and over them the command line's.

    Parameters
    ----------
    options : argparse.Namespace
        As parsed; None where an option was not given.

    Returns
    -------
    given : dict
        By the names of :class:`Settings` and of FREE.

    Raises
    ------
    UsageError
        If the file cannot be read or has something that is no option.
    """
    known = {*HELP, "epochs", "time_budget", *FREE}
    given = _from_file(options.config, known) if options.config else {}
    line = {name: getattr(options, name) for name in known}
    line = {name: value for name, value in line.items() if value is not None}
    for name, other in (("epochs", "time_budget"), ("time_budget", "epochs")):
        if name in line:  # the line's takes the place of the file's other one
            given.pop(other, None)
    return given | line


def settings_from(given: dict[str, Any]) -> Settings:
    """Return settings for a new run.

    Raises
    ------
    UsageError
        Naming the option, what came and what was expected.
    """
    chosen = {name: value for name, value in given.items() if name not in FREE}
    if "time_budget" in chosen:
        chosen["time_budget"] = seconds("time_budget", chosen["time_budget"])
    elif "epochs" not in chosen:
        chosen["epochs"] = EPOCHS
    rows = chosen.get("batch_size", Settings.batch_size)
    if isinstance(rows, int):  # what else it may be, Settings says better
        chosen.setdefault("threads", max(1, min(default_threads(), rows)))
    try:
        return Settings(**chosen)
    except (TypeError, ValueError) as error:
        raise UsageError(as_options(str(error))) from None


def check_unchanged(given: dict[str, Any], saved: Settings) -> None:
    """Raise UsageError if an option would make a run that goes on another run."""
    for name, value in given.items():
        if name in FREE:
            continue
        wanted = seconds(name, value) if name == "time_budget" else value
        if getattr(saved, name) != wanted:
            raise UsageError(
                f"{option(name)} is {value}, the checkpoint's run has {getattr(saved, name)}: "
                "expected none with --resume, or the same"
            )


def seconds(name: str, value: Any) -> float:
    """Return a time as seconds: a number, or one with a unit of s, m or h behind it."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smh]?)", str(value).strip())
    if match is None:
        raise UsageError(f"{option(name)} is {str(value)!r}, expected a time such as 90s, 3m or 1h")
    return float(match[1]) * UNITS[match[2]]


def as_options(message: str) -> str:
    """Name the command line's options where the library names settings."""
    known = "|".join(sorted([*HELP, "epochs", "time_budget"], key=len, reverse=True))
    message = message.removeprefix("Settings: ")
    return re.sub(rf"^({known})\b(?= is )", lambda match: option(match[1]), message)


def _from_file(name: str, known: set[str]) -> dict[str, Any]:
    try:
        with Path(name).open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"--config {name!r}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {name!r} is not TOML: {error}") from None
    given = {key.replace("-", "_"): value for key, value in content.items()}
    for key in given:
        if key not in known:
            raise UsageError(f"--config {name!r} has {key!r}, expected an option of this command")
    for key in ("checkpoint", "log", "plot"):
        if not isinstance(given.get(key, ""), str):
            raise UsageError(f"--config {name!r}: {key} is {given[key]!r}, expected a name")
    return given
