"""Files of PyTorch: weights bit by bit, outputs and gradients to 1e-12, in both directions."""

from __future__ import annotations

import argparse
import contextlib
import io
import pickle
import re
import struct
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import numpy_rnn
from numpy_rnn import (
    GRU,
    LSTM,
    RNN,
    LastStep,
    Layer,
    Linear,
    PeepholeLSTM,
    Sequential,
    Tanh,
    interchange,
)
from numpy_rnn.interchange import UnsupportedError
from numpy_rnn.layers.wrappers import Masked, Residual
from numpy_rnn.reading import DamagedFileError

FORMATS = ["torch", "torch before 1.6", "safetensors", "npz", "pickle"]
KINDS: dict[str, Any] = {"RNN": torch.nn.RNN, "LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU}


class Net(torch.nn.Module):
    """An embedding, a recurrent layer, a normalisation and an output layer."""

    def __init__(self, kind: str, tokens: bool, dtype: torch.dtype, **options: Any) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(7, 3, dtype=dtype) if tokens else None
        self.rnn = KINDS[kind](3, 4, dtype=dtype, **options)
        size = (options.get("proj_size") or 4) * (1 + options["bidirectional"])
        self.layer_norm = torch.nn.LayerNorm(size, dtype=dtype)
        self.head = torch.nn.Linear(size, 2, dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if self.embed is None else self.embed(x)
        y: torch.Tensor = self.head(self.layer_norm(self.rnn(x)[0]))
        return y


def write(model: torch.nn.Module, path: Path, form: str) -> None:
    state = model.state_dict()
    if form == "safetensors":
        save_file(state, path)
    elif form.startswith("torch"):
        torch.save(state, path, _use_new_zipfile_serialization=form == "torch")
    else:
        arrays = {name: value.numpy() for name, value in state.items()}
        if form == "npz":
            with path.open("wb") as file:
                np.savez_compressed(file, **arrays)
        else:
            path.write_bytes(pickle.dumps(arrays))


OPTIONS = st.fixed_dictionaries(
    {
        "num_layers": st.integers(1, 3),
        "bias": st.booleans(),
        "batch_first": st.booleans(),
        "bidirectional": st.booleans(),
    }
)


@pytest.mark.filterwarnings("ignore:.*does not hold:UserWarning")
@settings(max_examples=30)
@given(OPTIONS, st.sampled_from(list(KINDS)), st.sampled_from(FORMATS), st.data())
def test_torch_to_ours_to_torch(
    tmp_path_factory: pytest.TempPathFactory,
    options: dict[str, Any],
    kind: str,
    form: str,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("round")
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    told = {"batch_first": options["batch_first"]}
    if kind == "RNN":
        options["nonlinearity"] = told["nonlinearity"] = data.draw(
            st.sampled_from(["tanh", "relu"])
        )
    if kind == "LSTM":
        options["proj_size"] = data.draw(st.integers(0, 3))
    torch.manual_seed(data.draw(st.integers(0, 9)))
    tokens = data.draw(st.booleans())
    theirs = Net(kind, tokens, dtype, **options)
    write(theirs, folder / "a", form)
    ours = interchange.load(folder / "a", **told)
    for to in ("torch", "safetensors", "npz", "pickle"):
        interchange.save(ours, folder / to, to)
        more = {} if to == "safetensors" else told
        again = interchange.load(folder / to, **more)
        assert repr(again) == repr(ours)
        assert again.parameters.data.tobytes() == ours.parameters.data.tobytes()
    back = torch.load(folder / "torch", weights_only=True)
    assert list(back) == list(ours.parameters.shapes)
    for name, value in theirs.state_dict().items():
        assert back[name].dtype == value.dtype
        assert torch.equal(back[name], value)
    if dtype == torch.float64:
        compare(ours, theirs, tokens)


def compare(ours: Layer, theirs: torch.nn.Module, tokens: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 7, (5, 2)) if tokens else rng.standard_normal((5, 2, 3))
    y, _ = ours(x)
    y_theirs = theirs(torch.from_numpy(x))
    np.testing.assert_allclose(y, y_theirs.detach().numpy(), rtol=0, atol=1e-12)
    dy = rng.standard_normal(y.shape)
    y_theirs.backward(torch.from_numpy(dy))
    ours.backward(dy)
    for name, value in theirs.named_parameters():
        assert value.grad is not None
        np.testing.assert_allclose(
            ours.parameters.grads[name], value.grad.numpy(), rtol=0, atol=1e-12
        )


NET = Net("LSTM", True, torch.float32, num_layers=2, bidirectional=True)
STATE = NET.state_dict()


def prefixed(prefix: str, change: Any = lambda value: value) -> dict[str, torch.Tensor]:
    return {prefix + name: change(value) for name, value in STATE.items()}


ADAM = torch.optim.Adam(NET.parameters())
SAVED: dict[str, Any] = {
    "state_dict": STATE,
    "ordered": OrderedDict(STATE),
    "module": NET,
    "wrapped module": torch.nn.DataParallel(NET),
    "module.": prefixed("module."),
    "_orig_mod.": prefixed("_orig_mod."),
    "both": prefixed("module._orig_mod."),
    "model.": {"state_dict": prefixed("model."), "hyper_parameters": argparse.Namespace(a=1)},
    "checkpoint": {"epoch": 3, "model": STATE, "optimizer": ADAM.state_dict(), "loss": 0.5},
    "resumable": {"model": STATE, "optimizer": ADAM.state_dict(), "best": torch.tensor(0.5),
                  "scheduler": torch.optim.lr_scheduler.ReduceLROnPlateau(ADAM).state_dict(),
                  "rng": torch.get_rng_state(), "numpy_rng": np.random.RandomState(0).get_state(),
                  "losses": np.array([0, 1]), "scaler": {"scale": 65536.0}},
    "model_state_dict": {"model_state_dict": STATE, "best": {"loss": torch.ones(3)}},
    "moving average": {"ema": prefixed("module."), "model": STATE},
    "deep": {"a": {"b": {"state_dict": STATE}}},
    "by parts": {"layer_norm": dict(NET.layer_norm.state_dict()),
                 "embed": dict(NET.embed.state_dict()),  # type: ignore[union-attr]
                 "rnn": dict(NET.rnn.state_dict()),
                 "head": dict(NET.head.state_dict()), "best": torch.tensor(0.5)},
    "Parameter": {name: torch.nn.Parameter(value) for name, value in STATE.items()},
    "path": {"net": STATE, "args": {"path": Path("a"), "shape": torch.Size([2]),
                                    "device": torch.device("cpu"), "dtype": torch.float32}},
    "transposed": {n: v.t().contiguous().t() if v.ndim == 2 else v for n, v in STATE.items()},
}  # fmt: skip
FLAT = torch.cat([value.flatten() for value in STATE.values()])
ENDS = np.cumsum([value.numel() for value in STATE.values()])
SAVED["one storage"] = {
    name: FLAT[end - value.numel() : end].view(value.shape)
    for end, (name, value) in zip(ENDS, STATE.items(), strict=True)
}


@pytest.mark.parametrize("new_zip", [True, False])
@pytest.mark.parametrize("name", SAVED)
def test_the_weights_are_found(tmp_path: Path, name: str, new_zip: bool) -> None:
    torch.save(SAVED[name], tmp_path / "m.pt", _use_new_zipfile_serialization=new_zip)
    expected = {n: v.numpy() for n, v in STATE.items()}
    model = interchange.load(tmp_path / "m.pt", batch_first=False)
    assert set(model.parameters.shapes) == set(expected)
    for n, value in expected.items():
        np.testing.assert_array_equal(model.parameters.values[n], value)
    assert not model.training


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickled_state_dict_is_read(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "m").write_bytes(pickle.dumps(STATE, protocol))
    model = interchange.load(tmp_path / "m", batch_first=False)
    np.testing.assert_array_equal(model.parameters.values["head.bias"], STATE["head.bias"].numpy())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("form", ["torch", "torch before 1.6", "safetensors"])
def test_half_precision_is_widened(tmp_path: Path, dtype: torch.dtype, form: str) -> None:
    write(torch.nn.Linear(3, 4).to(dtype), tmp_path / "m", form)
    torch.manual_seed(0)
    linear = torch.nn.Linear(3, 4).to(dtype)
    write(linear, tmp_path / "m", form)
    contents = interchange.read(tmp_path / "m")
    model = contents.build()
    np.testing.assert_array_equal(model.state_dict()["weight"], linear.weight.detach().float())
    assert model.parameters.dtype == np.float32
    kind = str(dtype).removeprefix("torch.")
    names = ", ".join(contents.arrays)
    assert contents.notes == [f"{kind}, read as float32: {names}"]


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
@pytest.mark.parametrize("new_zip", [True, False])
def test_quantised_weights_are_dequantised(tmp_path: Path, new_zip: bool) -> None:
    torch.manual_seed(0)
    weight = torch.randn(4, 3)
    by_row = torch.quantize_per_channel(
        weight, torch.full((4,), 0.02).double(), torch.arange(4), 0, torch.qint8
    )
    for q in (torch.quantize_per_tensor(weight, 0.05, 3, torch.quint8), by_row):
        torch.save({"fc.weight": q}, tmp_path / "m", _use_new_zipfile_serialization=new_zip)
        model = interchange.load(tmp_path / "m")
        np.testing.assert_allclose(
            model.state_dict()["weight"], q.dequantize().numpy(), rtol=0, atol=1e-6
        )


def test_what_a_state_dict_does_not_hold_is_said(tmp_path: Path) -> None:
    model = Sequential(
        rnn=GRU(3, 4, batch_first=True, rng=0), act=Tanh(), end=LastStep(True), fc=Linear(4, 2)
    )
    model.vocabulary = "abc"
    for form in ("torch", "npz", "pickle"):
        expected = (
            "does not hold: rnn with batch_first=True; act: Tanh(); end: LastStep(batch_first=True)"
            "; the vocabulary"
        )
        with pytest.warns(UserWarning, match=re.escape(expected)):
            interchange.save(model, tmp_path / "m", form)
    for wrapper in (Residual(Linear(2, 2)), Masked(GRU(2, 2), mask_value=0)):
        with pytest.raises(UnsupportedError, match=f"PyTorch has no {type(wrapper).__name__}"):
            interchange.save(wrapper, tmp_path / "m.pt")


def test_a_tensor_that_is_negative_by_a_flag_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch._neg_view(torch.ones(2, 3))}, tmp_path / "m.pt")
    with pytest.raises(UnsupportedError, match="resolve_neg"):
        interchange.load(tmp_path / "m.pt")


@pytest.mark.parametrize("new_zip", [True, False])
def test_a_tensor_that_repeats_its_numbers_is_read(new_zip: bool, tmp_path: Path) -> None:
    state = {"fc.weight": torch.randn(1, 3).expand(4, 3), "fc.bias": torch.zeros(1).expand(4)}
    torch.save(state, tmp_path / "m.pt", _use_new_zipfile_serialization=new_zip)
    values = interchange.load(tmp_path / "m.pt").parameters.values
    np.testing.assert_array_equal(values["weight"], state["fc.weight"].numpy())
    torch.save({"weight": torch.zeros(1).expand(1 << 20, 1 << 15)}, tmp_path / "m.pt")
    with pytest.raises(DamagedFileError, match="beyond its storage"):
        interchange.load(tmp_path / "m.pt")


def test_networks_with_the_same_names_are_not_copies(tmp_path: Path) -> None:
    """Only the first one was read."""
    torch.manual_seed(0)
    part = {"rnn.weight_ih_l0": torch.randn(8, 2), "rnn.weight_hh_l0": torch.randn(8, 2)}
    torch.save({"sender": part, "receiver": {n: 2 * v for n, v in part.items()}}, tmp_path / "m.pt")
    with pytest.raises(UnsupportedError, match="sender and receiver are networks"):
        interchange.load(tmp_path / "m.pt")
    values = interchange.load(
        tmp_path / "m.pt", layers=["receiver.rnn"], batch_first=False
    ).parameters.values
    np.testing.assert_array_equal(values["receiver.rnn.weight_ih_l0"], 2 * part["rnn.weight_ih_l0"])
    parts = {"rnn": torch.nn.GRU(2, 2), "fc": torch.nn.Linear(2, 2)}
    torch.save({name: part.state_dict() for name, part in parts.items()}, tmp_path / "m.pt")
    assert repr(interchange.load(tmp_path / "m.pt", batch_first=False)).count("Linear") == 1


@pytest.mark.parametrize("pack", [lambda *state: state, lambda *state: [*state, {"epochs": 3}]])
def test_the_weights_in_a_list_are_found(pack: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = torch.nn.GRU(3, 2)
    torch.save(pack(module.state_dict()), tmp_path / "m.pt")
    assert (
        repr(interchange.load(tmp_path / "m.pt", batch_first=False)) == "GRU(3, 2, dtype=float32)"
    )


def test_tied_weights_are_noted(tmp_path: Path) -> None:
    embedding, linear = torch.nn.Embedding(5, 3), torch.nn.Linear(3, 5)
    linear.weight = embedding.weight
    torch.save(torch.nn.Sequential(embedding, linear).state_dict(), tmp_path / "m")
    assert interchange.read(tmp_path / "m").notes == ["1.weight is the same memory as 0.weight"]
    ours = interchange.load(tmp_path / "m")
    assert ours.tied == {"1.weight": "0.weight"}
    assert list(ours.parameters.shapes) == ["0.weight", "1.bias"]
    interchange.save(ours, tmp_path / "again", "torch")
    assert torch.equal(torch.load(tmp_path / "again")["1.weight"], linear.weight)
    assert repr(interchange.load(tmp_path / "again")) == repr(ours)


def old_tar(path: Path) -> dict[str, torch.Tensor]:
    """A file as PyTorch wrote it before 0.1.10: a tar. Return the weights."""
    weights = {"weight": torch.randn(2, 3), "bias": torch.randn(2)}
    storages, tensors = io.BytesIO(), io.BytesIO()
    pickle.dump(len(weights), storages, 2)
    pickle.dump(len(weights), tensors, 2)
    for number, value in enumerate(weights.values()):
        pickle.dump((100 + number, "cpu", torch.FloatStorage), storages, 2)
        storages.write(struct.pack("<q", value.numel()) + value.numpy().tobytes())
        pickle.dump((200 + number, 100 + number, torch.FloatTensor), tensors, 2)
        axes = value.ndim
        tensors.write(struct.pack(f"<ii{2 * axes + 1}q", axes, 0, *value.shape, *value.stride(), 0))
    pickle.dump([], storages, 2)
    made = io.BytesIO()
    ByNumber(made, 2).dump({name: Known(200 + n) for n, name in enumerate(weights)})
    with tarfile.open(path, "w") as archive:
        for name, content in (("storages", storages), ("tensors", tensors), ("pickle", made)):
            info = tarfile.TarInfo(name)
            info.size = len(content.getvalue())
            archive.addfile(info, io.BytesIO(content.getvalue()))
    return weights


class Known:
    """A tensor that the pickle refers to by number."""

    def __init__(self, number: int) -> None:
        self.number = number


class ByNumber(pickle.Pickler):
    """A pickler that writes the number of a known tensor."""

    def persistent_id(self, value: Any) -> str | None:
        return str(value.number) if isinstance(value, Known) else None


# torch.load warns in Python 3.12, whose tarfile will change.
@pytest.mark.filterwarnings("ignore:Python 3.14:DeprecationWarning")
def test_the_oldest_files_are_read(tmp_path: Path) -> None:
    weights = old_tar(tmp_path / "m.pt")
    theirs = torch.load(tmp_path / "m.pt", weights_only=False)  # PyTorch takes it for one too
    model = interchange.load(tmp_path / "m.pt")
    for name, value in weights.items():
        assert torch.equal(theirs[name], value)
        np.testing.assert_array_equal(model.parameters.values[name], value.numpy())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (PeepholeLSTM(3, 4), "PyTorch has no PeepholeLSTM"),
        (GRU(3, 4, reset_after=False), "PyTorch has no GRU with reset_after=False"),
        (
            Sequential(GRU(3, 4, reset_after=False), PeepholeLSTM(4, 4)),
            "no GRU with reset_after=False, PeepholeLSTM",
        ),
    ],
)
def test_what_torch_lacks_is_named_and_nothing_is_written(
    tmp_path: Path, model: Layer, message: str
) -> None:
    for form in ("torch", "npz", "pickle"):
        with pytest.raises(UnsupportedError, match=message):
            interchange.save(model, tmp_path / "m", form)
    assert not list(tmp_path.iterdir())
    interchange.save(model, tmp_path / "m", "safetensors")
    assert repr(interchange.load(tmp_path / "m")) == repr(model)


