"""What hangs in the museum: textbook code, and small patches that make its gradient wrong.

A room is textbook code that is right: plain loops, as people write them. An exhibit is a
mistake: a line or two of that code in another wording. The patched functions are compiled from
the patched source, so that a traceback, a debugger or ``inspect.getsource`` shows the mistake.
"""

from __future__ import annotations

import difflib
import inspect
import linecache
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from numpy_rnn.checking.shapes import SIZES, Drawn, parse
from numpy_rnn.functional.types import Array

Function: TypeAlias = Callable[..., Any]
Sizes: TypeAlias = dict[str, int]


class Room(NamedTuple):
    """A pair in textbook code: ``out, cache = forward(...)``, ``grads = backward(*douts, cache)``.

    Attributes
    ----------
    name : str
        What the pair computes.
    forward, backward : callable
        The pair; it obeys the mirror rule.
    shapes : mapping of str to shape, or a function of (generator, sizes)
        Each argument of `forward`, in order.
    gates : tuple of str
        The names of the blocks of every argument whose first axis is gates times H.
    """

    name: str
    forward: Function
    backward: Function
    shapes: Mapping[str, Drawn]
    gates: tuple[str, ...] = ()

    @property
    def functions(self) -> tuple[Function, ...]:
        """The code that exhibits patch."""
        return self.forward, self.backward


class OptimizerRoom(NamedTuple):
    """An optimiser in textbook code, and where its path should lead.

    Attributes
    ----------
    name : str
        Of the optimiser.
    step : callable
        ``step(theta, grad, state, **options)`` changes the arrays of the dicts `theta` and
        `state` in place.
    closed_form : callable
        ``closed_form(path, gradients, **options)``, see closed_forms.py.
    options : mapping
        The numbers it is checked with.
    """

    name: str
    step: Function
    closed_form: Function
    options: Mapping[str, float]

    @property
    def functions(self) -> tuple[Function, ...]:
        """The code that exhibits patch."""
        return (self.step,)


class Exhibit(NamedTuple):
    """A mistake in a room's code.

    Attributes
    ----------
    room : Room or OptimizerRoom
        Whose code it is in.
    name : str
        What is wrong, in a few words.
    old, new : str
        The patch: `old` occurs once in the code.
    story : str
        How it happens in practice, in one line.
    named : tuple of str
        What a finding at the right place says: an argument ("W_hh", "dx"), "gate f", "t = 0".
    kind : str
        How it shows. "value": the gradient is wrong; "nonlinear": it is wrong for large or small
        gradients only; "float32": it has half of the digits; "mutates": a second backward, or
        the caller's arrays, are wrong; "random": two calls differ.
    steps : int
        The length of a sequence that shows it.
    """

    room: Room | OptimizerRoom
    name: str
    old: str
    new: str
    story: str
    named: tuple[str, ...]
    kind: Literal["value", "nonlinear", "float32", "mutates", "random"] = "value"
    steps: int = 11


def source(room: Room | OptimizerRoom) -> str:
    """Return the textbook code of a room."""
    return "\n\n".join(inspect.getsource(function) for function in room.functions)


def patched_source(exhibit: Exhibit) -> str:
    """Return a room's code with the mistake in it.

    Raises
    ------
    ValueError
        If what the patch replaces does not occur exactly once, or is replaced by itself.
    """
    text = source(exhibit.room)
    found = text.count(exhibit.old)
    if found != 1 or exhibit.old == exhibit.new:
        raise ValueError(
            f"exhibit {exhibit.room.name!r}, {exhibit.name!r}: its code contains {exhibit.old!r} "
            f"{found} times, expected once and something else in its place"
        )
    return text.replace(exhibit.old, exhibit.new)


def patched(exhibit: Exhibit) -> tuple[Function, ...]:
    """Return the room's functions with the mistake in them.

    Parameters
    ----------
    exhibit : Exhibit
        Room and patch.

    Returns
    -------
    functions : tuple of callable
        ``(forward, backward)``, or ``(step,)`` in an :class:`OptimizerRoom`.

    Raises
    ------
    ValueError
        If the patch does not fit the code.
    """
    text = patched_source(exhibit)
    filename = f"<museum: {exhibit.room.name}, {exhibit.name}>"
    # linecache is where tracebacks and inspect look for the lines of a file that is none.
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    functions = exhibit.room.functions
    namespace = dict(functions[0].__globals__)
    exec(compile(text, filename, "exec"), namespace)  # noqa: S102 (our own source, patched)
    return tuple(namespace[function.__name__] for function in functions)


def diff(exhibit: Exhibit) -> str:
    """Return the patch as people read it: the lines before, marked -, and after, marked +."""
    before, after = source(exhibit.room).splitlines(), patched_source(exhibit).splitlines()
    lines = [
        line
        for line in difflib.unified_diff(before, after, n=0, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    ]
    texts = textwrap.dedent("\n".join(line[1:] for line in lines)).splitlines()
    return "\n".join(f"{line[0]} {text}" for line, text in zip(lines, texts, strict=True))


def arguments(
    room: Room, rng: np.random.Generator, sizes: Sizes = SIZES, scale: float = 0.7
) -> tuple[Array, ...]:
    """Draw one array for every argument of a room's forward.

    Parameters
    ----------
    room : Room
        Names the arguments.
    rng : Generator
        Draws them.
    sizes : mapping of str to int
        T, B, D, H, P and V.
    scale : float
        Standard deviation of the real ones.

    Returns
    -------
    arguments : tuple of arrays
        None of them zero.
    """
    return tuple(
        rng.standard_normal(parse(name, shape, sizes)[1]) * scale
        if isinstance(shape, str)
        else shape(rng, sizes)
        for name, shape in room.shapes.items()
    )
