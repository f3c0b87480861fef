"""Options of a command, generated from short descriptions and from dataclass fields."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import Field, fields
from typing import Any, get_args, get_type_hints

from numpy_rnn.cli.errors import UsageError
from numpy_rnn.layers.validate import NotFiniteError

METAVARS = {int: "N", float: "X", str: "NAME"}


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], summary: str, text: str
) -> argparse.ArgumentParser:
    """Add a subcommand that calls `run`, and return its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=text)
    parser.set_defaults(run=run, prog=parser.prog)
    return parser


def add_option(
    parser: argparse.ArgumentParser,
    option: str,
    kind: type | str | Collection[str],
    default: Any,
    text: str,
) -> None:
    """Add an option.

    `kind` is int, float, bool for a flag, a placeholder such as ``"FILE.npz"`` for a string, or
    the permitted words. The help shows the default, if there is one and `text` does not
    describe it.
    """
    value: dict[str, Any] = {"choices": kind}
    if kind is bool:
        value = {"action": "store_true"}
    elif isinstance(kind, type):
        value = {"type": kind, "metavar": METAVARS[kind]}
    elif isinstance(kind, str):
        value = {"metavar": kind}
    if default not in (None, False) and "(default:" not in text:
        shown = f"{default:g}" if isinstance(default, float) else default
        text += f" (default: {shown})"
    parser.add_argument(option, default=default, help=text, **value)


def add_options(parser: argparse.ArgumentParser, settings: type) -> None:
    """Add an option for each of the :func:`described` fields of a class of settings."""
    kinds = get_type_hints(settings)
    for each in described(settings).values():
        kind = (*get_args(kinds[each.name]), kinds[each.name])[0]  # int of int | None
        choices = getattr(each.metadata["check"], "keywords", {}).get("known", kind)
        add_option(parser, option_name(each.name), choices, each.default, each.metadata["text"])


def described(settings: type) -> dict[str, Field[Any]]:
    """Return the fields of a class of settings that have a text for ``--help``, by name."""
    return {each.name: each for each in fields(settings) if each.metadata.get("text")}


def option_name(name: str) -> str:
    """Return the option of a field: ``hidden_size`` gives ``--hidden-size``."""
    return f"--{name.replace('_', '-')}"


def values(options: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Return the values of some options by name."""
    return {name: getattr(options, name) for name in names}


def spelled(message: str) -> str:
    """Return a message of `interchange.load` with the options of a command.

    >>> spelled("expected the order, as layers=['rnn', 'fc']")
    'expected the order, as --option layers=rnn,fc'
    """
    names = r"(layers|config|dtype|nonlinearity|batch_first|reset_after|eps)"
    message = re.sub(rf"\b{names}(?==(?:[\[{{]|\s|$)| is | has )", r"--option \1", message)
    message = re.sub(r"\boption (?=')", "--option ", message)
    lists = r"(?<=layers=)\[([^]]*)\]?"  # a long message is cut off
    return re.sub(lists, lambda match: match[1].strip("'").replace("', '", ","), message)


@contextmanager
def naming_options(*names: str) -> Iterator[None]:
    """Turn a library error about a setting into a UsageError about its option.

    >>> with naming_options("top_k"):
    ...     raise ValueError("top_k is 0, expected at least 1")
    Traceback (most recent call last):
    numpy_rnn.cli.errors.UsageError: --top-k is 0, expected at least 1
    """
    try:
        yield
    except NotFiniteError:  # of a computation, not of an option
        raise
    except (TypeError, ValueError) as error:
        message = re.sub(r"^\w+: ", "", str(error))  # without the name of the class
        pattern = rf"^({'|'.join(names)})(?= is | has )"
        message = re.sub(pattern, lambda match: option_name(match[1]), message)
        raise UsageError(message) from None
