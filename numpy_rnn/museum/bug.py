"""Gradient bugs: a reference that is correct, and a small patch that makes it wrong.

A :class:`Reference` is readable code of a forward/backward pair, mostly a page of
``numpy_rnn.textbook``. An :class:`OptimizerReference` is readable code of an optimiser's step. A
:class:`Bug` replaces one or two lines of the backward pass or of the step. The patched function
is compiled from the patched source, so a traceback, a debugger and ``inspect.getsource`` show the
mistake.
"""

from __future__ import annotations

import difflib
import inspect
import itertools
import linecache
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, cast, get_args

import numpy as np

from numpy_rnn.checking.shapes import SIZES, Drawn, parse
from numpy_rnn.functional.types import Array

Function: TypeAlias = Callable[..., Any]
Kind: TypeAlias = Literal["value", "nonlinear", "float32", "mutates", "random"]


class Reference(NamedTuple):
    """A forward/backward pair that is correct.

    Attributes
    ----------
    name : str
        The name of its textbook page, where it has one.
    forward, backward : callable
        ``out, cache = forward(...)`` and ``gradients = backward(*douts, cache)``, with one
        gradient per argument of forward.
    shapes : mapping of str to shape or callable
        Each argument of forward in order: a shape in letters such as ``"T B D"``, or a function
        of a generator and the sizes.
    gates : tuple of str
        The names of the blocks of every argument whose first axis is a multiple of H.
    """

    name: str
    forward: Function
    backward: Function
    shapes: Mapping[str, Drawn]
    gates: tuple[str, ...] = ()

    @property
    def functions(self) -> tuple[Function, ...]:
        """The pair. Bugs patch the last function."""
        return self.forward, self.backward

    def bugs(self, table: str) -> list[Bug]:
        """Return bugs of this pair, see :func:`read_bugs`."""
        return read_bugs(self, table)

    @property
    def recurrent(self) -> bool:
        """Whether the pair carries a state through time."""
        return "W_hh" in self.shapes


class OptimizerReference(NamedTuple):
    """An optimiser's step that is correct, and a closed form of its path.

    Attributes
    ----------
    name : str
        The optimiser.
    step : callable
        ``step(theta, grad, state, **options)`` changes the arrays of the dicts `theta` and
        `state` in place.
    closed_form : callable
        ``closed_form(path, gradients, **options)``, see ``museum/optimizer_check.py``.
    options : mapping of str to float
        The hyperparameters to check it with.
    """

    name: str
    step: Function
    closed_form: Function
    options: Mapping[str, float]

    @property
    def functions(self) -> tuple[Function, ...]:
        """The step, which bugs patch."""
        return (self.step,)

    def bugs(self, table: str) -> list[Bug]:
        """Return bugs of this step, see :func:`read_bugs`."""
        return read_bugs(self, table)


class Bug(NamedTuple):
    """A mistake in the code of a reference.

    Attributes
    ----------
    reference : Reference or OptimizerReference
        The correct code.
    name : str
        The mistake in a few words.
    located : tuple of str
        What a report must name: an argument ("W_hh"), a gradient ("dx"), "gate f",
        "row 2" or "t = 0".
    patch : str
        Lines of code to be replaced, marked ``-``, and their replacement, marked ``+``.
    cause : str
        How the mistake comes about, in one line.
    kind : {"value", "nonlinear", "float32", "mutates", "random"}
        "value": the gradient is wrong. "nonlinear": it is wrong only for large or only for small
        incoming gradients. "float32": it has the precision of float32. "mutates": backward
        changes its cache or the caller's arrays. "random": two calls differ.
    steps : int
        A sequence length that shows the mistake.
    """

    reference: Reference | OptimizerReference
    name: str
    located: tuple[str, ...]
    patch: str
    cause: str
    kind: Kind = "value"
    steps: int = 11

    def __str__(self) -> str:
        return f"{self.reference.name}: {self.name}"


def read_bugs(reference: Reference | OptimizerReference, table: str) -> list[Bug]:
    r"""Read the bugs of a reference from a table.

    Parameters
    ----------
    reference : Reference or OptimizerReference
        The correct code.
    table : str
        The first line of an entry is ``name | located | kind | T = steps``; the last two parts are
        optional. The patch and the cause follow, indented by four spaces.

    Returns
    -------
    bugs : list of Bug
        In the order of the table.

    Raises
    ------
    ValueError
        If an entry has another form.

    Examples
    --------
    >>> from numpy_rnn.museum import REFERENCES
    >>> linear = next(reference for reference in REFERENCES if reference.name == "linear")
    >>> read_bugs(linear, "sign | dW\n    - dW +=\n    + dW -=\n    A typing error.")[0].located
    ('dW',)
    """
    entries = re.split(r"\n(?! )", table.strip("\n"))
    return [_read_bug(reference, *entry.splitlines()) for entry in entries]


