"""What a language model is trained with, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from numpy_rnn.apps.plain import positive, shown, whole

CELLS = ("rnn", "lstm", "gru")
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop", "adagrad")
SCHEDULES = ("cosine", "constant", "step")


@dataclass(frozen=True)
class Settings:
    """What a run depends on, besides the text.

    NumPy's numbers become Python's, so that settings can be written as JSON.

    Parameters
    ----------
    cell : {"gru", "lstm", "rnn"}
        Of the recurrent layers.
    hidden_size, layers, embedding : int
        Units of a layer, how many layers stand on each other, and the size of the vectors that
        characters become.
    dropout : float
        Probability with which an output of a recurrent layer is zeroed in training.
    batch_size, window : int
        How many places of the text are read side by side, and over how many steps the gradient
        goes back.
    optimizer : {"adam", "adamw", "sgd", "rmsprop", "adagrad"}
        Adam's betas are 0.9 and 0.99, SGD's momentum 0.9.
    lr, weight_decay : float
        Of the optimiser.
    schedule : {"cosine", "constant", "step"}
        How the learning rate falls: to a twentieth; not at all; to a tenth at 1/2 and again at
        3/4 of the run.
    warmup : int
        Over how many steps it rises first.
    clip_norm : float
        The longest gradient; 0 for no limit.
    validation_fraction : float
        How much of the text's end is held out.
    validate_every : int
        Steps from one measurement of what is held out to the next.
    patience : int
        After how many measurements without a new best the run ends; 0 for never.
    epochs, time_budget : float or None
        How often the training part is read, or for how many seconds; one of the two.
    seed : int
        Of the initial weights and of dropout.
    threads : int
        How many threads split a batch.
    dtype : {"float32", "float64"}
        Of every number.

    Raises
    ------
    ValueError, TypeError
        Naming the setting, what came and what was expected.
    """

    cell: str = "gru"
    hidden_size: int = 256
    layers: int = 1
    embedding: int = 64
    dropout: float = 0.0
    batch_size: int = 32
    window: int = 64
    optimizer: str = "adam"
    lr: float = 8e-3
    weight_decay: float = 0.0
    schedule: str = "cosine"
    warmup: int = 100
    clip_norm: float = 1.0
    validation_fraction: float = 0.1
    validate_every: int = 500
    patience: int = 0
    epochs: float | None = None
    time_budget: float | None = None
    seed: int = 0
    threads: int = 1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            if value is not None or name not in ("epochs", "time_budget"):
                object.__setattr__(self, name, check(name, value))  # of a frozen dataclass
        if (self.epochs is None) == (self.time_budget is None):
            raise ValueError(
                f"epochs is {self.epochs} and time_budget is {self.time_budget}, "
                "expected one of the two"
            )
        if self.threads > self.batch_size:
            raise ValueError(
                f"threads is {self.threads}, expected up to batch_size {self.batch_size}"
            )


def parameter_count(settings: Settings, V: int) -> int:
    """Return how many parameters the model has, building nothing."""
    H, E = settings.hidden_size, settings.embedding
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[settings.cell]
    recurrent = gates * H * (E + H + 2) + (settings.layers - 1) * gates * H * (2 * H + 2)
    return V * E + recurrent + V * H + V


def names() -> list[str]:
    """Return the names of all settings, in order."""
    return [field.name for field in fields(Settings)]


def _one_of(*choices: str) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if value not in choices:
            raise ValueError(f"{name} is {shown(value)}, expected one of {', '.join(choices)}")
        return str(value)

    return check


def _at_least(least: int) -> Callable[[str, Any], int]:
    return lambda name, value: whole(name, value, least)


def _fraction(name: str, value: Any) -> float:
    number = _not_negative(name, value)
    if number >= 1:
        raise ValueError(f"{name} is {number}, expected below 1")
    return number


def _not_negative(name: str, value: Any) -> float:
    return 0.0 if value == 0 and not isinstance(value, bool) else positive(name, value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "cell": _one_of(*CELLS),
    "hidden_size": _at_least(1),
    "layers": _at_least(1),
    "embedding": _at_least(1),
    "dropout": _fraction,
    "batch_size": _at_least(1),
    "window": _at_least(1),
    "optimizer": _one_of(*OPTIMIZERS),
    "lr": positive,
    "weight_decay": _not_negative,
    "schedule": _one_of(*SCHEDULES),
    "warmup": _at_least(0),
    "clip_norm": _not_negative,
    "validation_fraction": _fraction,
    "validate_every": _at_least(1),
    "patience": _at_least(0),
    "epochs": positive,
    "time_budget": positive,
    "seed": _at_least(0),
    "threads": _at_least(1),
    "dtype": _one_of("float32", "float64"),
}
