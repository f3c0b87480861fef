"""Training a language model on a file: from the text to a checkpoint, and on from there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn import npz
from numpy_rnn.apps.language_model.evaluation import nats_per_character
from numpy_rnn.apps.language_model.language_model import build, optimizer_for, schedule_for
from numpy_rnn.apps.language_model.settings import Settings, parameter_count
from numpy_rnn.apps.language_model.symbols import Symbols, read_symbols
from numpy_rnn.apps.vocabulary import Vocabulary
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import CrossEntropyLoss, Sequential
from numpy_rnn.optim import Optimizer
from numpy_rnn.training import (
    Callback,
    Checkpoints,
    History,
    TimeBudget,
    Trainer,
    Validation,
    Windows,
    checkpoint,
)
from numpy_rnn.training.gradient import leaves

FILE = "checkpoint.npz"  # in the folder of a run
MEASURED = 250_000  # held-out characters; more would say the same and take longer


class Run(NamedTuple):
    """A run, ready for ``run.trainer.fit()``.

    Attributes
    ----------
    settings : Settings
    vocabulary : Vocabulary
    characters : int
        Of the text.
    trainer : Trainer
    validation : Validation or None
        None if nothing is held out.
    held_out : (N,) array of int
        What is held out, and in front of it the last symbol of the training part, which the
        first held-out one is conditioned on; MEASURED symbols of it at most. Empty if nothing
        is held out.
    history : History
        The losses of training.
    files : Checkpoints
        What writes the checkpoint.
    """

    settings: Settings
    vocabulary: Vocabulary
    characters: int
    trainer: Trainer
    validation: Validation | None
    held_out: Array
    history: History
    files: Checkpoints

    def add(self, callback: Callback) -> None:
        """Call this too after each step, before a checkpoint is written."""
        callback.attach(self.trainer)
        self.trainer.callbacks.insert(self.trainer.callbacks.index(self.files), callback)


class Saved(NamedTuple):
    """What a checkpoint holds.

    Attributes
    ----------
    settings : Settings
    vocabulary : Vocabulary
    text : dict
        ``name``, ``characters`` and ``sha256`` of the file it was trained on.
    model : Sequential
        With the parameters of the last step.
    optimizer : Optimizer
        As fresh; its state is in `state`.
    state : dict
        For :meth:`Trainer.load_state_dict`.
    """

    settings: Settings
    vocabulary: Vocabulary
    text: dict[str, Any]
    model: Sequential
    optimizer: Optimizer
    state: dict[str, Any]


def start(
    text: Path,
    settings: Settings,
    folder: Path,
    *,
    save_every: float = 60.0,
) -> Run:
    """Prepare a new run.

    Parameters
    ----------
    text : Path
        A file in UTF-8.
    settings : Settings
    folder : Path
        Where the checkpoint, ``checkpoint.npz``, is written. It exists.
    save_every : float
        Seconds from one checkpoint to the next.

    Returns
    -------
    run : Run

    Raises
    ------
    OSError
        If the text cannot be read, or encoded on the disk.
    ValueError
        If the text is not UTF-8, or too short.
    """
    symbols = read_symbols(text, folder=folder)
    model = build(settings, len(symbols.vocabulary))
    optimizer = optimizer_for(settings, model)
    about = {
        "settings": asdict(settings),
        "vocabulary": symbols.vocabulary.characters,
        "text": {
            "name": text.name,
            "characters": len(symbols.numbers),
            "sha256": symbols.digest,
        },
    }
    files = Checkpoints(folder / FILE, save_every, about)
    return _assemble(settings, symbols, model, optimizer, files)


def resume(text: Path, folder: Path, *, save_every: float = 60.0) -> Run:
    """Prepare to go on with a run, to the same bits as if it had never been stopped.

    Parameters
    ----------
    text : Path
        The file it was started with, as it was then.
    folder, save_every
        As for :func:`start`.

    Returns
    -------
    run : Run

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If the text is another one.
    DamagedFileError
        If the checkpoint is damaged.
    """
    path = folder / FILE
    saved = read(path)
    symbols = read_symbols(text, saved.vocabulary, folder)
    if symbols.digest != saved.text.get("sha256"):
        raise ValueError(
            f"{str(text)!r} is not the text that {str(path)!r} was trained on "
            f"({saved.text.get('name')!r}), or has changed since"
        )
    about = {
        "settings": asdict(saved.settings),
        "vocabulary": saved.vocabulary.characters,
        "text": saved.text,
    }
    files = Checkpoints(path, save_every, about)
    with npz.damaged_file_errors(path, checkpoint.FORMAT):
        run = _assemble(saved.settings, symbols, saved.model, saved.optimizer, files)
        run.trainer.load_state_dict(saved.state)
    return run


def _assemble(
    settings: Settings,
    symbols: Symbols,
    model: Sequential,
    optimizer: Optimizer,
    files: Checkpoints,
) -> Run:
    count = len(symbols.numbers)
    split = _split(settings, count)
    held_out = symbols.numbers[split - 1 : split + MEASURED] if split < count else np.zeros(0, int)
    validation = None
    if len(held_out):
        validation = Validation(
            lambda: nats_per_character(model, held_out, settings.batch_size),
            settings.validate_every,
            settings.patience or None,
            restore_best=False,
        )
    budget = None if settings.time_budget is None else TimeBudget(settings.time_budget, files)
    history = History()
    trainer = Trainer(
        model,
        CrossEntropyLoss(),
        optimizer,
        Windows.next_of(symbols.numbers[:split], settings.batch_size, settings.window),
        schedule=schedule_for(settings),
        clip_norm=settings.clip_norm or None,
        workers=settings.threads,
        callbacks=[c for c in (budget, history, validation, files) if c is not None],
    )
    if settings.epochs is not None:
        trainer.total = trainer.steps_in(settings.epochs)
    return Run(settings, symbols.vocabulary, count, trainer, validation, held_out, history, files)


def _split(settings: Settings, count: int) -> int:
    """Return where in a text of so many characters the part that is held out begins."""
    return count - int(count * settings.validation_fraction)


def read(path: Path) -> Saved:
    """Read a checkpoint.

    Parameters
    ----------
    path : Path
        The file, or its folder.

    Returns
    -------
    saved : Saved

    Raises
    ------
    OSError
        If the file cannot be read.
    DamagedFileError
        In one line that names the file, if it is damaged or something else.
    """
    path = path / FILE if path.is_dir() else path

    with checkpoint.open_checkpoint(path) as file:
        settings = Settings(**file.about["settings"])
        vocabulary = Vocabulary(file.about["vocabulary"])
        if vocabulary.characters != file.about["vocabulary"]:
            raise ValueError("its vocabulary is not in order, each character once")
        # What it says it holds costs memory, so it has to be as large as that.
        cells = settings.batch_size * settings.layers * settings.hidden_size
        claimed = 4 * (parameter_count(settings, len(vocabulary)) + cells)
        size = path.stat().st_size
        if claimed > size:
            raise ValueError(f"its settings need {claimed} bytes, it has {size}")
        model = build(settings, len(vocabulary))
        optimizer = optimizer_for(settings, model)
        saved = Saved(settings, vocabulary, dict(file.about["text"]), model, optimizer, {})
        state = file.read_state(_layout(saved))
        model.load_state_dict(state["model"])
    return saved._replace(state=state)


def best(saved: Saved) -> Sequential:
    """Return the saved model with the parameters of its lowest validation loss.

    Parameters
    ----------
    saved : Saved
        Its model is changed. If nothing was measured, it stays as it is: the last.
    """
    validation = saved.state["callbacks"].get("validation")
    if validation and validation["history"]:
        parameters = saved.model.parameters
        parameters.data[...] = validation["best_parameters"]
    return saved.model


def _layout(saved: Saved) -> npz.ArrayLayout:
    settings, model, optimizer = saved.settings, saved.model, saved.optimizer
    dtype = model.parameters.dtype
    flat = model.parameters.data.shape
    shapes = {f"model/{name}": shape for name, shape in model.parameters.shapes.items()}
    shapes |= {f"optimizer/{name}": flat for name in optimizer.moments}
    carried = leaves(model.zero_state(settings.batch_size))
    shapes |= {f"carried/{k}": leaf.shape for k, leaf in enumerate(carried)}
    if _split(settings, saved.text["characters"]) < saved.text["characters"]:
        shapes["callbacks/validation/best_parameters"] = flat
    return {name: (shape, np.dtype(dtype)) for name, shape in shapes.items()}
