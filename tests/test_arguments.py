"""Hostile values for every argument of every public function, class and method.

The table is made of signatures, so a new public name is covered as soon as its arguments have a
valid value in VALID. A call with a hostile value works, if the annotation allows it, or is one line
of ours: TypeError or ValueError with the argument's name and what was expected.
"""

from __future__ import annotations

import inspect
import math
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numpy_rnn
from numpy_rnn import init, training

PACKAGE = str(Path(numpy_rnn.__file__).parent)
X = np.random.default_rng(0).standard_normal((4, 2, 3))
Y = np.zeros((4, 2, 3))
CLASSES = np.zeros((4, 2), int)

HOSTILE: dict[str, Any] = {
    "None": None,
    "text": "yes",
    "True": True,
    "0": 0,
    "-1": -1,
    "2.5": 2.5,
    "nan": math.nan,
    "inf": math.inf,
    "complex": 1j,
    "np.float32(-1)": np.float32(-1),
    "np.int8(1)": np.int8(1),
    "empty list": [],
    "list": [0.5, 0.5],
    "ragged list": [[1.0], [1.0, 2.0]],
    "dict": {"a": 1},
    "object": object(),
    "array": np.ones(2),
    "3-D array of nan": np.full((4, 2, 3), np.nan),
    "object array": np.array([None, "a"]),
    "text array": np.array(["a", "b"]),
    "masked array": np.ma.masked_array(X, X > 0),
    "0-d array": np.array(2.5),
    "too many": (0.5,) * 3,
    "function": len,
    "class": dict,
}


def model(**options: Any) -> numpy_rnn.Sequential:
    return numpy_rnn.Sequential(
        rnn=numpy_rnn.GRU(3, 4, rng=0), out=numpy_rnn.Linear(4, 3, rng=1), **options
    )


def saved(save: Callable[[Path], None]) -> Path:
    path = Path("saved.safetensors")
    save(path)
    return path


def trainer(*callbacks: training.Callback) -> training.Trainer:
    net = model()
    data = training.Examples(X, X, 2, per_step=True, rng=0)
    return training.Trainer(
        net, numpy_rnn.MSELoss(), numpy_rnn.SGD(net.parameters), data, callbacks=callbacks
    )


# Valid values by the argument's name, or by "function.argument". A function makes a fresh one.
VALID: dict[str, Any] = {
    "input_size": 3,
    "hidden_size": 4,
    "in_features": 3,
    "out_features": 4,
    "num_embeddings": 3,
    "embedding_dim": 4,
    "normalized_shape": 3,
    "parameters": lambda: numpy_rnn.Linear(3, 2, rng=0).parameters,
    "max_norm": 1.0,
    "clip_value": 1.0,
    "shapes": {"w": (2, 3)},
    "dtype": "float64",
    "fan": 3,
    "layer": lambda: numpy_rnn.LSTM(3, 4, rng=0),
    "indrnn_uniform.layer": lambda: numpy_rnn.IndRNN(3, 4, rng=0),
    "lru_ring.layer": lambda: numpy_rnn.LRU(3, 4, rng=0),
    "longest": 10,
    "x": X.copy,
    "Embedding.x": CLASSES,
    "target": X.copy,
    "y": X.copy,
    "CrossEntropyLoss.target": CLASSES,
    "x_t": X[0],
    "Embedding.x_t": CLASSES[0],
    "B": 2,
    "batch_size": 2,
    "window": 2,
    "Examples.target": np.zeros(2),
    "rng": 0,
    "Windows.x": X[:, 0],
    "Windows.target": X[:, 0],
    "measure": lambda: lambda: 0.5,
    "every": 2,
    "seconds": 1.0,
    "path": lambda: Path("run.safetensors"),
    "training.load.path": lambda: Path("/nonexistent/run.safetensors"),
    "load.path": lambda: saved(numpy_rnn.GRU(3, 4, rng=0).save),
    "load_state.path": lambda: saved(partial(numpy_rnn.save_state, state=X)),
    "save_state.state": X,
    "reset_rows.state": X,
    "like": X,
    "reset_rows.rows": [0],
    "Activation.name": "tanh",
    "trainer": trainer,
    "model": model,
    "criterion": numpy_rnn.MSELoss,
    "batch": lambda: training.Batch(X, X),
    "count": 2,
    "steps": 1,
    "epochs": 1.0,
    "step": 0,
    "total": 10,
}
# Not called with hostile arguments: bases, values that NumPy or Python makes, and what takes
# objects of this library's own making from one method to the next.
NOT_CALLED = {"Layer", "Loss", "Optimizer", "Recurrent", "Cell", "Sequential"}
NOT_CALLED |= {"Batch", "Source", "Callback", "StepInfo", "DamagedFileError", "TrainingFailedError"}
NOT_CALLED |= {"Schedule", "HasParameters"}
ALSO_NAMED = {
    "betas": "beta1",
    "x_t": "x ",
    "y": "target has shape",
    "state": "state_dict",
    "like": "a state of numpy_rnn",
    "count": "shards",  # the name of the option
}
TRAINING = "numpy_rnn.training"
METHODS: tuple[str, ...] = ("apply", "step", "train", "zero_state", "load_state_dict", "to")
METHODS += ("fit", "steps_in", "weights", "count", "save")


