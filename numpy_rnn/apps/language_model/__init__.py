"""Character language models: settings, model, training run, sampling and evaluation.

Training itself is not here but in ``numpy_rnn.training``, the commands are in ``numpy_rnn.cli``.
Start with ``run.py``, which puts the parts together.
"""

from numpy_rnn.apps.language_model import run
from numpy_rnn.apps.language_model.evaluation import cross_entropy
from numpy_rnn.apps.language_model.sampling import distribution, generate
from numpy_rnn.apps.language_model.settings import Settings
from numpy_rnn.apps.language_model.tokens import TokenizedText, read_tokens

__all__ = [
    "Settings",
    "TokenizedText",
    "cross_entropy",
    "distribution",
    "generate",
    "read_tokens",
    "run",
]
