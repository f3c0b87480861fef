"""Measurements: each script's first lines show how to run it.

What they compare with is in the extras of pyproject.toml. A missing package ends a script in one
line, which names the extra. So does a missing file.
"""

from __future__ import annotations

import sys
from types import TracebackType

EXTRAS = {
    "benchmark": ("torch", "jax", "onnx", "onnxruntime", "scipy"),
    "peers": ("thinc", "autograd", "pydynet", "tinygrad", "keras", "threadpoolctl"),
    "keras": ("h5py",),
    "plot": ("matplotlib",),
    "fuzz": ("atheris",),
    "test": ("pytest", "hypothesis"),
}


def show_missing(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Print a missing package or file as one line, and every other error as Python does."""
    if isinstance(error, FileNotFoundError) and error.filename:
        print(f"{error.filename!r}: {error.strerror}", file=sys.stderr)
        return
    if isinstance(error, ModuleNotFoundError):
        package = str(error.name).partition(".")[0]
        for extra, packages in EXTRAS.items():
            if package in packages:
                install = f'pip install -e ".[{extra}]"'
                message = f"{package} is not installed, expected the extra {extra}: {install}"
                print(message, file=sys.stderr)
                return
    sys.__excepthook__(kind, error, traceback)


sys.excepthook = show_missing
