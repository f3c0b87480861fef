"""The same pairs in PyTorch, differentiated by its autograd: an independent derivation.

The only module here that needs PyTorch; whoever imports it has to have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as TF  # noqa: N812 (as it is called)

from numpy_rnn.checking.subject import Values, is_real
from numpy_rnn.functional.types import Array


def pair_gradients(name: str, values: Values, douts: Sequence[Array]) -> list[Array | None] | None:
    """Return PyTorch's gradient of every argument of a shipped pair.

    Parameters
    ----------
    name : str
        Of the pair in :data:`numpy_rnn.checking.shipped.PAIRS`.
    values : dict
        Its arguments.
    douts : sequence of arrays
        Gradient of each output.

    Returns
    -------
    gradients : list of arrays, None for what has none; or None if PyTorch has no such pair
    """
    arguments = [
        None if v is None else torch.tensor(v, requires_grad=is_real(v)) for v in values.values()
    ]
    outputs = _outputs(name, arguments)
    return None if outputs is None else _differentiated(outputs, douts, arguments)


def layer_gradients(
    layer: Any, kind: str, values: Values, douts: Sequence[Array]
) -> list[Array | None]:
    """Return PyTorch's gradient of a layer's input and parameters.

    Parameters
    ----------
    layer : Module
        The layer; its attributes are the arguments of PyTorch's constructor.
    kind : str
        Name of the class in ``torch.nn``.
    values : dict
        ``x`` and the parameters.
    douts : sequence of arrays
        Gradient of the output and of each component of the final state.

    Returns
    -------
    gradients : list of arrays
    """
    names = ["input_size", "hidden_size", "num_layers", "bidirectional", "proj_size"]
    names += ["normalized_shape", "eps", "elementwise_affine"]
    options = {name: getattr(layer, name) for name in names if hasattr(layer, name)}
    if kind == "Linear":
        options = {"in_features": layer.in_features, "out_features": layer.out_features}
    module = getattr(torch.nn, kind)(**options).double()
    module.load_state_dict({n: torch.tensor(v) for n, v in values.items() if n != "x"})
    x = torch.tensor(values["x"], requires_grad=True)
    return _differentiated(
        list(_flat(module(x))), douts, [x, *(p for _, p in module.named_parameters())]
    )


def _flat(outputs: Any) -> Iterator[Any]:
    """Yield the tensors of an output and of a state that may be a tuple."""
    if isinstance(outputs, tuple):
        for part in outputs:
            yield from _flat(part)
    else:
        yield outputs


def _differentiated(
    outputs: Sequence[Any], douts: Sequence[Array], arguments: Sequence[Any]
) -> list[Array | None]:
    """Return the gradient of sum(dout * out) for each argument."""
    pairs = zip(outputs, douts, strict=True)
    total = torch.stack([(out * torch.tensor(dout)).sum() for out, dout in pairs]).sum()
    total.backward()  # type: ignore[no-untyped-call]  # PyTorch has no type for it
    return [
        None
        if a is None or not a.requires_grad
        else np.zeros(a.shape)
        if a.grad is None
        else a.grad.numpy()
        for a in arguments
    ]


def _outputs(name: str, arguments: list[Any]) -> list[Any] | None:
    """Return the outputs of the same forward pass, as tensors."""
    kind, _, reduction = name.rpartition(" ")
    if name in ("elman tanh", "elman relu", "elman tanh, symbols", "lstm", "lstm projected", "gru"):
        return _recurrent(name, arguments)
    if kind in ("mse", "cross-entropy"):
        each, counted = (_squares if kind == "mse" else _cross_entropies)(*arguments)
        return [_reduced(each, reduction, counted)]
    single: dict[str, Callable[..., Any]] = {
        "linear": TF.linear,
        "embedding": TF.embedding,
        "layer norm": lambda x, gain, bias: TF.layer_norm(x, gain.shape, gain, bias),
        "dropout": lambda x, mask: x * mask / 0.7,
    }
    return [single[name](*arguments)] if name in single else None


def _squares(y: Any, target: Any) -> tuple[Any, None]:
    return (y - target) ** 2, None


def _cross_entropies(logits: Any, targets: Any, mask: Any) -> tuple[Any, Any]:
    counted = mask & (targets != -100)
    kept = torch.where(counted, targets, -100)
    each = TF.cross_entropy(logits.flatten(0, 1), kept.flatten(), reduction="none")
    return each.reshape(targets.shape), counted


def _recurrent(name: str, arguments: list[Any]) -> list[Any]:
    """Run torch.nn's module step by step, so that every state is an output."""
    x, *rest = arguments
    components = 2 if name.startswith("lstm") else 1
    states, weights = rest[:components], [w for w in rest[components:] if w is not None]
    D, H = weights[0].shape[1], weights[1].shape[0] // {"l": 4, "g": 3, "e": 1}[name[0]]
    if not x.is_floating_point():
        x = torch.nn.functional.one_hot(x, D).double()
    kinds: dict[str, Any] = {"l": torch.nn.LSTM, "g": torch.nn.GRU, "e": torch.nn.RNN}
    options: dict[str, Any] = {"nonlinearity": "relu"} if name == "elman relu" else {}
    if name == "lstm projected":
        options["proj_size"] = weights[4].shape[0]
    module = kinds[name[0]](D, H, **options).double()
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


def _reduced(each: Any, reduction: str, counted: Any) -> Any:
    if reduction == "none":
        return each
    if reduction == "sum":
        return each.sum()
    if counted is None:
        return each.mean() if reduction == "mean" else each.mean(dim=(1, 2)).sum()
    # The mean over the batch, summed over time, divides by B, whatever is counted.
    return each.sum() / (counted.sum() if reduction == "mean" else each.shape[1])
