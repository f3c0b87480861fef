"""Character language models: settings, model, training run, sampling and evaluation.

Training itself is not here but in ``numpy_rnn.training``, the commands are in ``numpy_rnn.cli``.
Start with ``run.py``, which puts the parts together.
"""

from numpy_rnn.apps.language_model import run
from numpy_rnn.apps.language_model.inference import cross_entropy, distribution, generate, measure
from numpy_rnn.apps.language_model.model import Settings

__all__ = ["Settings", "cross_entropy", "distribution", "generate", "measure", "run"]
