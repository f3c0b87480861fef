"""Applications to text: the recall experiment."""

from numpy_rnn.text import recall
from numpy_rnn.text.alphabet import Alphabet

__all__ = ["Alphabet", "recall"]
