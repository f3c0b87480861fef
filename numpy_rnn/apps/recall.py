"""The recall experiment: whether a recurrent network can learn one sentence by heart.

The notebook this project starts from trained a character RNN on one sentence, generated
with its raw output fed back, did not get the sentence and blamed the network. This is that
experiment, with the same model, data, loss and optimiser, and two ways to generate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from numpy_rnn import npz
from numpy_rnn.apps.alphabet import Alphabet
from numpy_rnn.apps.experiment import CHARACTERS, SENTENCE, Experiment, shapes
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import RNN, CrossEntropyLoss, Linear, MSELoss, Sequential
from numpy_rnn.layers.validate import NotFiniteError
from numpy_rnn.optim import Adam
from numpy_rnn.training.gradient import TrainingFailedError, first_not_finite

__all__ = [
    "CHARACTERS",
    "SENTENCE",
    "Experiment",
    "Recall",
    "TrainingFailedError",
    "build",
    "generate",
    "load",
    "one_hot_of_argmax",
    "raw_output",
    "run",
    "save",
    "shapes",
    "train",
]


FORMAT = npz.FileFormat("a saved recall", settings_entry="experiment")


@dataclass(frozen=True)
class Recall:
    """What came out.

    Attributes
    ----------
    experiment : Experiment
        What was run.
    model : Sequential
        The trained network.
    losses : list of float
        Of each epoch, before its update.
    raw, argmax : str
        What it generated with its raw output fed back (the notebook's way), and with the
        one-hot of the argmax fed back.
    """

    experiment: Experiment
    model: Sequential = field(repr=False)
    losses: list[float] = field(repr=False)
    raw: str
    argmax: str

    def wrong(self, made: str) -> list[int]:
        """Return the positions at which a generated text is not the sentence."""
        text = self.experiment.text
        return [i for i, character in enumerate(text) if made[i : i + 1] != character]


def _ignore(epoch: int, loss: float) -> None:
    """Do nothing with what an epoch reports."""


def build(experiment: Experiment) -> Sequential:
    """Return the notebook's model, with fresh weights from the experiment's seed.

    Parameters
    ----------
    experiment : Experiment
        Its sizes, nonlinearity, dtype and seed.

    Returns
    -------
    model : Sequential
        ``rnn`` (i2h and h2h of the notebook) and ``i2o``.
    """
    V, H, dtype = len(experiment.alphabet), experiment.hidden_size, experiment.dtype
    rng = np.random.default_rng(experiment.seed)
    return Sequential(
        rnn=RNN(V, H, nonlinearity=experiment.nonlinearity, rng=rng, dtype=dtype),
        i2o=Linear(H, V, rng=rng, dtype=dtype),
    )


def train(
    model: Sequential,
    experiment: Experiment,
    on_epoch: Callable[[int, float], None] = _ignore,
) -> list[float]:
    """Train the model on the experiment's sentence, as the notebook does.

    Parameters
    ----------
    model : Sequential
        From :func:`build`; its weights are changed.
    experiment : Experiment
        Text, loss, learning rate and epochs.
    on_epoch : callable
        Is told the number of each epoch, from 0, and its loss.

    Returns
    -------
    losses : list of float
        Of each epoch, before its update.

    Raises
    ------
    TrainingFailedError
        When a number is no longer finite.
    """
    alphabet = experiment.alphabet
    symbols = np.array([alphabet.start, *alphabet.encode(experiment.text), alphabet.end])
    rows = np.eye(len(alphabet), dtype=experiment.dtype)[symbols][:, None]  # (N + 2, 1, V)
    x, target = rows[:-1], rows[1:]
    criterion: MSELoss | CrossEntropyLoss = MSELoss("sum_over_time")
    if experiment.loss == "cross-entropy":
        criterion = CrossEntropyLoss(reduction="sum_over_time")
        target = symbols[1:, None]
    adam = Adam(model.parameters, lr=experiment.lr)
    losses: list[float] = []
    with np.errstate(over="ignore", invalid="ignore"):  # _check says it better than a warning
        for epoch in range(experiment.epochs):
            try:
                y, _ = model.forward(x)
                loss = float(criterion.forward(y, target))
                model.zero_grad()
                model.backward(criterion.backward())
            except NotFiniteError as error:
                what = str(error).removesuffix(", expected finite numbers")
                raise _failed(epoch, experiment, what) from None
            adam.step()
            losses.append(loss)
            if not math.isfinite(loss):
                raise _failed(epoch, experiment, f"the loss is {loss}")
            on_epoch(epoch, loss)
        name = first_not_finite(model.parameters.values)
        if name is not None:
            raise _failed(experiment.epochs - 1, experiment, f"{name!r} is not finite")
    return losses


def raw_output(y: Array) -> Array:
    """Feed back what the network put out: the notebook's way."""
    return y


def one_hot_of_argmax(y: Array) -> Array:
    """Feed back the character that was chosen, as in training."""
    row = np.zeros_like(y)
    row[..., y.argmax()] = 1
    return row


def generate(
    model: Sequential, alphabet: Alphabet, length: int, feed_back: Callable[[Array], Array]
) -> str:
    """Let the model write, from the start symbol and a zero state.

    Parameters
    ----------
    model : Sequential
        A trained network.
    alphabet : Alphabet
        Of the network's input and output.
    length : int
        How many characters.
    feed_back : callable
        Makes the next input (1, 1, V) from the output (1, 1, V).

    Returns
    -------
    text : str
        The character of each output's argmax. Shorter than `length` if outputs that are
        fed back grow until they are no longer finite: there is nothing to go on from.
    """
    x = np.eye(len(alphabet), dtype=model.parameters.dtype)[[[alphabet.start]]]  # (1, 1, V)
    state = None
    made: list[int] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(length):
            try:
                y, state = model.forward(x, state)
            except NotFiniteError:
                break
            made.append(int(y.argmax()))
            x = feed_back(y)
    return alphabet.decode(np.array(made, int))


def run(experiment: Experiment, on_epoch: Callable[[int, float], None] = _ignore) -> Recall:
    """Run the experiment: train once, generate twice from the same weights.

    Parameters
    ----------
    experiment : Experiment
        What to run.
    on_epoch : callable
        Is told the number of each epoch, from 0, and its loss.

    Returns
    -------
    result : Recall
        Weights, losses and both texts.

    Raises
    ------
    TrainingFailedError
        When a number is no longer finite.
    """
    model = build(experiment)
    losses = train(model, experiment, on_epoch)
    texts = (
        generate(model, experiment.alphabet, len(experiment.text), feed_back)
        for feed_back in (raw_output, one_hot_of_argmax)
    )
    return Recall(experiment, model, losses, *texts)


def save(path: Path, result: Recall) -> None:
    """Write weights and experiment to a ``.npz`` file, completely or not at all.

    Parameters
    ----------
    path : Path
        Where; an existing file is replaced.
    result : Recall
        Its model's parameters are stored under their names, its experiment as JSON under
        ``experiment``.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    npz.write(path, FORMAT, asdict(result.experiment), result.model.state_dict())


def load(path: Path) -> tuple[Experiment, Sequential]:
    """Read what :func:`save` wrote.

    Parameters
    ----------
    path : Path
        A file from :func:`save`.

    Returns
    -------
    experiment : Experiment
        What was run.
    model : Sequential
        The trained network.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        In one line that names the file, if it is not such a file or is damaged.
    """
    with npz.open_npz(path, FORMAT) as file:
        experiment = Experiment(**file.settings)
        dtype = np.dtype(experiment.dtype)
        layout = {name: (shape, dtype) for name, shape in shapes(experiment).items()}
        arrays = file.read_arrays(layout)
    model = build(experiment)  # only now: arrays of its sizes have been seen
    model.load_state_dict(arrays)
    return experiment, model


def _failed(epoch: int, experiment: Experiment, what: str) -> TrainingFailedError:
    return TrainingFailedError(
        f"training diverged in epoch {epoch} ({what}); try a lr below {experiment.lr}"
    )
