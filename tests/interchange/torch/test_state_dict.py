"""Layers found in names and arrays: kinds, orders, names, and what cannot be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_rnn import LSTM, RNN, Sequential, interchange
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange import UnsupportedError
from numpy_rnn.interchange.torch.state_dict import StateDict
from numpy_rnn.interchange.torch.tree import Found
from numpy_rnn.reading import DamagedFileError
from tests.interchange.torch.weights import EMBEDDING, build, linear, recurrent, rows


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        (recurrent("", 1, 3, 2), "RNN(3, 2)"),
        (recurrent("", 3, 3, 2), "GRU(3, 2)"),
        (recurrent("rnn.", 4, 3, 2), "LSTM(3, 2)"),
        (recurrent("", 4, 3, 2, ""), "LSTM(3, 2)"),
        (recurrent("module._orig_mod.", 4, 3, 2), "LSTM(3, 2)"),
        (
            recurrent("", 4, 3, 2) | recurrent("", 4, 3, 2, "_l0_reverse"),
            "LSTM(3, 2, bidirectional=True)",
        ),
        (
            recurrent("", 3, 3, 2) | recurrent("", 3, 2, 2, "_l1"),
            "GRU(3, 2, num_layers=2)",
        ),
        (
            {"weight_ih_l0": rows(8, 3), "weight_hh_l0": rows(8, 1), "weight_hr_l0": rows(1, 2)},
            "LSTM(3, 2, bias=False, proj_size=1)",
        ),
        (linear("fc.", 3, 2), "Linear(3, 2)"),
        ({"weight": rows(3, 2)}, "Linear(2, 3, bias=False)"),
        (EMBEDDING, "Embedding(7, 3)"),
        ({"ln.weight": rows(3), "ln.bias": rows(3)}, "LayerNorm((3,))"),
        ({"ln.weight": rows(3)}, "LayerNorm((3,), bias=False)"),
        (
            EMBEDDING | recurrent("lstm.", 4, 3, 2) | linear("net.", 2, 1),
            "Sequential(word_embeddings=Embedding(7, 3), lstm=LSTM(3, 2), net=Linear(2, 1))",
        ),
        (  # made in another order than run
            linear("head.", 2, 1) | recurrent("a.lstm.", 4, 3, 2) | {"a.emb.weight": rows(7, 3)},
            "Sequential(a=Sequential(emb=Embedding(7, 3), lstm=LSTM(3, 2)), head=Linear(2, 1))",
        ),
        (  # the last layer is no copy of others
            recurrent("rnn.", 4, 3, 2) | linear("last_linear.", 2, 1),
            "Sequential(rnn=LSTM(3, 2), last_linear=Linear(2, 1))",
        ),
        (  # parts of one prefix that do not follow each other
            {"b.emb.weight": rows(7, 3)} | recurrent("a.rnn.", 4, 3, 2) | linear("b.fc.", 2, 1),
            "Sequential(b_emb=Embedding(7, 3), a_rnn=LSTM(3, 2), b_fc=Linear(2, 1))",
        ),
        (
            recurrent("lstm1.", 4, 3, 2) | recurrent("lstm2.", 4, 2, 4) | linear("fc.", 4, 1),
            "Sequential(lstm1=LSTM(3, 2), lstm2=LSTM(2, 4), fc=Linear(4, 1))",
        ),
        (  # of a Sequential, which has no code
            linear("0.", 3, 2) | recurrent("1.", 4, 2, 2) | linear("2.", 2, 4) | linear("3.", 4, 1),
            "Sequential(Linear(3, 2), LSTM(2, 2), Linear(2, 4), Linear(4, 1))",
        ),
        (
            {"x.weight": rows(7, 3)} | recurrent("rnn.", 4, 3, 2),  # an embedding by its place
            "Sequential(x=Embedding(7, 3), rnn=LSTM(3, 2))",
        ),
        (
            recurrent("cells.0.", 3, 3, 2, "") | recurrent("cells.1.", 3, 2, 2, ""),
            "Sequential(GRU(3, 2), GRU(2, 2))",
        ),
    ],
)
def test_the_layers_are_told_by_names_and_shapes(arrays: dict[str, Array], expected: str) -> None:
    model = build(arrays)
    assert repr(model) == expected
    assert sum(a.size for a in arrays.values()) == model.parameters.data.size
    assert not model.training


def test_a_layer_that_is_given_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="layers has 'rnn' twice, expected each name once"):
        build(recurrent("rnn.", 3, 2, 2), layers=["rnn", "Tanh", "Tanh", "rnn"])


@pytest.mark.parametrize(
    "other",
    [
        {"conv.weight": rows(2, 2, 3), "conv.bias": rows(2)},
        {"bn.weight": rows(2), "bn.bias": rows(2), "bn.running_mean": rows(2)},
        {"in.running_mean": rows(3), "in.running_var": rows(2)},
        {"rnn2.weight_ih_l0": rows(4, 2)},
        {"odd.weight_ih_l0": rows(5, 2), "odd.weight_hh_l0": rows(5, 2)},
        {"gap.weight_ih_l1": rows(4, 2), "gap.weight_hh_l1": rows(4, 2)},
        {"five.weight_ih_l0": rows(10, 2), "five.weight_hh_l0": rows(10, 2)},
        {"g.weight_g": rows(3), "g.weight_v": rows(2, 2)},
        {"g.weight_orig": rows(2, 2), "g.weight_mask": rows(2, 3)},
        {"g.weight_orig": rows(2, 2), "g.weight_u": rows(2), "g.weight_v": rows(2) * 0},
        {
            "g.parametrizations.weight.original": rows(2, 2),
            "g.parametrizations.weight.0.base": rows(2, 2),
        },
        {"fc2.weight": rows(2, 2), "fc2.bias": rows(3)},
        {"empty.weight": rows(0, 2)},
        {"norm.weight": rows(2)},  # LayerNorm or RMSNorm
        {"rms_norm.weight": rows(2)},
        {"prelu.weight": rows(2)},
        {"gn1.weight": rows(2), "gn1.bias": rows(2)},
        {"initial_state": rows(2)},
        {"input_mean": np.arange(3)},  # that are not floating-point, and have an effect
        {"mask": np.ones((2, 2), bool)},
        {"rotation": np.ones(2, complex)},
        {"rnn.weight_hh_l0_scale": rows(1)},  # of weights that are no integers
        recurrent("of_one_gate.", 1, 2, 3) | {"of_one_gate.weight_hr_l0": rows(1, 3)},
        recurrent("of_three.", 3, 2, 3) | {"of_three.weight_hr_l0": rows(1, 3)},
    ],
)
def test_what_is_no_known_layer_is_named_and_can_be_left_out(other: dict[str, Array]) -> None:
    parts = recurrent("rnn.", 3, 2, 2) | other
    with pytest.raises(UnsupportedError, match="no layer that is known here has") as raised:
        build(parts)
    assert all(name in str(raised.value) for name in other)
    assert repr(build(parts, layers=["rnn"])) == "Sequential(rnn=GRU(2, 2))"
    lines = StateDict(Found(parts)).contents("npz").architecture
    assert lines == [
        "rnn: GRU(2, 2)",
        *(f"{n}: {a.shape}, no known layer" for n, a in other.items()),
    ]


@pytest.mark.parametrize("prefix", ["", "model.", "module.net."])
def test_layers_are_given_by_their_names_in_the_file_or_without_the_prefix(prefix: str) -> None:
    parts = recurrent(f"{prefix}rnn.", 3, 2, 2)
    for name in ("", f"{prefix}rnn"):
        assert "GRU(2, 2), own1=Tanh()" in repr(build(parts, layers=[name, "Tanh"]))
    with pytest.raises(
        ValueError, match=f"layers has 'lstm', expected one of {prefix}rnn, LastStep"
    ):
        build(parts, layers=["lstm"])
    parts |= linear(f"{prefix}fc.", 2, 2)
    for names in (["rnn", "fc"], [f"{prefix}rnn", f"{prefix}fc"]):
        assert repr(build(parts, layers=names)) == "Sequential(rnn=GRU(2, 2), fc=Linear(2, 2))"


def test_a_weight_is_an_embedding_if_what_follows_says_so() -> None:
    parts = {"encoder.weight": rows(7, 3)} | recurrent("rnn.", 4, 3, 2)
    model = build(parts, layers=["encoder", "rnn"])
    assert repr(model) == "Sequential(encoder=Embedding(7, 3), rnn=LSTM(3, 2))"


def test_names_of_other_libraries_are_refused_with_what_to_do() -> None:
    arrays = {"params/lstm/ii/kernel": rows(2, 3), "params/lstm/hi/kernel": rows(3, 3)}
    with pytest.raises(UnsupportedError, match=r"params/lstm/ii/kernel.*convert_gates"):
        build(arrays)


def test_an_inconsistent_shape_takes_no_memory() -> None:
    wrong = recurrent("", 4, 10**6, 1) | {"weight_hh_l0": rows(4000, 1000)}
    with pytest.raises(ValueError, match="expected at most"):
        build(wrong)


def test_a_name_of_too_many_parts_is_refused(tmp_path: Path) -> None:
    names = ("w." * 3000 + "weight", "w." * 2999 + "v.weight")
    weights: Any = {name: np.ones((2, 2)) for name in names}
    np.savez(tmp_path / "deep.npz", **weights)
    with pytest.raises(DamagedFileError, match=r"'w\.w\..* has 3000 dots, expected at most 100"):
        interchange.load(tmp_path / "deep.npz")


def test_a_classifier_is_given_by_the_names_of_its_layers() -> None:
    parts = recurrent("rnn.", 4, 3, 2) | linear("fc1.", 2, 4) | linear("fc2.", 4, 1)
    layers = ["rnn", "LastStep", "fc1", "ReLU", "fc2"]
    model = build(parts, layers=layers, batch_first=True)
    assert "LastStep(batch_first=True)" in repr(model)
    assert "LastStep()" in repr(build(parts, layers=layers))


def test_the_options_are_those_that_no_file_tells(tmp_path: Path) -> None:
    assert (
        repr(build(recurrent("", 1, 3, 2), nonlinearity="relu")) == "RNN(3, 2, nonlinearity='relu')"
    )
    assert repr(build(recurrent("", 3, 3, 2), reset_after=False)) == "GRU(3, 2, reset_after=False)"
    assert repr(build(recurrent("", 4, 3, 2), batch_first=True)) == "LSTM(3, 2, batch_first=True)"
    arrays: Any = recurrent("", 4, 3, 2)
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(TypeError, match="option 'other', expected dtype, layers, nonlinearity, b"):
        interchange.load(tmp_path / "m.npz", other=3)


@pytest.mark.parametrize(
    ("gates", "option"), [(4, "nonlinearity"), (3, "nonlinearity"), (4, "reset_after"), (1, "eps")]
)
def test_an_option_that_no_layer_takes_is_refused(gates: int, option: str) -> None:
    options: dict[str, Any] = {option: 1e-3}
    with pytest.raises(TypeError, match=f"option '{option}', which none of the layers takes"):
        build(recurrent("rnn.", gates, 3, 2) | linear("fc.", 2, 2), **options)


def test_models_are_layers_of_this_package() -> None:
    assert isinstance(build(recurrent("", 4, 3, 2)), LSTM)
    assert isinstance(build(recurrent("", 1, 3, 2)), RNN)
    assert isinstance(build(recurrent("a.", 1, 3, 2) | linear("b.", 2, 1)), Sequential)


def test_load_warns_of_what_a_file_leaves_open(tmp_path: Path) -> None:
    arrays: Any = recurrent("rnn.", 1, 2, 3) | {"fc.weight": np.ones((2, 3))}
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.warns(
        UserWarning,
        match="not tell nonlinearity and batch_first, so it takes nonlinearity='tanh', ",
    ):
        interchange.load(tmp_path / "m.npz")
    with pytest.warns(
        UserWarning, match="tell nonlinearity, so it takes nonlinearity='tanh'; give"
    ):
        interchange.load(tmp_path / "m.npz", batch_first=True)
    interchange.load(tmp_path / "m.npz", batch_first=False, nonlinearity="relu")
    interchange.load(tmp_path / "m.npz", layers=["fc"])  # which has neither


@pytest.mark.parametrize("name", ["enc_w_ih", "enc.W_ih", "enc.weights_ih"])
def test_names_of_ones_own_are_told_what_they_stand_for(name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"has {name}, .*such as 'rnn.weight_ih_l0', which"):
        build({name: rows(6, 3), name.replace("ih", "hh"): rows(6, 2)})
