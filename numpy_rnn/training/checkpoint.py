"""Checkpoints: one file with everything that the next step of a run depends on, and its callback.

A checkpoint is a model file (:mod:`numpy_rnn.layers.model_file`), which :func:`numpy_rnn.load`
reads: the weights of the lowest validation loss, or of the last step if there is no validation.
Beside them are arrays with path-like names, ``training/optimizer/exp_avg``, ``training/carried/0``,
and ``training/last``, the flat vector of the last step's weights if the others are the best ones.
Everything else is JSON under ``training``: the version of the format, what the caller passed about
the run, and the rest of the state.
"""

from __future__ import annotations

import errno
import math
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.arguments import check_kind, check_mapping, check_number, check_path
from numpy_rnn.files import naming
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.base import BESIDE, TRAINING_ENTRY, Layer, model_settings
from numpy_rnn.reading import damaged_file_errors
from numpy_rnn.safetensors import Reader, open_safetensors, write
from numpy_rnn.training.gradient import TrainingFailedError
from numpy_rnn.training.parts import Callback, StepInfo
from numpy_rnn.training.state import STATE, check_names
from numpy_rnn.training.trainer import Trainer

VERSION = 5
FORMAT = "a checkpoint"
ANOTHER = "a checkpoint of this trainer"
LAST = f"{BESIDE}last"
Identity = tuple[int, int, int]  # of a file
MODEL, BEST = "model/", "callbacks/validation/best_parameters"  # in a state


def save(path: Path | str, trainer: Trainer, about: Mapping[str, Any] | None = None) -> None:
    """Write a trainer's state, completely or not at all.

    Parameters
    ----------
    path : Path or str
        A name that ends in ``.safetensors``; an existing file is replaced.
    trainer : Trainer
        Between two steps. Under ``mpiexec`` all processes call this function, and the first writes.
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
    ...     save(f"{folder}/run.safetensors", trainer, {"seed": 0})
    ...     load(f"{folder}/run.safetensors", trainer)
    {'seed': 0}
    """
    path = check_path("save", "path", path)
    check_kind("save", "trainer", trainer, Trainer).check_finite()
    about = check_mapping("save", "about", {} if about is None else about)
    if trainer.ranks.size > 1:
        _check_same(trainer)
    state = trainer.state_dict()
    trainer.ranks.first(lambda: _write(path, trainer.model, state, about))


def _check_same(trainer: Trainer) -> None:
    """Raise an error unless all processes have the same weights and moments."""
    vectors = (trainer.model.parameters.data, *trainer.optimizer.moments.values())
    sums = trainer.ranks.every(lambda: [zlib.crc32(vector.tobytes()) for vector in vectors])
    for rank, other in enumerate(sums):
        if other != sums[0]:
            raise TrainingFailedError(
                f"process {rank} has other weights than process 0 after step {trainer.num_steps}, "
                "expected the same: machines of one kind with one NumPy"
            )


def _write(path: Path, model: Layer, state: dict[str, Any], about: Mapping[str, Any]) -> None:
    arrays, rest = _split(state)
    del rest["model"]
    shapes = model.parameters.shapes
    has_best = bool(BEST in arrays and rest["callbacks"]["validation"].get("history"))
    if has_best:
        arrays = _exchange(arrays, shapes)
    stored = {name: arrays[path] for name, path in _paths(arrays, shapes, has_best).items()}
    settings: dict[str, Any] = {TRAINING_ENTRY: {"version": VERSION, "about": dict(about)}}
    settings[TRAINING_ENTRY]["state"] = rest
    with suppress(TypeError):  # a layer that cannot be described can be trained all the same
        settings |= model_settings(model, model.vocabulary)
    with naming(path):
        write(path, settings, stored)


def load(path: Path | str, trainer: Trainer) -> dict[str, Any]:
    """Resume a run from a file of :func:`save`, and return the `about` that was passed to it.

    The trainer is made of the same parts as the one that was saved. A file that is no checkpoint,
    is damaged, or is of another run, is a DamagedFileError. For an example see :func:`save`.

    >>> load("run.safetensors", trainer=None)
    Traceback (most recent call last):
    TypeError: load: trainer is None, expected a Trainer
    """
    check_kind("load", "trainer", trainer, Trainer)
    path = check_path("load", "path", path)
    with open_checkpoint(path) as (file, settings), damaged_file_errors(path, ANOTHER):
        restore(file, settings["state"], trainer)
        return dict(settings["about"])


@contextmanager
def open_checkpoint(path: Path | str) -> Iterator[tuple[Reader, dict[str, Any]]]:
    """Open a file that :func:`save` wrote, and read its settings: "about" and "state".

    Any exception in the ``with`` block becomes a DamagedFileError.
    """
    with open_safetensors(path, FORMAT) as file:
        if TRAINING_ENTRY not in file.metadata:
            raise ValueError("it has no state of a training, expected a file that training wrote")
        settings = file.settings(TRAINING_ENTRY)
        version = settings.get("version")
        if version != VERSION:
            raise ValueError(f"its version is {version!r}, expected {VERSION}")
        check_names("its settings", settings, ("version", "about", "state"))
        yield file, settings


