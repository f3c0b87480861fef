"""How each library runs a recurrent layer forward, and forward and backward.

A contender has the weights of a numpy_rnn layer and the best form that its library has: its own
layer, or the cells of peer_cells.py, compiled where the library compiles. ``train`` returns the
outputs and, in whatever form the library keeps them, the gradients of ``sum(y * dy)``. ``read``
turns these into arrays by numpy_rnn's names.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import peer_cells
from benchmarks.peer_cells import Ops
from numpy_rnn import GRU, LRU, LSTM, RNN, IndRNN, MinGRU, PeepholeLSTM, interchange
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.gates import CONVENTIONS, Convention, convert_gates

# What numpy_rnn makes of each cell, and the name of the cell in the table of conventions.
CELLS: dict[str, tuple[Callable[..., Any], str]] = {
    "RNN": (RNN, "rnn"),
    "LSTM": (LSTM, "lstm"),
    "GRU": (GRU, "gru"),
    "LSTM projected": (lambda D, H, **o: LSTM(D, H, proj_size=H // 2, **o), ""),
    "PeepholeLSTM": (PeepholeLSTM, ""),
    "GRU reset before": (partial(GRU, reset_after=False), "gru_reset_before"),
    "IndRNN": (IndRNN, ""),
    "MinGRU": (MinGRU, ""),
    "LRU": (LRU, ""),
}
CONVENTIONS["thinc"] = Convention(
    {"lstm": {"Wx": "x:fiog", "bx": "bx:fiog", "Wh": "h:fiog", "bh": "bh:fiog"}}
)
_PYDYNET = {"Wx": "x", "Wh": "h", "bias": "b"}
CONVENTIONS["pydynet"] = Convention(
    {
        "rnn": {name: f"{part}:h" for name, part in _PYDYNET.items()},
        "lstm": {name: f"{part}:fiog" for name, part in _PYDYNET.items()},
        "gru_reset_before": {f"{name}1": f"{part}:zr" for name, part in _PYDYNET.items()}
        | {f"{name}2": f"{part}:n" for name, part in _PYDYNET.items()},
    },
    columns=True,
    inverted="z",
)


class MissingError(Exception):
    """A library has no such layer."""


class Contender(NamedTuple):
    """One library with one layer. `train` and `read` are None where it has no gradient."""

    infer: Callable[[], Any]
    train: Callable[[], tuple[Any, Any]] | None
    read: Callable[[Any], dict[str, Any]] | None


class Task(NamedTuple):
    """What every contender computes: a cell, its input, the gradient of its output, its weights."""

    cell: str
    x: Array
    dy: Array
    layer: Any

    @property
    def weights(self) -> dict[str, Array]:
        """The weights by name, without the layer's number."""
        return {k.removesuffix("_l0"): v for k, v in self.layer.parameters.values.items()}

    def zero_state(self) -> list[Array]:
        """Return the initial state."""
        return [np.zeros((self.x.shape[1], n), np.float32) for n in self.layer.state_sizes]

    def converted(self, library: str) -> dict[str, Array]:
        """Return the weights as another library stores them."""
        kind = CELLS[self.cell][1]
        if kind not in CONVENTIONS[library].cells:
            raise MissingError
        return convert_gates(self.weights, "torch", library, kind)

    def returned(self, library: str, gradients: dict[str, Array]) -> dict[str, Array]:
        """Return gradients by our names. That of two added biases is compared once."""
        back = convert_gates(gradients, library, "torch", CELLS[self.cell][1])
        return {name: value for name, value in back.items() if name != "bias_hh"}


def numpy_rnn(task: Task) -> Contender:
    """Run this library."""
    layer = task.layer

    def train() -> tuple[Any, Any]:
        y, _ = layer.forward(task.x)
        layer.zero_grad()
        dx, _ = layer.backward(task.dy)
        return y, dx

    def read(dx: Any) -> dict[str, Any]:
        gradients = layer.parameters.grads.items()
        return {"x": dx} | {k.removesuffix("_l0"): np.array(g) for k, g in gradients}

    return Contender(lambda: layer.predict(task.x)[0], train, read)