def test_the_same_model_is_the_same_bytes(tmp_path: Path) -> None:
    model = Sequential(RNN(2, 3, rng=0), Linear(3, 1, rng=0))
    for name in "ab":
        interchange.save(model, tmp_path / name, "torch")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("form", [*FORMATS, "tar", "own"])
def test_a_damaged_file_is_one_error(tmp_path: Path, form: str) -> None:
    """Each byte that is changed or cut off is an error or a number that changed."""
    torch.manual_seed(0)
    path, damaged = tmp_path / "m", tmp_path / "d"
    if form == "tar":
        old_tar(path)
    elif form == "own":
        LSTM(1, 1).save(path)
    else:
        write(torch.nn.Linear(2, 1), path, form)
    data = path.read_bytes()
    for at in range(0, len(data), max(1, len(data) // 50)):
        for changed in (data[:at], bytes([*data[:at], data[at] ^ 1 << at % 8, *data[at + 1 :]])):
            damaged.write_bytes(changed)
            with contextlib.suppress(DamagedFileError, UnsupportedError):
                try:
                    interchange.load(damaged)
                except ValueError as error:
                    if "none of the known formats" not in str(error):
                        raise


def test_our_own_file_keeps_everything(tmp_path: Path) -> None:
    model = LSTM(2, 3, 2, batch_first=True, dropout=0.5, rng=0)
    interchange.save(model, tmp_path / "m.safetensors")
    assert repr(interchange.load(tmp_path / "m.safetensors")) == repr(model)
    assert repr(numpy_rnn.load(tmp_path / "m.safetensors")) == repr(model)
