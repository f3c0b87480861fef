"""The mathematics as on paper: one page for each pair, with the derivation of its gradient.

The fast functions are not here but in ``numpy_rnn.functional``, with the same arguments and
results. Start with ``elman.py``, then read ``lstm.py``, and run them:
``python -m numpy_rnn.textbook.elman`` prints a small example with all its numbers.
"""

from importlib import import_module
from typing import Any

__all__ = [
    "cross_entropy_backward",
    "cross_entropy_forward",
    "dropout_backward",
    "dropout_forward",
    "elman_backward",
    "elman_forward",
    "embedding_backward",
    "embedding_forward",
    "gru_backward",
    "gru_forward",
    "gru_reset_before_backward",
    "gru_reset_before_forward",
    "indrnn_backward",
    "indrnn_forward",
    "layer_norm_backward",
    "layer_norm_forward",
    "linear_backward",
    "linear_forward",
    "lru_backward",
    "lru_forward",
    "lstm_backward",
    "lstm_forward",
    "mingru_backward",
    "mingru_forward",
    "mse_backward",
    "mse_forward",
    "peephole_lstm_backward",
    "peephole_lstm_forward",
    "projected_lstm_backward",
    "projected_lstm_forward",
]


def __getattr__(name: str) -> Any:
    """Import a page when it is asked for, since ``python -m`` warns if it has been before."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{name.rpartition('_')[0]}"), name)
