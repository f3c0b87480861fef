"""PyTorch's optimiser state as one of our optimisers, so that training goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.interchange.contents import UnsupportedError, read_bytes, reading
from numpy_rnn.interchange.torch.file import read_tree
from numpy_rnn.interchange.torch.state_dict import StateDict
from numpy_rnn.interchange.torch.tree import Found, find_optimizer, find_weights
from numpy_rnn.layers.base import Layer
from numpy_rnn.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

# Options of a parameter group that only this optimiser of PyTorch has.
KINDS: dict[str, tuple[Callable[..., Optimizer], set[str]]] = {
    "Adam": (Adam, {"betas", "amsgrad"}),
    "AdamW": (AdamW, {"betas", "amsgrad"}),
    "RMSprop": (RMSprop, {"alpha", "centered"}),
    "Adagrad": (Adagrad, {"lr_decay", "initial_accumulator_value"}),
    "SGD": (SGD, {"dampening", "nesterov"}),
}


def load_optimizer(path: str | PathLike[str], model: Layer, kind: str | None = None) -> Optimizer:
    """Return the optimiser of a model whose state PyTorch saved.

    Parameters
    ----------
    path : str or path
        A checkpoint with the optimiser's ``state_dict()``, alone or beside the weights. With the
        weights, parameters are matched by name, and otherwise by their order.
    model : Layer
        The model that :func:`numpy_rnn.interchange.load` built from the weights.
    kind : {"Adam", "AdamW", "RMSprop", "Adagrad", "SGD"}, optional
        By default what the options tell. Files before PyTorch 2.7 do not tell Adam from AdamW.
        Errors are those of ``load``.

    Examples
    --------
    >>> load_optimizer("missing.pt", model=None)
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'missing.pt'
    """
    with reading(Path(path), "a file of PyTorch"):
        tree = read_tree(read_bytes(Path(path)))
        saved = find_optimizer(tree)
        groups = saved["param_groups"]
        options = {name: _number(value) for name, value in groups[0].items()}
        for group in groups[1:]:
            different = [n for n in options if n != "params" and _number(group[n]) != options[n]]
            if different:
                raise UnsupportedError(f"its groups of parameters differ in {different}")
        if options.get("maximize"):
            raise UnsupportedError("its optimiser maximises, expected one that minimises")
        make = _kind(options, kind)
        taken = make(model.parameters, 0.0).hyperparameters
        optimizer = make(model.parameters, **{name: options[name] for name in taken})
        keys = [key for group in groups for key in group["params"]]
        names = _names(tree, model) or list(model.parameters.shapes)
        if len(keys) != len(names):
            raise UnsupportedError(f"it has {len(keys)} parameters, and the model {len(names)}")
        _fill(optimizer, dict(zip(names, map(saved["state"].get, keys), strict=True)))
        return optimizer


def _kind(options: Mapping[str, Any], kind: str | None) -> Callable[..., Optimizer]:
    possible = [name for name, (_, own) in KINDS.items() if own <= set(options)]
    if "decoupled_weight_decay" in options and "Adam" in possible:
        possible = ["AdamW" if options["decoupled_weight_decay"] else "Adam"]
    elif not options.get("weight_decay"):  # then the two are the same
        possible = possible[:1]
    if kind is None and len(possible) == 1:
        kind = possible[0]
    if kind not in possible:
        expected = ", ".join(possible) or f"one of {', '.join(KINDS)}"
        raise UnsupportedError(f"its optimiser is {kind or 'not known'}, expected kind={expected}")
    return KINDS[kind][0]


def _number(value: Any) -> Any:
    return value.array().item() if hasattr(value, "array") else value


def _names(tree: Any, model: Layer) -> list[str]:
    """Return the model's names of the weights in the file, in its order, if there are any."""
    try:
        found = find_weights(tree)
    except UnsupportedError:
        return []
    state = StateDict(Found({n: a for n, a in found.arrays.items() if n not in found.tied}))
    own = state.own_names(state.parts)
    names = [own.get(source, source) for source in state.arrays]
    return names if set(names) == set(model.parameters.shapes) else []


def _fill(optimizer: Optimizer, states: Mapping[str, Any]) -> None:
    """Set the moments and the number of steps. The states are by the model's names."""
    known = {name: state for name, state in states.items() if state}
    is_sgd = isinstance(optimizer, SGD)
    steps = {1 if is_sgd else int(_number(state["step"])) for state in known.values()} or {0}
    if len(steps) > 1 or len(known) not in (0, len(states)):
        raise UnsupportedError("its parameters have taken different numbers of steps")
    optimizer.num_steps = steps.pop()
    shapes = optimizer.parameters.shapes
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    for moment, vector in optimizer.moments.items() if known else ():
        for (name, shape), view in zip(shapes.items(), np.split(vector, ends[:-1]), strict=True):
            if (value := known[name].get(moment)) is None:
                raise UnsupportedError(f"{moment!r} of {name!r} is missing")
            array = value.array()
            if array.shape != shape or not np.isfinite(array).all():
                found = f"{moment!r} of {name!r} has shape {array.shape}"
                raise UnsupportedError(f"{found}, expected finite numbers of the model's {shape}")
            view[...] = array.reshape(-1)
