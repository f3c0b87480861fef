"""The museum of wrong gradients: textbook code, and the mistakes that people make in it."""

from numpy_rnn.checking.museum.collection import EXHIBITS, OPTIMIZER_ROOMS, ROOMS
from numpy_rnn.checking.museum.exhibit import (
    SIZES,
    Exhibit,
    OptimizerRoom,
    Room,
    arguments,
    diff,
    dimensions,
    patched,
    source,
)
from numpy_rnn.checking.museum.optimizer_check import WrongStep, check_optimizer, stepper

__all__ = [
    "EXHIBITS",
    "OPTIMIZER_ROOMS",
    "ROOMS",
    "SIZES",
    "Exhibit",
    "OptimizerRoom",
    "Room",
    "WrongStep",
    "arguments",
    "check_optimizer",
    "diff",
    "dimensions",
    "patched",
    "source",
    "stepper",
]
