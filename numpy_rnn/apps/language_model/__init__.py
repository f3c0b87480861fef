"""Applications to text: language models, and the recall experiment."""

from numpy_rnn.apps import recall
from numpy_rnn.apps.alphabet import Alphabet
from numpy_rnn.apps.language_model import run
from numpy_rnn.apps.language_model.evaluation import nats_per_character
from numpy_rnn.apps.language_model.sampling import distribution, generate
from numpy_rnn.apps.language_model.settings import Settings
from numpy_rnn.apps.language_model.symbols import read_symbols
from numpy_rnn.apps.vocabulary import Vocabulary

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
