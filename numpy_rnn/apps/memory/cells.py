"""The cells to compare, each with the initialisation of its source."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn import init
from numpy_rnn.apps.memory.tasks import DTYPE, Task
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


class CellSpec(NamedTuple):
    """A cell and its initialisation."""

    layer: Callable[..., Recurrent]  # layer(input_size, hidden_size, rng=, dtype=)
    description: str
    # initialise(layers, length, rng) changes the layers' weights before training
    initialise: Callable[[list[Recurrent], int, np.random.Generator], None] = lambda *_: None
    num_layers: int = 1
    frozen: tuple[str, ...] = ()  # parts of the names of parameters that are not trained


def _chrono(layers: list[Recurrent], length: int, rng: np.random.Generator) -> None:
    init.chrono(layers[0], max(3, length), rng)


def _indrnn(layers: list[Recurrent], length: int, rng: np.random.Generator) -> None:
    first, second = layers
    init.indrnn_uniform(first, length, rng)
    init.indrnn_uniform(second, length, rng, least=0.5)


def _lru(layers: list[Recurrent], length: int, rng: np.random.Generator) -> None:
    init.lru_ring(layers[0], rng, r_min=1 - 1 / (length + 1), r_max=1 - 0.1 / (length + 1))
    # lru_ring scales for a state that sums all inputs. Here few inputs are to be remembered.
    layers[0].parameters.values["gamma_log_l0"][...] = 0


CELLS = {
    "rnn": CellSpec(RNN, "tanh RNN, PyTorch's default initialisation"),
    "rnn-orthogonal": CellSpec(
        RNN,
        "tanh RNN, orthogonal recurrent matrix (Saxe et al. 2014)",
        lambda layers, _, rng: init.orthogonal(layers[0], rng),
    ),
    "irnn": CellSpec(
        partial(RNN, nonlinearity="relu"),
        "relu RNN, identity recurrent matrix (Le et al. 2015)",
        lambda layers, *_: init.identity_recurrent(layers[0]),
    ),
    "lstm": CellSpec(LSTM, "LSTM, PyTorch's default initialisation"),
    "lstm-forget": CellSpec(
        LSTM,
        "LSTM, forget-gate bias 1 (Gers et al. 2000)",
        lambda layers, *_: init.forget_bias(layers[0]),
    ),
    "lstm-chrono": CellSpec(LSTM, "LSTM, chrono initialisation (Tallec & Ollivier 2018)", _chrono),
    "gru": CellSpec(GRU, "GRU, PyTorch's default initialisation"),
    "gru-chrono": CellSpec(GRU, "GRU, chrono initialisation (Tallec & Ollivier 2018)", _chrono),
    "indrnn": CellSpec(IndRNN, "two layers of IndRNN (Li et al. 2018)", _indrnn, 2),
    # Recomputing 32 steps at a time keeps them in the processor's cache, which is faster.
    "mingru": CellSpec(
        partial(MinGRU, recompute=32), "minGRU (Feng et al. 2024), chrono initialisation", _chrono
    ),
    # Over T steps, a change of an eigenvalue's angle by d turns the state by T d. A step of the
    # optimiser that is small for the angle destroys a long memory, so eigenvalues are frozen.
    "lru": CellSpec(
        partial(LRU, recompute=32),
        "LRU (Orvieto et al. 2023), eigenvalues frozen",
        _lru,
        frozen=("nu_log", "theta_log"),
    ),
}


def build(spec: CellSpec, task: Task, hidden_size: int, rng: np.random.Generator) -> Sequential:
    """Return a model for a task: recurrent layers of `hidden_size` units, then a linear layer.

    All weights are drawn with `rng`, in float32.

    >>> from numpy_rnn.apps.memory.tasks import AddingTask
    >>> model = build(CELLS["indrnn"], AddingTask(20), 8, np.random.default_rng(0))
    >>> [type(layer).__name__ for layer in model.layers.values()]
    ['IndRNN', 'IndRNN', 'LastStep', 'Linear']
    """
    recurrent: list[Recurrent] = []
    size = task.input_size
    for _ in range(spec.num_layers):
        recurrent.append(spec.layer(size, hidden_size, rng=rng, dtype=DTYPE))
        size = recurrent[-1].state_sizes[0]
    spec.initialise(recurrent, task.length, rng)
    last = [] if task.per_step else [LastStep(dtype=DTYPE.name)]
    output = Linear(size, task.output_size, rng=rng, dtype=DTYPE)
    return Sequential(*recurrent, *last, output)
