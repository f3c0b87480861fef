"""A model of characters from a file: a checkpoint of a run, or any model with a vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from numpy_rnn.apps.language_model.run import best, file_of, read
from numpy_rnn.apps.vocabulary import Vocabulary
from numpy_rnn.layers import Layer, load
from numpy_rnn.layers.base import MODEL_FILE, TRAINING_ENTRY
from numpy_rnn.reading import damaged_file_errors
from numpy_rnn.safetensors import open_safetensors


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
