"""A training run of a language model: start it on a text file, resume it, load its model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numpy_rnn.apps.language_model.inference import cross_entropy
from numpy_rnn.apps.language_model.model import (
    Settings,
    build,
    check_training_memory,
    optimizer_for,
    parameter_count,
    schedule_for,
)
from numpy_rnn.apps.vocabulary import Vocabulary, read_tokens
from numpy_rnn.arguments import Validated, integer, required, string
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import CrossEntropyLoss, Layer, Sequential, load
from numpy_rnn.layers.base import MODEL_FILE, TRAINING_ENTRY
from numpy_rnn.layers.model_file import check_described, read_settings
from numpy_rnn.reading import damaged_file_errors
from numpy_rnn.safetensors import Reader, open_safetensors
from numpy_rnn.training import (
    Callback,
    Checkpoints,
    History,
    JsonLines,
    Ranks,
    Shards,
    TimeBudget,
    Trainer,
    Validation,
    Windows,
    checkpoint,
    world,
)
from numpy_rnn.training.checkpoint import identity
from numpy_rnn.training.state import check_names

FILE = "checkpoint.safetensors"  # in the folder of a run
MAX_HELD_OUT = 250_000  # held-out characters that are evaluated; more would only take longer
# Of a time budget, what is left for the measurement that follows the training, and how many
# characters a validation reads for each one that is trained on: about a twentieth of the time.
REMAINDER, VALIDATED = 0.1, 0.15


Losses = list[tuple[int, float]]  # by step


@dataclass(frozen=True)
class TextInfo(Validated):
    """What a checkpoint knows of the training text."""

    name: str = required(string)
    characters: int = required(integer(1))
    sha256: str = required(string)


class TrainingRun:
    """The parts of a run, ready for ``run.trainer.fit()`` unless it comes from :func:`read`.

    `tokens` are those of the text, and `path` is the checkpoint's. The rest are arguments of
    :class:`Checkpoints` and :class:`Trainer`.
    """

    def __init__(
        self,
        settings: Settings,
        vocabulary: Vocabulary,
        text: TextInfo,
        tokens: Array,
        path: Path,
        save_every: float = 60.0,
        threads: int = 1,
        ranks: Ranks | None = None,
    ) -> None:
        self.settings, self.vocabulary, self.text = settings, vocabulary, text
        split = len(tokens) - int(len(tokens) * settings.validation_fraction)
        least = max(settings.batch_size, settings.window)
        if split - 1 < least:
            raise ValueError(
                f"{text.name!r} has {split} characters to train on, expected at least {least + 1}"
                + (f", or --window and --batch-size of at most {split - 1}" if split > 1 else "")
            )
        # (N,) held-out tokens, MAX_HELD_OUT at most, after the last token of the training part,
        # which the first of them is predicted from. Empty if nothing is held out.
        first = split - 1 if split < len(tokens) else split
        self.held_out = tokens[first : split + MAX_HELD_OUT]
        self.model = build(settings, len(vocabulary))
        self.model.vocabulary = vocabulary.characters
        about = {"settings": asdict(settings), "text": asdict(text)}
        self.files = Checkpoints(path, save_every, about)
        self.validation: Validation | None = None
        if len(self.held_out):
            self.validation = Validation(
                self._measure,
                settings.validate_every,
                settings.patience or None,
                restore_best=False,  # a checkpoint has both the last and the best parameters
            )
        self.budget: TimeBudget | None = None
        if settings.time_budget is not None:
            seconds, first = settings.time_budget * (1 - REMAINDER), settings.validate_every
            self.budget = TimeBudget(seconds, self.files, min(20, first), self._steps_to_validate)
        self.history = History(min(50, settings.validate_every))
        self.log = JsonLines(None, validation=self.validation)  # until it gets a path
        callbacks = self.budget, self.history, self.validation, self.log, self.files
        self.trainer = Trainer(
            self.model,
            CrossEntropyLoss(),
            optimizer_for(settings, self.model),
            Windows.next_of(tokens[:split], settings.batch_size, settings.window),
            schedule=schedule_for(settings),
            clip_norm=settings.clip_norm or None,
            shards=settings.shards,
            threads=threads,
            callbacks=[callback for callback in callbacks if callback is not None],
            ranks=ranks,
        )
        if settings.epochs is not None:
            self.trainer.total = self.trainer.steps_in(settings.epochs)

    @property
    def losses(self) -> tuple[Losses, Losses]:
        """The losses of the training and of the validation."""
        return self.history.losses, self.validation.history if self.validation else []

    def add(self, callback: Callback) -> None:
        """Add a callback that is called after each step, before a checkpoint is written."""
        callback.attach(self.trainer)
        self.trainer.callbacks.insert(self.trainer.callbacks.index(self.files), callback)

    def _validated(self, steps: int) -> int:
        """Return how many characters a validation of a run of so many steps reads."""
        read = int(VALIDATED * steps * self.settings.batch_size * self.settings.window)
        return min(max(len(self.held_out) - 1, 0), max(32 * self.settings.batch_size, read))

    def _steps_to_validate(self, steps: int) -> float:
        """Return how many steps take as long: a step's backward costs two forwards."""
        return self._validated(steps) / (3 * self.settings.batch_size * self.settings.window)

    def _measure(self) -> float:
        count = len(self.held_out) - 1
        if self.budget is not None and self.budget.plans:  # the first one decides
            count = self._validated(self.budget.plans[0][1])
        return cross_entropy(self.model, self.held_out[: count + 1], self.settings.batch_size)


