"""Options of ``numpy-rnn train``, from the command line, a TOML file or the defaults."""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path
from typing import Any

from numpy_rnn.apps.language_model.model import Settings
from numpy_rnn.arguments import integer
from numpy_rnn.cli.errors import UsageError, errors_as
from numpy_rnn.cli.options import add_options, described, naming_options, option_name, values
from numpy_rnn.files import read_whole
from numpy_rnn.reading import damaged_file_errors
from numpy_rnn.text import shown
from numpy_rnn.training.process import can_limit, default_threads
from numpy_rnn.training.ranks import world

EPOCHS = 10.0
CONFIG_SIZE = 1 << 14  # bytes; a file of options is far smaller
MAX_DOTS = 100  # in a line; tomllib takes the square of a key's dots in time and memory
CONFIG = "a TOML file of options"
# A resumed run may have other values of these, because its results do not depend on them.
FREE = ("checkpoint", "log", "plot", "save_every", "threads")
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}

SETTINGS = (*described(Settings), "epochs", "time_budget")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options that make a :class:`Settings`, and the option of a TOML file."""
    parser.add_argument(
        "--config", metavar="FILE.toml", help="file of options, overridden by the command line"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs", type=float, metavar="X", help=f"passes over the text (default: {EPOCHS:g})"
    )
    length.add_argument(
        "--time-budget", metavar="TIME", help="training time instead of epochs: 90s, 3m, 1h"
    )
    add_options(parser, Settings)
    # None tells an option that is not given.
    parser.set_defaults(**dict.fromkeys(described(Settings)))


def merged(options: argparse.Namespace) -> dict[str, Any]:
    """Return the given options: those of the TOML file, overridden by the command line."""
    line = {k: v for k, v in values(options, (*SETTINGS, *FREE)).items() if v is not None}
    given = read_config(options.config) if options.config else {}
    for name, other in (("epochs", "time_budget"), ("time_budget", "epochs")):
        if name in line:  # an epoch count overrides the file's time budget too, and vice versa
            given.pop(other, None)
    return given | line


def settings_from(given: dict[str, Any]) -> Settings:
    """Return the settings of a new run. Raise UsageError about an option that is wrong."""
    chosen = {name: value for name, value in given.items() if name not in FREE}
    if "time_budget" in chosen:
        chosen["time_budget"] = seconds("time_budget", chosen["time_budget"])
    elif "epochs" not in chosen:
        chosen["epochs"] = EPOCHS
    with naming_options(*SETTINGS):
        return Settings(**chosen)


def threads_from(given: dict[str, Any]) -> int:
    """Return the number of worker threads. Raise UsageError if it is wrong."""
    if "threads" not in given:
        return default_threads() if world().size == 1 else 1
    with naming_options("threads"):
        threads: int = integer(1)("train", "threads", given["threads"])
    if threads > 1 and not can_limit():
        raise UsageError(
            f"--threads is {threads}, which needs threadpoolctl "
            "(the extra threads: pip install threadpoolctl) or OPENBLAS_NUM_THREADS=1"
        )
    return threads


def check_unchanged(given: dict[str, Any], saved: Settings) -> None:
    """Raise UsageError if an option contradicts the settings of the run to be resumed."""
    for name, value in given.items():
        if name in FREE:
            continue
        wanted = seconds(name, value) if name == "time_budget" else value
        if getattr(saved, name) != wanted:
            raise UsageError(
                f"{option_name(name)} is {value}, the checkpoint's run has "
                f"{getattr(saved, name)}: expected the same, or no such option with --resume"
            )


def seconds(name: str, value: Any) -> float:
    """Return the seconds in a time such as 90, 90s, 3m or 1h.

    >>> seconds("time_budget", "1.5m")
    90.0
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smh]?)", str(value).strip())
    if match is None:
        raise UsageError(
            f"{option_name(name)} is {shown(str(value))}, expected a time such as 90s, 3m or 1h"
        )
    return float(match[1]) * UNITS[match[2]]


def read_config(name: str) -> dict[str, Any]:
    """Return the options in a TOML file. Whatever is wrong with it is a UsageError."""
    with errors_as(UsageError, name, "--config"), damaged_file_errors(Path(name), CONFIG):
        text = read_whole(name, CONFIG_SIZE).decode("utf-8-sig")
        if any(line.count(".") > MAX_DOTS for line in text.split("\n")):
            raise ValueError(f"a line has more than {MAX_DOTS} dots, expected options only")
        content = tomllib.loads(text)
        given: dict[str, Any] = {}
        for key, value in content.items():
            option = key.replace("-", "_")
            if option not in (*SETTINGS, *FREE):
                raise ValueError(f"it has {key!r}, expected an option of this command")
            if option in given:
                raise ValueError(f"it has {key!r} twice, with - and with _")
            str(value)  # a ValueError if it is a number of too many digits for a message
            if option in ("checkpoint", "log", "plot") and not isinstance(value, str):
                raise TypeError(f"{key} is {shown(value)}, expected a file name")
            given[option] = value
        return given
