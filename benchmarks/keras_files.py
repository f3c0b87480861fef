"""Files of Keras beside Keras 3 itself, which reads the same file.

Keras 3 refuses many files of Keras 1 and 2: options that it dropped, and old forms of networks. So
a copy of the file gets today's options. ``benchmarks/real_models.py`` runs this.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn import interchange
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.graph.graph import Graph

STEPS = 50  # of an axis without a size
OLD_SIGMOID = "hard_sigmoid_of_keras_2"
OF_TRAINING = ("initializer", "regularizer", "constraint")
RENAMED = {"hard_sigmoid": OLD_SIGMOID}


def lines(path: Path) -> Iterator[tuple[str, float | None]]:
    """Yield a line for a file, and the difference of outputs, or None if Keras cannot open it."""
    model = interchange.load(path)
    name = f"{path.parent.name}/{path.name}: keras, {model!r}"
    try:
        theirs, version = load_in_keras(path)
    except Exception as error:  # whatever Keras raises for a file of its own
        yield f"{name}, no reference: Keras says {type(error).__name__}: {_short(error)}", None
        return
    given = list(random_inputs(theirs))
    steps = given[0].shape[1] if given[0].ndim > 1 else 1
    results, times = [], []
    for call in (_call(model, given), partial(_call_keras, theirs, given)):
        begin = time.perf_counter()
        results.append(call())
        times.append(f"{1e6 * (time.perf_counter() - begin) / steps:.1f} us a step")
    pairs = list(zip(*results, strict=True))
    worst = max(float(np.abs(y - z).max() / max(1.0, np.abs(z).max())) for y, z in pairs)
    yield f"{name}: differs from Keras {version} by {worst:.1e}, {', '.join(times)}", worst


def load_in_keras(path: Path) -> tuple[Any, str]:
    """Return Keras's own model of a file, and Keras's version."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import h5py  # noqa: PLC0415 (an extra)
    import keras  # noqa: PLC0415 (an extra)
    from keras.src import activations  # noqa: PLC0415 (the same)

    def hard_sigmoid(z: Any) -> Any:
        return keras.ops.clip(0.2 * z + 0.5, 0.0, 1.0)

    register = keras.saving.register_keras_serializable("keras_2")
    activations.ALL_OBJECTS_DICT[OLD_SIGMOID] = register(hard_sigmoid)
    if not h5py.is_hdf5(path):
        return keras.models.load_model(path, compile=False), keras.__version__
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "model.h5")
        shutil.copy(path, copy)
        with h5py.File(copy, "r+") as file:
            if "model_config" not in file.attrs:
                raise ValueError("it has weights alone")
            config = json.loads(file.attrs["model_config"])
            file.attrs.pop("training_config", None)
            file.attrs["model_config"] = json.dumps(as_keras_3(config, keras.layers))
        return keras.models.load_model(copy, compile=False), keras.__version__


def as_keras_3(config: Any, layers: Any) -> Any:
    """Return a config of Keras 2 with the options that layers of Keras 3 take."""
    if isinstance(config, list):
        return [as_keras_3(value, layers) for value in config]
    if not isinstance(config, dict):
        return RENAMED.get(config, config) if isinstance(config, str) else config
    config = {name: as_keras_3(value, layers) for name, value in config.items()}
    kind, inner = getattr(layers, str(config.get("class_name")), None), config.get("config")
    if config.get("class_name") == "Sequential":
        config["config"] = _with_input(inner if isinstance(inner, list) else inner["layers"])
    elif isinstance(kind, type) and isinstance(inner, dict):
        makers = [vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base)]
        own = [name for make in makers for name in inspect.signature(make).parameters]
        kept = {*own, "batch_input_shape", "batch_shape", "dtype", "layer"}
        config["config"] = {
            name: value
            for name, value in inner.items()
            if name in kept and not name.endswith(OF_TRAINING)
        }
        if config["class_name"] == "GRU":
            config["config"].setdefault("reset_after", False)
        if "layer" in inner:
            config["config"]["layer"] = {"module": "keras.layers", **inner["layer"]}
    return config


def _with_input(layers: list[Any]) -> dict[str, Any]:
    """Return a Sequential whose first layer is an InputLayer, and not an option of another one."""
    shape = layers[0]["config"].pop("batch_input_shape", None)
    if shape is not None:
        layers = [{"class_name": "InputLayer", "config": {"batch_shape": shape}}, *layers]
    return {"name": "sequential", "layers": layers}


def random_inputs(model: Any) -> Iterator[Array]:
    """Yield an array for each input of Keras's model: token ids if an Embedding reads it."""
    r = np.random.default_rng(0)
    rows = [each.input_dim for each in model._flatten_layers() if hasattr(each, "embeddings")]
    for value in model.inputs:
        shape = (1, *(n or STEPS for n in value.shape[1:]))
        if rows and len(shape) < 3:
            yield r.integers(0, min(rows), shape)
        else:
            yield r.uniform(-1, 1, shape).astype(value.dtype)


def _call(model: Any, given: list[Array]) -> Callable[[], list[Array]]:
    if isinstance(model, Graph):
        return lambda: [*model(*given)]

    def predict() -> list[Array]:
        y = model.predict(given[0])
        return [np.asarray(y[0] if isinstance(y, tuple) else y)]

    return predict


def _call_keras(model: Any, given: list[Array]) -> list[Array]:
    y = model(given if len(given) > 1 else given[0])
    return [np.asarray(part.detach()) for part in (y if isinstance(y, list | tuple) else [y])]


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:80]