def torch(task: Task) -> Contender:
    """Run PyTorch: its layer, or its operations in a loop where it has none."""
    import torch  # noqa: PLC0415 (optional)

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    x, dy = torch.from_numpy(task.x).requires_grad_(), torch.from_numpy(task.dy)
    w = {k: torch.from_numpy(v.copy()).requires_grad_() for k, v in task.weights.items()}
    if task.cell in ("RNN", "LSTM", "GRU", "LSTM projected"):
        kind, size = task.cell.split()[0], task.layer.hidden_size
        options = {"proj_size": size // 2} if task.cell == "LSTM projected" else {}
        theirs = getattr(torch.nn, kind)(task.x.shape[2], size, **options)
        theirs.load_state_dict({f"{k}_l0": v.detach() for k, v in w.items()})
        w = {k.removesuffix("_l0"): v for k, v in theirs.named_parameters()}

        def forward() -> Any:
            return theirs(x)[0]
    else:
        state = [torch.from_numpy(s) for s in task.zero_state()]
        ops = Ops(
            *(torch.tanh, torch.sigmoid, torch.relu, torch.exp, torch.cos, torch.sin),
            lambda a, n: torch.chunk(a, n, dim=-1),
            lambda a, b: torch.cat([a, b], dim=-1),
            peer_cells.loop(torch.stack),
        )

        def forward() -> Any:
            return peer_cells.run(ops, task.cell, x, state, w)

    leaves = {"x": x} | w

    def infer() -> Any:
        with torch.inference_mode():
            return forward()

    def train() -> tuple[Any, Any]:
        for leaf in leaves.values():
            leaf.grad = None
        y = forward()
        y.backward(dy)
        return y.detach(), leaves

    return Contender(infer, train, lambda leaves: {k: v.grad for k, v in leaves.items()})


def jax(task: Task) -> Contender:
    """Run a scan that is compiled as a whole."""
    import jax  # noqa: PLC0415 (optional)
    from jax import numpy as jnp  # noqa: PLC0415 (optional)

    def scan(step: Any, state: Any, a: Any) -> Any:
        def carried(state: Any, a_t: Any) -> Any:
            state = step(state, a_t)
            return state, state[0]

        return jax.lax.scan(carried, state, a)[1]

    ops = Ops(
        *(jnp.tanh, jax.nn.sigmoid, jax.nn.relu, jnp.exp, jnp.cos, jnp.sin),
        lambda a, n: jnp.split(a, n, axis=-1),
        lambda a, b: jnp.concatenate([a, b], axis=-1),
        scan,
    )
    state = tuple(map(jnp.asarray, task.zero_state()))

    def forward(x: Any, w: Any) -> Any:
        return peer_cells.run(ops, task.cell, x, state, w)

    def gradients(x: Any, w: Any, dy: Any) -> Any:
        y, pull = jax.vjp(forward, x, w)
        return y, pull(dy)

    infer, train = jax.jit(forward), jax.jit(gradients)
    wait: Any = jax.block_until_ready
    x, dy, w = jnp.asarray(task.x), jnp.asarray(task.dy), jax.tree.map(jnp.asarray, task.weights)
    return Contender(
        lambda: wait(infer(x, w)),
        lambda: wait(train(x, w, dy)),
        lambda pulled: {"x": pulled[0]} | pulled[1],
    )


def autograd(task: Task) -> Contender:
    """Run autograd on NumPy."""
    import autograd as ag  # noqa: PLC0415 (optional)
    from autograd import numpy as anp  # noqa: PLC0415 (optional)

    ops = Ops(
        anp.tanh,
        lambda a: 0.5 * anp.tanh(0.5 * a) + 0.5,
        lambda a: anp.maximum(a, 0),
        *(anp.exp, anp.cos, anp.sin),
        lambda a, n: anp.split(a, n, axis=-1),
        lambda a, b: anp.concatenate([a, b], axis=-1),
        peer_cells.loop(anp.stack),
    )
    state, arguments = task.zero_state(), (task.x, task.weights)

    def forward(arguments: Any) -> Any:
        return peer_cells.run(ops, task.cell, arguments[0], state, arguments[1])

    def train() -> tuple[Any, Any]:
        pull, y = ag.make_vjp(forward)(arguments)
        return y, pull(task.dy)

    return Contender(lambda: forward(arguments), train, lambda pulled: {"x": pulled[0]} | pulled[1])


def onnxruntime(task: Task) -> Contender:
    """Run ONNX Runtime on the file that numpy_rnn writes. It has no gradient."""
    import onnxruntime as ort  # noqa: PLC0415 (optional)

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    settings.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "layer.onnx")
        try:
            interchange.save(task.layer.eval(), path)
        except interchange.UnsupportedError as error:
            raise MissingError from error
        session = ort.InferenceSession(path.read_bytes(), settings, ["CPUExecutionProvider"])
    (argument,) = session.get_inputs()
    return Contender(lambda: session.run(None, {argument.name: task.x})[0], None, None)


