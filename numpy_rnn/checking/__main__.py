"""``python -m numpy_rnn.checking MODULE:OBJECT [SHAPE ...]``: check gradients without a test.

MODULE is a module's name or a file. OBJECT is what check_gradients takes, or two names with a
comma, a pair. A shape may have its argument's name: ``W="H D"``.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from numpy_rnn.checking.check import check_gradients


def load(text: str) -> Any:
    """Return the object that MODULE:OBJECT names."""
    place, _, names = text.rpartition(":")
    if not place or not names:
        raise ValueError(f"{text!r}, expected MODULE:OBJECT or FILE.py:OBJECT")
    sys.path.insert(0, str(Path.cwd()))
    if place.endswith(".py"):
        module: Any = SimpleNamespace(**runpy.run_path(place))
    else:
        module = importlib.import_module(place)
    found = tuple(attrgetter(name.strip())(module) for name in names.split(","))
    return found if len(found) > 1 else found[0]


def main(arguments: list[str]) -> str | int:
    """Check, print the report, and return the exit status or a line about what is wrong."""
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(__doc__)
        return 0
    named = dict(a.split("=", 1) for a in arguments[1:] if "=" in a)
    shapes: list[Any] = [named] if named else arguments[1:]
    try:
        report = check_gradients(load(arguments[0]), *shapes)
    except (ImportError, AttributeError, OSError, TypeError, ValueError) as error:
        return f"numpy_rnn.checking: {error}"
    sys.stdout.write(f"{report}\n")
    return int(not report.ok)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
