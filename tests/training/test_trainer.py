"""The loop: PyTorch's numbers, the same bits after going on, and a clear end when it diverges."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_rnn import LSTM, Adam, CrossEntropyLoss, Embedding, Linear, Sequential
from numpy_rnn.training import (
    Callback,
    Checkpoints,
    History,
    Step,
    Trainer,
    TrainingFailedError,
    Validation,
    Windows,
    cosine,
    load,
    save,
)
from tests.training import small

STEPS = 500


def ours(dtype: str) -> list[float]:
    net = small.model(dtype=dtype)
    losses: list[float] = []
    trainer = Trainer(
        net,
        CrossEntropyLoss(),
        Adam(net.parameters, lr=5e-3),
        Windows.next_of(small.symbols(), batch_size=6, window=9),
        schedule=cosine(warmup=20),
        clip_norm=0.1,
        callbacks=[Recorder(losses)],
    )
    trainer.fit(STEPS)
    return losses


class Recorder(Callback):
    def __init__(self, losses: list[float]) -> None:
        self.losses = losses

    def after_step(self, trainer: Trainer, step: Step) -> None:  # noqa: ARG002
        self.losses.append(step.loss)


def torchs(dtype: torch.dtype) -> list[float]:
    """The same run in PyTorch: same weights, windows, carried state, clipping and schedule."""
    net = small.model()
    layers: dict[str, Any] = {
        "embedding": torch.nn.Embedding(small.V, 4),
        "rnn": torch.nn.LSTM(4, 6, 2),
        "output": torch.nn.Linear(6, small.V),
    }
    model = torch.nn.ModuleDict(layers).to(dtype)
    model.load_state_dict({k: torch.from_numpy(v) for k, v in net.state_dict().items()})
    adam = torch.optim.Adam(model.parameters(), lr=5e-3)
    source, factor = Windows.next_of(small.symbols(), 6, 9), cosine(warmup=20)
    state, losses = None, []
    for step in range(STEPS):
        batch = source.next()
        x, target = torch.from_numpy(batch.x), torch.from_numpy(batch.target)
        h, state = model["rnn"](model["embedding"](x), state)
        state = tuple(part.detach() for part in state)
        loss = torch.nn.functional.cross_entropy(model["output"](h).flatten(0, 1), target.flatten())
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        for group in adam.param_groups:
            group["lr"] = 5e-3 * factor(step, STEPS)
        adam.step()
        losses.append(loss.item())
    return losses


def test_five_hundred_steps_are_pytorchs() -> None:
    exact = np.array(torchs(torch.float64))
    assert exact[-1] < 0.5 * exact[0]  # something is learned
    np.testing.assert_allclose(ours("float64"), exact, rtol=1e-9)
    # In float32 both are rounded on the way: ours is as near to the truth as PyTorch's.
    theirs = np.abs(np.array(torchs(torch.float32)) - exact).max()
    assert np.abs(np.array(ours("float32")) - exact).max() < 3 * theirs + 1e-5


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 24), st.sampled_from([1, 2, 3]), st.sampled_from([0.0, 0.4]))
def test_a_run_that_goes_on_ends_at_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, before: int, workers: int, dropout: float
) -> None:
    path = tmp_path_factory.mktemp("run") / "run.npz"

    def make() -> tuple[Trainer, Validation, History]:
        trainer = small.trainer(dropout, workers)
        validation = Validation(lambda: float(trainer.model.parameters.data[0]), 4)
        history = History(every=3)
        for callback in (validation, history):
            callback.attach(trainer)
            trainer.callbacks.append(callback)
        trainer.total = 24
        return trainer, validation, history

    whole, stopped, other = make(), make(), make()
    whole[0].fit()
    for _ in range(before):
        step = stopped[0].step()
        for callback in stopped[0].callbacks:
            callback.after_step(stopped[0], step)
    save(path, stopped[0], {"told": "so"})
    assert load(path, other[0]) == {"told": "so"}
    other[0].fit()
    assert other[0].steps == 24
    ours, theirs = other[0].model.parameters, whole[0].model.parameters
    assert ours.data.tobytes() == theirs.data.tobytes()
    assert other[1].history == whole[1].history
    assert other[1].best_parameters.tobytes() == whole[1].best_parameters.tobytes()
    assert other[2].losses == whole[2].losses


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("rnn.weight_hh_l1", r"at step 4 \(parameter 'rnn.weight_hh_l1' is not finite\)"),
        ("output.bias", r"at step 4 \(parameter 'output.bias' is not finite\)"),
    ],
)
def test_what_is_not_finite_is_named(spoil: str, message: str) -> None:
    trainer = small.trainer()
    trainer.fit(3)
    trainer.model.parameters.values[spoil].flat[0] = np.nan
    with pytest.raises(TrainingFailedError, match=message):
        trainer.fit(5)


def test_a_learning_rate_that_is_too_high_ends_in_one_line_and_keeps_the_last_good_file(
    tmp_path: Path,
) -> None:
    files = Checkpoints(tmp_path / "run.npz", seconds=0)
    trainer = small.trainer(lr=1e308, callbacks=[files])
    with pytest.raises(
        TrainingFailedError, match=r"diverged at step \d+ \(.*try a lr below 1e\+308"
    ):
        trainer.fit(100)
    other = small.trainer()
    load(tmp_path / "run.npz", other)
    other.check_finite()
    assert other.steps >= 1


def test_a_gradient_that_overflows_is_named() -> None:
    trainer = small.trainer()
    trainer.model.parameters.values["output.weight"][:] = 1e308
    trainer.model.parameters.values["output.weight"][::2] *= -1
    with pytest.raises(TrainingFailedError, match=r"diverged at step 1 \("):
        trainer.fit(1)


class Interrupt(Callback):
    """Ctrl-C in the middle of step 3, as far as the callbacks before the last can tell."""

    def after_step(self, trainer: Trainer, step: Step) -> None:  # noqa: ARG002
        if step.number == 3:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_waits_for_the_step_and_saves(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    trainer = small.trainer(callbacks=[Interrupt(), Checkpoints(path, seconds=1000)])
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(20)
    assert trainer.steps == 3
    assert signal.getsignal(signal.SIGINT) is before
    other = small.trainer()
    load(path, other)
    other.fit(20)
    whole = small.trainer()
    whole.fit(20)
    assert other.model.parameters.data.tobytes() == whole.model.parameters.data.tobytes()


def test_epochs_are_counted_in_batches() -> None:
    trainer = small.trainer()
    trainer.fit(epochs=2)
    assert trainer.steps == trainer.total == round(2 * 399 / 54)


def test_more_epochs_than_can_be_counted() -> None:
    assert small.trainer().steps_in(1e308) == small.trainer().steps_in(float("inf")) == 2**53
    assert small.trainer().steps_in(1e-9) == 1


def test_parts_that_do_not_belong_together() -> None:
    net, other = small.model(), small.model()
    source = Windows.next_of(small.symbols(), 2, 9)
    with pytest.raises(ValueError, match="optimizer has other parameters"):
        Trainer(net, CrossEntropyLoss(), Adam(other.parameters), source)
    with pytest.raises(ValueError, match="workers is 3, expected up to the batch's 2 rows"):
        Trainer(net, CrossEntropyLoss(), Adam(net.parameters), source, workers=3)
    with pytest.raises(ValueError, match="clip_norm is 0"):
        Trainer(net, CrossEntropyLoss(), Adam(net.parameters), source, clip_norm=0)


def test_the_state_is_carried_and_the_gradient_is_not() -> None:
    """A window's gradient is that of its own loss, from the state where the last one ended."""
    net = Sequential(
        e=Embedding(small.V, 3, rng=0), r=LSTM(3, 4, rng=1), o=Linear(4, small.V, rng=2)
    )
    source = Windows.next_of(small.symbols(), 2, 5)
    trainer = Trainer(net, CrossEntropyLoss(), Adam(net.parameters, lr=0.0), source)
    trainer.step()
    trainer.step()
    got = net.parameters.grad.copy()
    again = Windows.next_of(small.symbols(), 2, 5)
    first, second = again.next(), again.next()
    _, state = net.forward(first.x)
    y, _ = net.forward(second.x, state)
    loss = CrossEntropyLoss()
    loss.forward(y, second.target)
    net.zero_grad()
    net.backward(loss.backward())
    assert np.array_equal(got, net.parameters.grad)