def keras(task: Task) -> Contender:
    """Run Keras on its NumPy backend, which has no gradient."""
    os.environ["KERAS_BACKEND"] = "numpy"
    from keras import layers  # noqa: PLC0415 (optional)

    weights, options = task.converted("keras"), {"return_sequences": True}
    if task.cell.startswith("GRU"):
        options["reset_after"] = task.cell == "GRU"
    kind = getattr(layers, {"RNN": "SimpleRNN"}.get(task.cell, task.cell.split()[0]))
    layer, x = kind(task.layer.hidden_size, **options), np.ascontiguousarray(task.x.swapaxes(0, 1))
    layer.build(x.shape)
    layer.set_weights(list(weights.values()))
    return Contender(lambda: np.swapaxes(layer(x), 0, 1), None, None)


def thinc(task: Task) -> Contender:
    """Run thinc's compiled LSTM, which is not PyTorch's."""
    weights = task.converted("thinc")
    from thinc.api import LSTM, NumpyOps  # noqa: PLC0415 (optional)
    from thinc.types import Padded  # noqa: PLC0415 (optional)

    (T, B, D), H = task.x.shape, task.layer.hidden_size
    model = LSTM(H, D)
    model.ops = NumpyOps()
    model.initialize()
    model.set_param("LSTM", np.concatenate([w.ravel() for w in weights.values()]))
    size, lengths, indices = (np.full(n, v, "i") for n, v in ((T, B), (B, T), (B, 0)))
    x = Padded(task.x, size, lengths, indices)

    def train() -> tuple[Any, Any]:
        y, back = model(x, is_train=True)
        model.set_grad("LSTM", np.zeros_like(model.get_param("LSTM")))
        return y.data, back(Padded(task.dy.copy(), size, lengths, indices)).data  # it writes to dy

    def read(dx: Any) -> dict[str, Any]:
        cuts = np.cumsum([w.size for w in weights.values()])[:-1]
        parts = np.split(model.get_grad("LSTM"), cuts)
        named = {k: p.reshape(w.shape) for (k, w), p in zip(weights.items(), parts, strict=True)}
        return {"x": dx} | task.returned("thinc", named)

    return Contender(lambda: model(x, is_train=False)[0].data, train, read)


def pydynet(task: Task) -> Contender:
    """Run PyDyNet's layers."""
    weights = task.converted("pydynet")
    import pydynet as pdn  # noqa: PLC0415 (optional)
    from pydynet import nn  # noqa: PLC0415 (optional)

    kind, (_, _, D) = task.cell.split()[0], task.x.shape
    layer = getattr(nn, kind)(D, task.layer.hidden_size, dtype=np.float32)
    cell = getattr(layer, f"{kind}Cells")[0]
    for name, value in weights.items():
        getattr(cell, name).data[...] = value
    dy = pdn.Tensor(task.dy, dtype=np.float32)

    def infer() -> Any:
        with pdn.no_grad():
            return layer(pdn.Tensor(task.x, dtype=np.float32))[0].data

    def train() -> tuple[Any, Any]:
        x = pdn.Tensor(task.x, dtype=np.float32, requires_grad=True)
        y = layer(x)[0]
        for name in weights:
            getattr(cell, name).zero_grad()
        (y * dy).sum().backward()
        return y.data, x.grad

    def read(dx: Any) -> dict[str, Any]:
        return {"x": dx} | task.returned("pydynet", {k: getattr(cell, k).grad for k in weights})

    return Contender(infer, train, read)


def tinygrad(task: Task) -> Contender:
    """Run tinygrad on the CPU, one step captured by TinyJit. It needs clang.

    Its backward pass is not run: unrolled over 64 steps, it takes many minutes to compile.
    """
    os.environ.setdefault("DEV", "CPU")
    from tinygrad import Tensor, TinyJit  # noqa: PLC0415 (optional)

    ops = Ops(
        *(Tensor.tanh, Tensor.sigmoid, Tensor.relu, Tensor.exp, Tensor.cos, Tensor.sin),
        lambda a, n: a.chunk(n, dim=-1),
        lambda a, b: a.cat(b, dim=-1),
        lambda step, state, a: step(state, a[0]),
    )
    w = {name: Tensor(value) for name, value in task.weights.items()}

    def one_step(x_t: Any, *state: Any) -> list[Any]:
        return [part.realize() for part in peer_cells.run(ops, task.cell, x_t, state, w)]

    step = TinyJit(one_step)

    def infer() -> Array:
        state, outputs = task.zero_state(), []
        for x_t in task.x:  # the arrays of a captured step are overwritten by the next one
            state = [part.numpy().copy() for part in step(Tensor(x_t[None]), *map(Tensor, state))]
            outputs.append(state[0])
        return np.stack(outputs)

    return Contender(infer, None, None)


LIBRARIES: dict[str, Callable[[Task], Contender]] = {
    "torch": torch,
    "jax": jax,
    "onnxruntime": onnxruntime,
    "keras": keras,
    "thinc": thinc,
    "autograd": autograd,
    "pydynet": pydynet,
    "tinygrad": tinygrad,
}
