"""Applications of the library: the recall experiment, language models, memory tests, explanations.

The layers, optimisers and training loop that they use are not here but in the folders below.
Start with ``recall.py``, which trains a network on one sentence and lets it write the sentence.
"""

from numpy_rnn.apps.vocabulary import Vocabulary

__all__ = ["Vocabulary"]
