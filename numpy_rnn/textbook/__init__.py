"""The mathematics as on paper: one page for each pair, with the derivation of its gradient.

The fast functions are not here but in ``numpy_rnn.functional``, with the same arguments and
results. Start with ``elman.py``, then read ``lstm.py``, and run them:
``python -m numpy_rnn.textbook.elman`` prints a small example with all its numbers.
"""

from importlib import import_module
from typing import Any

PAGES = ["elman", "lstm", "gru", "gru_reset_before", "peephole_lstm", "projected_lstm", "indrnn"]
PAGES += ["mingru", "lru", "linear", "embedding", "layer_norm", "dropout", "mse", "cross_entropy"]

__all__ = [f"{page}_{way}" for page in PAGES for way in ("backward", "forward")]


def __getattr__(name: str) -> Any:
    """Import a page when it is asked for, since ``python -m`` warns if it has been before."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{name.rpartition('_')[0]}"), name)