def _read_bug(reference: Reference | OptimizerReference, header: str, *lines: str) -> Bug:
    name, located, *options = header.split(" | ")
    patch = [line[4:] for line in lines if line[4:6] in {"- ", "+ "}]
    cause = [line.strip() for line in lines if line[4:6] not in {"- ", "+ "}]
    bug = Bug(reference, name, tuple(located.split(", ")), "\n".join(patch), " ".join(cause))
    for option in options:
        if option.startswith("T = "):
            bug = bug._replace(steps=int(option[4:]))
        elif option in get_args(Kind):
            bug = bug._replace(kind=cast("Kind", option))
        else:
            kinds = ", ".join(get_args(Kind))
            raise ValueError(f"read_bugs: {option!r} in {header!r}, expected T = steps or {kinds}")
    return bug


def patched(bug: Bug) -> tuple[Function, ...]:
    """Return the functions of a bug's reference, with the bug in the last of them.

    Parameters
    ----------
    bug : Bug
        The reference and the patch.

    Returns
    -------
    functions : tuple of callable
        ``(forward, backward)``, or ``(step,)`` for an :class:`OptimizerReference`.

    Raises
    ------
    ValueError
        If a line to be replaced does not occur exactly once in the code.

    Examples
    --------
    >>> from numpy_rnn.museum import BUGS
    >>> forward, wrong_backward = patched(BUGS[0])
    >>> wrong_backward.__name__
    'elman_backward'
    """
    *others, function = bug.reference.functions
    code = _patched_source(bug)
    filename = f"<museum: {bug}>"
    # Tracebacks and inspect look up in linecache the lines of code that is in no file.
    linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
    namespace = {"np": np, **function.__globals__}
    exec(compile(code, filename, "exec"), namespace)  # noqa: S102 (our own source, patched)
    return *others, namespace[function.__name__]


def diff(bug: Bug) -> str:
    """Return the lines that a bug changes, marked ``-`` before and ``+`` after.

    Parameters
    ----------
    bug : Bug
        The reference and the patch.

    Returns
    -------
    diff : str
        Whole lines, without their common indentation.

    Examples
    --------
    >>> from numpy_rnn.museum import BUGS
    >>> print(diff(BUGS[0]))
    - dW_hh += dz.T @ h[t]  # (0') (H, H)
    + dW_hh = dz.T @ h[t]  # (0') (H, H)
    """
    before = inspect.getsource(bug.reference.functions[-1]).splitlines()
    lines = [
        line
        for line in difflib.unified_diff(before, _patched_source(bug).splitlines(), n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
    code = textwrap.dedent("\n".join(line[1:] for line in lines)).splitlines()
    return "\n".join(f"{line[0]} {text}" for line, text in zip(lines, code, strict=True))


def draw_arguments(
    reference: Reference,
    rng: np.random.Generator,
    sizes: dict[str, int] = SIZES,
    scale: float = 0.7,
) -> tuple[Array, ...]:
    """Draw one array for every argument of a reference's forward.

    Parameters
    ----------
    reference : Reference
        The pair, with the shapes of its arguments.
    rng : numpy.random.Generator
        The source of the numbers.
    sizes : mapping of str to int
        The sizes of T, B, D, H, P and V.
    scale : float
        The standard deviation of the real arguments.

    Returns
    -------
    arguments : tuple of arrays
        In the order of forward's signature.

    Examples
    --------
    >>> import numpy as np
    >>> from numpy_rnn.museum import REFERENCES
    >>> arguments = draw_arguments(REFERENCES[0], np.random.default_rng(0))
    >>> arguments[0].shape
    (11, 3, 5)
    """
    return tuple(
        rng.standard_normal(parse(name, shape, sizes)[1]) * scale
        if isinstance(shape, str)
        else shape(rng, sizes)
        for name, shape in reference.shapes.items()
    )


def _patched_source(bug: Bug) -> str:
    code = inspect.getsource(bug.reference.functions[-1])
    for before, after in _hunks(bug.patch):
        found = _occurrences(code, before)
        if len(found) != 1 or before == after:
            raise ValueError(
                f"patched: {before!r} of bug {str(bug)!r} occurs {len(found)} times in the code, "
                "expected once and a different replacement"
            )
        start, indent = found[0]
        stop = start + len(_indented(before, indent))
        code = code[:start] + _indented(after, indent) + code[stop:]
    return code


def _hunks(patch: str) -> list[tuple[str, str]]:
    """Return the pairs (lines before, lines after) of a patch."""
    groups = itertools.groupby(patch.splitlines(), key=lambda line: line[0])
    blocks = ["\n".join(line[2:] for line in lines) for _, lines in groups]
    return list(zip(blocks[::2], blocks[1::2], strict=True))


def _occurrences(code: str, before: str) -> list[tuple[int, str]]:
    """Return each place of `before` in the code, and the indentation of the line it starts in."""
    found = []
    for match in re.finditer(re.escape(before.partition("\n")[0]), code):
        line = code[code.rfind("\n", 0, match.start()) + 1 :]
        indent = line[: len(line) - len(line.lstrip(" "))]
        if code.startswith(_indented(before, indent), match.start()):
            found.append((match.start(), indent))
    return found


def _indented(lines: str, indent: str) -> str:
    """Return lines with all but the first indented."""
    return lines.replace("\n", "\n" + indent)