def restore(file: Reader, state: Any, trainer: Trainer) -> None:
    """Restore a trainer's state from the JSON of a file, which is changed, and its arrays."""
    arrays, _ = _split(trainer.state_dict())
    shapes = trainer.model.parameters.shapes
    has_best = BEST in arrays and LAST in file.entries
    paths = _paths(arrays, shapes, has_best)
    layout = {name: (arrays[path].shape, arrays[path].dtype) for name, path in paths.items()}
    del arrays  # before those of the file take as much memory
    found = file.read_arrays(layout)
    arrays = {path: found.pop(name) for name, path in paths.items()}
    if has_best:
        arrays = _exchange(arrays, shapes)
    check_names("state", state, STATE.keys() - {"model"})
    state["model"] = {}
    for path, array in arrays.items():
        *folders, last = path.split("/")
        place: Any = state
        for folder in folders:
            place = place.get(folder) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            raise ValueError(f"state: {'/'.join(folders)} is missing")  # noqa: TRY004 (the file's value)
        place[last] = array
    del arrays
    trainer.model.load_state_dict(state["model"])
    state["model"] = trainer.model.parameters.values  # so that they are in memory once
    trainer.load_state_dict(state)


def _paths(
    arrays: Iterable[str], shapes: Mapping[str, tuple[int, ...]], has_best: bool
) -> dict[str, str]:
    """Return the names that arrays have in a file, and their paths in a state."""
    weights = {name: MODEL + name for name in shapes}  # a tied one is stored once
    others = {BESIDE + path: path for path in arrays if not path.startswith(MODEL)}
    if has_best:
        others[LAST] = others.pop(BESIDE + BEST)
    return weights | others


def _exchange(
    arrays: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Array]:
    """Return arrays in which the model's and the flat vector of the best ones change places."""
    flat = np.concatenate([arrays[MODEL + name].ravel() for name in shapes])
    stops = np.cumsum([math.prod(shape) for shape in shapes.values()])
    parts = zip(shapes.items(), np.split(arrays[BEST], stops[:-1]), strict=True)
    return {**arrays, BEST: flat} | {MODEL + name: part.reshape(s) for (name, s), part in parts}


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


def identity(path: Path) -> Identity | None:
    """Return numbers that change when a file is replaced; None if there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


class Checkpoints(Callback):
    """Write the run to a file at intervals and at its end.

    It must be the last callback, so that the file includes what the others did after a step.

    Parameters
    ----------
    path, about
        As for :func:`save`.
    seconds : float
        Time between two files.

    Attributes
    ----------
    due : bool
        Whether the file is written after this step; other callbacks may set it.
    saved : int
        The step of the last file; 0 if there is none.
    took : float
        Seconds in which the last file was written.

    Examples
    --------
    >>> files = Checkpoints(Path("run.safetensors"), seconds=600)
    """

    def __init__(
        self, path: Path | str, seconds: float = 60.0, about: Mapping[str, Any] | None = None
    ) -> None:
        self.path = check_path("Checkpoints", "path", path)
        self.seconds = check_number("Checkpoints", "seconds", seconds, lambda v: v >= 0, ">= 0")
        self.about = None if about is None else check_mapping("Checkpoints", "about", about)
        self.due, self.saved = False, 0
        self._last = 0.0  # of the trainer's seconds, at the last save
        self.took = 0.0  # seconds of the last save
        self.resumed: Identity | None = None  # the file that the run was resumed from
        self._found: Identity | None = None  # the file at the last look

    def save(self, trainer: Trainer) -> None:
        """Write the file, unless another process has written it since the last look.

        That is a FileExistsError, and the other's file is kept.
        """
        start = time.monotonic()
        check_kind("Checkpoints.save", "trainer", trainer, Trainer)
        trainer.ranks.first(self._check_unchanged)
        save(self.path, trainer, self.about)
        self.due = False
        self.begin(trainer)
        self.took = trainer.ranks.first(lambda: time.monotonic() - start)

    def _check_unchanged(self) -> None:
        if identity(self.path) not in (None, self._found):
            what = f"another process has written it since step {self.saved}"
            raise FileExistsError(errno.EEXIST, what, str(self.path))

    def begin(self, trainer: Trainer) -> None:
        """Start the clock. The run is in the file up to this step."""
        self._found, self.resumed = self.resumed or identity(self.path), None
        self.saved, self._last = trainer.num_steps, trainer.seconds

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:  # noqa: ARG002
        """Write the file if it is time."""
        due = self.due or trainer.seconds - self._last >= self.seconds
        if due and not trainer.done:  # the end is written in any case
            self.save(trainer)

    def end(self, trainer: Trainer) -> None:
        """Write the file."""
        self.save(trainer)
