"""Applications to text: language models, and the recall experiment."""

from numpy_rnn.text import recall, run
from numpy_rnn.text.alphabet import Alphabet
from numpy_rnn.text.evaluation import nats_per_character
from numpy_rnn.text.sampling import distribution, generate
from numpy_rnn.text.settings import Settings
from numpy_rnn.text.symbols import read_symbols
from numpy_rnn.text.vocabulary import Vocabulary

__all__ = [
    "Alphabet",
    "Settings",
    "Vocabulary",
    "distribution",
    "generate",
    "nats_per_character",
    "read_symbols",
    "recall",
    "run",
]
