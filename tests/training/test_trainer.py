"""The loop: PyTorch's numbers, the same bits after resuming, and a clear end when it diverges."""

from __future__ import annotations

import copy
import math
import os
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_rnn import LSTM, Adam, CrossEntropyLoss, Embedding, Linear, MSELoss, Sequential
from numpy_rnn.training import (
    Callback,
    Checkpoints,
    Examples,
    History,
    StepInfo,
    Trainer,
    TrainingFailedError,
    Validation,
    Windows,
    load,
    save,
)
from tests.training import small


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 24), st.sampled_from([1, 2, 3]), st.sampled_from([0.0, 0.4]))
def test_a_run_that_goes_on_ends_at_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, before: int, shards: int, dropout: float
) -> None:
    path = tmp_path_factory.mktemp("run") / "run.safetensors"

    def make() -> tuple[Trainer, Validation, History]:
        trainer = small.trainer(dropout, shards, shards)
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
    assert other[0].num_steps == 24
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
    files = Checkpoints(tmp_path / "run.safetensors", seconds=0)
    trainer = small.trainer(lr=1e308, callbacks=[files])
    with pytest.raises(
        TrainingFailedError, match=r"diverged at step \d+ \(.*try a lr below 1e\+308"
    ):
        trainer.fit(100)
    other = small.trainer()
    load(tmp_path / "run.safetensors", other)
    other.check_finite()
    assert other.num_steps >= 1


def test_a_gradient_that_overflows_is_named() -> None:
    trainer = small.trainer()
    trainer.model.parameters.values["output.weight"][:] = 1e308
    trainer.model.parameters.values["output.weight"][::2] *= -1
    with pytest.raises(TrainingFailedError, match=r"diverged at step 1 \("):
        trainer.fit(1)


