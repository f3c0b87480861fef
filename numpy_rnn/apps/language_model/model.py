"""The character language model: its settings, layers, optimiser and learning-rate schedule.

(1) e_t = W_e[s_t]                                  embedding of token s_t
(2) h_t = recurrent layers of e_1 .. e_t            dropout between and after the layers
(3) p(s_{t+1} = v | s_1 .. s_t) = softmax(W h_t + b)_v
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from numpy_rnn import init
from numpy_rnn.apps.vocabulary import check_encoding
from numpy_rnn.arguments import Validated, check_size, checked, integer, one_of, optional, real
from numpy_rnn.layers import GRU, LSTM, RNN, Dropout, Embedding, Layer, Linear, Sequential
from numpy_rnn.layers.cut import default_shards
from numpy_rnn.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from numpy_rnn.training import Schedule, constant, cosine, step_decay
from numpy_rnn.training.process import check_memory

_CELLS = {"rnn": (RNN, 1), "lstm": (LSTM, 4), "gru": (GRU, 3)}  # layer and number of gates
_OPTIMIZERS: dict[str, tuple[Callable[..., Optimizer], dict[str, Any]]] = {
    "adam": (Adam, {"betas": (0.9, 0.99)}),
    "adamw": (AdamW, {"betas": (0.9, 0.99)}),
    "sgd": (SGD, {"momentum": 0.9}),
    "rmsprop": (RMSprop, {}),
    "adagrad": (Adagrad, {}),
}
_SCHEDULES = {"cosine": cosine, "constant": constant, "step": step_decay}
MAX_LAYERS = 1000  # each is a Python object, which takes time to build
CELLS, OPTIMIZERS, SCHEDULES = tuple(_CELLS), tuple(_OPTIMIZERS), tuple(_SCHEDULES)


@dataclass(frozen=True)
class Settings(Validated):
    """Everything that a training run depends on, besides the text.

    Exactly one of `epochs` and `time_budget` is given. A setting that is out of its range or of
    another type is a ValueError or a TypeError that names it.

    Examples
    --------
    >>> Settings(cell="lstm", epochs=3).hidden_size
    256
    """

    cell: str = checked("gru", one_of(*CELLS), "type of the recurrent layers")
    hidden_size: int = checked(256, integer(1), "units per recurrent layer")
    layers: int = checked(1, integer(1, MAX_LAYERS), "stacked recurrent layers")
    embedding: int = checked(64, integer(1), "size of the character embedding")
    dropout: float = checked(
        0.0, real(minimum=0, below=1), "dropout probability of recurrent layer outputs"
    )
    batch_size: int = checked(32, integer(1), "text streams per batch")
    window: int = checked(64, integer(1), "steps of truncated backpropagation through time")
    optimizer: str = checked("adam", one_of(*OPTIMIZERS), "optimiser")
    lr: float = checked(8e-3, real(above=0), "learning rate")
    weight_decay: float = checked(0.0, real(minimum=0), "weight decay of the optimiser")
    schedule: str = checked("cosine", one_of(*SCHEDULES), "learning-rate schedule")
    warmup: int = checked(100, integer(0), "learning-rate warm-up steps")
    clip_norm: float = checked(1.0, real(minimum=0), "maximum gradient norm, 0 = off")
    validation_fraction: float = checked(
        0.1, real(minimum=0, below=1), "fraction of the text, at its end, held out for validation"
    )
    validate_every: int = checked(500, integer(1), "training steps between validations")
    patience: int = checked(0, integer(0), "early-stopping patience in validations, 0 = off")
    epochs: float | None = checked(None, optional(real(above=0)))  # passes over the text
    time_budget: float | None = checked(None, optional(real(above=0)))  # seconds of training
    seed: int = checked(0, integer(0), "seed of the initial weights and of dropout")
    shards: int | None = checked(
        None,
        optional(integer(1)),
        "parts of a batch, for threads and processes (default: at least 16 rows each, at most 8)",
    )
    dtype: str = checked(
        "float32", one_of("float32", "float64"), "floating-point type of all numbers"
    )
    encoding: str | None = checked(
        None,
        optional(check_encoding),
        "encoding of the text (default: by its byte-order mark, or else UTF-8)",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.epochs is None) == (self.time_budget is None):
            raise ValueError(
                f"Settings: epochs is {self.epochs} and time_budget is {self.time_budget}, "
                "expected exactly one of the two"
            )
        shards = default_shards(self.batch_size) if self.shards is None else self.shards
        check_size("Settings", "shards", shards, most=self.batch_size)
        object.__setattr__(self, "shards", shards)  # the only way in a frozen dataclass


def build(settings: Settings, V: int) -> Sequential:
    """Return the model for V characters, with initial weights from the settings' seed.

    The forget gates of an LSTM are initialised with the bias 1.

    >>> list(build(Settings(hidden_size=8, embedding=4, epochs=1), V=30).layers)
    ['embedding', 'rnn', 'dropout', 'output']
    """
    E, H, dtype = settings.embedding, settings.hidden_size, settings.dtype
    rng = np.random.default_rng(settings.seed)
    between = settings.dropout if settings.layers > 1 else 0.0  # the last layer's is a Dropout
    layer, _ = _CELLS[settings.cell]
    rnn = layer(E, H, settings.layers, dropout=between, rng=rng, dtype=dtype)
    if isinstance(rnn, LSTM):
        init.forget_bias(rnn, 1.0)
    return Sequential(
        embedding=Embedding(V, E, rng=rng, dtype=dtype),
        rnn=rnn,
        dropout=Dropout(settings.dropout, rng=rng, dtype=dtype),
        output=Linear(H, V, rng=rng, dtype=dtype),
    )


def parameter_count(settings: Settings, V: int) -> int:
    """Return the number of parameters of the model, without building it."""
    H, E, layers = settings.hidden_size, settings.embedding, settings.layers
    _, gates = _CELLS[settings.cell]
    inputs = E + (layers - 1) * H  # of all recurrent layers
    return V * E + gates * H * (inputs + layers * (H + 2)) + (H + 1) * V


def check_training_memory(settings: Settings, V: int) -> None:
    """Raise MemoryError if the machine has less memory than training takes at the very least."""
    H, layers = settings.hidden_size, settings.layers
    outputs = settings.window * settings.batch_size * (layers * H + V)
    # The weights, their gradients, one moment of the optimiser and its scratch array.
    needed = np.dtype(settings.dtype).itemsize * (4 * parameter_count(settings, V) + outputs)
    sizes = "cell", "hidden_size", "layers", "embedding", "batch_size", "window"
    check_memory(needed, ", ".join(f"{name} {getattr(settings, name)}" for name in sizes))


def optimizer_for(settings: Settings, model: Layer) -> Optimizer:
    """Return the optimiser of the settings."""
    kind, options = _OPTIMIZERS[settings.optimizer]
    return kind(model.parameters, lr=settings.lr, weight_decay=settings.weight_decay, **options)


def schedule_for(settings: Settings) -> Schedule:
    """Return the learning-rate schedule of the settings."""
    return _SCHEDULES[settings.schedule](settings.warmup)
