"""Measurements of a network on a text, before and after training.

(1) tokens s_0 .. s_T        the ids of the text's characters
(2) the input of step t is s_t, its target s_{t+1}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numpy_rnn.apps import recall
from numpy_rnn.apps.explain.metrics import (
    by_distance,
    gates,
    saturation,
    spectral_radius,
    top_layer,
)
from numpy_rnn.apps.language_model import generate
from numpy_rnn.apps.recall import Experiment
from numpy_rnn.apps.vocabulary import Vocabulary
from numpy_rnn.checking.ledger import back_through, jacobians, ledger_norms, recurrent_part
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import RNN, CrossEntropyLoss, Layer, Loss, MSELoss, Recurrent

GENERATED_LENGTH = 48  # characters of a generated text, as many as the notebook's sentence has
MAX_LENGTH = 256  # characters of a given text: each step costs a Jacobian of all units


class Sample(NamedTuple):
    """A text for a network."""

    about: str  # the end of a sentence that begins with "An LSTM with 35 units"
    characters: str  # of the vocabulary, in the order of the outputs
    tokens: Array  # equation (1): (T + 1,) integers
    x: Array  # the model's input, (T, 1) token ids or (T, 1, V) one-hot vectors
    loss: str  # that the model is trained on: "mse" or "cross-entropy"
    clock: str  # unit in which training counts: "epoch" or "update"


def of_recall(experiment: Experiment) -> Sample:
    """Return the sentence of a recall experiment, with the start and end tokens, as one-hot inputs.

    >>> of_recall(Experiment(text="an rnn")).x.shape
    (7, 1, 35)
    """
    characters, tokens = experiment.characters, experiment.tokens
    return Sample(
        about=(
            f"memorised one text: \u201c{_printable(experiment.text)}\u201d. The start token "
            f"before it is {characters[-2]}, the end token after it is {characters[-1]}."
        ),
        characters=characters,
        tokens=tokens,
        x=np.eye(len(characters), dtype=experiment.dtype)[tokens[:-1], None],
        loss=experiment.loss,
        clock="epoch",
    )


def of_model(model: Layer, vocabulary: Vocabulary, origin: str, text: str | None = None) -> Sample:
    """Return a text for a language model, as token ids. `origin` says where the model is from.

    `text` has 2 to 256 characters of the vocabulary; anything else is a ValueError. If there is
    none, the model generates one.
    """
    if text is None:
        known = vocabulary.characters
        first = next((known.index(c) for c in "\n " if c in known), 0)  # before a word
        generated = generate(model, np.array([first]), rng=0)
        tokens = np.array([first, *(next(generated) for _ in range(GENERATED_LENGTH))])
        reads = "it reads a text that it generated"
    elif 2 <= len(text) <= MAX_LENGTH:
        tokens, reads = vocabulary.encode(text).astype(int), "it reads"
    else:
        raise ValueError(f"text has {len(text)} characters, expected 2 to {MAX_LENGTH}")
    shown = _printable(vocabulary.decode(tokens))
    return Sample(
        about=f"{origin}. Here {reads}: \u201c{shown}\u201d.",
        characters=vocabulary.characters,
        tokens=tokens,
        x=tokens[:-1, None],
        loss="cross-entropy",
        clock="update",
    )


def _printable(text: str) -> str:
    """Return a text without characters that would change the text around it, such as RTL marks."""
    return "".join(c if c.isprintable() else "\u25a1" for c in " ".join(text.split()))


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