def start(
    text: Path, settings: Settings, folder: Path, *, save_every: float = 60.0, threads: int = 1
) -> TrainingRun:
    """Prepare a new run, whose checkpoint is written to an existing folder.

    `save_every` is the time between two checkpoints in seconds. No result depends on `threads`. A
    text that is too short, or is not in the settings' encoding, is a ValueError.
    """
    tokenized = read_tokens(text, None, folder, settings.encoding)
    check_training_memory(settings, len(tokenized.vocabulary))
    about = TextInfo(text.name, len(tokenized.tokens), tokenized.sha256)
    vocabulary, tokens, path = tokenized.vocabulary, tokenized.tokens, folder / FILE
    return TrainingRun(settings, vocabulary, about, tokens, path, save_every, threads)


def resume(text: Path, folder: Path, *, save_every: float = 60.0, threads: int = 1) -> TrainingRun:
    """Prepare to continue a run. Its results will have the same bits as without the interruption.

    A text other than that of the run is a ValueError, a damaged checkpoint a DamagedFileError.
    """
    path = folder / FILE
    before = identity(path)
    saved = read(path)
    Shards(saved.settings.batch_size, saved.settings.shards, threads, world())  # enough of them
    tokenized = read_tokens(text, saved.vocabulary, folder, saved.settings.encoding)
    if tokenized.sha256 != saved.text.sha256:
        raise ValueError(
            f"{str(text)!r} is not the text that {str(path)!r} was trained on "
            f"({saved.text.name!r}), or has changed since"
        )
    with damaged_file_errors(path, checkpoint.FORMAT):
        known = saved.settings, saved.vocabulary, saved.text
        run = TrainingRun(*known, tokenized.tokens, path, save_every, threads)
        run.trainer.load_state_dict(saved.trainer.state_dict())
    run.files.resumed = before
    return run


def file_of(path: Path) -> Path:
    """Return the file, or the one in the folder of a run."""
    return path / FILE if path.is_dir() else path


