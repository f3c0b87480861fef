"""Model files: architecture, weights and vocabulary of a layer in one .safetensors file.

The weights have PyTorch's names. Under ``numpy_rnn`` in the header's metadata is JSON: the version
of the format, the layer as :meth:`Layer.describe` returns it, and the vocabulary. Every library of
the format reads such a file; nothing in it is executed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from numpy_rnn.arguments import check_mapping, check_path, check_rng, constructor_arguments
from numpy_rnn.functional.types import Rng
from numpy_rnn.layers import activation, rnn, wrappers
from numpy_rnn.layers.base import (
    BESIDE,
    MODEL_ENTRY,
    MODEL_FILE,
    MODEL_VERSION,
    TRAINING_ENTRY,
    Layer,
    model_settings,
)
from numpy_rnn.layers.dropout import Dropout
from numpy_rnn.layers.embedding import Embedding
from numpy_rnn.layers.last_step import LastStep
from numpy_rnn.layers.layer_norm import LayerNorm
from numpy_rnn.layers.linear import Linear
from numpy_rnn.layers.sequential import Sequential
from numpy_rnn.parameters import at_most
from numpy_rnn.safetensors import DTYPES, Reader, open_safetensors

MAX_LAYERS = 1000
CLASSES: dict[str, type[Layer]] = {
    kind.__name__: kind for kind in (Dropout, Embedding, LastStep, LayerNorm, Linear, Sequential)
}
for _module in (activation, rnn, wrappers):
    for _name, _kind in vars(_module).items():
        _own = isinstance(_kind, type) and _kind.__module__ == _module.__name__
        if _own and issubclass(_kind, Layer) and _name != "Wrapper" and _name[0] != "_":
            CLASSES[_name] = _kind
ACTIVATIONS = [
    n for n, kind in CLASSES.items() if kind.__module__ == activation.__name__ and n != "Activation"
]


def load(
    path: str | PathLike[str],
    *,
    custom: Mapping[str, type[Layer]] | None = None,
    rng: Rng = None,
) -> Layer:
    """Return the model in a file of :meth:`Layer.save`, in evaluation mode.

    A checkpoint of :mod:`numpy_rnn.training` is such a file. Its model is the one of the lowest
    validation loss, or of the last step if there is none.

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
    path = check_path("load", "path", path)
    custom = check_mapping("load", "custom", {} if custom is None else custom)
    rng = None if rng is None else check_rng("load", rng)
    with open_safetensors(path, f"{MODEL_FILE} (interchange.load reads others)") as file:
        return read_model(file, custom=custom, rng=rng)


def read_model(
    file: Reader, *, custom: Mapping[str, type[Layer]] | None = None, rng: Rng = None
) -> Layer:
    """Return the model in an open file. A ValueError says what is wrong with the content."""
    settings = read_settings(file)
    beside = BESIDE if TRAINING_ENTRY in file.metadata else ""
    own = [e for n, e in file.entries.items() if not (beside and n.startswith(beside))]
    numbers = sum((e.stop - e.start) // DTYPES[e.code].itemsize for e in own)
    build = _Builder({**CLASSES, **(custom or {})}, numbers, len(own), rng)
    with warnings.catch_warnings():  # the constructors warned when the model was made
        warnings.simplefilter("ignore")
        model = build(settings.get("model"))
    parameters = model.parameters
    layout = {n: (s, parameters.dtype) for n, s in parameters.shapes.items()}
    arrays = file.read_arrays(layout, beside)
    for name, array in arrays.items():
        parameters.values[name][...] = array
    model.vocabulary = _vocabulary(settings.get("vocabulary"))
    return model.eval()


def read_settings(file: Reader) -> dict[str, Any]:
    """Return the settings of a model file: "model" and "vocabulary"."""
    settings = file.settings(MODEL_ENTRY)
    if settings.get("version") != MODEL_VERSION:
        raise ValueError(f"its version is {settings.get('version')!r}, expected {MODEL_VERSION}")
    return settings


def check_described(file: Reader, model: Layer) -> None:
    """Raise ValueError unless a file describes this model, with its vocabulary."""
    own = json.loads(json.dumps(model_settings(model, model.vocabulary)[MODEL_ENTRY]))  # no tuples
    if read_settings(file) != own:
        raise ValueError("its model is not the one of its settings")


def untrained(model: Layer, rng: Rng) -> Layer:
    """Return a layer of the same description, with initial weights."""
    parameters = model.parameters
    return _Builder(CLASSES, parameters.data.size, len(parameters.shapes), rng)(model.describe())


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
        arguments = _to_tuple(description) if isinstance(description, dict) else {}
        name = arguments.pop("class", None)
        if not isinstance(name, str):
            raise ValueError("its model is not described by a class and arguments")  # noqa: TRY004 (the file's value)
        self.layers += 1
        if self.layers > MAX_LAYERS:
            raise ValueError(f"its model has more than {MAX_LAYERS} layers")
        if name not in self.classes:
            raise ValueError(
                f"its layer {name!r} is unknown, expected one of this package "
                f"(for a class of your own: custom={{{name!r}: {name}}})"
            )
        make = self.classes[name]
        if issubclass(make, Sequential) and "layers" in arguments:
            return self._chain(make, description["layers"], arguments)
        cells = arguments.get("num_layers", 1)
        if not isinstance(cells, int) or cells > max(1, self.arrays):
            raise ValueError(f"its {name} has num_layers {cells}, and {self.arrays} arrays")
        if "rng" in arguments:
            raise ValueError(f"its {name} has 'rng', not an argument")
        if self.rng is not None and "rng" in constructor_arguments(make):
            arguments["rng"] = self.rng
        named = "constants" in arguments
        first = (arguments.pop("name"), *arguments.pop("constants")) if named else ()
        with at_most(self.left):
            layer = make(*first, **arguments)
        self.left -= layer.parameters.data.size
        return layer

    def _chain(self, make: type[Layer], parts: Any, arguments: dict[str, Any]) -> Layer:
        del arguments["layers"]
        if not isinstance(parts, dict):
            raise ValueError(f"its {make.__name__} has no layers by name")  # noqa: TRY004 (the file's value)
        # Tied layers have numbers of their own before they are tied, at most as many again.
        self.left += self.total if arguments.get("tied") and self.layers == 1 else 0
        layers: dict[str, Any] = {name: self(part) for name, part in parts.items()}
        with at_most(2 * self.total):
            return make(**layers, **arguments)


def _to_tuple(value: Any) -> Any:
    """Return a value of JSON with tuples for its lists, as constructors take them."""
    if isinstance(value, dict):
        return {name: _to_tuple(part) for name, part in value.items()}
    return tuple(map(_to_tuple, value)) if isinstance(value, list) else value


def _vocabulary(value: Any) -> str | tuple[str, ...] | None:
    tokens: Any = _to_tuple(value)
    if isinstance(tokens, tuple) and all(isinstance(token, str) for token in tokens):
        return tokens
    if tokens is not None and not isinstance(tokens, str):
        raise ValueError("its vocabulary is not a text or a list of texts")
    return tokens
