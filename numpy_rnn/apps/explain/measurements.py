"""Measurements of a network on a text, before and after training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.apps import recall
from numpy_rnn.apps.explain.metrics import (
    by_distance,
    gates,
    saturation,
    spectral_radius,
    top_layer,
)
from numpy_rnn.apps.explain.sample import Sample, of_recall
from numpy_rnn.apps.recall import Experiment
from numpy_rnn.checking.ledger import back_through, jacobians, ledger_norms, recurrent_part
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import RNN, CrossEntropyLoss, Layer, Loss, MSELoss, Recurrent


class Snapshot(NamedTuple):
    """The metrics of a network with its weights at one time of the training.

    With several recurrent layers, all but the outputs are of the top one.
    """

    outputs: Array  # (T, V); probabilities if the loss is the cross-entropy
    attribution: Array  # (T, T): |dL_t / dh_s|
    by_distance: Array  # (T,): what is left of it k steps back, median
    ledger: Array  # (T,): norm of each step's term of the gradient of the weights
    radii: Array  # (T,): spectral radius of the state's Jacobian
    saturated: Array  # (T,): fraction of units with |h| > 0.95, or with h = 0 for a relu
    gates: dict[str, Array]  # (T, H) each

    def to_lists(self) -> dict[str, Any]:
        """Return the metrics as lists of numbers, ready for JSON."""
        lists = {name: value.tolist() for name, value in self._asdict().items() if name != "gates"}
        return lists | {"gates": {name: gate.tolist() for name, gate in self.gates.items()}}


@dataclass(frozen=True)
class Measurements:
    """A network before and after training."""

    name: str  # of its cell
    units: int  # per recurrent layer
    layers: int  # recurrent ones
    nonlinearity: str  # of the states: "tanh" or "relu"
    losses: list[tuple[int, float]]  # epoch or update, and loss; empty if they were not kept
    held_out: list[tuple[int, float]]  # the same on held-out text; empty if there is none
    before: Snapshot
    after: Snapshot

    @property
    def snapshots(self) -> dict[str, Snapshot]:
        """Both snapshots by their names."""
        return {"before": self.before, "after": self.after}


def train(
    experiment: Experiment,
    cell: type[Recurrent] | None = None,
    on_progress: Callable[[str], object] = lambda _note: None,
) -> Measurements:
    """Train a network on a recall experiment's sentence, and measure it before and after.

    A `cell`, LSTM or GRU, is used instead of the experiment's own. `on_progress` is called with a
    note after each epoch, and after each step of the two measurements.

    >>> measured = train(Experiment(text="an rnn", epochs=3))
    >>> len(measured.losses), measured.after.attribution.shape
    (3, (7, 7))
    """
    fresh, trained = recall.build(experiment, cell), recall.build(experiment, cell)
    name = type(trained.layers["rnn"]).__name__
    losses = recall.train(
        trained, experiment, lambda _, loss: on_progress(f"{name}: loss {loss:.4f}")
    )
    sample, numbered = of_recall(experiment), list(enumerate(losses))
    return measure(sample, fresh, trained, numbered, on_progress=on_progress)


def measure(
    sample: Sample,
    fresh: Layer,
    trained: Layer,
    losses: Sequence[tuple[int, float]] = (),
    held_out: Sequence[tuple[int, float]] = (),
    on_progress: Callable[[str], object] = lambda _note: None,
) -> Measurements:
    """Measure a trained network, and the same network with its initial weights.

    Both have a recurrent layer, or it is a ValueError. `losses` and `held_out` become those of the
    result, and `on_progress` is called with a note after each step of the two measurements.
    """
    layer = recurrent_layer(trained)
    if layer is None:
        raise ValueError(f"its model is {trained!r}, expected one with a recurrent layer")
    return Measurements(
        name=type(layer).__name__,
        units=layer.hidden_size,
        layers=layer.num_layers,
        nonlinearity=_nonlinearity(layer),
        losses=list(losses),
        held_out=list(held_out),
        before=snapshot(fresh, sample, on_progress),
        after=snapshot(trained, sample, on_progress),
    )


def recurrent_layer(model: Layer) -> Recurrent | None:
    """Return the first recurrent layer of a model."""
    layers = getattr(model, "layers", {"-": model})
    return next((layer for layer in layers.values() if isinstance(layer, Recurrent)), None)


def snapshot(model: Layer, sample: Sample, on_progress: Callable[[str], object]) -> Snapshot:
    """Measure a network on a text. It is set to evaluation mode.

    ``on_progress(note)`` is called after each step, from the last to the first.
    """
    model.eval()
    targets = sample.tokens[1:, None]
    y, _ = model.predict(sample.x)
    outputs: Array = y
    criterion: Loss = MSELoss("sum_over_time")
    if sample.loss == "cross-entropy":
        criterion = CrossEntropyLoss("sum_over_time")
        outputs = np.exp(y - y.max(axis=-1, keepdims=True))
        outputs /= outputs.sum(axis=-1, keepdims=True)
    else:
        targets = np.eye(y.shape[-1], dtype=y.dtype)[targets]
    dy = criterion.vjp(criterion.apply(y, targets)[1])
    stack, x, dh, _ = recurrent_part(model, sample.x, dy, None)
    layer, x = top_layer(stack, x)
    name, T = type(layer).__name__, len(x)
    radii = np.zeros(T)

    def measured() -> Iterator[Array]:
        for t, J in zip(reversed(range(T)), jacobians(layer, x, None), strict=True):
            radii[t] = spectral_radius(J[0])
            yield J
            on_progress(f"{name}: back to step {t}")

    A = back_through(layer, measured(), dh)[0]
    h = layer.predict(x)[0][:, 0]
    return Snapshot(
        outputs=outputs[:, 0],
        attribution=A,
        by_distance=by_distance(A),
        ledger=np.linalg.norm(list(ledger_norms(layer, x, dh).values()), axis=0),
        radii=radii,
        saturated=saturation(h, relu=_nonlinearity(layer) == "relu"),
        gates=gates(layer, x[:, 0], h),
    )


def _nonlinearity(layer: Recurrent) -> str:
    return str(layer.nonlinearity) if isinstance(layer, RNN) else "tanh"
