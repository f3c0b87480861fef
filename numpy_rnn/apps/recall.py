"""The recall experiment: whether a recurrent network can learn one sentence by heart.

A notebook trained a character RNN on one sentence and generated with the network's raw output
fed back. It did not get the sentence and blamed the network. This module runs the same
experiment, with the same model, data, loss and optimiser, and generates in two ways.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from numpy_rnn.apps.vocabulary import Vocabulary, check_text
from numpy_rnn.arguments import MAX_SIZE, Validated, checked, integer, one_of, real, string
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import RNN, CrossEntropyLoss, Linear, MSELoss, Recurrent, Sequential
from numpy_rnn.layers.base import model_settings
from numpy_rnn.layers.model_file import check_described, read_model
from numpy_rnn.layers.validate import NotFiniteError
from numpy_rnn.optim import Adam
from numpy_rnn.parameters import at_most
from numpy_rnn.safetensors import open_safetensors, write
from numpy_rnn.training import Batch, TrainingFailedError, gradient
from numpy_rnn.training.gradient import first_not_finite

SENTENCE = "hello pytorch. how long can a rnn cell remember?"
CHARACTERS = "abcdefghijklmnopqrstuvwxyz ?!.,:;01"
FORMAT, ENTRY = "a saved recall", "recall"


@dataclass(frozen=True)
class Experiment(Validated):
    """The settings of the experiment. The defaults are the notebook's.

    The last two characters of the vocabulary are the start and the end token. The loss is the mean
    squared error over the classes, or softmax cross-entropy.

    >>> Experiment(text="abba", characters="ab<>").tokens
    array([2, 0, 1, 1, 0, 3])
    """

    text: str = checked(SENTENCE, string)
    characters: str = checked(CHARACTERS, string)
    hidden_size: int = checked(35, integer(1, MAX_SIZE), "units of the recurrent layer")
    nonlinearity: str = checked(
        "tanh", one_of("tanh", "relu"), "activation function of the recurrent layer"
    )
    loss: str = checked(
        "mse", one_of("mse", "cross-entropy"), "loss function, summed over the time steps"
    )
    lr: float = checked(1e-3, real(above=0), "learning rate of Adam")
    epochs: int = checked(1000, integer(1), "number of epochs, one update each")
    seed: int = checked(0, integer(0), "seed of the initial weights")
    dtype: str = checked(
        "float32", one_of("float32", "float64"), "floating-point type of all numbers"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.text:
            raise ValueError("text is empty, expected at least one character")
        if len(self.characters) < 3:
            raise ValueError(
                f"vocabulary has {len(self.characters)} characters, expected at least 3: "
                "the last two are the start and the end token"
            )
        self.vocabulary.encode(self.text)

    @property
    def vocabulary(self) -> Vocabulary:
        """The characters as a :class:`Vocabulary`."""
        return Vocabulary(self.characters)

    @property
    def tokens(self) -> Array:
        """Token ids (N + 2,) of the start token, the text and the end token."""
        vocabulary = self.vocabulary
        return np.array([vocabulary.start, *vocabulary.encode(self.text), vocabulary.end])


@dataclass(frozen=True)
class RecallResult:
    """The result of the experiment."""

    experiment: Experiment
    model: Sequential = field(repr=False)  # trained
    losses: list[float] = field(repr=False)  # of each epoch, before its update
    raw: str  # text generated with the raw output fed back, as in the notebook
    argmax: str  # text generated with the one-hot row of the argmax fed back

    def wrong(self, generated: str) -> list[int]:
        """Return the positions at which a generated text differs from the sentence."""
        text = self.experiment.text
        return [i for i, character in enumerate(text) if generated[i : i + 1] != character]


def extend(characters: str, text: str) -> str:
    """Return the characters and those that a text has besides, inserted before the last two.

    >>> extend("abc<>", "Zebra")
    'abcZer<>'
    """
    check_text("text", text)
    new = dict.fromkeys(character for character in text if character not in characters)
    return characters[:-2] + "".join(new) + characters[-2:]


def build(experiment: Experiment, cell: Callable[..., Recurrent] | None = None) -> Sequential:
    """Return the notebook's model with initial weights from the experiment's seed.

    Its layers are ``rnn``, the notebook's i2h and h2h, and ``i2o``. A `cell`, ``LSTM`` or ``GRU``,
    is used instead of the notebook's RNN.
    """
    V, H, dtype = len(experiment.characters), experiment.hidden_size, experiment.dtype
    rng = np.random.default_rng(experiment.seed)
    cell = cell or partial(RNN, nonlinearity=experiment.nonlinearity)
    return Sequential(rnn=cell(V, H, rng=rng, dtype=dtype), i2o=Linear(H, V, rng=rng, dtype=dtype))


def train(
    model: Sequential,
    experiment: Experiment,
    on_epoch: Callable[[int, float], object] = lambda _epoch, _loss: None,
) -> list[float]:
    """Train a model of :func:`build` on the experiment's sentence, as the notebook does.

    ``on_epoch(epoch, loss)`` is called after each epoch, from 0. Returned is the loss of each
    epoch, before its update. A loss or a weight that is no longer finite raises
    TrainingFailedError.
    """
    tokens = experiment.tokens
    rows = np.eye(len(experiment.characters), dtype=experiment.dtype)[tokens][:, None]
    batch = Batch(rows[:-1], rows[1:])  # (N + 1, 1, V)
    criterion: MSELoss | CrossEntropyLoss = MSELoss("sum_over_time")
    if experiment.loss == "cross-entropy":
        criterion = CrossEntropyLoss(reduction="sum_over_time")
        batch = batch._replace(target=tokens[1:, None])
    adam = Adam(model.parameters, lr=experiment.lr)
    losses: list[float] = []
    for epoch in range(experiment.epochs):
        try:
            loss, _ = gradient(model, criterion, batch)
        except NotFiniteError as error:
            raise _failed(epoch, experiment, str(error)) from None
        with np.errstate(over="ignore", invalid="ignore"):  # the next gradient notices
            adam.step()
        losses.append(loss)
        on_epoch(epoch, loss)
    name = first_not_finite(model.parameters.values)
    if name is not None:
        raise _failed(experiment.epochs - 1, experiment, f"parameter {name!r} is not finite")
    return losses


def _failed(epoch: int, experiment: Experiment, what: str) -> TrainingFailedError:
    return TrainingFailedError(
        f"training diverged in epoch {epoch} ({what}); try a lr below {experiment.lr}"
    )


def generate(model: Sequential, vocabulary: Vocabulary, length: int, *, raw: bool = False) -> str:
    """Generate a text of `length` characters, from the start token and a zero state.

    The text is the most likely character of each step. The next input is the one-hot row of that
    character, as in training, or if `raw` is true the raw output, as in the notebook. Raw outputs
    may grow until they are no longer finite, which ends the text early.
    """
    rows = np.eye(len(vocabulary), dtype=model.parameters.dtype)
    step, x, state = model.stepper(), rows[[vocabulary.start]], None  # x (1, V)
    tokens: list[int] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(length):
            y, state = step(x, state)
            if not np.isfinite(y).all():
                break
            tokens.append(int(y.argmax()))
            x = y if raw else rows[tokens[-1:]]
    return vocabulary.decode(tokens)


def run(
    experiment: Experiment,
    on_epoch: Callable[[int, float], object] = lambda _epoch, _loss: None,
) -> RecallResult:
    """Run the experiment: train once, then generate twice with the same weights.

    `on_epoch` is that of :func:`train`, which may raise TrainingFailedError.

    >>> result = run(Experiment(text="abba", characters="ab<>", epochs=300, lr=0.01))
    >>> result.argmax
    'abba'
    """
    model = build(experiment)
    losses = train(model, experiment, on_epoch)
    raw, argmax = (
        generate(model, experiment.vocabulary, len(experiment.text), raw=raw)
        for raw in (True, False)
    )
    return RecallResult(experiment, model, losses, raw, argmax)


def save(path: str | os.PathLike[str], result: RecallResult) -> None:
    """Write a model file, with the settings as JSON under ``recall``, completely or not at all.

    An existing file is replaced. For an example see :func:`load`.
    """
    model, experiment = result.model, result.experiment
    settings = model_settings(model, experiment.characters) | {ENTRY: asdict(experiment)}
    write(Path(path), settings, model.state_dict())


def load(path: str | os.PathLike[str]) -> tuple[Experiment, Sequential]:
    """Read the settings and the trained network from a file that :func:`save` wrote.

    Another kind of file, or a damaged one, is a DamagedFileError of one line that names it.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save(f"{folder}/a.safetensors", run(Experiment(epochs=1)))
    ...     experiment, model = load(f"{folder}/a.safetensors")
    >>> experiment == Experiment(epochs=1)
    True
    """
    with open_safetensors(Path(path), FORMAT) as file:
        experiment = Experiment(**file.settings(ENTRY))
        trained = read_model(file)
        with at_most(trained.parameters.data.size):  # whatever sizes the settings claim
            model = build(experiment)
        model.vocabulary = experiment.characters
        check_described(file, model)
        model.load_state_dict(trained.parameters.values)
    return experiment, model
