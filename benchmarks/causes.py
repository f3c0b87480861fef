"""Count the bugs in other people's styles whose cause the checker finds, each with its line.

Run with ``python -m benchmarks.causes [STYLE]``. The bugs are those of tests/checking. A cause
counts only if every gradient is right with the changed line. ``numpy-rnn check --museum`` counts
the museum's bugs in the same way.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from numpy_rnn.checking import check_gradients
from tests.checking.users_styles import WRONG, source

VERIFIED = "every gradient is right"


def cause(name: str, right: str, wrong: str, folder: Path) -> str:
    """Return the verified cause of one bug, or an empty string; its code has to be a file."""
    path = folder / f"{name}_{len(list(folder.iterdir()))}.py"
    path.write_text("import numpy as np\n" + source(name, right, wrong))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # noqa: S101 (for the type checker)
    assert spec.loader is not None  # noqa: S101 (for the type checker)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    arguments = module.arguments
    arguments = arguments if isinstance(arguments, tuple) else (arguments,)
    report = check_gradients(module.subject, *arguments)
    return next((text for text in report.suggestions if VERIFIED in text), "")


def main(styles: list[str]) -> None:
    """Print each bug with its cause, and the counts by style."""
    found, all_bugs = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for name, right, wrong, _ in WRONG:
            if styles and name not in styles:
                continue
            start = time.perf_counter()
            text = cause(name, right, wrong, Path(folder))
            found[name] += bool(text)
            all_bugs[name] += 1
            print(f"{name:14s} {time.perf_counter() - start:4.1f} s  {wrong.strip()[:60]!r}")
            print(f"               {text or 'no cause'}", flush=True)
    for name, count in all_bugs.items():
        print(f"{name:14s} {found[name]} of {count}")
    print(f"{'all':14s} {found.total()} of {all_bugs.total()}")


if __name__ == "__main__":
    main(sys.argv[1:])
