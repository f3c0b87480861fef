"""Applications to text."""

from numpy_rnn.text.alphabet import Alphabet
from numpy_rnn.text.recall import (
    Experiment,
    Recall,
    TrainingFailedError,
    build,
    generate,
    load,
    one_hot_of_argmax,
    raw_output,
    recall,
    save,
    train,
)

__all__ = [
    "Alphabet",
    "Experiment",
    "Recall",
    "TrainingFailedError",
    "build",
    "generate",
    "load",
    "one_hot_of_argmax",
    "raw_output",
    "recall",
    "save",
    "train",
]