def public() -> Iterator[tuple[str, Any]]:
    """Yield the name and the object of everything public that is called."""
    schemes = {
        n: f
        for n, f in vars(init).items()
        if inspect.isfunction(f) and n[0] != "_" and f.__module__ == init.__name__
    }
    modules = {n: getattr(numpy_rnn, n) for n in numpy_rnn.__all__}
    for name in training.__all__:  # which has a `load` of its own
        modules[f"training.{name}" if name in modules else name] = getattr(training, name)
    for name, thing in (modules | schemes).items():
        if callable(thing) and name not in NOT_CALLED:
            yield name, thing


def arguments(owner: str, function: Any) -> dict[str, Any]:
    """Return a valid value of each required argument."""
    if function is training.Trainer:
        made_of = trainer()
        return {n: getattr(made_of, n) for n in ("model", "criterion", "optimizer", "source")}
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            value = VALID.get(f"{owner}.{name}", VALID.get(name))
            if name == "state" and value is None:
                value = function.__self__.state_dict()
            assert value is not None, f"VALID has no value for {owner}({name})"
            found[name] = value() if callable(value) else value
    return found


def made(name: str, thing: Any) -> Any:
    return thing(**arguments(name, thing))


def ready(name: str, method: str) -> Callable[..., Any]:
    """Return a method of a new object, and with it what backward needs."""
    owner = made(name, dict(public())[name])
    return getattr(owner, method)  # type: ignore[no-any-return]  # any method


def rows() -> Iterator[tuple[str, str]]:
    """Yield name and method ("" for the call itself) of everything that is called."""
    for name, thing in public():
        yield name, ""
        if inspect.isclass(thing):
            for method in METHODS:
                loads = method == "load_state_dict" and thing.__module__.startswith(TRAINING)
                if hasattr(thing, method) and not loads:  # what training loads is files' part
                    yield name, method


def allowed(annotation: str, value: Any) -> bool:  # noqa: C901, PLR0911 (a table of types)
    """Whether a value that was accepted is one that the annotation allows."""
    parts = {part.strip() for part in annotation.split("|")}
    if "bool" in parts and isinstance(value, bool | np.bool_):
        return True
    if isinstance(value, bool):
        return bool(parts & {"Any", "Rng"})
    if value is None:
        return bool(parts & {"None", "Rng", "Any", "State", "DTypeLike"})
    number = isinstance(value, Real) and math.isfinite(value)
    if label_allowed(annotation, value):
        return True
    if parts & {"int", "Rng", "Generator"} and number and float(value).is_integer():
        return isinstance(value, int | np.integer)
    if "float" in parts and number:
        return True
    if parts & {"Path", "str"} and isinstance(value, str):
        return True
    if "Array" in parts and isinstance(value, list | tuple | np.ndarray | Real):
        return not isinstance(value, np.ma.MaskedArray)
    if any(part.startswith(("Callable", "Schedule")) for part in parts) and callable(value):
        return True
    if any(p.startswith("Mapping") for p in parts) and isinstance(value, dict):
        return True
    return any(part.startswith(("Any", "Sequence", "DTypeLike", "tuple")) for part in parts)


def label_allowed(annotation: str, value: Any) -> bool:
    """Whether a value is harmless: no limit, no state, a complex step."""
    return (
        (annotation.startswith("float") and value == math.inf)
        or (annotation == "State" and value == [])
        or (annotation == "Array" and isinstance(value, complex))
    )


def judge(where: str, name: str, annotation: str, label: str, call: Callable[[], Any]) -> str:
    """Return what is wrong with the answer to a hostile value, or ""."""
    value = HOSTILE[label]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            call()
    except OSError:
        return "" if name == "path" else f"{where}: {name}={label}: OSError"
    except (TypeError, ValueError) as error:
        text = str(error)
        ours = traceback.extract_tb(error.__traceback__)[-1].filename.startswith(PACKAGE)
        named = name in text or ALSO_NAMED.get(name, name) in text
        if ours and named and "expected" in text and "\n" not in text and len(text) < 400:
            return ""
        return f"{where}: {name}={label}: {type(error).__name__}: {text}"
    except Exception as error:
        return f"{where}: {name}={label}: {type(error).__name__}: {error}"
    if allowed(annotation, value):
        return ""
    return f"{where}: {name}={label} is accepted, annotated {annotation}"


@pytest.mark.parametrize(("name", "method"), list(rows()))
def test_hostile_values(
    name: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    thing = dict(public())[name]

    def target() -> Callable[..., Any]:
        return ready(name, method) if method else thing

    wrong = []
    for argument, parameter in inspect.signature(target()).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        for label, value in HOSTILE.items():
            function = target()
            given = arguments(name, function) | {argument: value}
            where = f"{name}.{method}" if method else name
            wrong.append(
                judge(where, argument, str(parameter.annotation), label, partial(function, **given))
            )
    assert not list(filter(None, wrong)), "\n".join(filter(None, wrong))
