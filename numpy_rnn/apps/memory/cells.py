"""The cells that are compared, each with the start that its source gives it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn import init
from numpy_rnn.apps.memory.task import DTYPE, Task
from numpy_rnn.layers import (
    GRU,
    LRU,
    LSTM,
    RNN,
    IndRNN,
    LastStep,
    Linear,
    MinGRU,
    Recurrent,
    Sequential,
)


class Scheme(NamedTuple):
    """A cell and how it starts.

    Attributes
    ----------
    kind : callable
        ``kind(inputs, hidden, rng=, dtype=)`` makes a layer.
    says : str
        What it is, in a line.
    start : callable
        ``start(layers, length, rng)`` changes the layers' weights before training.
    depth : int
        How many layers stand on each other.
    held : tuple of str
        Parameters that stay as they were drawn, by a part of their names.
    """

    kind: Callable[..., Recurrent]
    says: str
    start: Callable[[list[Recurrent], int, np.random.Generator], None] = lambda *_: None
    depth: int = 1
    held: tuple[str, ...] = ()


def _chrono(layers: list[Recurrent], length: int, rng: np.random.Generator) -> None:
    init.chrono(layers[0], max(3, length), rng)


def _independent(layers: list[Recurrent], length: int, rng: np.random.Generator) -> None:
    below, above = layers
    init.indrnn_uniform(below, length, rng)
    init.indrnn_uniform(above, length, rng, least=0.5)


def _ring(layers: list[Recurrent], length: int, rng: np.random.Generator) -> None:
    init.lru_ring(layers[0], rng, r_min=1 - 1 / (length + 1), r_max=1 - 0.1 / (length + 1))
    # Not as large as all inputs together, as the ring has it: as large as the few to be kept.
    layers[0].parameters.values["gamma_log_l0"][...] = 0


CELLS = {
    "rnn": Scheme(RNN, "tanh, PyTorch's default start"),
    "rnn-orthogonal": Scheme(
        RNN,
        "tanh, orthogonal recurrent matrix (Saxe et al. 2014)",
        lambda layers, _, rng: init.orthogonal(layers[0], rng),
    ),
    "irnn": Scheme(
        partial(RNN, nonlinearity="relu"),
        "relu, identity recurrent matrix (Le et al. 2015)",
        lambda layers, *_: init.identity_recurrent(layers[0]),
    ),
    "lstm": Scheme(LSTM, "LSTM, PyTorch's default start"),
    "lstm-forget": Scheme(
        LSTM,
        "LSTM, forget gate's bias 1 (Gers et al. 2000)",
        lambda layers, *_: init.forget_bias(layers[0]),
    ),
    "lstm-chrono": Scheme(LSTM, "LSTM, chrono start (Tallec & Ollivier 2018)", _chrono),
    "gru": Scheme(GRU, "GRU, PyTorch's default start"),
    "gru-chrono": Scheme(GRU, "GRU, chrono start (Tallec & Ollivier 2018)", _chrono),
    "indrnn": Scheme(IndRNN, "two layers of IndRNN (Li et al. 2018)", _independent, 2),
    # Steps that are gone back through while they are in the processor's cache take less time.
    "mingru": Scheme(
        partial(MinGRU, recompute=32), "minGRU (Feng et al. 2024), chrono start", _chrono
    ),
    # A turn of omega in each step is one of T omega in the end: a step of an optimiser that is
    # small for omega turns a long memory right round. So the eigenvalues stay as they are.
    "lru": Scheme(
        partial(LRU, recompute=32),
        "LRU (Orvieto et al. 2023), eigenvalues kept",
        _ring,
        held=("nu_log", "theta_log"),
    ),
}


def build(scheme: Scheme, task: Task, hidden: int, rng: np.random.Generator) -> Sequential:
    """Return a model for a task: recurrent layers, and a linear one on top.

    Parameters
    ----------
    scheme : Scheme
        The cell.
    task : Task
        Its numbers of inputs and outputs, and its length.
    hidden : int
        Units of each recurrent layer.
    rng : numpy.random.Generator
        For the initial weights.

    Returns
    -------
    model : Sequential
        In float32.
    """
    recurrent: list[Recurrent] = []
    size = task.inputs
    for _ in range(scheme.depth):
        recurrent.append(scheme.kind(size, hidden, rng=rng, dtype=DTYPE))
        size = recurrent[-1].state_sizes[0]
    scheme.start(recurrent, task.length, rng)
    readout = Linear(size, task.outputs, rng=rng, dtype=DTYPE)
    return Sequential(*recurrent, *[LastStep(dtype=DTYPE.name)] * task.at_end, readout)
