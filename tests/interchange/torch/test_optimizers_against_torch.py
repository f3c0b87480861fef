"""Training goes on from PyTorch's checkpoint: equal to PyTorch, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from numpy_rnn import Layer, MSELoss, Optimizer, interchange
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange import UnsupportedError, load_optimizer

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True, "betas": (0.8, 0.9)}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.9, "centered": True}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1}),
]


class Net(torch.nn.Module):
    """A model whose parts are not made in the order in which they run."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(4, 2)
        self.rnn = torch.nn.LSTM(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.rnn(x)[0])
        return y


def data(number: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(number)
    return rng.standard_normal((5, 2, 3)), rng.standard_normal((5, 2, 2))


def train_torch(model: torch.nn.Module, optimizer: torch.optim.Optimizer, first: int) -> None:
    for number in range(first, first + 5):
        x, target = map(torch.from_numpy, data(number))
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def train_ours(model: Layer, optimizer: Optimizer, first: int) -> None:
    loss = MSELoss()
    for number in range(first, first + 5):
        x, target = data(number)
        optimizer.zero_grad()
        y, _ = model(x)
        loss(y, target)
        model.backward(loss.backward())
        optimizer.step()


def trained(kind: str, options: dict[str, Any]) -> tuple[Net, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = Net().double()
    optimizer: torch.optim.Optimizer = getattr(torch.optim, kind)(model.parameters(), **options)
    train_torch(model, optimizer, 0)
    return model, optimizer


@pytest.mark.parametrize(("kind", "options"), OPTIMIZERS)
@pytest.mark.parametrize("new_zip", [True, False])
def test_training_goes_on_as_in_torch(
    tmp_path: Path, kind: str, options: dict[str, Any], new_zip: bool
) -> None:
    theirs, their_optimizer = trained(kind, options)
    torch.save(
        {"epoch": 3, "model": theirs.state_dict(), "optimizer": their_optimizer.state_dict()},
        tmp_path / "c.pt",
        _use_new_zipfile_serialization=new_zip,
    )
    ours = interchange.load(tmp_path / "c.pt", batch_first=False)
    optimizer = load_optimizer(tmp_path / "c.pt", ours)
    assert type(optimizer).__name__ == kind
    train_torch(theirs, their_optimizer, 5)
    train_ours(ours, optimizer, 5)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=0, atol=1e-12)


def test_a_state_alone_is_in_the_order_of_the_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)).double()
    optimizer = torch.optim.Adam(theirs.parameters())
    train_torch(theirs, optimizer, 0)
    torch.save(theirs.state_dict(), tmp_path / "m.pt")
    torch.save(optimizer.state_dict(), tmp_path / "o.pt")
    ours = load_optimizer(tmp_path / "o.pt", interchange.load(tmp_path / "m.pt", batch_first=False))
    expected = [optimizer.state[p]["exp_avg"].flatten() for p in theirs.parameters()]
    np.testing.assert_array_equal(ours.moments["exp_avg"], torch.cat(expected).numpy())
    assert ours.num_steps == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda saved: saved["param_groups"][0].update(maximize=True), "maximises"),
        (lambda saved: saved["param_groups"][0].pop("betas"), "not known, expected kind=one of"),
        (lambda saved: saved["state"].pop(0), "different numbers of steps"),
        (lambda saved: saved["state"][0].update(step=torch.tensor(3.0)), "different numbers"),
        (lambda saved: saved["state"][0].pop("exp_avg"), "'exp_avg' of 'head.weight' is missing"),
        (lambda saved: saved["state"][0].update(exp_avg=torch.ones(3)), "has shape"),
        (lambda saved: saved["param_groups"][0]["params"].pop(), "has 5 parameters, and the model"),
        (lambda saved: saved.pop("param_groups"), "holds 0 states of optimisers"),
        (
            lambda saved: saved["param_groups"].append(
                saved["param_groups"][0] | {"lr": 3.0, "params": []}
            ),
            r"differ in \['lr'\]",
        ),
        (
            lambda saved: saved["param_groups"][0].pop("decoupled_weight_decay"),
            "expected kind=Adam, AdamW",
        ),
    ],
)
def test_a_state_without_a_counterpart_is_one_error(
    tmp_path: Path, change: Any, message: str
) -> None:
    theirs, optimizer = trained("AdamW", {"weight_decay": 0.1})
    saved = optimizer.state_dict()
    change(saved)
    torch.save({"model": theirs.state_dict(), "optimizer": saved}, tmp_path / "c.pt")
    with pytest.raises(UnsupportedError, match=message):
        load_optimizer(tmp_path / "c.pt", interchange.load(tmp_path / "c.pt", batch_first=False))
