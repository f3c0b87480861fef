"""PyTorch's gradients of the registry's pairs and layers, by its autograd, in float64.

``python -m benchmarks.proof`` writes them into docs/proof.md, and ``tests/checking`` compares each
with TOLERANCE. ``numpy-rnn check`` itself needs no PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from numpy_rnn.checking.nested import Values
from numpy_rnn.checking.target import is_real
from numpy_rnn.functional.types import Array
from numpy_rnn.museum.proof import Gradients, usual_points, worst
from numpy_rnn.museum.registry import (
    MODELS,
    PAIRS,
    TEXTBOOK_PAIRS,
    RegisteredModel,
    RegisteredPair,
)

TOLERANCE = 1e-12  # the largest relative error allowed


def _key(pair: RegisteredPair) -> str:
    """Return a pair's name without what does not change the function."""
    return pair.name.removeprefix("textbook ").removesuffix(", tokens")


def pair_gradients(
    pair: RegisteredPair, arguments: Sequence[Any], douts: Sequence[Array]
) -> Gradients:
    """Return PyTorch's gradient of every argument of a pair in FORWARDS."""
    tensors = [None if a is None else torch.tensor(a, requires_grad=is_real(a)) for a in arguments]
    return _gradients(FORWARDS[_key(pair)](*tensors), douts, tensors)


def layer_gradients(layer: Any, kind: str, values: Values, douts: Sequence[Array]) -> Gradients:
    """Return PyTorch's gradient of a layer's input and parameters, which `values` hold.

    `kind` is the name of the class in ``torch.nn``. The layer's attributes are the arguments of
    its constructor.
    """
    names = ["input_size", "hidden_size", "num_layers", "bidirectional", "proj_size"]
    names += ["normalized_shape", "eps", "elementwise_affine"]
    options = {name: getattr(layer, name) for name in names if hasattr(layer, name)}
    if kind == "Linear":
        options = {"in_features": layer.in_features, "out_features": layer.out_features}
    module = getattr(torch.nn, kind)(**options).double()
    module.load_state_dict({n: torch.tensor(v) for n, v in values.items() if n != "x"})
    x = torch.tensor(values["x"], requires_grad=True)
    return _gradients(_flat(module(x)), douts, [x, *(p for _, p in module.named_parameters())])


def _flat(outputs: Any) -> list[Any]:
    """Return the tensors of an output and of a state that may be a tuple."""
    if isinstance(outputs, tuple):
        return [tensor for part in outputs for tensor in _flat(part)]
    return [outputs]


def _gradients(outputs: Sequence[Any], douts: Sequence[Array], tensors: Sequence[Any]) -> Gradients:
    """Return the gradient of sum(dout * out) for each tensor."""
    pairs = zip(outputs, douts, strict=True)
    loss: Any = torch.stack([(out * torch.tensor(dout)).sum() for out, dout in pairs]).sum()
    loss.backward()
    gradients: Gradients = []
    for tensor in tensors:
        if tensor is None or not tensor.requires_grad:
            gradients.append(None)
        else:
            gradients.append(np.zeros(tensor.shape) if tensor.grad is None else tensor.grad.numpy())
    return gradients


def _one_hot(x: Any, D: int) -> Any:
    """Return the rows that token ids stand for, or x if it is none."""
    return x if x.is_floating_point() else torch.nn.functional.one_hot(x, D).double()


def _recurrent(x: Any, *rest: Any, kind: str, **options: Any) -> list[Any]:
    """Run torch.nn's module step by step, so that every state is an output."""
    components = 2 if kind == "LSTM" else 1
    states, weights = rest[:components], [w for w in rest[components:] if w is not None]
    D, H = weights[0].shape[1], weights[1].shape[0] // {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    x = _one_hot(x, D)
    if len(weights) == 5:
        options["proj_size"] = weights[4].shape[0]
    module = getattr(torch.nn, kind)(D, H, **options).double()
    named = dict(zip([n for n, _ in module.named_parameters()], weights, strict=True))
    trajectories: list[list[Any]] = [[] for _ in states]
    carried = [state[None] for state in states]
    for x_t in x:
        state = tuple(carried) if components == 2 else carried[0]
        _, after = torch.func.functional_call(module, named, (x_t[None], state))
        carried = list(after) if components == 2 else [after]
        for trajectory, part in zip(trajectories, carried, strict=True):
            trajectory.append(part[0])
    return [torch.stack(trajectory) for trajectory in trajectories]


