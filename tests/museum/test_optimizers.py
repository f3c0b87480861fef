"""Optimisers against their closed forms: the library's, the textbook's, and the wrong ones."""

from __future__ import annotations

from typing import Any

import pytest

from numpy_rnn import SGD, Adagrad, Adam, AdamW, Parameters, RMSprop, clip_grad_norm
from numpy_rnn.museum import (
    EXHIBITS,
    OPTIMIZER_ROOMS,
    Exhibit,
    OptimizerRoom,
    check_optimizer,
    patched,
    stepper,
)
from numpy_rnn.optim import Optimizer

WRONG_STEPS = [exhibit for exhibit in EXHIBITS if isinstance(exhibit.room, OptimizerRoom)]


class ClippedSGD(SGD):
    """Clipping and a step, in one."""

    def __init__(self, parameters: Parameters, lr: float, max_norm: float) -> None:
        super().__init__(parameters, lr)
        self.max_norm = max_norm

    def step(self) -> None:
        clip_grad_norm(self.parameters, self.max_norm)
        super().step()


LIBRARY: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "sgd with momentum": (SGD, {}),
    "sgd with nesterov": (SGD, {"nesterov": True}),
    "adam": (Adam, {}),
    "adamw": (AdamW, {}),
    "rmsprop": (RMSprop, {}),
    "adagrad": (Adagrad, {}),
    "clipping by norm": (ClippedSGD, {}),
}
each_room = pytest.mark.parametrize("room", OPTIMIZER_ROOMS, ids=lambda room: room.name)


@each_room
def test_the_textbook_equals_the_closed_form(room: OptimizerRoom) -> None:
    for seed in range(10):
        wrong = check_optimizer(room.step, room.closed_form, room.options, steps=20, seed=seed)
        assert wrong is None, wrong


@each_room
def test_the_library_equals_the_closed_form(room: OptimizerRoom) -> None:
    kind, fixed = LIBRARY[room.name]
    for seed in range(10):
        step = stepper(kind, **fixed)
        wrong = check_optimizer(step, room.closed_form, room.options, steps=20, seed=seed)
        assert wrong is None, wrong


def test_adam_with_weight_decay_equals_the_closed_form() -> None:
    room = next(room for room in OPTIMIZER_ROOMS if room.name == "adam")
    options = {**room.options, "weight_decay": 0.1}
    assert check_optimizer(stepper(Adam), room.closed_form, options) is None


@pytest.mark.parametrize(
    "exhibit", WRONG_STEPS, ids=[f"{exhibit.room.name}, {exhibit.name}" for exhibit in WRONG_STEPS]
)
def test_a_wrong_step_is_found_at_the_right_place(exhibit: Exhibit) -> None:
    room = exhibit.room
    assert isinstance(room, OptimizerRoom)
    (step,) = patched(exhibit)
    wrong = check_optimizer(step, room.closed_form, room.options)
    assert wrong is not None
    for word in exhibit.named:
        assert word in str(wrong)


def test_nan_is_wrong() -> None:
    room = OPTIMIZER_ROOMS[0]

    def step(theta: Any, grad: Any, state: Any, **options: float) -> None:
        room.step(theta, grad, state, **options)
        theta["b"][1] *= float("nan")

    assert str(check_optimizer(step, room.closed_form, room.options)).startswith("step 1, b[1]")
