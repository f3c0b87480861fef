"""Optimisers against their closed forms: the library's, the references, and the bugs."""

from __future__ import annotations

from typing import Any

import pytest

from numpy_rnn import SGD, Adagrad, Adam, AdamW, Parameters, RMSprop, clip_grad_norm
from numpy_rnn.functional.types import Array
from numpy_rnn.museum import (
    BUGS,
    OPTIMIZER_REFERENCES,
    Bug,
    OptimizerReference,
    check_optimizer,
)
from numpy_rnn.museum.bug import Function
from numpy_rnn.optim import Optimizer

STEP_BUGS = [bug for bug in BUGS if isinstance(bug.reference, OptimizerReference)]


class ClippedSGD(SGD):
    """Clipping and a step, in one."""

    def __init__(self, parameters: Parameters, lr: float, max_norm: float) -> None:
        super().__init__(parameters, lr)
        self.max_norm = max_norm

    def step(self) -> None:
        clip_grad_norm(self.parameters, self.max_norm)
        super().step()


LIBRARY: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "sgd_momentum": (SGD, {}),
    "sgd_nesterov": (SGD, {"nesterov": True}),
    "adam": (Adam, {}),
    "adamw": (AdamW, {}),
    "rmsprop": (RMSprop, {}),
    "adagrad": (Adagrad, {}),
    "clip_by_norm": (ClippedSGD, {}),
}
each_reference = pytest.mark.parametrize(
    "reference", OPTIMIZER_REFERENCES, ids=lambda reference: reference.name
)


def step_of(kind: type[Optimizer], **fixed: Any) -> Function:
    """The step of an optimiser class, in the form that check_optimizer takes."""

    def step(
        theta: dict[str, Array], grad: dict[str, Array], state: dict[str, Any], **options: Any
    ) -> None:
        if not state:
            if "beta1" in options:
                options["betas"] = options.pop("beta1"), options.pop("beta2")
            state["parameters"] = Parameters({k: v.shape for k, v in theta.items()}, "float64")
            state["parameters"].load_state_dict(theta)
            state["optimizer"] = kind(state["parameters"], **options, **fixed)
        parameters = state["parameters"]
        for name, g in grad.items():
            parameters.grads[name][...] = g
        state["optimizer"].step()
        for name, p in theta.items():
            p[...] = parameters.values[name]

    return step


@each_reference
def test_a_reference_equals_the_closed_form(reference: OptimizerReference) -> None:
    for seed in range(10):
        wrong = check_optimizer(
            reference.step, reference.closed_form, reference.options, steps=20, seed=seed
        )
        assert wrong is None, wrong


@each_reference
def test_the_library_equals_the_closed_form(reference: OptimizerReference) -> None:
    kind, fixed = LIBRARY[reference.name]
    for seed in range(10):
        step = step_of(kind, **fixed)
        wrong = check_optimizer(step, reference.closed_form, reference.options, steps=20, seed=seed)
        assert wrong is None, wrong


def test_adam_with_weight_decay_equals_the_closed_form() -> None:
    reference = next(r for r in OPTIMIZER_REFERENCES if r.name == "adam")
    options = {**reference.options, "weight_decay": 0.1}
    assert check_optimizer(step_of(Adam), reference.closed_form, options) is None


@pytest.mark.parametrize("bug", STEP_BUGS, ids=str)
def test_a_wrong_step_is_found_at_the_place_that_is_stated(bug: Bug) -> None:
    reference = bug.reference
    assert isinstance(reference, OptimizerReference)
    (step,) = bug.patched()
    wrong = check_optimizer(step, reference.closed_form, reference.options)
    assert wrong is not None
    for word in bug.located:
        assert word in str(wrong)


def test_nan_is_wrong() -> None:
    reference = OPTIMIZER_REFERENCES[0]

    def step(theta: Any, grad: Any, state: Any, **options: float) -> None:
        reference.step(theta, grad, state, **options)
        theta["b"][1] *= float("nan")

    wrong = check_optimizer(step, reference.closed_form, reference.options)
    assert str(wrong).startswith("step 1, b[1]")