class Interrupt(Callback):
    """Ctrl-C in the middle of step 3, as far as the callbacks before the last can tell."""

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:  # noqa: ARG002
        if step.number == 3:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_waits_for_the_step_and_saves(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    trainer = small.trainer(callbacks=[Interrupt(), Checkpoints(path, seconds=1000)])
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(20)
    assert trainer.num_steps == 3
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
    assert trainer.num_steps == trainer.total == round(2 * 399 / 54)


def test_more_epochs_than_can_be_counted() -> None:
    assert small.trainer().steps_in(1e308) == small.trainer().steps_in(float("inf")) == 2**53
    assert small.trainer().steps_in(1e-9) == 1


def test_parts_that_do_not_belong_together() -> None:
    net, other = small.model(), small.model()
    source = Windows.next_of(small.tokens(), 2, 9)
    with pytest.raises(ValueError, match="optimizer has other parameters"):
        Trainer(net, CrossEntropyLoss(), Adam(other.parameters), source)
    with pytest.raises(ValueError, match="shards is 3, expected at most 2"):
        Trainer(net, CrossEntropyLoss(), Adam(net.parameters), source, shards=3)
    with pytest.raises(ValueError, match="clip_norm is 0"):
        Trainer(net, CrossEntropyLoss(), Adam(net.parameters), source, clip_norm=0)
    with pytest.raises(ValueError, match="reduction is 'sum', expected 'mean'"):
        Trainer(net, CrossEntropyLoss(reduction="sum"), Adam(net.parameters), source)


def test_a_batch_first_model_is_refused() -> None:
    rnn: Any = LSTM(3, 4, batch_first=True, rng=0)
    net = Sequential(e=Embedding(small.V, 3, rng=0), rnn=rnn, o=Linear(4, small.V, rng=2))
    source = Windows.next_of(small.tokens(), 2, 9)
    with pytest.raises(
        ValueError, match=r"^Trainer: model has batch_first=True, expected a time-major"
    ):
        Trainer(net, CrossEntropyLoss(), Adam(net.parameters), source)


def rates(change: dict[int, float], factors: list[float], lr: float = 1.0) -> list[float]:
    """The rate of each step, if a callback multiplies optimizer.lr after some of them."""
    seen: list[float] = []

    class Change(Callback):
        def after_step(self, trainer: Trainer, step: StepInfo) -> None:
            seen.append(step.lr)
            trainer.optimizer.lr *= change.get(step.number, 1.0)

    trainer = small.trainer(lr=lr, callbacks=[Change()])
    trainer.schedule = lambda step, _: factors[step]
    trainer.fit(len(factors))
    assert trainer.optimizer.lr == pytest.approx(lr * np.prod([*change.values()]))  # the base rate
    return seen


def test_a_rate_changed_by_a_callback_is_kept_and_the_schedule_continues_from_it() -> None:
    assert rates({}, [1.0, 0.5, 0.25, 0.125]) == [1.0, 0.5, 0.25, 0.125]
    assert rates({2: 0.5}, [1.0, 0.5, 0.25, 0.125]) == [1.0, 0.5, 0.125, 0.0625]
    assert rates({1: 0.5, 2: 4.0}, [1.0, 0.5, 0.25]) == [1.0, 0.25, 0.5]


def test_a_rate_set_after_a_factor_of_zero_is_the_base_rate() -> None:
    class Set(Callback):
        def after_step(self, trainer: Trainer, step: StepInfo) -> None:
            if step.number == 1:
                trainer.optimizer.lr = 3.0

    trainer = small.trainer(callbacks=[Set()])
    trainer.schedule = lambda step, _: step / 2
    trainer.fit(2)
    assert trainer.optimizer.lr == 3.0
    assert trainer.step().lr == 3.0  # of step 2: factor 1


def test_a_changed_rate_is_part_of_the_state(tmp_path: Path) -> None:
    whole, stopped, other = (small.trainer() for _ in range(3))
    for trainer in (whole, stopped):
        trainer.total = 20
        for _ in range(7):
            trainer.step()
        trainer.optimizer.lr *= 0.3
    save(tmp_path / "run.safetensors", stopped)
    load(tmp_path / "run.safetensors", other)
    assert [other.step().lr for _ in range(5)] == [whole.step().lr for _ in range(5)]
    assert other.optimizer.lr == pytest.approx(0.3e-2)


def test_a_second_trainer_with_the_same_optimiser_takes_its_own_steps_at_the_full_rate() -> None:
    first = small.trainer()
    first.fit(20)
    second = Trainer(
        first.model,
        CrossEntropyLoss(),
        first.optimizer,
        Windows.next_of(small.tokens(), batch_size=6, window=9),
    )
    second.fit(10)
    assert (first.num_steps, second.num_steps, first.optimizer.num_steps) == (20, 10, 30)
    assert second.step().lr == 1e-2


def test_a_fit_that_takes_no_step_says_so() -> None:
    trainer = small.trainer()
    trainer.fit(steps=7)
    with pytest.warns(UserWarning, match=r"no step is taken \(step 7 of 7 is reached\)"):
        trainer.fit(steps=7)
    with pytest.warns(UserWarning, match=r"no step is taken \(step 7 of 7 is reached\)"):
        trainer.fit(epochs=1)
    trainer.fit()  # nothing more was asked for
    trainer.fit(steps=8)
    assert trainer.num_steps == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps is 0, expected at least 1"),
        ({"steps": 1.5}, "steps is 1.5, expected a whole number"),
        ({"steps": float("nan")}, "steps is nan, expected a whole number"),
        ({"epochs": 0}, "epochs is 0, expected a number above 0"),
        ({"epochs": -1}, "epochs is -1, expected a number above 0"),
        ({"epochs": float("nan")}, "epochs is nan, expected a number above 0"),
        ({"steps": 1, "epochs": 1}, "steps and epochs are given, expected one of the two"),
    ],
)
def test_lengths_that_a_run_cannot_have(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^Trainer.fit: {message}"):
        small.trainer().fit(**arguments)


def test_a_nan_in_the_data_is_no_divergence() -> None:
    series = np.random.default_rng(0).standard_normal((60, 1))
    series[22] = np.nan
    net = Sequential(LSTM(1, 3, rng=0), Linear(3, 1, rng=1))
    source = Windows(series[:-1], np.zeros((59, 1)), batch_size=2, window=10)
    trainer = Trainer(net, MSELoss(), Adam(net.parameters), source)
    trainer.fit(2)
    with pytest.raises(ValueError, match=r"^x of batch row 0 is nan at t = 2, expected finite"):
        trainer.fit(3)
    assert trainer.num_steps == 2


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])  # noqa: S301 (our own)
def test_a_copied_trainer_continues_to_the_same_bits(copied: Any) -> None:
    trainer = small.trainer(dropout=0.4, shards=3, callbacks=[History(every=3)])
    trainer.fit(7)
    other = copied(trainer)
    for one in (trainer, other):
        one.fit(20)
    assert other.model.parameters is not trainer.model.parameters
    ours, theirs = trainer.model.parameters.data, other.model.parameters.data
    assert ours.tobytes() == theirs.tobytes()
    assert trainer.callbacks[0].losses == other.callbacks[0].losses  # type: ignore[attr-defined]  # a History


