"""Contents of a model file: its arrays and settings, and the model that they describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy_rnn.functional.types import Array


class UnsupportedError(ValueError):
    """A good file describes something that has no counterpart here. The message names it."""


@dataclass(frozen=True)
class Contents:
    """A file that was read and validated, before a model is built from it.

    Attributes
    ----------
    format : str
        Name of the format: a key of :data:`numpy_rnn.interchange.formats.FORMATS`.
    arrays : mapping of str to array
        The weights, by the file's own names, in the file's own layout.
    architecture : list of str
        One line per layer or node, in order: what it is and its sizes.
    notes : list of str
        What is unusual, one line each: half precision, tied weights, a bias that is added up.
    settings : mapping of str to object
        What the file holds besides arrays, as plain values.
    build : callable
        ``build(**options)`` returns the model: a Layer, or a Graph if the file holds a graph
        that is not a chain of layers. It raises :class:`UnsupportedError`.
    """

    format: str
    arrays: Mapping[str, Array]
    architecture: list[str]
    build: Callable[..., Any]
    notes: list[str] = field(default_factory=list)
    settings: Mapping[str, Any] = field(default_factory=dict)
