"""What is measured of a network that learns a sentence, before and after training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.explain.influence import (
    by_distance,
    influence,
    jacobians,
    saturation,
    spectral_radii,
)
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import (
    GRU,
    LSTM,
    CrossEntropyLoss,
    Linear,
    MSELoss,
    Recurrent,
    RecurrentLayer,
    Sequential,
)
from numpy_rnn.text import recall
from numpy_rnn.text.recall import Experiment

GATES: dict[type[RecurrentLayer], dict[str, int]] = {
    LSTM: {"input": 0, "forget": 1, "output": 3},
    GRU: {"reset": 0, "update": 1},
}


class Trace(NamedTuple):
    """A network on its sentence, at one moment of its life."""

    outputs: Array  # (T, V)
    influence: Array  # (T, T): |dL_t/dh_s|
    by_distance: Array  # (T,): what is left of it k steps away, median
    radii: Array  # (T,): spectral radius of the state's Jacobian
    saturated: Array  # (T,): share of units with |h| > 0.95
    gates: dict[str, Array]  # (T, H) each


@dataclass(frozen=True)
class Study:
    """One network.

    Attributes
    ----------
    name : str
        Of its cell.
    losses : list of float
        Of each epoch; empty if it was trained elsewhere.
    before, after : Trace
        Fresh, and trained.
    """

    name: str
    losses: list[float]
    before: Trace
    after: Trace


def train(experiment: Experiment, kind: type[Recurrent] | None = None) -> Study:
    """Train a network on an experiment's sentence and measure it on both sides.

    Parameters
    ----------
    experiment : Experiment
        Text, sizes, loss, epochs and seed.
    kind : type, optional
        ``LSTM`` or ``GRU`` in place of the experiment's own cell.

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
    before = trace(model, experiment)
    losses = recall.train(model, experiment)
    return Study(_name(model), losses, before, trace(model, experiment))


def study(experiment: Experiment, model: Sequential) -> Study:
    """Measure a network that was trained before, and the fresh one that it came from."""
    fresh = recall.build(experiment)
    return Study(_name(model), [], trace(fresh, experiment), trace(model, experiment))


def trace(model: Sequential, experiment: Experiment) -> Trace:
    """Measure a network on its sentence.

    Parameters
    ----------
    model : Sequential
        ``rnn`` and ``i2o``; its gradients are cleared.
    experiment : Experiment
        Of the sentence and the loss.

    Returns
    -------
    trace : Trace
    """
    symbols = steps(experiment)
    rows = np.eye(len(experiment.alphabet), dtype=experiment.dtype)[symbols]  # (T + 1, V)
    x = rows[:-1]
    y, _ = model.forward(x[:, None])
    if experiment.loss == "cross-entropy":
        entropy = CrossEntropyLoss(reduction="sum_over_time")
        entropy.forward(y, symbols[1:, None])
        dy = entropy.backward()
    else:
        squares = MSELoss("sum_over_time")
        squares.forward(y, rows[1:, None])
        dy = squares.backward()
    layer = _recurrent(model)
    # y = W h + b, so that dL/dh is dL/dy W.
    A = influence(layer, x, dy[:, 0] @ model.parameters.values["i2o.weight"])
    h = layer.forward(x[:, None])[0][:, 0]
    return Trace(
        outputs=y[:, 0],
        influence=A,
        by_distance=by_distance(A),
        radii=spectral_radii(jacobians(layer, x)),
        saturated=saturation(h),
        gates=gates(layer, x, h),
    )


def steps(experiment: Experiment) -> Array:
    """Return the sentence as places in the alphabet, with the start and end symbols."""
    alphabet = experiment.alphabet
    return np.array([alphabet.start, *alphabet.encode(experiment.text), alphabet.end])


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


def as_data(trace: Trace) -> dict[str, Any]:
    """Return a trace as lists of numbers."""
    plain = {name: value.tolist() for name, value in trace._asdict().items() if name != "gates"}
    return plain | {"gates": {name: gate.tolist() for name, gate in trace.gates.items()}}


def _recurrent(model: Sequential) -> Recurrent:
    layer = model.layers["rnn"]
    assert isinstance(layer, Recurrent)  # noqa: S101 (a recall's model has one)
    return layer


def _name(model: Sequential) -> str:
    return type(_recurrent(model)).__name__
