"""A small experiment, its text, and a language model trained for a few steps."""

from __future__ import annotations

from pathlib import Path

from numpy_rnn import GRU, LSTM
from numpy_rnn.apps.explain import of_recall
from numpy_rnn.apps.language_model import Settings, run
from numpy_rnn.apps.recall import Experiment
from tests.apps.language_model.texts import write_text

SMALL = Experiment("<b> & $x$ z?", "<b>& $xz?01", hidden_size=6, epochs=30, lr=0.01)
SAMPLE = of_recall(SMALL)
KINDS = {"RNN": None, "LSTM": LSTM, "GRU": GRU}


def checkpoint(folder: Path, cell: str = "gru", layers: int = 1, held_out: float = 0.1) -> Path:
    """Train a few steps."""
    folder.mkdir()
    settings = Settings(
        cell=cell,
        layers=layers,
        hidden_size=8,
        embedding=4,
        dropout=0.2,
        batch_size=4,
        window=10,
        validation_fraction=held_out,
        validate_every=10,
        epochs=2,
        lr=1e-2,
    )
    run.start(write_text(folder), settings, folder).trainer.fit()
    return folder
