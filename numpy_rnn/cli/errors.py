"""Errors that end a command in one line, and the option or file that they name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from numpy_rnn.apps.plotting import require_matplotlib
from numpy_rnn.files import NotRegularFileError, check_writable, open_regular
from numpy_rnn.layers.validate import NotFiniteError
from numpy_rnn.locks import hold


class UsageError(Exception):
    """The command line asks for something impossible: exit status 2."""


class RunError(Exception):
    """The command started and failed: exit status 1."""


@contextmanager
def errors_as(kind: type[UsageError | RunError], name: str, option: str = "") -> Iterator[None]:
    """Turn a failure to read or write a file into one line that names the file and its option.

    A ValueError, and an OSError of numpy_rnn.files, name the file themselves. An ImportError names
    the extra that is missing.

    >>> with errors_as(UsageError, "no/log.jsonl", "--log"):
    ...     open("no/log.jsonl")
    Traceback (most recent call last):
    numpy_rnn.cli.errors.UsageError: --log 'no/log.jsonl': No such file or directory
    """
    try:
        yield
    except OSError as error:
        if error.strerror is None:
            raise kind(f"{option}: {error}" if option else error) from None
        # An output file has a temporary name until it is complete.
        file = name if option else str(error.filename or name)
        raise kind(f"{option} {file!r}: {error.strerror}".lstrip()) from None
    except NotFiniteError:  # of a computation, not of an argument
        raise
    except (ValueError, ImportError) as error:
        raise kind(f"{option}: {error}" if option else error) from None


def check_text(name: str) -> None:
    """Raise an error before a run if its text file cannot be read.

    A pipe, a device and ``-`` are refused: they may never end, and a text is read twice.
    """
    with errors_as(RunError, name), suppress(NotRegularFileError):
        if name != "-" or Path(name).exists():
            open_regular(name).close()
            return
    raise UsageError(f"{name!r} is not a regular file, expected one: it is read twice")


def check_output(
    option: str, name: str, suffixes: tuple[str, ...] = (), inputs: Iterable[str] = ()
) -> None:
    """Raise UsageError before a run if its output file cannot be written after it.

    The file is locked until the command ends. `suffixes` are the permitted endings of the name; an
    empty tuple permits any. `inputs` are the files that the command reads.
    """
    if suffixes and Path(name).suffix not in suffixes:
        raise UsageError(f"{option} {name!r}: expected a name that ends in {', '.join(suffixes)}")
    with errors_as(UsageError, name, option):
        check_writable(Path(name))
        for other in map(Path, inputs):
            if Path(name).exists() and other.exists() and other.samefile(name):
                raise UsageError(f"{option} {name!r} is an input too, expected another file")
        hold(Path(name), option)


def check_plot(name: str, inputs: Iterable[str] = ()) -> None:
    """Raise UsageError before a run if ``--plot`` cannot be fulfilled after it."""
    check_output("--plot", name, (".png", ".svg", ".pdf"), inputs)
    with errors_as(UsageError, name, "--plot"):
        require_matplotlib()
