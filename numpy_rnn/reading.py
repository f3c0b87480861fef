"""What all readers of files share: one exception type, and limits on what a file may claim."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from numpy_rnn.text import strip_control_characters

BUDGET = 1 << 32  # bytes; far above any network that is trained with NumPy
SPARSE = 1 << 24  # bytes; a larger file must have at least half of its bytes on the disk
MAX_REASON = 300  # characters of a message, which may quote the file


class DamagedFileError(ValueError):
    """A file does not hold what it should. The message names the file and the reason.

    Examples
    --------
    >>> with damaged_file_errors(Path("a.safetensors"), "a checkpoint"):
    ...     raise KeyError("seed")
    Traceback (most recent call last):
    numpy_rnn.reading.DamagedFileError: 'a.safetensors' is not a checkpoint: it has no 'seed'
    """


def one_line(text: str, most: int = MAX_REASON) -> str:
    """Return a text that may quote a file, for a message: one line of bounded length."""
    line = " ".join(strip_control_characters(text).split())
    return line if len(line) <= most else f"{line[:most]}..."


@contextmanager
def damaged_file_errors(
    path: Path, description: str, passed: type[Exception] = DamagedFileError
) -> Iterator[None]:
    """Turn any exception about the content of a file into one that says it is not `description`.

    For arbitrary bytes, parsers and the constructors that receive the settings raise a dozen
    types between them, RecursionError included. An OSError is the disk's and a MemoryError of
    NumPy is the machine's: both pass, and so does one of the type `passed`.
    """
    try:
        yield
    except (DamagedFileError, ImportError, passed):  # an ImportError names a missing extra
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            error.filename = error.filename or str(path)
            raise  # EINVAL is a seek to a position that the file claims
        if isinstance(error, MemoryError) and type(error) is not MemoryError:
            raise  # NumPy has a type of its own; a bare MemoryError may be a parser's
        reason = one_line(str(error)) or type(error).__name__
        if isinstance(error, KeyError) and " " not in reason:
            reason = f"it has no {reason}"
        message = f"{str(path)!r} is not {description}: {reason}"
        raise DamagedFileError(message) from None


def parse_json(
    text: str | bytes, file_size: int, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """Return the value of a JSON text, unless it would take far more memory than its file.

    Five million empty lists fit into 15 MB of JSON, and take 300 MB as Python objects.
    """
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    values = sum(content.count(mark) for mark in b"[{,")
    if 80 * values > 4 * file_size + (1 << 25):
        raise ValueError(f"it has {values} values of JSON in {file_size} bytes, expected fewer")
    return json.loads(text, object_pairs_hook=pairs)


def checked_size(file: BinaryIO) -> int:
    """Return the size of an open file, which has to be within the budget and on the disk."""
    size = os.fstat(file.fileno()).st_size
    if size > BUDGET:
        raise ValueError(f"it has {size} bytes, expected at most {BUDGET}")
    if size > SPARSE and _bytes_on_disk(file.fileno(), size) < size // 2:
        raise ValueError(f"it is sparse: most of its {size} bytes are not on the disk")
    return size


def _bytes_on_disk(handle: int, size: int) -> int:
    """Return how many bytes of a file are not in holes, as far as the system tells."""
    if not hasattr(os, "SEEK_HOLE"):
        return size
    position = os.lseek(handle, 0, os.SEEK_CUR)
    end = found = 0
    try:
        while end < size:
            start = os.lseek(handle, end, os.SEEK_DATA)
            end = os.lseek(handle, start, os.SEEK_HOLE)
            found += end - start
    except OSError as error:  # ENXIO: only a hole is left
        return found if error.errno == errno.ENXIO else size
    finally:
        os.lseek(handle, position, os.SEEK_SET)
    return found
