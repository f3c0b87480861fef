"""What is measured of a network that reads a text, before and after training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.apps.experiment import Experiment
from numpy_rnn.apps.explain.influence import by_distance, saturation
from numpy_rnn.apps.explain.lesson import Lesson, of_recall
from numpy_rnn.apps.explain.spectrum import spectral_radius
from numpy_rnn.apps.language_model import recall
from numpy_rnn.checking.ledger import back_through, jacobians, recurrent_part
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import (
    GRU,
    LSTM,
    RNN,
    CrossEntropyLoss,
    Linear,
    MSELoss,
    Recurrent,
    RecurrentLayer,
    Sequential,
)

GATES: dict[type[RecurrentLayer], dict[str, int]] = {
    LSTM: {"input": 0, "forget": 1, "output": 3},
    GRU: {"reset": 0, "update": 1},
}


class Trace(NamedTuple):
    """A network on its text, at one moment of its life."""

    outputs: Array  # (T, V); probabilities where the loss is cross-entropy
    influence: Array  # (T, T): |dL_t/dh_s|
    by_distance: Array  # (T,): what is left of it k steps away, median
    radii: Array  # (T,): spectral radius of the state's Jacobian
    saturated: Array  # (T,): share of units with |h| > 0.95, of a relu with h = 0
    gates: dict[str, Array]  # (T, H) each


@dataclass(frozen=True)
class Study:
    """One network.

    Attributes
    ----------
    name : str
        Of its cell.
    units, layers : int
        Of a layer, and how many of them; what is measured is the topmost.
    nonlinearity : {"tanh", "relu"}
        Of its states.
    at : list of int
        Epochs or updates, of the losses.
    losses : list of float
        Empty if they were not kept.
    held_out : list of (int, float)
        When, and what the loss was on text that is not trained on; empty if there was none.
    before, after : Trace
        Fresh, and trained.
    """

    name: str
    units: int
    layers: int
    nonlinearity: str
    at: list[int]
    losses: list[float]
    held_out: list[tuple[int, float]]
    before: Trace
    after: Trace


def _ignore(note: str) -> None:
    """Do nothing with what is said of the progress."""


def train(
    experiment: Experiment,
    kind: type[Recurrent] | None = None,
    moved: Callable[[str], None] = _ignore,
) -> Study:
    """Train a network on an experiment's sentence and measure it on both sides.

    Parameters
    ----------
    experiment : Experiment
        Text, sizes, loss, epochs and seed.
    kind : type, optional
        ``LSTM`` or ``GRU`` in place of the experiment's own cell.
    moved : callable
        Is told what is done after each epoch, and after each step of the two measurements.

    Returns
    -------
    study : Study

    Raises
    ------
    TrainingFailedError
        When a number is no longer finite.
    """
    model = recall.build(experiment)
    if kind is not None:
        V, H, dtype = len(experiment.alphabet), experiment.hidden_size, experiment.dtype
        rng = np.random.default_rng(experiment.seed)
        model = Sequential(
            rnn=kind(V, H, rng=rng, dtype=dtype), i2o=Linear(H, V, rng=rng, dtype=dtype)
        )
    lesson = of_recall(experiment)
    name = type(model.layers["rnn"]).__name__
    before = trace(model, lesson, moved)
    losses = recall.train(model, experiment, lambda _, loss: moved(f"{name}: loss {loss:.4f}"))
    return _study(model, list(enumerate(losses)), (), before, trace(model, lesson, moved))


def study(
    lesson: Lesson,
    fresh: Sequential,
    trained: Sequential,
    losses: Sequence[tuple[int, float]] = (),
    held_out: Sequence[tuple[int, float]] = (),
    moved: Callable[[str], None] = _ignore,
) -> Study:
    """Measure a network that was trained before, and the fresh one that it came from.

    Parameters
    ----------
    lesson : Lesson
        What both read.
    fresh, trained : Sequential
        Of the same architecture.
    losses : sequence of (int, float)
        When, and what the loss was; empty if they were not kept.
    held_out : sequence of (int, float)
        The same of what is held out.
    moved : callable
        Is told what is done after each step of the two measurements.

    Returns
    -------
    study : Study
    """
    before = trace(fresh, lesson, moved)
    return _study(trained, losses, held_out, before, trace(trained, lesson, moved))


def trace(model: Sequential, lesson: Lesson, moved: Callable[[str], None] = _ignore) -> Trace:
    """Measure a network on a text.

    Parameters
    ----------
    model : Sequential
        Is put into evaluation mode.
    lesson : Lesson
        The text and the loss.
    moved : callable
        Is told what is done after each step of the text.

    Returns
    -------
    trace : Trace
    """
    model.eval()
    targets = lesson.symbols[1:, None]
    y, _ = model.forward(lesson.x)
    if lesson.loss == "cross-entropy":
        entropy = CrossEntropyLoss(reduction="sum_over_time")
        entropy.forward(y, targets)
        dy, outputs = entropy.backward(), np.exp(y - y.max(axis=-1, keepdims=True))
        outputs /= outputs.sum(axis=-1, keepdims=True)
    else:
        squares = MSELoss("sum_over_time")
        squares.forward(y, np.eye(y.shape[-1], dtype=y.dtype)[targets])
        dy, outputs = squares.backward(), y
    whole, x, dh, _ = recurrent_part(model, lesson.x, dy, None)
    layer, x = top(whole, x)
    name, T = type(layer).__name__, len(x)
    radii = np.zeros(T)

    def measured() -> Iterator[Array]:
        for t, J in zip(reversed(range(T)), jacobians(layer, x, None), strict=True):
            radii[t] = spectral_radius(J[0])
            yield J
            moved(f"{name}: back to step {t}")

    A = back_through(layer, measured(), dh)[0]
    h = layer.forward(x)[0][:, 0]
    return Trace(
        outputs=outputs[:, 0],
        influence=A,
        by_distance=by_distance(A),
        radii=radii,
        saturated=saturation(h, relu=_nonlinearity(layer) == "relu"),
        gates=gates(layer, x[:, 0], h),
    )


def top(layer: Recurrent, x: Array) -> tuple[Recurrent, Array]:
    """Return the topmost of a stack of layers as a layer of its own, and what it reads.

    Parameters
    ----------
    layer : Recurrent
        Of one direction, in evaluation mode; a stack of the kind's own nonlinearity.
    x : (T, B, D) array
        What the lowest reads.

    Returns
    -------
    alone : Recurrent
        `layer` itself if it is not a stack.
    x : (T, B, H) array
        The output of the one below.
    """
    if layer.num_layers == 1:
        return layer, x
    values, read = layer.parameters.values, x
    for k in range(layer.num_layers):
        alone = type(layer)(x.shape[-1], layer.hidden_size, dtype=layer.parameters.dtype)
        names = alone.parameters.values
        alone.load_state_dict({name: values[f"{name.removesuffix('_l0')}_l{k}"] for name in names})
        read, (x, _) = x, alone.forward(x)
    return alone, read


def gates(layer: Recurrent, x: Array, h: Array) -> dict[str, Array]:
    """Return what each gate let through.

    Parameters
    ----------
    layer : Recurrent
        LSTM or GRU, of one layer; others have no gates.
    x, h : (T, D) and (T, H) arrays
        Its input and its output.

    Returns
    -------
    gates : dict of str to (T, H) array
        From 0 to 1: sigma(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh).
    """
    blocks = GATES.get(type(layer), {})
    if not blocks:
        return {}
    values, H = layer.parameters.values, h.shape[1]
    earlier = np.concatenate([np.zeros_like(h[:1]), h[:-1]])
    z = x @ values["weight_ih_l0"].T + earlier @ values["weight_hh_l0"].T
    z += values["bias_ih_l0"] + values["bias_hh_l0"]
    opened = 0.5 + 0.5 * np.tanh(0.5 * z)
    return {name: opened[:, k * H : (k + 1) * H] for name, k in blocks.items()}


def _nonlinearity(layer: Recurrent) -> str:
    return layer.nonlinearity if isinstance(layer, RNN) else "tanh"


def as_data(trace: Trace) -> dict[str, Any]:
    """Return a trace as lists of numbers."""
    plain = {name: value.tolist() for name, value in trace._asdict().items() if name != "gates"}
    return plain | {"gates": {name: gate.tolist() for name, gate in trace.gates.items()}}


def _study(
    model: Sequential,
    losses: Sequence[tuple[int, float]],
    held_out: Sequence[tuple[int, float]],
    before: Trace,
    after: Trace,
) -> Study:
    layer = model.layers["rnn"]
    assert isinstance(layer, Recurrent)  # noqa: S101 (a recall's and a language model's is one)
    return Study(
        name=type(layer).__name__,
        units=layer.hidden_size,
        layers=layer.num_layers,
        nonlinearity=_nonlinearity(layer),
        at=[step for step, _ in losses],
        losses=[loss for _, loss in losses],
        held_out=[(step, loss) for step, loss in held_out],
        before=before,
        after=after,
    )
