"""The text that a network is analysed on, with inputs and targets.

(1) tokens s_0 .. s_T        the ids of the text's characters
(2) the input of step t is s_t, its target s_{t+1}
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.apps.language_model import generate
from numpy_rnn.apps.recall import Experiment
from numpy_rnn.apps.vocabulary import Vocabulary
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import Layer

GENERATED_LENGTH = 48  # characters of a generated text, as many as the notebook's sentence has
MAX_LENGTH = 256  # characters of a given text: each step costs a Jacobian of all units


class Sample(NamedTuple):
    """A text for a network."""

    about: str  # the end of a sentence that begins with "An LSTM with 35 units"
    characters: str  # of the vocabulary, in the order of the outputs
    tokens: Array  # equation (1): (T + 1,) integers
    x: Array  # the model's input, (T, 1) token ids or (T, 1, V) one-hot vectors
    loss: str  # that the model is trained on: "mse" or "cross-entropy"
    clock: str  # unit in which training counts: "epoch" or "update"


def of_recall(experiment: Experiment) -> Sample:
    """Return the sentence of a recall experiment, with the start and end tokens, as one-hot inputs.

    >>> of_recall(Experiment(text="an rnn")).x.shape
    (7, 1, 35)
    """
    characters, tokens = experiment.characters, experiment.tokens
    return Sample(
        about=(
            f"memorised one text: \u201c{_printable(experiment.text)}\u201d. The start token "
            f"before it is {characters[-2]}, the end token after it is {characters[-1]}."
        ),
        characters=characters,
        tokens=tokens,
        x=np.eye(len(characters), dtype=experiment.dtype)[tokens[:-1], None],
        loss=experiment.loss,
        clock="epoch",
    )


def of_model(model: Layer, vocabulary: Vocabulary, origin: str, text: str | None = None) -> Sample:
    """Return a text for a language model, as token ids. `origin` says where the model is from.

    `text` has 2 to 256 characters of the vocabulary; anything else is a ValueError. If there is
    none, the model generates one.
    """
    if text is None:
        known = vocabulary.characters
        first = next((known.index(c) for c in "\n " if c in known), 0)  # before a word
        generated = generate(model, np.array([first]), rng=0)
        tokens = np.array([first, *(next(generated) for _ in range(GENERATED_LENGTH))])
        reads = "it reads a text that it generated"
    elif 2 <= len(text) <= MAX_LENGTH:
        tokens, reads = vocabulary.encode(text).astype(int), "it reads"
    else:
        raise ValueError(f"text has {len(text)} characters, expected 2 to {MAX_LENGTH}")
    shown = _printable(vocabulary.decode(tokens))
    return Sample(
        about=f"{origin}. Here {reads}: \u201c{shown}\u201d.",
        characters=vocabulary.characters,
        tokens=tokens,
        x=tokens[:-1, None],
        loss="cross-entropy",
        clock="update",
    )


def _printable(text: str) -> str:
    """Return a text without characters that would change the text around it, such as RTL marks."""
    return "".join(c if c.isprintable() else "\u25a1" for c in " ".join(text.split()))
