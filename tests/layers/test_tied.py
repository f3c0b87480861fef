"""Tied weights are one part of the flat vector with two names; padding has no gradient."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from numpy_rnn import (
    LSTM,
    RNN,
    Adam,
    CrossEntropyLoss,
    Embedding,
    LayerNorm,
    Linear,
    MSELoss,
    Sequential,
    clip_grad_norm,
)
from numpy_rnn.checking import check_gradients
from numpy_rnn.training import Examples, Trainer, load, save
from tests.layers.models import same_trees
from tests.layers.test_against_torch import equal

V, E = 7, 4
TIED = {"2.weight": "0.weight"}
TOKENS = np.random.default_rng(0).integers(0, V, (6, 3))


def language_model(**options: Any) -> Sequential:
    return Sequential(
        Embedding(V, E, padding_idx=2, rng=0), RNN(E, E, rng=1), Linear(E, V, rng=2), **options
    )


class TorchModel(torch.nn.Sequential):
    """The same in PyTorch."""

    def __init__(self) -> None:
        parts: list[Any] = [
            torch.nn.Embedding(V, E, padding_idx=2),
            torch.nn.RNN(E, E),
            torch.nn.Linear(E, V),
        ]
        super().__init__(*parts)
        self.double()
        parts[2].weight = parts[0].weight

    def forward(self, x: Any) -> Any:
        return self[2](self[1](self[0](x))[0])


def test_training_is_that_of_torch() -> None:
    ours, theirs = language_model(tied=TIED), TorchModel()
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)
    criterion, adam = CrossEntropyLoss(), Adam(ours.parameters, lr=0.1)
    reference = torch.optim.Adam(theirs.parameters(), lr=0.1)
    target = np.roll(TOKENS, -1, axis=0)
    for _ in range(20):
        ours.zero_grad()
        criterion(ours(TOKENS)[0], target)
        ours.backward(criterion.backward())
        clip_grad_norm(ours.parameters, 0.5)
        adam.step()
        reference.zero_grad()
        y = theirs(torch.from_numpy(TOKENS)).reshape(-1, V)
        torch.nn.functional.cross_entropy(y, torch.from_numpy(target.ravel())).backward()  # type: ignore[no-untyped-call]  # PyTorch's hints lack it
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        reference.step()
    for name, want in theirs.state_dict().items():
        got = ours.state_dict()[name]
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-9, atol=1e-11, err_msg=name)


def test_two_names_are_one_part_of_the_vector() -> None:
    model, loose = language_model(tied=TIED), language_model()
    assert model.parameters.data.size == loose.parameters.data.size - V * E
    assert "2.weight" not in model.parameters.shapes
    values, parts = model.parameters.values, [layer.parameters for layer in model.layers.values()]
    values["2.weight"][...] = 5
    assert (values["0.weight"] == 5).all()
    parts[0].values["weight"][...] = 6
    assert (parts[2].values["weight"] == 6).all()
    parts[1].data *= 0
    parts[2].data[...] = 9  # a tied layer's own vector is what only it has
    assert (values["2.bias"] == 9).all()
    assert (values["0.weight"] == 6).all()
    assert repr(model).endswith("Linear(4, 7), tied={'2.weight': '0.weight'})")


@pytest.mark.parametrize("method", ["forward and backward", "apply and vjp", "keep"])
def test_gradients_of_both_names_add_up(method: str) -> None:
    model, loose = language_model(tied=TIED), language_model()
    loose.load_state_dict(model.state_dict())
    dy = np.random.default_rng(1).standard_normal((6, 3, V))
    keep: Any = "tb" if method == "keep" else ""
    both = loose.vjp(loose.apply(TOKENS)[2], dy, None, keep)[2]
    want = both["0.weight"] + both["2.weight"]
    assert not both["0.weight"][..., 2, :].any()  # the padding's
    if method == "forward and backward":
        model(TOKENS)
        model.backward(dy)
        got = model.parameters.grads
        np.testing.assert_array_equal(got["2.weight"], got["0.weight"])
    else:
        got = model.vjp(model.apply(TOKENS)[2], dy, None, keep)[2]
        assert list(got) == list(model.parameters.shapes)
    np.testing.assert_allclose(got["0.weight"], want, rtol=1e-13)
    np.testing.assert_allclose(got["1.weight_hh_l0"], both["1.weight_hh_l0"], rtol=1e-13)


def test_the_checker_agrees_and_finds_a_name_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    def square() -> Sequential:
        return Sequential(Linear(3, 3, rng=0), RNN(3, 3, rng=1), Linear(3, 3, rng=2), tied=TIED)

    assert check_gradients(square(), "T B 3").ok
    own = Sequential.vjp

    def forgetful(self: Any, cache: Any, dy: Any, *rest: Any) -> Any:
        self.tied = {}
        dx, dstate, gradients = own(self, cache, dy, *rest)
        return dx, dstate, {n: g for n, g in gradients.items() if n != "2.weight"}

    monkeypatch.setattr(Sequential, "vjp", forgetful)
    assert not check_gradients(square(), "T B 3").ok


def copies(model: Sequential) -> list[Sequential]:
    return [copy.deepcopy(model), *(pickle.loads(pickle.dumps(model, p)) for p in (0, 2, 5))]  # noqa: S301 (its own)


def test_copies_are_tied_and_parts_of_them_are_not() -> None:
    model = language_model(tied=TIED)
    for twin in (*copies(model), *copies(copies(model)[0])):
        same_trees(twin.state_dict(), model.state_dict())
        twin.parameters.values["2.weight"][...] = 3
        assert (twin.layers["0"].parameters.values["weight"] == 3).all()
        assert (twin.layers["2"].parameters.values["weight"] == 3).all()
        y, _ = twin(TOKENS)
        twin.backward(np.ones_like(y))
        assert twin.parameters.grad.any()
    assert not (model.parameters.values["0.weight"] == 3).any()
    head = copy.deepcopy(model.layers["2"])
    same_trees(head.state_dict(), model.layers["2"].state_dict())
    head.parameters.data[...] = 1
    assert head.parameters.data.size == V * E + V
    assert not (model.parameters.values["2.weight"] == 1).any()
    assert (Sequential(head).state_dict()["0.weight"] == 1).all()


def test_ties_hold_in_nested_models_and_other_dtypes() -> None:
    inner = Sequential(Linear(3, 3, rng=0), LayerNorm(3), Linear(3, 3, rng=1), tied=TIED)
    outer = Sequential(inner, LayerNorm(3), Linear(3, 3, False, rng=2), tied={
        "2.weight": "0.0.weight", "1.weight": "0.1.weight",
    })  # fmt: skip
    for model in (outer, *copies(outer)):
        model.parameters.to(np.float32)
        for name in ("0.0.weight", "0.2.weight", "2.weight"):
            model.parameters.values[name][...] = len(name)
            for other in ("0.0.weight", "0.2.weight", "2.weight"):
                assert (model.parameters.values[other] == len(name)).all()
        assert model.parameters.data.size == 3 * 3 + 2 * 3 + 2 * 3 + 3
        assert repr(model.layers["2"]) == "Linear(3, 3, bias=False, dtype=float32)"
        assert model.stepper()(np.ones((1, 3)))[0].dtype == np.float32
        model.parameters.to(np.float64)
        model.parameters.data[...] = np.random.default_rng(3).standard_normal(24)
        assert check_gradients(model, "T B 3").ok


def test_loading_takes_one_name_or_two_equal_ones() -> None:
    model, state = language_model(tied=TIED), language_model().state_dict()
    with pytest.raises(
        ValueError, match=r"'2\.weight' differs from '0\.weight', expected the same"
    ):
        model.load_state_dict(state)
    for left in ("0.weight", "2.weight"):
        some = {name: value for name, value in state.items() if name != left}
        assert model.load_state_dict(some) == ([], [])
        (kept,) = {"0.weight", "2.weight"} - {left}
        np.testing.assert_array_equal(model.parameters.values[left], state[kept])
    assert model.load_state_dict({}, strict=False).missing_keys == list(state)
    part = model.layers["2"]
    part.load_state_dict({"weight": np.ones((V, E)), "bias": np.ones(V)})
    assert (model.parameters.values["0.weight"] == 1).all()
    with pytest.raises(ValueError, match=r"'weight' has shape \(2,\), expected \(7, 4\)"):
        part.load_state_dict({"weight": np.ones(2), "bias": np.ones(V)})


def test_a_checkpoint_restores_a_tied_model(tmp_path: Path) -> None:
    def trainer(model: Sequential) -> Trainer:
        x = np.random.default_rng(0).standard_normal((6, 8, 3))
        data = Examples(x, x, batch_size=4, per_step=True, rng=0)
        return Trainer(model, MSELoss(), Adam(model.parameters), data)

    def model(seed: int) -> Sequential:
        return Sequential(Linear(3, 3, rng=seed), RNN(3, 3, rng=1), Linear(3, 3, rng=2), tied=TIED)

    run = trainer(model(0))
    run.fit(3)
    save(tmp_path / "run.safetensors", run)
    run.fit(6)
    again = trainer(model(5))
    load(tmp_path / "run.safetensors", again)
    again.fit(6)
    same_trees(again.model.state_dict(), run.model.state_dict())


@pytest.mark.parametrize(
    ("tied", "kind", "message"),
    [
        (
            {"2.weight": "1.bias"},
            ValueError,
            "tied: '1.bias', expected a weight to tie once, of",
        ),
        (
            {"2.weight": "2.weight"},
            ValueError,
            "Sequential: tied: '2.weight', expected a weight",
        ),
        (
            {"2.weight": "0.weight", "0.weight": "2.weight"},
            ValueError,
            "Sequential: tied: '2.weight', expected a weight to tie once",
        ),
        (
            {"2.weight": "1.weight_hh_l0"},
            ValueError,
            "Sequential: tied: '2.weight' has shape (7, 4), expected that of '1.weight_hh_l0', (4,",
        ),
        (["2.weight"], TypeError, "Sequential: tied is ['2.weight'], expected a mapping"),
    ],
)
def test_what_cannot_be_tied_is_one_clear_line(
    tied: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        language_model(tied=tied)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("index", [0, 2, -1, -V])
def test_the_paddings_vector_is_zero_and_stays(index: int) -> None:
    ours = Embedding(V, E, index, rng=0)
    theirs = torch.nn.Embedding(V, E, padding_idx=index, dtype=torch.float64)
    assert ours.padding_idx == theirs.padding_idx
    assert not ours.parameters.values["weight"][index].any()
    assert ours.parameters.values["weight"].any(axis=1).sum() == V - 1
    ours.load_state_dict({"weight": np.ones((V, E))})
    theirs.load_state_dict({"weight": torch.ones(V, E)})
    y, ty = ours(TOKENS), theirs(torch.from_numpy(TOKENS))
    equal(y, ty)
    dy = np.random.default_rng(0).standard_normal(y.shape)
    ty.backward(torch.from_numpy(dy))
    ours.backward(dy)
    equal(ours.parameters.grads["weight"], theirs.weight.grad)
    assert repr(ours) == f"Embedding(7, 4, padding_idx={index % V})"


@pytest.mark.parametrize("index", [V, -V - 1])
def test_padding_outside_the_table_is_an_error(index: int) -> None:
    with pytest.raises(ValueError, match=f"Embedding: padding_idx is {index}, expected"):
        Embedding(V, E, index)


@pytest.mark.parametrize(("ours", "theirs"), [(LSTM, torch.nn.LSTMCell), (RNN, torch.nn.RNNCell)])
def test_the_names_of_torchs_cells_are_loaded(ours: Any, theirs: Any) -> None:
    cell, layer = theirs(3, 4, dtype=torch.float64), ours(3, 4)
    state = {name: value.numpy() for name, value in cell.state_dict().items()}
    layer.load_state_dict(state)
    x = np.random.default_rng(0).standard_normal((2, 3))
    want = cell(torch.from_numpy(x))
    equal(layer.step(x)[0], want[0] if isinstance(want, tuple) else want)
    model = Sequential(rnn=ours(3, 4), head=Linear(4, 1))
    both = model.state_dict() | {f"rnn.{name}": value for name, value in state.items()}
    given = {name: value for name, value in both.items() if not name.endswith("_l0")}
    model.load_state_dict(given)
    same_trees(model.layers["rnn"].state_dict(), layer.state_dict())
    with pytest.raises(ValueError, match="'weight_ih_l1' is missing"):
        ours(3, 4, 2).load_state_dict(state)