def test_a_repr_shows_every_option() -> None:
    trainer = small.trainer(callbacks=[Validation(float, every=5, patience=2)])
    shown = repr(trainer)
    for part in (
        "Trainer(model=Sequential(",
        "optimizer=Adam(lr=0.01, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, amsgrad=False)",
        "source=Windows(x=<int64 (399,)>, target=<int64 (399,)>, batch_size=6, window=9)",
        "schedule=cosine(warmup=5, end=0.05), clip_norm=1.0, shards=1, threads=1, callbacks=[",
        "Validation(measure=float, every=5, patience=2, restore_best=True)",
    ):
        assert part in shown


def test_the_state_is_carried_and_the_gradient_is_not() -> None:
    """A window's gradient is that of its own loss, from the state where the last one ended."""
    net = Sequential(
        e=Embedding(small.V, 3, rng=0), r=LSTM(3, 4, rng=1), o=Linear(4, small.V, rng=2)
    )
    source = Windows.next_of(small.tokens(), 2, 5)
    trainer = Trainer(net, CrossEntropyLoss(), Adam(net.parameters, lr=0.0), source)
    trainer.step()
    trainer.step()
    got = net.parameters.grad.copy()
    again = Windows.next_of(small.tokens(), 2, 5)
    first, second = again.next(), again.next()
    _, state = net.predict(first.x)
    y, _ = net.forward(second.x, state)
    loss = CrossEntropyLoss()
    loss.forward(y, second.target)
    net.zero_grad()
    net.backward(loss.backward())
    assert np.array_equal(got, net.parameters.grad)


def test_a_trainer_by_steps_leaves_the_base_rate_to_the_next() -> None:
    first = small.trainer(lr=0.5)
    first.schedule, first.total = (lambda step, total: 0.1), 8  # noqa: ARG005 (a schedule's arguments)
    assert first.step().lr == pytest.approx(0.05)
    second = Trainer(first.model, first.criterion, first.optimizer, first.source)
    assert second.step().lr == 0.5


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -1.0])
def test_a_rate_that_is_no_rate_is_refused_before_a_weight_changes(rate: float) -> None:
    trainer = small.trainer()
    before = trainer.model.parameters.data.copy()
    trainer.schedule = lambda step, total: rate  # noqa: ARG005 (a schedule's arguments)
    with pytest.raises(ValueError, match=r"lr is .*, expected a finite number >= 0"):
        trainer.step()
    np.testing.assert_array_equal(trainer.model.parameters.data, before)


def test_parts_that_do_not_fit_are_refused_in_one_line() -> None:
    good = small.trainer()
    parts = [good.model, good.criterion, good.optimizer, good.source]
    for position, name in enumerate(("model", "criterion", "optimizer")):
        wrong: list[Any] = [*parts]
        wrong[position] = "no part"
        with pytest.raises(TypeError, match=f"Trainer: {name} is 'no part', expected a"):
            Trainer(*wrong)
    with pytest.raises(ValueError, match="expected different names"):
        Trainer(*parts, callbacks=[History(2), History(5)])  # type: ignore[arg-type]  # a list of parts
    both = Sequential(LSTM(5, 6, bidirectional=True, rng=0), Linear(12, 5, rng=1))
    source = Windows.next_of(np.zeros((100, 5)), batch_size=2, window=4)
    with pytest.raises(ValueError, match="expected a model of one direction"):
        Trainer(both, MSELoss(), Adam(both.parameters), source)


def test_padding_of_an_example_may_hold_anything() -> None:
    x = np.ones((6, 4, 2))
    x[4:, 1] = np.nan
    model = Sequential(LSTM(2, 3, rng=0), Linear(3, 1, rng=1))
    lengths = np.array([6, 4, 6, 6])
    data = Examples(x, np.zeros((6, 4, 1)), batch_size=4, lengths=lengths, per_step=True, rng=0)
    trainer = Trainer(model, MSELoss(), Adam(model.parameters), data)
    trainer.fit(3)
    assert np.isfinite(model.parameters.data).all()


@pytest.mark.parametrize("how", [{}, {"epochs": math.inf}, {"epochs": math.nan}, {"steps": 0}])
def test_a_run_without_an_end_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^Trainer\.fit: (steps|epochs) is .* expected"):
        small.trainer().fit(**how)


def test_an_infinite_weight_is_named_even_if_the_loss_is_finite() -> None:
    trainer = small.trainer()
    trainer.model.parameters.values["rnn.bias_ih_l0"][0] = np.inf
    with pytest.raises(TrainingFailedError, match=r"at step 1 \(parameter 'rnn.bias_ih_l0' is not"):
        trainer.fit(1)
