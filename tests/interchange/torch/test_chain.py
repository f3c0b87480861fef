"""Which layers are surely a chain, in which order, and what is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from numpy_rnn import LastStep, Linear, Tanh, interchange
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange import UnsupportedError
from numpy_rnn.interchange.torch.state_dict import StateDict
from numpy_rnn.interchange.torch.tree import Found
from tests.interchange.torch.weights import build, linear, recurrent, rows


def test_names_that_are_sorted_tell_no_order(tmp_path: Path) -> None:
    arrays = linear("a.", 2, 1) | recurrent("b.", 4, 3, 2) | {"c.embed.weight": rows(5, 3)}
    safetensors.numpy.save_file(arrays, tmp_path / "m")
    model = interchange.load(tmp_path / "m", batch_first=False)
    assert list(model.layers) == ["c", "b", "a"]
    lines = ["c.embed: Embedding(5, 3)", "b: LSTM(3, 2)", "a: Linear(2, 1)"]
    assert interchange.read(tmp_path / "m").architecture == lines


def test_numbers_tell_the_order(tmp_path: Path) -> None:
    arrays = recurrent("0.", 3, 2, 2)
    for n in range(1, 12):
        arrays |= linear(f"{n}.", 2, 2)
    safetensors.numpy.save_file(arrays, tmp_path / "m")  # "10" is before "2"
    model = interchange.load(tmp_path / "m", batch_first=False)
    assert list(model.layers) == [str(n) for n in range(12)]


def test_an_order_that_cannot_be_told_is_asked_for() -> None:
    parts = recurrent("rnn.", 3, 2, 2) | linear("fc.", 2, 2)
    with pytest.raises(
        UnsupportedError,
        match=r"it holds rnn is GRU\(2, 2\); fc is Linear\(2, 2\), and sizes and names do not tell "
        r"the order; expected the order, .* as layers=\['rnn', 'fc'\]",
    ):
        build(parts, ordered=False)
    model = build(parts, ordered=False, layers=["rnn", LastStep(), "fc", "Tanh"])
    assert repr(model) == "Sequential(rnn=GRU(2, 2), own1=LastStep(), fc=Linear(2, 2), own3=Tanh())"
    assert build(parts).predict(np.ones((5, 1, 2)))[0].shape == (5, 1, 2)


def test_sizes_that_fit_in_no_order_are_named() -> None:
    with pytest.raises(UnsupportedError, match="do not tell the order"):
        build(recurrent("rnn.", 3, 2, 2) | linear("fc.", 3, 4))


TWO = {"encoder.embed.weight": rows(5, 2)} | recurrent("encoder.rnn.", 3, 2, 4)
TWO |= {"decoder.embed.weight": rows(5, 2)} | recurrent("decoder.rnn.", 3, 2, 4)
TWO |= linear("decoder.fc.", 4, 3)
PICTURES = {"cnn.0.weight": rows(2, 1, 3, 3), "cnn.1.weight": rows(2), "cnn.1.bias": rows(2)}
PICTURES |= {"cnn.1.running_mean": rows(2), "cnn.1.running_var": rows(2)}
PICTURES |= recurrent("rnn.", 3, 2, 4) | linear("fc.", 4, 3)


@pytest.mark.parametrize(
    ("parts", "layers"),
    [(TWO, ["encoder.embed", "encoder.rnn"]), (PICTURES, ["rnn", "fc"])],
)
def test_layers_that_are_proposed_fit(parts: dict[str, Array], layers: list[str]) -> None:
    with pytest.raises(UnsupportedError) as raised:
        build(parts)
    assert str(raised.value).endswith(f"layers={layers}")
    build(parts, layers=layers)


@pytest.mark.parametrize(
    ("layers", "what"),
    [
        (["encoder.rnn", "decoder.embed"], "decoder.embed.*takes token ids.*gives 4"),
        (["encoder.rnn", "ReLU", "decoder.rnn"], "decoder.rnn.*takes 2 features.*gives 4"),
    ],
)
def test_layers_that_do_not_fit_are_refused(layers: list[str], what: str) -> None:
    with pytest.raises(UnsupportedError, match=what):
        build(TWO, layers=layers)
    model = build(TWO, layers=["encoder.rnn", Linear(4, 2, rng=0), "decoder.rnn"])
    assert repr(model).count("Linear(4, 2)") == 1


@pytest.mark.parametrize(
    "name",
    [
        *("h2h", "rnn.hh", "W_hh", "query", "attn", "highway.gate", "att.0", "energy", "fc.h0"),
        *("init_state", "forget_gate", "res", "align"),
    ],
)
def test_a_linear_layer_beside_others_does_not_follow_them(name: str) -> None:
    """It would run as a chain without a loop, without attention and without a gate."""
    parts = recurrent("lstm.", 4, 3, 2) | linear(f"{name}.", 2, 2)
    with pytest.raises(UnsupportedError, match=f"nor the shape of {name} tells what it is"):
        build(parts)
    assert repr(build(recurrent("lstm.", 4, 3, 2) | linear("fc.", 2, 2))).count("Linear") == 1


def test_the_message_for_a_network_of_many_parts_says_what_to_do(tmp_path: Path) -> None:
    """All its names are longer than a message."""
    parts: Any = recurrent("network.encoder.rnn.", 3, 2, 2)
    for n in range(40):
        parts |= {f"network.encoder.blocks.{n}.convolution.weight": rows(2, 2, 3)}
        parts |= {f"network.encoder.blocks.{n}.linear.weight": rows(2, 2)}
    np.savez(tmp_path / "network.npz", **parts)
    with pytest.raises(UnsupportedError, match=r"encoder.blocks.0.convolution.weight") as raised:
        interchange.load(tmp_path / "network.npz")
    assert (
        ", and 35 more; expected an ONNX file of the whole network, or the order, and layers "
        "without parameters, as layers=['rnn', 'blocks.0.linear', "
    ) in str(raised.value)


def several(*names: str) -> dict[str, Array]:
    """Return recurrent layers, and Linear layers if their names have "fc" in them."""
    parts: dict[str, Array] = {}
    for name in names:
        made = linear(f"{name}.", 2, 2) if "fc" in name else recurrent(f"{name}.", 4, 2, 2)
        parts |= norm(name) if "ln" in name else made
    return parts


@pytest.mark.parametrize(
    "names",
    [
        ["fc1", "fc2"],
        ["fc", "rnn"],
        ["fc_h", "norm", "fc_o"],
        ["rnn", "fc1", "fc2"],
        ["rnn", "fc_mu", "fc_log_var"],
        ["rnns.0", "rnns.1", "fcs.0", "fcs.1"],
        ["rnn1", "rnn2", "ln1", "ln2"],
        ["0.rnn", "0.ln", "1.rnn", "1.ln"],
        ["online.rnn", "online.fc", "ema.rnn", "ema.fc"],
        ["lstm_forward", "lstm_backward"],
        ["encoder", "decoder"],
        ["gru", "lstm", "fc"],
    ],
)
def test_layers_between_which_code_may_do_more_are_asked_for(names: list[str]) -> None:
    with pytest.raises(UnsupportedError, match="code may activate, branch or skip") as raised:
        build(several(*names))
    assert str(raised.value).endswith(
        f"expected the order, and layers without parameters, as layers={names}"
    )
    model = build(several(*names), layers=names)
    assert model.parameters.data.size == sum(array.size for array in several(*names).values())


NORMS = ["norm", "norm1", "inorm", "post_norm", "scale"]  # or a GroupNorm, an InstanceNorm


def norm(name: str) -> dict[str, Array]:
    return {f"{name}.weight": rows(2), f"{name}.bias": rows(2)}


@pytest.mark.parametrize(
    ("parts", "doubtful"),
    [
        (several("cell", "cell.ln"), "cell.ln"),
        *[(several("rnn") | norm(name), name) for name in NORMS],
        (linear("0.", 2, 2) | norm("1") | linear("2.", 2, 2), "1"),
        (recurrent("net.0.", 3, 2, 2) | norm("net.1") | linear("net.2.", 2, 1), "1"),
        ({"words.weight": rows(2, 2)} | recurrent("rnn.", 4, 2, 2), "words"),  # or a Linear layer
    ],
)
def test_sizes_that_fit_are_not_enough(parts: dict[str, Array], doubtful: str) -> None:
    with pytest.raises(UnsupportedError, match=f"nor the shape of {doubtful} tells what it is"):
        build(parts)
    model = build(parts, layers=list(StateDict(Found(parts)).parts))
    assert model.parameters.data.size == sum(array.size for array in parts.values())


def test_a_layer_under_two_names_is_no_chain() -> None:
    """It is as often the same layer twice as two layers."""
    parts = recurrent("a.", 4, 2, 2) | recurrent("b.", 4, 2, 2)
    tied = {name: name.replace("b.", "a.") for name in parts if name.startswith("b.")}
    with pytest.raises(UnsupportedError, match="nor the shape of b tells"):
        StateDict(Found(parts, tied=tied)).build()


@pytest.mark.parametrize(
    ("parts", "gap", "layers"),
    [
        (recurrent("0.", 3, 2, 2) | linear("2.", 2, 1), "1", "['0', '2']"),
        (linear("fc.1.", 2, 1), "fc.0", "['fc.1']"),
        (recurrent("rnn.", 3, 2, 2) | linear("fc.1.", 2, 1), "fc.0", "['rnn', 'fc.1']"),
        (
            linear("net.a.1.", 2, 2) | linear("net.a.4.", 2, 1),
            "net.a.0, net.a.2, net.a.3",
            "['1', '4']",
        ),
    ],
)
def test_a_gap_between_numbers_is_named(parts: dict[str, Array], gap: str, layers: str) -> None:
    with pytest.raises(UnsupportedError) as raised:
        build(parts)
    assert str(raised.value).endswith(
        f", and at {gap} is a layer without parameters, such as ReLU or a dropout; expected the "
        f"order, and layers without parameters, as layers={layers}"
    )
    notes = StateDict(Found(parts)).contents("npz").notes
    assert notes == [
        f"at {n} is a layer without parameters, not in the file" for n in gap.split(", ")
    ]


def test_what_was_in_a_gap_is_not_lost_in_a_state_dict(tmp_path: Path) -> None:
    parts = recurrent("rnn.", 3, 2, 2) | linear("fc.0.", 2, 2) | linear("fc.2.", 2, 1)
    model = build(parts, layers=["rnn", "fc.0", "ReLU", "fc.2"])
    assert list(model.parameters.shapes) == list(parts)
    with pytest.warns(UserWarning, match=r"does not hold: fc.1: ReLU\(\)"):
        interchange.save(model, tmp_path / "m.pt")
    with pytest.raises(UnsupportedError, match=r"at fc.1 is a layer without parameters"):
        interchange.load(tmp_path / "m.pt")


def test_what_is_in_a_gap_can_be_given() -> None:
    parts = recurrent("0.", 3, 2, 2) | linear("2.", 2, 1)
    assert repr(build(parts, layers=["0", Tanh(), "2"])).count("Tanh()") == 1


def test_a_search_for_an_order_ends() -> None:
    parts: dict[str, Array] = {}
    for n in range(30):
        parts |= recurrent(f"{chr(97 + n)}.", 1, 2, 2)
    with pytest.raises(UnsupportedError, match="do not tell the order"):
        build(parts | linear("fc.", 9, 2), ordered=False)


def test_a_long_name_takes_no_time() -> None:
    assert repr(build(linear(f"{'att_' * 25_000}!.", 3, 2))) == "Linear(3, 2)"  # it was quadratic
