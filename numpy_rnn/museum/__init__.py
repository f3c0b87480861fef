"""The museum of wrong gradients: textbook code, and the mistakes that people make in it."""

from numpy_rnn.museum.collection import EXHIBITS, OPTIMIZER_ROOMS, ROOMS
from numpy_rnn.museum.exhibit import (
    Exhibit,
    OptimizerRoom,
    Room,
    arguments,
    diff,
    patched,
    source,
)
from numpy_rnn.museum.optimizer_check import WrongStep, check_optimizer, stepper
from numpy_rnn.museum.problem import REGIMES, Regime
from numpy_rnn.museum.usual import UsualChecker, installed, usual_checkers

__all__ = [
    "EXHIBITS",
    "OPTIMIZER_ROOMS",
    "REGIMES",
    "ROOMS",
    "Exhibit",
    "OptimizerRoom",
    "Regime",
    "Room",
    "UsualChecker",
    "WrongStep",
    "arguments",
    "check_optimizer",
    "diff",
    "installed",
    "patched",
    "source",
    "stepper",
    "usual_checkers",
]
