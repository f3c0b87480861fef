"""What a network reads while it is looked at, and what it should say: one for every kind of file.

(1) symbols s_0 .. s_T       the text as places in the characters
(2) step t reads s_t and should say s_{t+1}
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.apps.language_model.run import SavedRun
from numpy_rnn.apps.language_model.sampling import generate
from numpy_rnn.apps.recall import Experiment
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import Sequential

LENGTH = 48  # steps of a text that the model writes itself: as many as the notebook's sentence has
LONGEST = 256  # characters; each step costs a Jacobian of all units


class Lesson(NamedTuple):
    """A text for a network.

    Attributes
    ----------
    about : str
        What the network has to do with it: goes on after "An LSTM with 35 units".
    characters : str
        What the outputs stand for.
    symbols : (T + 1,) array of int
        Equation (1).
    x : (T, 1) array of int, or (T, 1, V) array
        As the network reads it.
    loss : {"mse", "cross-entropy"}
        What it was trained with.
    clock : {"epoch", "update"}
        What its losses are counted in.
    """

    about: str
    characters: str
    symbols: Array
    x: Array
    loss: str
    clock: str


def of_recall(experiment: Experiment) -> Lesson:
    """Return an experiment's sentence, with the start and end symbols, as one-hot rows."""
    symbols = experiment.tokens
    return Lesson(
        about=(
            f"learned one text by heart: \u201c{_printable(experiment.text)}\u201d. Before it "
            f"stands the start symbol, {experiment.characters[-2]}, after it the end symbol, "
            f"{experiment.characters[-1]}."
        ),
        characters=experiment.characters,
        symbols=symbols,
        x=np.eye(len(experiment.characters), dtype=experiment.dtype)[symbols[:-1], None],
        loss=experiment.loss,
        clock="epoch",
    )


def of_checkpoint(saved: SavedRun, model: Sequential, text: str | None = None) -> Lesson:
    """Return a text for a language model.

    Parameters
    ----------
    saved : SavedRun
        What the model comes from.
    model : Sequential
        Writes the text if none is given.
    text : str, optional
        2 to LONGEST characters of the vocabulary's.

    Returns
    -------
    lesson : Lesson

    Raises
    ------
    ValueError
        If the text has another length, or naming the first character that the vocabulary lacks.
    """
    if text is None:
        known = saved.vocabulary.characters
        first = next((known.index(c) for c in "\n " if c in known), 0)  # behind it, text begins
        writing = generate(model, np.array([first]), rng=0)
        symbols = np.array([first, *(next(writing) for _ in range(LENGTH))])
        read = "it reads what it wrote itself, drawn from its own probabilities"
    elif 2 <= len(text) <= LONGEST:
        symbols, read = saved.vocabulary.encode(text).astype(int), "it reads"
    else:
        raise ValueError(f"text has {len(text)} characters, expected 2 to {LONGEST}")
    name, shown = saved.text.get("name"), _printable(saved.vocabulary.decode(symbols))
    return Lesson(
        about=f"was trained on the file {name!r}. Here {read}: \u201c{shown}\u201d.",
        characters=saved.vocabulary.characters,
        symbols=symbols,
        x=symbols[:-1, None],
        loss="cross-entropy",
        clock="update",
    )


def _printable(text: str) -> str:
    """Return a text that cannot disturb the one around it, as a turn of the direction would."""
    return "".join(c if c.isprintable() else "\u25a1" for c in " ".join(text.split()))
