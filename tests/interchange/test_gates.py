"""Gate conventions: the table, the formulas of each library, and the table in the docs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from numpy_rnn import GRU, LSTM
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.gates import CONVENTIONS, convert_gates, recurrent_layer

Arrays = dict[str, Array]
T, B, D, H = 3, 2, 4, 3
X = np.random.default_rng(0).standard_normal((T, B, D))
CELLS = [(name, cell) for name, c in CONVENTIONS.items() for cell in c.cells]


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def torch_weights(cell: str, *, one_bias: bool = False) -> Arrays:
    rng = np.random.default_rng(1)
    G = {"rnn": 1, "lstm": 4}.get(cell, 3) * H
    shapes = {"weight_ih": (G, D), "weight_hh": (G, H), "bias_ih": (G,), "bias_hh": (G,)}
    arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    if one_bias:
        arrays["bias_hh"][:] = 0
    return arrays


def run(cell: str, arrays: Arrays) -> Array:
    """Return the outputs of our layer."""
    options = {} if cell == "lstm" else {"reset_after": cell == "gru"}
    layer = recurrent_layer(LSTM if cell == "lstm" else GRU, [arrays], "torch", cell, **options)
    return np.asarray(layer.predict(X)[0])


# The step of each library as its documentation has it.


def tf1_lstm(x: Array, h: Array, c: Array, w: Arrays) -> tuple[Array, Array]:
    i, j, f, o = np.split(np.hstack([x, h]) @ w["kernel"] + w["bias"], 4, axis=1)
    c = c * sigmoid(f + 1.0) + sigmoid(i) * np.tanh(j)
    return np.tanh(c) * sigmoid(o), c


def flax_lstm(x: Array, h: Array, c: Array, w: Arrays) -> tuple[Array, Array]:
    i, f, g, o = (x @ w[f"i{k}/kernel"] + h @ w[f"h{k}/kernel"] + w[f"h{k}/bias"] for k in "ifgo")
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def dynet_lstm(x: Array, h: Array, c: Array, w: Arrays) -> tuple[Array, Array]:
    i, f, o, g = np.split((w["x2i"] @ x.T + w["h2i"] @ h.T).T + w["bi"], 4, axis=1)
    c = sigmoid(f + 1.0) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def onnx_lstm(x: Array, h: Array, c: Array, w: Arrays) -> tuple[Array, Array]:
    Wb, Rb = np.split(w["B"], 2)
    i, o, f, g = np.split(x @ w["W"].T + h @ w["R"].T + Wb + Rb, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def keras_lstm(x: Array, h: Array, c: Array, w: Arrays) -> tuple[Array, Array]:
    z = x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"]
    i, f, g, o = np.split(z, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def keras1_lstm(x: Array, h: Array, c: Array, w: Arrays) -> tuple[Array, Array]:
    z = {k: x @ w[f"W_{k}"] + h @ w[f"U_{k}"] + w[f"b_{k}"] for k in "ifco"}
    c = sigmoid(z["f"]) * c + sigmoid(z["i"]) * np.tanh(z["c"])
    return sigmoid(z["o"]) * np.tanh(c), c


def tf1_gru(x: Array, h: Array, c: Array, w: Arrays) -> tuple[Array, Array]:
    r, u = np.split(sigmoid(np.hstack([x, h]) @ w["gates/kernel"] + w["gates/bias"]), 2, axis=1)
    n = np.tanh(np.hstack([x, r * h]) @ w["candidate/kernel"] + w["candidate/bias"])
    return u * h + (1 - u) * n, c


def flax_gru(x: Array, h: Array, c: Array, w: Arrays) -> tuple[Array, Array]:
    r, z = (sigmoid(x @ w[f"i{k}/kernel"] + w[f"i{k}/bias"] + h @ w[f"h{k}/kernel"]) for k in "rz")
    n = np.tanh(x @ w["in/kernel"] + w["in/bias"] + r * (h @ w["hn/kernel"] + w["hn/bias"]))
    return (1 - z) * n + z * h, c


def dynet_gru(x: Array, h: Array, c: Array, w: Arrays) -> tuple[Array, Array]:
    z, r = (sigmoid(x @ w[f"x2{k}"].T + h @ w[f"h2{k}"].T + w[f"b{k}"]) for k in "zr")
    n = np.tanh(x @ w["x2h"].T + (r * h) @ w["h2h"].T + w["bh"])
    return z * n + (1 - z) * h, c


def onnx_gru(x: Array, h: Array, c: Array, w: Arrays) -> tuple[Array, Array]:
    a, b = x @ w["W"].T + w["B"][: 3 * H], h @ w["R"].T + w["B"][3 * H :]
    z, r = sigmoid(a + b)[:, :H], sigmoid(a + b)[:, H : 2 * H]
    n = np.tanh(a[:, 2 * H :] + r * b[:, 2 * H :])
    return (1 - z) * n + z * h, c


def keras_gru(x: Array, h: Array, c: Array, w: Arrays) -> tuple[Array, Array]:
    a, b = x @ w["kernel"] + w["bias"][0], h @ w["recurrent_kernel"] + w["bias"][1]
    z, r = sigmoid(a + b)[:, :H], sigmoid(a + b)[:, H : 2 * H]
    n = np.tanh(a[:, 2 * H :] + r * b[:, 2 * H :])
    return z * h + (1 - z) * n, c


FORMULAS: dict[tuple[str, str], Callable[..., tuple[Array, Array]]] = {
    ("tf1", "lstm"): tf1_lstm,
    ("flax", "lstm"): flax_lstm,
    ("dynet", "lstm"): dynet_lstm,
    ("onnx", "lstm"): onnx_lstm,
    ("keras", "lstm"): keras_lstm,
    ("keras1", "lstm"): keras1_lstm,
    ("tf1", "gru_reset_before"): tf1_gru,
    ("flax", "gru"): flax_gru,
    ("dynet", "gru_reset_before"): dynet_gru,
    ("onnx", "gru"): onnx_gru,
    ("keras", "gru"): keras_gru,
}


@pytest.mark.parametrize(("library", "cell"), FORMULAS)
def test_each_library_computes_what_we_compute(library: str, cell: str) -> None:
    ours = torch_weights(cell)
    theirs = convert_gates(ours, "torch", library, cell)
    h = c = np.zeros((B, H))
    outputs = []
    for x in X:
        h, c = FORMULAS[library, cell](x, h, c, theirs)
        outputs.append(h)
    np.testing.assert_allclose(np.stack(outputs), run(cell, ours), atol=1e-12)


@pytest.mark.parametrize(("library", "cell"), CELLS)
@pytest.mark.parametrize("bias", [True, False])
def test_there_and_back(library: str, cell: str, bias: bool) -> None:
    ours = torch_weights(cell, one_bias=True)
    if not bias:
        ours = {name: array for name, array in ours.items() if "weight" in name}
    theirs = convert_gates(ours, "torch", library, cell)
    back = convert_gates(theirs, library, "torch", cell)
    assert set(back) == set(ours)
    for name, array in ours.items():
        np.testing.assert_allclose(back[name], array, atol=1e-15)
    again = convert_gates(theirs, library, library, cell)
    assert all(np.allclose(again[name], array, atol=1e-15) for name, array in theirs.items())


@pytest.mark.parametrize(("library", "cell"), CELLS)
def test_wrong_arrays_are_refused(library: str, cell: str) -> None:
    arrays = convert_gates(torch_weights(cell), "torch", library, cell)
    for name, array in arrays.items():
        if "b" not in name.lower().split("/")[-1][:1] and name != "hb":
            with pytest.raises(ValueError, match="is missing"):
                convert_gates(
                    {n: a for n, a in arrays.items() if n != name}, library, "torch", cell
                )
        for wrong in (array[None], np.zeros(())):
            with pytest.raises(ValueError, match="shape"):
                convert_gates(arrays | {name: wrong}, library, "torch", cell)


def test_unknown_cells_are_refused() -> None:
    for library, cell in (("tf1", "gru"), ("caffe", "lstm")):
        with pytest.raises(ValueError, match=f"{library}: cell is"):
            convert_gates({}, library, "torch", cell)


def test_the_table_of_the_docs_is_the_table() -> None:
    page = Path(__file__, "../../../docs/formats.md").resolve().read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| `")]
    table = {
        (row[0].strip(" `"), row[1].strip(" `")): [cell.strip() for cell in row[2:]] for row in rows
    }
    assert set(table) == set(CELLS)
    for (library, cell), (orders, layout, bias) in table.items():
        convention = CONVENTIONS[library]
        contents = convention.cells[cell]
        found = {content.split(":")[1] for content in contents.values()}
        assert max(found, key=len) in orders.replace(",", "").replace(" ", "")
        assert ("(in, out)" in layout) == convention.columns
        assert ("adds 1" in bias) == (convention.forget_bias == 1 and cell == "lstm")
        assert ("1 - z" in orders) == ("z" in convention.inverted and "z" in orders)
        assert ("two" in bias) == any(c.startswith(("bh", "bx/", "bx+")) for c in contents.values())
