"""Training: sources of batches, the gradient of a batch, the loop, its callbacks and checkpoints.

Optimisers are in ``optim/`` and losses in ``layers/``; models for text are in
``apps/language_model/``. Start reading in ``gradient.py``, then ``trainer.py``.
"""

from numpy_rnn.reading import DamagedFileError
from numpy_rnn.training import checkpoint
from numpy_rnn.training.callbacks import Checkpoints, History, JsonLines, TimeBudget, Validation
from numpy_rnn.training.checkpoint import load, save
from numpy_rnn.training.data import Batch, Examples, Source, Windows
from numpy_rnn.training.gradient import Shards, TrainingFailedError, gradient
from numpy_rnn.training.parts import Callback, StepInfo
from numpy_rnn.training.process import trial_executor
from numpy_rnn.training.ranks import Ranks, world
from numpy_rnn.training.schedule import Schedule, constant, cosine, step_decay
from numpy_rnn.training.trainer import Trainer

__all__ = [
    "Batch",
    "Callback",
    "Checkpoints",
    "DamagedFileError",
    "Examples",
    "History",
    "JsonLines",
    "Ranks",
    "Schedule",
    "Shards",
    "Source",
    "StepInfo",
    "TimeBudget",
    "Trainer",
    "TrainingFailedError",
    "Validation",
    "Windows",
    "checkpoint",
    "constant",
    "cosine",
    "gradient",
    "load",
    "save",
    "step_decay",
    "trial_executor",
    "world",
]
