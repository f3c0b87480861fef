"""Gradient bugs: a reference that is correct, and a small patch that makes it wrong.

A reference is readable code of a forward/backward pair, mostly a page of ``numpy_rnn.textbook``. It
is a row of the same kind as in ``museum/registry.py``. An :class:`OptimizerReference` is readable
code of an optimiser's step. A :class:`Bug` replaces one or two lines of the backward pass or of the
step. The patched function is compiled from the patched source, so a traceback, a debugger and
``inspect.getsource`` show the mistake. The bugs are in ``bugs/*.txt``.
"""

from __future__ import annotations

import difflib
import importlib.resources
import inspect
import itertools
import linecache
import re
import textwrap
from collections.abc import Callable, Mapping
from importlib.resources.abc import Traversable
from typing import Any, Literal, NamedTuple, TypeAlias, cast, get_args

import numpy as np

from numpy_rnn.museum.registry import RegisteredPair

Function: TypeAlias = Callable[..., Any]
Kind: TypeAlias = Literal["value", "nonlinear", "float32", "mutates", "random"]

TABLES = importlib.resources.files("numpy_rnn.museum") / "bugs"
# An entry of a table: the first line, the patch in pairs of before and after, the cause.
_ENTRY = re.compile(
    rf"(?P<name>[^|\n]+) \| (?P<located>[^|\n]+?)"
    rf"( \| (?P<kind>{'|'.join(get_args(Kind))}))?( \| T = (?P<steps>\d+))?\n"
    r"(?P<patch>((    - .*\n)+(    \+ .*\n)+)+)"
    r"(?P<cause>(    (?![-+] ).+\n)+)"
)


class OptimizerReference(NamedTuple):
    """An optimiser's step that is correct, as :func:`check_optimizer` takes it."""

    name: str
    step: Function
    closed_form: Function  # of the path that the steps take
    options: Mapping[str, float]  # the hyperparameters to check it with

    def checked(self) -> tuple[Function]:
        """Return the step, which bugs patch."""
        return (self.step,)


class Bug(NamedTuple):
    """A mistake in the code of a reference.

    The kinds: "value": the gradient is wrong. "nonlinear": it is wrong only for large or only for
    small incoming gradients. "float32": it has the precision of float32. "mutates": backward
    changes its cache or the caller's arrays. "random": two calls differ.
    """

    reference: RegisteredPair | OptimizerReference
    name: str  # the mistake in a few words
    # What a report must name: an argument ("W_hh"), a gradient ("dx"), "gate f", "row 2", "t = 0".
    located: tuple[str, ...]
    patch: str  # lines of code to be replaced, marked "-", and their replacement, marked "+"
    cause: str  # how the mistake comes about, in one line
    kind: Kind = "value"
    steps: int = 11  # a sequence length that shows the mistake

    def __str__(self) -> str:
        return f"{self.reference.name}: {self.name}"

    def patched(self) -> tuple[Function, ...]:
        """Return the functions of the reference, with the bug in the last of them.

        A line to be replaced that does not occur exactly once in the code is a ValueError.

        Examples
        --------
        >>> from numpy_rnn.museum import BUGS
        >>> forward, wrong_backward = BUGS[0].patched()
        >>> wrong_backward.__name__
        'elman_backward'
        """
        *others, function = self.reference.checked()
        code = self._patched_source()
        filename = f"<museum: {self}>"
        # Tracebacks and inspect look up in linecache the lines of code that is in no file.
        linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
        namespace = {"np": np, **function.__globals__}
        exec(compile(code, filename, "exec"), namespace)  # noqa: S102 (our own source, patched)
        return *others, namespace[function.__name__]

    def diff(self) -> str:
        """Return the lines that the bug changes, without their common indentation.

        Examples
        --------
        >>> from numpy_rnn.museum import BUGS
        >>> print(BUGS[0].diff())
        - dW_hh += dz.T @ h[t]  # (0') (H, H)
        + dW_hh = dz.T @ h[t]  # (0') (H, H)
        """
        before = inspect.getsource(self.reference.checked()[-1]).splitlines()
        diff = difflib.unified_diff(before, self._patched_source().splitlines(), n=0)
        lines = [line for line in diff if not line.startswith(("---", "+++", "@@"))]
        code = textwrap.dedent("\n".join(line[1:] for line in lines)).splitlines()
        return "\n".join(f"{line[0]} {text}" for line, text in zip(lines, code, strict=True))

    def _patched_source(self) -> str:
        return apply_patch(self.patch, inspect.getsource(self.reference.checked()[-1]), str(self))


def apply_patch(patch: str, code: str, name: str) -> str:
    r"""Return code with the lines of a patch replaced. `name` is the patch's, for an error.

    Examples
    --------
    >>> apply_patch("- 1\n+ 2", "x = 1", "two")
    'x = 2'
    """
    groups = itertools.groupby(patch.splitlines(), key=lambda line: line[0])
    blocks = [[line[2:] for line in lines] for _, lines in groups]
    for removed, added in zip(blocks[::2], blocks[1::2], strict=True):
        # A patch does not hold the indentation of the line of code in which it begins.
        line = code[code.rfind("\n", 0, max(code.find(removed[0]), 0)) + 1 :]
        indent = line[: len(line) - len(line.lstrip(" "))]
        before, after = f"\n{indent}".join(removed), f"\n{indent}".join(added)
        found = code.count(before)
        if found != 1 or before == after:
            raise ValueError(
                f"patched: {before!r} of bug {name!r} occurs {found} times in the code, "
                "expected once and a different replacement"
            )
        code = code.replace(before, after)
    return code


def read_bugs(
    table: str,
    references: Mapping[str, RegisteredPair | OptimizerReference],
    folder: Traversable = TABLES,
) -> list[Bug]:
    """Return the bugs of a table, in the order of the file.

    The head of ``bugs/cells.txt`` explains the form of an entry. Another form is a ValueError.
    """
    text = (folder / f"{table}.txt").read_text("utf-8")
    bugs: list[Bug] = []
    reference = None
    for block in re.finditer(r"(?:.+(?:\n|$))+", text):
        first, *rest = block[0].splitlines()
        if first.startswith("#"):
            continue
        if not rest and first[1:-1] in references and first == f"[{first[1:-1]}]":
            reference = references[first[1:-1]]
            continue
        entry = _ENTRY.fullmatch(block[0].rstrip("\n") + "\n")
        if entry is None or reference is None:
            line = text.count("\n", 0, block.start()) + 1
            raise ValueError(
                f"read_bugs: {table}.txt, line {line}: {first!r} begins an entry, expected the "
                "[NAME] of a reference and below it entries of the form "
                f"name | places | {' or '.join(get_args(Kind))} | T = steps, "
                "of which the last two are optional, lines marked - and +, and a cause"
            )
        located = tuple(entry["located"].split(", "))
        patch = textwrap.dedent(entry["patch"]).rstrip("\n")
        kind = cast("Kind", entry["kind"] or "value")
        cause = " ".join(entry["cause"].split())
        steps = int(entry["steps"] or 11)
        bugs.append(Bug(reference, entry["name"], located, patch, cause, kind, steps))
    return bugs