def read(path: Path) -> TrainingRun:
    """Read a checkpoint: the file, or the one in a folder. The result is a run without its text.

    All of the file is validated: settings, text, arrays, and every value of the trainer's state.
    Otherwise there is a DamagedFileError, whose message is one line and names the file.
    """
    path = file_of(path)
    with checkpoint.open_checkpoint(path) as (file, found):
        about, described = found["about"], read_settings(file)
        check_names("about", about, ("settings", "text"))
        check_names("its settings", about["settings"], [field.name for field in fields(Settings)])
        check_names("its text", about["text"], [field.name for field in fields(TextInfo)])
        settings, text = Settings(**about["settings"]), TextInfo(**about["text"])
        if about["settings"]["shards"] is None:
            raise ValueError("its settings: shards is None, expected a number")
        vocabulary = Vocabulary(str(described.get("vocabulary")))
        if list(vocabulary.characters) != sorted(vocabulary.characters):
            raise ValueError("its vocabulary is not in the order of the code points")
        _check_sizes(file, settings, len(vocabulary))
        tokens = np.broadcast_to(np.zeros((), vocabulary.dtype), text.characters)
        run = TrainingRun(settings, vocabulary, text, tokens, path, ranks=Ranks())
        trainer, optimizer = run.trainer, run.trainer.optimizer
        checkpoint.restore(file, found["state"], trainer)
        check_described(file, run.model)
        step = trainer.num_steps
        if optimizer.num_steps != step:
            raise ValueError(f"state: step is {step}, the optimiser's {optimizer.num_steps}")
        if trainer.total is not None and trainer.total < step:
            raise ValueError(f"state: total is {trainer.total}, expected at least {step}")
    return run


def _check_sizes(file: Reader, settings: Settings, V: int) -> None:
    """Raise ValueError, before memory is allocated, if a file is too small for its settings."""
    carried = settings.layers * settings.batch_size * settings.hidden_size
    numbers = 2 * parameter_count(settings, V) + carried  # each weight has a moment at least
    expected = numbers * np.dtype(settings.dtype).itemsize
    found = sum(entry.stop - entry.start for entry in file.entries.values())
    if found < expected:
        raise ValueError(f"its arrays have {found} bytes, its settings need {expected} or more")


def best(saved: TrainingRun) -> Sequential:
    """Return the saved model, which now gets the parameters of its lowest validation loss.

    If there was no validation, it keeps the parameters of the last step.
    """
    if saved.validation is not None and saved.validation.history:
        saved.model.parameters.data[...] = saved.validation.best_parameters
    return saved.model


class LoadedModel(NamedTuple):
    """A model that predicts characters."""

    model: Layer
    vocabulary: Vocabulary
    encoding: str | None  # of the text that it was trained on


def is_run(path: Path) -> bool:
    """Whether a model file, or the one in a folder, is a checkpoint of a run."""
    with open_safetensors(file_of(path), MODEL_FILE) as file:
        training = file.settings(TRAINING_ENTRY) if TRAINING_ENTRY in file.metadata else {}
        return "settings" in training.get("about", ())


def load_model(path: Path, *, last: bool = False) -> LoadedModel:
    """Return a model of characters from a checkpoint, or from any model file with a vocabulary.

    Of a checkpoint it is the best model, or with `last` the one of the last step. There is a
    ValueError if the file has no such model.
    """
    if is_run(path):
        saved = read(path)
        chosen = saved.model if last else best(saved)
        return LoadedModel(chosen, saved.vocabulary, saved.settings.encoding)
    path = file_of(path)
    if last:
        raise ValueError(f"{str(path)!r} has no last parameters, expected a checkpoint of train")
    model = load(path)
    with damaged_file_errors(path, "a model of characters"):
        tokens = model.vocabulary
        if tokens is None or any(len(token) != 1 for token in tokens):
            raise ValueError("it has no vocabulary of characters")
        vocabulary = Vocabulary("".join(tokens))
        if not (model.stateful and model.causal) or getattr(model, "batch_first", False):
            raise ValueError("its model is not time-major or carries no state between characters")
        y, _ = model.predict(np.zeros((1, 1), int))
        if y.shape != (1, 1, len(vocabulary)):
            raise ValueError(f"its output is {y.shape} for one of {len(vocabulary)} characters")
    return LoadedModel(model, vocabulary, None)
