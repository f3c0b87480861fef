"""Arrays that are not the weights themselves: normalised, in parts, whole, of half precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange import UnsupportedError
from numpy_rnn.interchange.torch.state_dict import StateDict
from numpy_rnn.interchange.torch.tree import Found
from tests.interchange.torch.weights import EMBEDDING, build, linear, recurrent, rows


def test_a_batch_norm_is_a_linear_layer() -> None:
    bn = {"bn.weight": rows(2) + 1, "bn.bias": rows(2), "bn.running_mean": rows(2) - 1}
    parts = recurrent("rnn.", 3, 2, 2) | bn | {"bn.running_var": rows(2) + 3}
    state = StateDict(Found(parts | linear("fc.", 2, 1)))
    assert state.contents("npz").architecture[1] == "bn: Linear(2, 2)"
    assert state.contents("npz").notes == ["bn is a BatchNorm, a Linear layer"]
    x, y = rows(4, 2), (rows(4, 2) + 1 - rows(2)) / np.sqrt(rows(2) + 3 + 1e-5)
    values = state.build().state_dict()
    z = x @ values["bn.weight"].T + values["bn.bias"]
    np.testing.assert_allclose(z, y * (rows(2) + 1) + rows(2), rtol=1e-12)
    plain = {name: parts[name] for name in ("bn.running_mean", "bn.running_var")}
    values = build(plain).state_dict()
    np.testing.assert_allclose(x @ values["weight"].T + values["bias"], y, rtol=1e-12)
    values = build(plain, eps=0.1).state_dict()
    np.testing.assert_allclose(np.diag(values["weight"]), (rows(2) + 3.1) ** -0.5, rtol=1e-12)
    huge = {"bn.running_mean": np.zeros(3000), "bn.running_var": np.ones(3000)}
    with pytest.raises(UnsupportedError, match=r"no layer .* has bn\.running_mean"):
        build(recurrent("rnn.", 3, 2, 2) | huge)


@pytest.mark.parametrize("form", ["weight_{0}", "parametrizations.weight.original{1}"])
@pytest.mark.parametrize(("shape", "axes"), [((2, 1), 1), ((), (0, 1)), ((1, 3), 0)])
def test_weight_norm_is_computed(form: str, shape: tuple[int, ...], axes: Any) -> None:
    v, g = rows(2, 3) + 1, rows(*shape) + 2
    arrays = {f"fc.{form.format('g', 0)}": g, f"fc.{form.format('v', 1)}": v, "fc.bias": rows(2)}
    expected = v * g / np.sqrt((v * v).sum(axes, keepdims=True))
    np.testing.assert_allclose(build(arrays).parameters.values["weight"], expected, rtol=1e-12)


def test_weight_dropout_keeps_the_weight_beside_the_layer() -> None:
    parts = recurrent("rnns.0.module.", 4, 3, 2) | linear("fc.", 2, 1)
    raw = {"rnns.0.weight_hh_l0_raw": parts["rnns.0.module.weight_hh_l0"] + 1}
    for stale in (True, False):  # what was dropped out in the last step
        arrays = raw | parts
        if not stale:
            del arrays["rnns.0.module.weight_hh_l0"]
        values = build(arrays, layers=["rnns.0", "fc"]).parameters.values
        np.testing.assert_array_equal(values["rnns.0.weight_hh_l0"], next(iter(raw.values())))


def test_an_embedding_that_is_dropped_out_has_two_names() -> None:
    """As in fastai's AWD-LSTM."""
    table = EMBEDDING["word_embeddings.weight"]
    parts = {"0.encoder.weight": table, "0.encoder_dp.emb.weight": table}
    parts |= recurrent("0.rnns.0.", 4, 3, 3) | {
        "1.decoder.weight": table,
        "1.decoder.bias": rows(7),
    }
    assert repr(build(parts)) == (
        "Sequential(Sequential(encoder=Embedding(7, 3), rnns=Sequential(LSTM(3, 3))), "
        "Sequential(decoder=Linear(3, 7)))"
    )


def test_one_bias_is_enough() -> None:
    arrays = recurrent("", 4, 3, 2)
    del arrays["bias_hh_l0"]
    state = StateDict(Found(arrays))
    assert state.contents("npz").notes == ["it has one bias, the other is zero"]
    values = state.build().parameters.values
    np.testing.assert_array_equal(values["bias_ih_l0"], arrays["bias_ih_l0"])
    assert not values["bias_hh_l0"].any()


def test_numbers_are_widened_and_whole_ones_left_out() -> None:
    arrays = linear("", 3, 2)
    half = {name: array.astype(np.float16) for name, array in arrays.items()}
    state = StateDict(Found(half | {"num_batches_tracked": np.array(3)}))
    assert [note.partition(":")[0] for note in state.notes] == [
        "float16, read as float32",
        "not floating-point or of a loss, left out",
    ]
    assert state.build().parameters.dtype == np.float32
    weights = {"criterion.weight": rows(2), "val_loss_fn.pos_weight": rows(2)}  # of classes
    state = StateDict(Found({f"fc.{n}": a for n, a in arrays.items()} | weights))
    assert state.notes == [f"not floating-point or of a loss, left out: {', '.join(weights)}"]
    assert repr(state.build()) == "Linear(3, 2)"
    assert build(arrays).parameters.dtype == np.float64
    assert build(arrays, dtype="float32").parameters.dtype == np.float32


def test_integers_without_a_scale_are_refused() -> None:
    arrays = {name: (100 * a).astype(np.int8) for name, a in recurrent("rnn.", 4, 3, 2).items()}
    with pytest.raises(UnsupportedError, match=r"rnn\.weight_ih_l0 \(int8\)"):
        build(arrays)


@pytest.mark.parametrize("names", [("weight_scale", "weight_zero_point"), ("weight.scales", "")])
def test_scaled_integers_are_dequantised(names: tuple[str, str]) -> None:
    q = np.array([[-3, 4], [5, 127]], np.int8)
    scale, zero = np.array([0.5, 0.25], np.float32), np.array([1, -1], np.int8)
    arrays: dict[str, Array] = {
        "fc.weight": q,
        f"fc.{names[0]}": scale,
        "fc.bias": rows(2).astype("f4"),
    }
    if names[1]:
        arrays[f"fc.{names[1]}"] = zero
    else:
        zero = np.zeros(2, np.int8)
    state = StateDict(Found(arrays))
    assert state.notes == ["quantised, read as float32: fc.weight"]
    got = state.build().parameters.values["weight"]
    np.testing.assert_array_equal(got, (q.astype(float) - zero[:, None]) * scale[:, None])


@pytest.mark.parametrize("shape", [(1, 2), (2, 1)])
def test_scales_have_the_axis_of_their_shape(shape: tuple[int, int]) -> None:
    q, scale = np.array([[-3, 4], [5, 127]], np.int8), rows(2).reshape(shape) + 1
    got = build({"fc.weight": q, "fc.weight_scale": scale, "fc.bias": rows(2)}, dtype="float64")
    np.testing.assert_allclose(got.parameters.values["weight"], q * scale, rtol=1e-6)
