"""The proof table: everything the library ships against independent derivations.

    complex step         Im f(x + ih) / h, every element, in five regimes
    central differences  (f(x + h) - f(x - h)) / 2h, where they resolve anything
    RTRL                 the gradient forwards in time, from single steps
    linearity            backward(3 u + v) = 3 backward(u) + backward(v)
    split = whole        two parts, with the state and its gradient carried across the cut
    PyTorch              the same function in PyTorch, by its autograd, if it is installed

Each entry is the worst relative error: of any time slice of any gradient for the first two, of
any gradient for the others. A dash marks what cannot be compared: a loss has no recurrence, RTRL
takes pairs, PyTorch has no peepholes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.check import Report, check_gradients
from numpy_rnn.checking.derivatives import rtrl
from numpy_rnn.checking.registry import (
    MODELS,
    PAIRS,
    TEXTBOOK_PAIRS,
    RegisteredModel,
    RegisteredPair,
)
from numpy_rnn.checking.shapes import REGIMES, SIZES, Given, draw, draw_gradients
from numpy_rnn.checking.target import (
    ObjectTarget,
    Point,
    Values,
    as_tuple,
    is_real,
    read_target,
    regroup,
)
from numpy_rnn.functional.types import Array

Gradients = list[Array | None]
# The largest error allowed in each column. 1e-8 for the complex step is for the regimes in
# which slopes are computed from saturated outputs; the report holds the others to 1e-10.
TOLERANCES = {
    "complex step": 1e-8,
    "central differences": 1e-5,
    "RTRL": 1e-12,
    "linearity": 1e-12,
    "split = whole": 1e-12,
    "PyTorch": 1e-12,
}


class Proof(NamedTuple):
    """A row of the table."""

    name: str
    errors: dict[str, float | None]  # column: worst relative error, None if not compared
    right: bool
    report: Report  # of the complex step


def prove(torch: Any = None) -> Iterator[Proof]:
    """Verify everything the library ships, row by row.

    `torch` is PyTorch, or None to leave its column empty; see :func:`torch_or_none`.
    """
    for pair in (*PAIRS, *TEXTBOOK_PAIRS):
        yield prove_pair(pair, torch)
    for model in MODELS:
        yield prove_model(model, torch)


def prove_pair(pair: RegisteredPair, torch: Any = None) -> Proof:
    """Return the row of one pair."""

    def others(values: Values, douts: list[Array]) -> dict[str, Gradients]:
        functions, arguments = (pair.forward, pair.backward), list(values.values())
        found = {}
        if pair.recurrent:
            found["split = whole"] = split_pair(*functions, arguments, douts)
        if pair.recurrent and pair.keeps:
            found["RTRL"] = rtrl(*functions, arguments, douts)
        if torch is not None and pair.torch is not None:
            found["PyTorch"] = torch_pair_gradients(torch, pair.torch, arguments, douts)
        return found

    return _prove(pair.name, (pair.forward, pair.backward), pair.shapes, pair.gates or None, others)


def prove_model(model: RegisteredModel, torch: Any = None) -> Proof:
    """Return the row of one layer or model."""
    made = model.make()

    def others(values: Values, douts: list[Array]) -> dict[str, Gradients]:
        found = {}
        if model.carries_state:
            found["split = whole"] = split_model(made, values["x"], douts)
        if torch is not None and model.torch is not None:
            found["PyTorch"] = torch_layer_gradients(torch, made, model.torch, values, douts)
        return found

    return _prove(model.name, made, {"x": model.x}, None, others)


def _prove(
    name: str,
    checked: Any,
    shapes: dict[str, Given],
    gates: Sequence[str] | None,
    others: Callable[[Values, list[Array]], dict[str, Gradients]],
) -> Proof:
    """Return a row; `others` are the gradients for the columns that not every row has."""
    report = check_gradients(checked, shapes, gates=gates)
    rough = check_gradients(checked, shapes, method="central differences", regimes=["usual"])
    rng, usual = np.random.default_rng(0), REGIMES[0]
    target, _ = read_target(checked, [shapes], None)
    values, _ = draw(rng, shapes, SIZES, usual)
    if isinstance(target, ObjectTarget):
        values |= target.parameters()
    outputs = target.run(values).outputs
    u, v = (draw_gradients(rng, outputs, SIZES["T"], usual) for _ in range(2))
    both = [3 * a + b for a, b in zip(u, v, strict=True)]
    mine, of_v, of_both = (
        list(Point(target, values, douts).claimed().values()) for douts in (u, v, both)
    )
    combined = [None if a is None else 3 * a + b for a, b in zip(mine, of_v, strict=True)]
    errors: dict[str, float | None] = dict.fromkeys(TOLERANCES)
    errors |= {"complex step": report.worst, "central differences": rough.worst}
    errors["linearity"] = worst(of_both, combined)
    errors |= {column: worst(found, mine) for column, found in others(values, u).items()}
    right = all(e is None or e <= TOLERANCES[column] for column, e in errors.items())
    return Proof(name, errors, report.ok and right, report)


def worst(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """Return the largest error of any gradient, relative to its largest entry.

    It is infinite if one of the two has a gradient and the other does not.
    """
    errors = [0.0]
    for a, b in zip(found, expected, strict=True):
        if a is None or b is None:
            errors.append(0.0 if a is b else np.inf)
        else:
            scale = float(np.abs(b).max(initial=0.0))
            off = float(np.abs(np.asarray(a) - b).max(initial=0.0))
            errors.append(off / scale if off else 0.0)
    return max(errors)


def split_pair(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    arguments: Sequence[Any],
    douts: Sequence[Array],
) -> Gradients:
    """Return the gradients of a recurrent pair, run as a first third and the rest.

    The pair's arguments are the input, as many states as outputs, and the weights.
    """
    n = 1 + len(douts)
    x, states, weights = arguments[0], arguments[1:n], arguments[n:]
    cut = len(x) // 3
    outputs, first_cache = forward(x[:cut], *states, *weights)
    _, second_cache = forward(x[cut:], *(h[-1] for h in as_tuple(outputs)), *weights)
    later = backward(*(d[cut:] for d in douts), second_cache)
    ends = [d[:cut].copy() for d in douts]
    for end, carried in zip(ends, later[1:n], strict=True):
        end[-1] += carried
    earlier = backward(*ends, first_cache)
    dx = None if earlier[0] is None else np.concatenate([earlier[0], later[0]])
    sums = [None if a is None else a + b for a, b in zip(earlier[n:], later[n:], strict=True)]
    return [dx, *earlier[1:n], *sums]


def split_model(model: Any, x: Array, douts: Sequence[Array]) -> Gradients:
    """Return the gradients of a model's input and parameters, run as a first third and the rest.

    `douts` are the gradients of the output and of each component of the final state.
    """
    cut = len(x) // 3
    _, state, first_cache = model.apply(x[:cut])
    _, final, second_cache = model.apply(x[cut:], state)
    dfinal = regroup(douts[1:], final) if isinstance(final, tuple) else douts[1]
    later, dstate, dlater = model.vjp(second_cache, douts[0][cut:], dfinal)
    earlier, _, dearlier = model.vjp(first_cache, douts[0][:cut], dstate)
    dx = None if earlier is None else np.concatenate([earlier, later])
    return [dx, *(dearlier[name] + dlater[name] for name in model.parameters.shapes)]


def torch_or_none() -> Any:
    """Return PyTorch, or None if it is not installed."""
    try:
        import torch  # noqa: PLC0415 (an extra)
    except ImportError:
        return None
    return torch


def torch_pair_gradients(
    torch: Any, kind: str, arguments: Sequence[Any], douts: Sequence[Array]
) -> Gradients:
    """Return PyTorch's gradient of every argument of a pair, a key of TORCH_FORWARDS."""
    tensors = [None if a is None else torch.tensor(a, requires_grad=is_real(a)) for a in arguments]
    return _torch_gradients(torch, TORCH_FORWARDS[kind](torch, *tensors), douts, tensors)