def _mse(y: Any, target: Any, *, reduction: str) -> list[Any]:
    errors = (y - target) ** 2
    if reduction == "sum_over_time":
        return [errors.mean(dim=(1, 2)).sum()]
    return [errors if reduction == "none" else getattr(errors, reduction)()]


def _cross_entropy(logits: Any, targets: Any, mask: Any, *, reduction: str) -> list[Any]:
    counted = mask & (targets != -100)
    kept = torch.where(counted, targets, -100)
    errors = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), kept.flatten(), reduction="none"
    ).reshape(targets.shape)
    if reduction == "none":
        return [errors]
    # The mean over the batch, summed over time, divides by B, however many count.
    divisors = {"sum": 1, "mean": counted.sum(), "sum_over_time": errors.shape[1]}
    return [errors.sum() / divisors[reduction]]


# The same functions in PyTorch by the names of the registry: arguments -> outputs.
FORWARDS: dict[str, Callable[..., list[Any]]] = {
    "elman tanh": partial(_recurrent, kind="RNN"),
    "elman relu": partial(_recurrent, kind="RNN", nonlinearity="relu"),
    "lstm": partial(_recurrent, kind="LSTM"),
    "lstm projected": partial(_recurrent, kind="LSTM"),
    "gru": partial(_recurrent, kind="GRU"),
    "linear": lambda x, W, b: [_one_hot(x, W.shape[1]) @ W.T + b],
    "embedding": lambda tokens, W: [torch.nn.functional.embedding(tokens, W)],
    "layer norm": lambda x, gain, bias: [torch.nn.functional.layer_norm(x, gain.shape, gain, bias)],
    "dropout": lambda x, mask: [x * mask / 0.7],
    **{
        f"{name} {reduction}": partial(function, reduction=reduction)
        for name, function in (("mse", _mse), ("cross-entropy", _cross_entropy))
        for reduction in ("mean", "sum", "sum_over_time", "none")
    },
}
# The classes in torch.nn of the registry's layers.
LAYERS = {
    "RNN(3, 4)": "RNN",
    "LSTM(3, 4)": "LSTM",
    "GRU(3, 4)": "GRU",
    "LSTM(3, 4, recompute=3)": "LSTM",
    "LSTM, 2 layers, bidirectional, projected": "LSTM",
    "Linear(3, 4)": "Linear",
    "LayerNorm(3)": "LayerNorm",
}


def pair_error(pair: RegisteredPair) -> float | None:
    """Return the worst relative error of a pair's gradients, or None without a reference."""
    if _key(pair) not in FORWARDS:
        return None
    point, _ = usual_points(pair.checked(), pair.shapes)
    theirs = pair_gradients(pair, list(point.values.values()), point.douts)
    return worst(theirs, list(point.claimed().values()))


def layer_error(model: RegisteredModel) -> float | None:
    """Return the worst relative error of a layer's gradients, or None without a reference."""
    if model.name not in LAYERS:
        return None
    layer = model.checked()
    point, _ = usual_points(layer, model.shapes)
    theirs = layer_gradients(layer, LAYERS[model.name], point.values, point.douts)
    return worst(theirs, list(point.claimed().values()))


def errors() -> dict[str, float | None]:
    """Return the worst relative error of every row of ``numpy-rnn check``, by its name."""
    pairs = {pair.name: pair_error(pair) for pair in (*PAIRS, *TEXTBOOK_PAIRS)}
    return pairs | {model.name: layer_error(model) for model in MODELS}
