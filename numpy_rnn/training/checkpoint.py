"""Checkpoints: one file with everything that the next step of a run depends on.

The file is a ``.npz`` (:mod:`numpy_rnn.npz`). Arrays have path-like names,
``model/rnn.weight_hh_l0``, ``optimizer/exp_avg``, ``carried/0``. Everything else is JSON under
``checkpoint``: the version of the format, what the caller passed about the run, and the rest of the
state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn import npz
from numpy_rnn.arguments import check_kind, check_mapping, check_path
from numpy_rnn.files import naming
from numpy_rnn.functional.types import Array
from numpy_rnn.training.state import names
from numpy_rnn.training.trainer import Trainer

VERSION = 3
SUPPORTED = (2, 3)
FORMAT = npz.FileFormat("a checkpoint", settings_entry="checkpoint")
ANOTHER = npz.FileFormat("a checkpoint of this trainer", settings_entry="checkpoint")


def save(path: Path | str, trainer: Trainer, about: Mapping[str, Any] | None = None) -> None:
    """Write a trainer's state, completely or not at all.

    Parameters
    ----------
    path : Path or str
        A name that ends in ``.npz``; an existing file is replaced.
    trainer : Trainer
        Between two steps.
    about : mapping, optional
        Values for JSON that describe the run.

    Raises
    ------
    OSError, TrainingFailedError
        If the file cannot be written or a parameter is not finite; the old file is unchanged.

    Examples
    --------
    >>> import tempfile
    >>> from numpy_rnn import SGD, Linear, MSELoss
    >>> from numpy_rnn.training import Examples
    >>> model, x = Linear(1, 1), np.ones((2, 4, 1))
    >>> data = Examples(x, x, batch_size=2, per_step=True)
    >>> trainer = Trainer(model, MSELoss(), SGD(model.parameters), data)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/run.npz", trainer, {"seed": 0})
    ...     load(f"{folder}/run.npz", trainer)
    {'seed': 0}
    """
    path = check_path("save", "path", path)
    check_kind("save", "trainer", trainer, Trainer).check_finite()
    about = check_mapping("save", "about", {} if about is None else about)
    arrays, rest = _split(trainer.state_dict())
    settings = {"version": VERSION, "about": dict(about), "state": rest}
    with naming(path):
        npz.write(path, FORMAT, settings, arrays)


def load(path: Path | str, trainer: Trainer) -> dict[str, Any]:
    """Resume a run from a file of :func:`save`, and return the `about` that was passed to it.

    The trainer is made of the same parts as the one that was saved.

    Raises
    ------
    OSError, DamagedFileError
        If the file cannot be read; if it is not a checkpoint, is damaged, or is of another run.

    Examples
    --------
    >>> load("run.npz", trainer=None)  # for a trainer and a file see :func:`save`
    Traceback (most recent call last):
    TypeError: load: trainer is None, expected a Trainer
    """
    check_kind("load", "trainer", trainer, Trainer)
    path = check_path("load", "path", path)
    with open_checkpoint(path) as file:
        expected, _ = _split(trainer.state_dict())
        layout = {name: (array.shape, array.dtype) for name, array in expected.items()}
        with npz.damaged_file_errors(Path(path), ANOTHER):
            file.check_layout(layout)
        state = read_state(file, layout)
        with npz.damaged_file_errors(Path(path), ANOTHER):
            trainer.load_state_dict(state)
        return dict(file.settings["about"])


@contextmanager
def open_checkpoint(path: Path | str) -> Iterator[npz.Reader]:
    """Open a file that :func:`save` wrote. ``settings["about"]`` is what that was given.

    As in :func:`numpy_rnn.npz.open_npz`, any exception in the ``with`` block becomes a
    DamagedFileError.
    """
    with npz.open_npz(path, FORMAT) as file:
        version = file.settings.get("version")
        if version not in SUPPORTED:
            expected = " or ".join(map(str, SUPPORTED))
            raise ValueError(f"its version is {version!r}, expected {expected}")
        names(file.settings, "its settings", ("version", "about", "state"))
        yield file


def read_state(file: npz.Reader, layout: npz.ArrayLayout) -> dict[str, Any]:
    """Return the state for :meth:`Trainer.load_state_dict`, with the arrays of `layout`.

    Its values are validated there, or by :func:`numpy_rnn.training.state.check_state`.
    """
    state: dict[str, Any] = file.settings["state"]
    if file.settings["version"] == 2:  # had no averages of the loss
        callbacks = dict(state["callbacks"])
        if "history" in callbacks:
            callbacks["history"] = {"average": None, **callbacks["history"]}
        state["callbacks"] = {"log": {"losses": []}, **callbacks}
    for name, array in file.read_arrays(layout).items():
        *folders, last = name.split("/")
        place: Any = state
        for folder in folders:
            place = place.get(folder) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            raise ValueError(f"state: {'/'.join(folders)} is missing")  # noqa: TRY004 (the file's value)
        place[last] = array
    return state


def _split(tree: Mapping[str, Any], prefix: str = "") -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays of a tree by their paths, and the tree without them."""
    arrays, rest = dict[str, Array](), dict[str, Any]()
    for name, value in tree.items():
        if isinstance(value, np.ndarray):
            arrays[prefix + name] = value
        elif isinstance(value, Mapping):
            inside, rest[name] = _split(value, f"{prefix}{name}/")
            arrays |= inside
        else:
            rest[name] = value
    return arrays, rest
