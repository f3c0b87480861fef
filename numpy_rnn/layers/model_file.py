"""Model files: architecture, weights and vocabulary of a layer in one .safetensors file.

The weights have PyTorch's names. Under ``numpy_rnn`` in the header's metadata is JSON: the version
of the format, the layer as :meth:`Layer.describe` returns it, and the vocabulary. Every library of
the format reads such a file; nothing in it is executed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Rng
from numpy_rnn.layers import activation
from numpy_rnn.layers.base import MODEL_FILE, MODEL_VERSION, Layer, takes
from numpy_rnn.layers.dropout import Dropout
from numpy_rnn.layers.embedding import Embedding
from numpy_rnn.layers.last_step import LastStep
from numpy_rnn.layers.layer_norm import LayerNorm
from numpy_rnn.layers.linear import Linear
from numpy_rnn.layers.rnn import GRU, LRU, LSTM, RNN, IndRNN, MinGRU, PeepholeLSTM
from numpy_rnn.layers.sequential import Sequential
from numpy_rnn.layers.wrappers import Flip, InitialState, Masked, Residual
from numpy_rnn.parameters import at_most
from numpy_rnn.safetensors import DTYPES, Reader, open_safetensors

MAX_LAYERS = 1000
_CLASSES = (Dropout, Embedding, Flip, LastStep, LayerNorm, Linear)
_CHAINS = (InitialState, Masked, Residual, Sequential)
_RECURRENT = (GRU, LRU, LSTM, RNN, IndRNN, MinGRU, PeepholeLSTM)
CLASSES: dict[str, type[Layer]] = {c.__name__: c for c in (*_CLASSES, *_CHAINS, *_RECURRENT)}
ACTIVATIONS = "ELU HardSigmoid Identity LeakyReLU LogSoftmax ReLU SiLU Sigmoid Softmax Softplus"
for _name in (*ACTIVATIONS.split(), "Softsign", "Tanh", "Activation"):
    CLASSES[_name] = getattr(activation, _name)


def load(
    path: str | PathLike[str],
    *,
    custom: Mapping[str, type[Layer]] | None = None,
    rng: Rng = None,
) -> Layer:
    """Return the model in a file that :meth:`Layer.save` wrote, in evaluation mode.

    Parameters
    ----------
    path : str or path
        The file. Its name may have any suffix.
    custom : mapping of str to class, optional
        Classes of layers that are not of this package, by the names that the file has.
    rng : numpy.random.Generator, int or None
        For the dropout masks of further training, after ``model.train()``.

    Returns
    -------
    model : Layer
        With :attr:`Layer.vocabulary` if the file has one.

    Raises
    ------
    OSError
        If the file cannot be read.
    DamagedFileError
        If it is not a model file or is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from numpy_rnn import GRU
    >>> model = GRU(3, 4, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/gru.safetensors")
    ...     again = load(f"{folder}/gru.safetensors")
    >>> again, np.array_equal(again.parameters.data, model.parameters.data)
    (GRU(3, 4), True)
    """
    with open_safetensors(Path(path), MODEL_FILE) as file:
        return read_model(file, custom=custom, rng=rng)


def read_model(
    file: Reader, *, custom: Mapping[str, type[Layer]] | None = None, rng: Rng = None
) -> Layer:
    """Return the model in an open file. A ValueError says what is wrong with the content."""
    settings = file.settings
    if settings.get("version") != MODEL_VERSION:
        raise ValueError(f"its version is {settings.get('version')!r}, expected {MODEL_VERSION}")
    numbers = sum((e.stop - e.start) // DTYPES[e.code].itemsize for e in file.entries.values())
    build = _Builder({**CLASSES, **(custom or {})}, numbers, len(file.entries), rng)
    with warnings.catch_warnings():  # the constructors warned when the model was made
        warnings.simplefilter("ignore")
        model = build(settings.get("model"))
    parameters = model.parameters
    arrays = file.read_arrays({n: (s, parameters.dtype) for n, s in parameters.shapes.items()})
    for name, array in arrays.items():
        parameters.values[name][...] = array
    model.vocabulary = _vocabulary(settings.get("vocabulary"))
    return model.eval()


class _Builder:
    """Make layers from descriptions. Their sizes are bounded by what the file holds."""

    def __init__(
        self, classes: Mapping[str, type[Layer]], numbers: int, arrays: int, rng: Rng
    ) -> None:
        self.classes, self.arrays = classes, arrays
        self.total = self.left = numbers
        self.rng = None if rng is None else np.random.default_rng(rng)
        self.layers = 0

    def __call__(self, description: Any) -> Layer:
        """Return the layer, and those inside it."""
        if not isinstance(description, dict) or not isinstance(description.get("class"), str):
            raise ValueError("its model is not described by a class and arguments")  # noqa: TRY004 (the file's value)
        arguments = {n: _to_tuple(v) for n, v in description.items() if n != "class"}
        self.layers += 1
        if self.layers > MAX_LAYERS:
            raise ValueError(f"its model has more than {MAX_LAYERS} layers")
        name = description["class"]
        if name not in self.classes:
            raise ValueError(
                f"its layer {name!r} is unknown, expected one of this package "
                f"(for a class of your own: custom={{{name!r}: {name}}})"
            )
        make = self.classes[name]
        if issubclass(make, Sequential) and "layers" in arguments:
            parts = arguments.pop("layers")
            if not isinstance(parts, dict):
                raise ValueError(f"its {name} has no layers by name")
            # Tied layers have numbers of their own before they are tied, at most as many again.
            self.left += self.total if arguments.get("tied") and self.layers == 1 else 0
            built: dict[str, Any] = {n: self(part) for n, part in parts.items()}
            with at_most(2 * self.total):
                return make(**built, **arguments)
        if "rng" in arguments:
            raise ValueError(f"its {name} has 'rng', not an argument")
        if self.rng is not None and takes(make, "rng"):
            arguments["rng"] = self.rng
        first = (
            [arguments.pop("name"), *arguments.pop("constants")] if "constants" in arguments else []
        )
        cells = arguments.get("num_layers", 1)
        if not isinstance(cells, int) or cells > max(1, self.arrays):
            raise ValueError(f"its {name} has num_layers {cells}, and {self.arrays} arrays")
        with at_most(self.left):
            layer = make(*first, **arguments)
        self.left -= layer.parameters.data.size
        return layer


def _to_tuple(value: Any) -> Any:
    """Return a value of JSON with tuples for its lists, as constructors take them."""
    return tuple(map(_to_tuple, value)) if isinstance(value, list) else value


def _vocabulary(value: Any) -> str | tuple[str, ...] | None:
    tokens = tuple(value) if isinstance(value, list) else value
    if tokens is None or isinstance(tokens, str):
        return tokens
    if not isinstance(tokens, tuple) or not all(isinstance(token, str) for token in tokens):
        raise ValueError("its vocabulary is not a text or a list of texts")
    return tokens
