"""python -m numpy_rnn.checking MODULE:OBJECT [SHAPE ...]: check gradients without a test.

MODULE is a module's name or a file. OBJECT is what check_gradients takes, or two names with a
comma, a pair. A shape has its axes between quotes: "T B D". It may have its argument's name:
W="H D". The exit status is 0 if all is right, 1 if something is wrong, 2 for wrong usage.
"""

from __future__ import annotations

import importlib
import re
import runpy
import sys
import traceback
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from numpy_rnn.checking.check import check_gradients
from numpy_rnn.files import open_regular
from numpy_rnn.text import strip_control_characters

# What numpy_rnn and the search for the module raise. Any other is of the user's own code.
EXPECTED = (ImportError, AttributeError, OSError, TypeError, ValueError, SyntaxError)


def load(text: str) -> Any:
    """Return the object that MODULE:OBJECT names."""
    place, _, names = text.rpartition(":")
    if not place or not names:
        given = repr(text) if text else "no arguments"
        raise ValueError(f"{given}, expected MODULE:OBJECT or FILE.py:OBJECT (see --help)")
    sys.path.insert(0, str(Path.cwd()))
    if place.endswith(".py"):
        open_regular(place).close()  # a pipe would wait for its writer
        path, package = Path(place).absolute(), list[str]()
        while (path.parent / "__init__.py").exists():
            package, path = [path.stem, *package], path.parent
        sys.path.insert(0, str(path.parent))  # the file may import its neighbours
        if package:
            module: Any = importlib.import_module(".".join([path.name, *package]))
        else:
            module = SimpleNamespace(**runpy.run_path(place))
    elif "/" in place:
        raise ValueError(f"{place!r}, expected a module's name or a file that ends in .py")
    else:
        module = importlib.import_module(place)
    found = []
    for name in names.split(","):
        try:
            found.append(attrgetter(name.strip())(module))
        except AttributeError as error:
            raise ValueError(f"{place} has no {name.strip()!r}, expected a name in it") from error
    return tuple(found) if len(found) > 1 else found[0]


def read_shapes(texts: list[str]) -> list[Any]:
    """Return the arguments of check_gradients that describe those of forward."""
    named = dict(text.split("=", 1) for text in texts if "=" in text)
    if 0 < len(named) < len(texts):
        raise ValueError(f"shapes {texts}, expected name=shape for each or none")
    return [named] if named else texts


def main(arguments: list[str]) -> int:
    """Check, print the report or a line about what is wrong, and return the exit status."""
    is_question = bool(arguments) and arguments[0] in ("-h", "--help")
    report, status = None, 2
    try:
        if not is_question:
            shapes = read_shapes(arguments[1:])
            report = check_gradients(load("".join(arguments[:1])), *shapes)
        status = 1  # unless all of it is right and is written
        if sys.stdout is not None:  # it may be closed
            sys.stdout.write(f"{report or __doc__.strip()}\n")
            sys.stdout.flush()
        return int(report is not None and not report.ok)
    except KeyboardInterrupt:
        status, reason = 130, "interrupted"
    except (Exception, SystemExit) as error:
        reason = re.sub(r"^\[Errno \d+\] ", "", str(error))
        last = traceback.extract_tb(error.__traceback__)[-1]
        # An import that fails in the user's file says where. The search for MODULE is Python's.
        in_file = isinstance(error, ImportError) and not last.filename.startswith("<")
        if in_file or not isinstance(error, EXPECTED):
            reason = f"{last.filename}:{last.lineno}: {type(error).__name__}: {reason}"
    line = " ".join(strip_control_characters(reason).split())
    sys.stderr.write(f"numpy_rnn.checking: {line}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
