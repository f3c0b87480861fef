"""A run in one file: everything that its next step depends on.

The file is a ``.npz`` that NumPy opens without pickle. Arrays have the names of their places,
``model/rnn.weight_hh_l0``, ``optimizer/exp_avg``, ``carried/0``; everything else is JSON under
``checkpoint``: the number of the format, what the run was started with, and the rest of the state.
It is written completely or not at all (:mod:`numpy_rnn.files`), and nothing in it is believed
unchecked (:mod:`numpy_rnn.npz`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from numpy_rnn import npz
from numpy_rnn.files import naming
from numpy_rnn.functional.types import Array
from numpy_rnn.npz import DamagedFileError
from numpy_rnn.training.trainer import Trainer

FORMAT = 1
KIND = npz.Kind("a checkpoint", settings="checkpoint")

T = TypeVar("T")


def save(path: Path, trainer: Trainer, about: Mapping[str, Any] | None = None) -> None:
    """Write a trainer's state, completely or not at all.

    Parameters
    ----------
    path : Path
        A name that ends in ``.npz``; an existing file is replaced.
    trainer : Trainer
        Between two steps.
    about : mapping, optional
        What JSON can say, for whoever opens the file: what the run was started with.

    Raises
    ------
    OSError
        If the file cannot be written.
    TrainingFailedError
        If a parameter is not finite: the file before this one is worth more.
    """
    trainer.check_finite()
    state = trainer.state_dict()
    arrays = dict(_arrays(state))
    rest = {"format": FORMAT, "about": dict(about or {}), "state": _without_arrays(state)}
    with naming(path):
        npz.write(path, KIND, rest, arrays)


def load(path: Path, trainer: Trainer) -> dict[str, Any]:
    """Let a trainer go on from a file.

    Parameters
    ----------
    path : Path
        From :func:`save`.
    trainer : Trainer
        Made of the same parts as the one that was saved.

    Returns
    -------
    about : dict
        What was given to :func:`save`.

    Raises
    ------
    OSError
        If the file cannot be read.
    DamagedFileError
        In one line, if it is not such a file, is damaged, or is of another run.
    """
    about, state = read(path, lambda about: (about, layout(trainer)))
    with npz.refusing(path, KIND):
        trainer.load_state_dict(state)
    return about


def read(
    path: Path, expect: Callable[[dict[str, Any]], tuple[T, npz.Layout]]
) -> tuple[T, dict[str, Any]]:
    """Read what :func:`save` wrote, before there is a trainer.

    Parameters
    ----------
    path : Path
        The file.
    expect : callable
        Is given `about`; returns what it makes of it, and the arrays that belong to it.

    Returns
    -------
    made : Any
        What `expect` made.
    state : dict
        For :meth:`Trainer.load_state_dict`.

    Raises
    ------
    OSError, DamagedFileError
        As :func:`load`.
    """

    def expect_settings(rest: dict[str, Any]) -> tuple[tuple[T, dict[str, Any]], npz.Layout]:
        if rest.get("format") != FORMAT:
            raise ValueError(f"its format is {rest.get('format')!r}, expected {FORMAT}")
        made, expected = expect(rest["about"])
        return (made, rest["state"]), expected

    (made, state), arrays = npz.read(path, KIND, expect_settings)
    with npz.refusing(path, KIND):
        for name, array in arrays.items():
            *folders, last = name.split("/")
            place = state
            for folder in folders:
                place = place[folder]
            place[last] = array
    return made, state


def layout(trainer: Trainer) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Return the names, shapes and dtypes of the arrays of a trainer's state."""
    return {name: (array.shape, array.dtype) for name, array in _arrays(trainer.state_dict())}


def _arrays(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Array]]:
    found: list[tuple[str, Array]] = []
    for name, value in tree.items():
        if isinstance(value, np.ndarray):
            found.append((prefix + name, value))
        elif isinstance(value, Mapping):
            found += _arrays(value, f"{prefix}{name}/")
    return found


def _without_arrays(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_arrays(value) if isinstance(value, Mapping) else value
        for name, value in tree.items()
        if not isinstance(value, np.ndarray)
    }


__all__ = ["DamagedFileError", "layout", "load", "read", "save"]