def torch_layer_gradients(
    torch: Any, layer: Any, kind: str, values: Values, douts: Sequence[Array]
) -> Gradients:
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
    return _torch_gradients(
        torch, _flat(module(x)), douts, [x, *(p for _, p in module.named_parameters())]
    )


def _flat(outputs: Any) -> list[Any]:
    """Return the tensors of an output and of a state that may be a tuple."""
    if isinstance(outputs, tuple):
        return [tensor for part in outputs for tensor in _flat(part)]
    return [outputs]


def _torch_gradients(
    torch: Any, outputs: Sequence[Any], douts: Sequence[Array], tensors: Sequence[Any]
) -> Gradients:
    """Return the gradient of sum(dout * out) for each tensor."""
    pairs = zip(outputs, douts, strict=True)
    torch.stack([(out * torch.tensor(dout)).sum() for out, dout in pairs]).sum().backward()
    gradients: Gradients = []
    for tensor in tensors:
        if tensor is None or not tensor.requires_grad:
            gradients.append(None)
        else:
            gradients.append(np.zeros(tensor.shape) if tensor.grad is None else tensor.grad.numpy())
    return gradients


def _one_hot(torch: Any, x: Any, D: int) -> Any:
    """Return the rows that token ids stand for, or x if it is none."""
    return x if x.is_floating_point() else torch.nn.functional.one_hot(x, D).double()


def _torch_recurrent(torch: Any, x: Any, *rest: Any, kind: str, **options: Any) -> list[Any]:
    """Run torch.nn's module step by step, so that every state is an output."""
    components = 2 if kind == "LSTM" else 1
    states, weights = rest[:components], [w for w in rest[components:] if w is not None]
    D, H = weights[0].shape[1], weights[1].shape[0] // {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    x = _one_hot(torch, x, D)
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


def _torch_mse(_torch: Any, y: Any, target: Any, *, reduction: str) -> list[Any]:
    errors = (y - target) ** 2
    if reduction == "sum_over_time":
        return [errors.mean(dim=(1, 2)).sum()]
    return [errors if reduction == "none" else getattr(errors, reduction)()]


def _torch_cross_entropy(
    torch: Any, logits: Any, targets: Any, mask: Any, *, reduction: str
) -> list[Any]:
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


# The same functions in PyTorch: (torch, *arguments) -> outputs, by the key that the registry has.
TORCH_FORWARDS: dict[str, Callable[..., list[Any]]] = {
    "RNN": partial(_torch_recurrent, kind="RNN"),
    "RNN relu": partial(_torch_recurrent, kind="RNN", nonlinearity="relu"),
    "LSTM": partial(_torch_recurrent, kind="LSTM"),
    "GRU": partial(_torch_recurrent, kind="GRU"),
    "linear": lambda torch, x, W, b: [_one_hot(torch, x, W.shape[1]) @ W.T + b],
    "embedding": lambda torch, tokens, W: [torch.nn.functional.embedding(tokens, W)],
    "layer norm": lambda torch, x, gain, bias: [
        torch.nn.functional.layer_norm(x, gain.shape, gain, bias)
    ],
    "dropout": lambda _torch, x, mask: [x * mask / 0.7],
    **{
        f"{name} {reduction}": partial(function, reduction=reduction)
        for name, function in (("mse", _torch_mse), ("cross-entropy", _torch_cross_entropy))
        for reduction in ("mean", "sum", "sum_over_time", "none")
    },
}
