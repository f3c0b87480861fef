"""What the recall experiment is run with: the notebook's settings, or others, checked."""

from __future__ import annotations

import math
import reprlib
import sys
from dataclasses import dataclass

from numpy_rnn.apps.alphabet import Alphabet
from numpy_rnn.apps.plain import positive, shown, whole
from numpy_rnn.parameters import check_dtype

SENTENCE = "hello pytorch. how long can a rnn cell remember?"
CHARACTERS = "abcdefghijklmnopqrstuvwxyz ?!.,:;01"


@dataclass(frozen=True)
class Experiment:
    """What is run; the defaults are the notebook's.

    NumPy's numbers become Python's, so that every experiment can be written as JSON.

    Parameters
    ----------
    text : str
        The sentence to learn.
    characters : str
        The alphabet; its last two characters are the start and end symbols.
    hidden_size : int
        Units of the recurrent layer.
    nonlinearity : {"tanh", "relu"}
        Of the recurrent layer.
    loss : {"mse", "cross-entropy"}
        Mean over classes, summed over the steps; or softmax cross-entropy, summed likewise.
    lr : float
        Adam's learning rate.
    epochs : int
        Updates; each sees the whole sentence.
    seed : int
        Of the initial weights.
    dtype : {"float32", "float64"}
        Of everything.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what came and what was expected.
    """

    text: str = SENTENCE
    characters: str = CHARACTERS
    hidden_size: int = 35
    nonlinearity: str = "tanh"
    loss: str = "mse"
    lr: float = 1e-3
    epochs: int = 1000
    seed: int = 0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in ("text", "characters", "nonlinearity", "loss", "dtype"):
            _check_string(name, getattr(self, name))
        plain = {
            "hidden_size": whole("hidden_size", self.hidden_size, 1),
            "epochs": whole("epochs", self.epochs, 1),
            "seed": whole("seed", self.seed, 0),
            "lr": positive("lr", self.lr),
            "dtype": check_dtype(self.dtype).name,
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)  # of a frozen dataclass
        if self.nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity is {self.nonlinearity!r}, expected 'tanh' or 'relu'")
        if self.loss not in ("mse", "cross-entropy"):
            raise ValueError(f"loss is {self.loss!r}, expected 'mse' or 'cross-entropy'")
        Alphabet(self.characters).encode(self.text)
        # Initial weights are drawn in float64, 8 bytes each. What is merely more than this
        # machine has is a MemoryError; this is what NumPy cannot even ask for.
        if sum(map(math.prod, shapes(self).values())) * 8 > sys.maxsize:
            size = reprlib.repr(self.hidden_size)
            raise ValueError(f"hidden_size is {size}, expected fewer: no array holds the weights")

    @property
    def alphabet(self) -> Alphabet:
        """The characters as an :class:`Alphabet`."""
        return Alphabet(self.characters)


def shapes(experiment: Experiment) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each parameter of :func:`build`'s model, building nothing."""
    V, H = len(experiment.characters), experiment.hidden_size
    return {
        "rnn.weight_ih_l0": (H, V),
        "rnn.weight_hh_l0": (H, H),
        "rnn.bias_ih_l0": (H,),
        "rnn.bias_hh_l0": (H,),
        "i2o.weight": (V, H),
        "i2o.bias": (V,),
    }


def _check_string(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {shown(value)}, expected a str")
