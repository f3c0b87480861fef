"""A state machine that calls a layer in any order and compares every answer with the pure core.

The reference for each answer is a new layer of the same architecture. It gets the weights and the
generators that the layer under test had at the moment of the call, and a single `apply` and `vjp`.
So a call that disturbs another one shows up as a wrong number, or as a change where none may be.
"""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import random
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from numpy_rnn import SGD, Layer
from numpy_rnn.functional.types import Array
from tests.layers.models import MODELS, B, T, an_input, flat, normal_like, same_trees, takes_tokens

seeds = st.integers(0, 10**6)


class Call(NamedTuple):
    """A call of `apply`: the arguments, and what the layer was at that moment."""

    weights: Array
    generators: list[Any]
    training: bool
    x: Array
    state: Any
    options: dict[str, Any]

    def replay(self, name: str) -> tuple[Layer, Any, Any, Any]:
        """Return a new layer with these weights, and its output, final state and cache."""
        layer = MODELS[name]()
        layer.parameters.data[...] = self.weights
        for generator, before in zip(layer.rngs(), self.generators, strict=True):
            generator.bit_generator.state = before
        layer.train(self.training)
        x, state, options = copy.deepcopy((self.x, self.state, self.options))
        return layer, *layer.apply(x, state, **options)


def states_of_generators(layer: Layer) -> list[Any]:
    """Return the states of the generators that dropout draws from."""
    return [generator.bit_generator.state for generator in layer.rngs()]  # new dicts


@cache
def like_results(name: str, shape: tuple[int, ...]) -> tuple[Array, Any]:
    """Return an output and a final state with the shapes that an input of this shape leads to."""
    layer = MODELS[name]()
    x = np.zeros(shape, int if takes_tokens(layer) else float)
    return layer.apply(x)[:2]


def in_a_thread(work: Callable[[], Any]) -> Any:
    """Return what `work` returns in a separate thread, or raise what it raises."""
    result: list[Any] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


BETWEEN = ["a_forward_that_fails", "apply", "predict_a_sequence", "edit_the_weights"]
BETWEEN += ["in_another_thread", "take_single_steps", "make_a_copy"]


class Interleavings(RuleBasedStateMachine):
    """Calls in any order. A subclass sets `name`, the architecture."""

    name = ""

    def __init__(self) -> None:
        super().__init__()
        self.layer = MODELS[self.name]()
        self.weights = self.layer.parameters.data.copy()
        self.grad = np.zeros_like(self.weights)
        self.generators = states_of_generators(self.layer)
        self.pending: dict[bool, list[Call]] = {True: [], False: []}
        self.caches: list[tuple[Call, Any]] = []
        self.steppers: list[tuple[Array, Any, Any, Any]] = []
        self.pickled = len(pickle.dumps(self.layer))

    # What a call is given.

    def call(self, seed: int, training: bool | None = None) -> Call:
        """Note everything that an answer depends on."""
        rng = np.random.default_rng(seed)
        state = normal_like(self.layer.zero_state(B), rng) if rng.random() < 0.5 else None
        options: dict[str, Any] = {}
        if rng.random() < 0.4:
            options["lengths"] = rng.integers(0, T + 1, B)
        if rng.random() < 0.4:
            options["reset"] = rng.random((T, B)) < 0.3
        return Call(
            self.layer.parameters.data.copy(),
            states_of_generators(self.layer),
            self.layer.training if training is None else training,
            an_input(self.layer, seed),
            state if self.layer.stateful else None,
            options,
        )

    def gradients_for(self, call: Call, seed: int) -> tuple[Array | None, Any]:
        """Return random gradients of output and final state, sometimes None."""
        rng = np.random.default_rng(seed)
        y, state = like_results(self.name, call.x.shape)
        dy = rng.standard_normal(y.shape) if rng.random() < 0.8 else None
        return dy, normal_like(state, rng) if self.layer.stateful and rng.random() < 0.6 else None

    def pair(self, y: Any, state: Any) -> Any:
        """Return an answer as the skin gives it."""
        return (y, state) if self.layer.stateful else y

    # The skin: forward and backward.

    @rule(seed=seeds, overwrite=st.booleans())
    def forward(self, seed: int, overwrite: bool) -> None:
        call = self.call(seed)
        x, state, options = copy.deepcopy((call.x, call.state, call.options))
        got = self.layer.forward(x, state, **options)
        twin, y, final, _ = call.replay(self.name)
        same_trees(got, self.pair(y, final))
        self.generators = states_of_generators(twin)
        self.pending[self.layer.training].append(call)
        if overwrite:  # nothing that went in or came out is the layer's
            for array in flat((got, x, state, options)):
                array[...] = 1

    @rule(seed=seeds)
    def backward(self, seed: int) -> None:
        calls = self.pending[self.layer.training]
        if len(calls) != 1:
            match = "another forward took" if calls else "nothing to go back through"
            with pytest.raises(RuntimeError, match=match):
                self.layer.backward(None)
        else:
            dy, dstate = self.gradients_for(calls[0], seed)
            self.expect_backward(calls[0], dy, dstate, self.layer.backward(dy, dstate))
        self.pending[self.layer.training] = []

    def expect_backward(self, call: Call, dy: Any, dstate: Any, got: Any) -> None:
        """Compare the answer of a backward, and note what it adds to the gradients."""
        twin, _, _, cache = call.replay(self.name)
        dx, dinitial, gradients = twin.vjp(cache, dy, dstate)
        same_trees(got, self.pair(dx, dinitial))
        start = 0
        for name, shape in twin.parameters.shapes.items():
            stop = start + math.prod(shape)
            self.grad[start:stop] += gradients[name].ravel()
            start = stop

    @rule(seed=seeds)
    def a_forward_that_fails(self, seed: int) -> None:
        x = an_input(self.layer, seed)
        x[-1, -1] = -1 if x.dtype.kind == "i" else np.nan
        with pytest.raises(ValueError, match=r"x is (nan|-1) at index"):
            self.layer.forward(x)

    @rule()
    def a_backward_that_fails(self) -> None:
        calls = self.pending[self.layer.training]
        if len(calls) == 1:
            with pytest.raises(ValueError, match="dy has shape"):
                self.layer.backward(np.zeros((1, 1, 1, 1)))

    @rule(mode=st.booleans())
    def switch_the_mode(self, mode: bool) -> None:
        assert (self.layer.train() if mode else self.layer.eval()) is self.layer
        self.pending[False] = []

    @rule(seed=seeds, between=st.lists(st.sampled_from(BETWEEN), max_size=3))
    def forward_and_backward(self, seed: int, between: list[str]) -> None:
        """Run the sequence that matters most, with other calls in between."""
        if self.pending[self.layer.training]:
            self.backward(seed)
        self.forward(seed, overwrite=True)
        for n, name in enumerate(between):
            getattr(self, name)(seed + n)
        self.backward(seed)

    # The core: apply and vjp.

    @rule(seed=seeds)
    def apply(self, seed: int) -> None:
        call = self.call(seed)
        got_y, got_state, cache = self.layer.apply(call.x, call.state, **call.options)
        twin, y, final, _ = call.replay(self.name)
        self.generators = states_of_generators(twin)
        same_trees((got_y, got_state), (y, final))
        self.caches = [*self.caches[-3:], (call, cache)]

    @precondition(lambda self: self.caches)
    @rule(seed=seeds, which=st.integers(0, 3))
    def vjp(self, seed: int, which: int) -> None:
        call, cache = self.caches[which % len(self.caches)]
        dy, dstate = self.gradients_for(call, seed)
        twin, _, _, own = call.replay(self.name)
        same_trees(self.layer.vjp(cache, dy, dstate), twin.vjp(own, dy, dstate))

    @rule(seed=seeds)
    def predict_a_sequence(self, seed: int) -> None:
        call = self.call(seed, training=False)
        if seed % 2:  # more than one chunk
            call = call._replace(x=an_input(self.layer, seed, 70), options={})
        got = self.layer.predict(call.x, call.state, **call.options)
        _, y, final, _ = call.replay(self.name)
        same_trees(got, self.pair(y, final), rtol=1e-12, atol=1e-13)

    # Single steps.

    def one_step(self, call: Call) -> tuple[Array, Any]:
        """Return output and state of the first step, by `apply`."""
        _, y, final, _ = call._replace(x=call.x[:1], options={}).replay(self.name)
        return (y[0] if y.ndim == 3 else y), final

    @precondition(lambda self: self.layer.causal or self.name == "nested")
    @rule(seed=seeds)
    def step(self, seed: int) -> None:
        call = self.call(seed, training=False)
        args = (call.x[0], call.state) if self.layer.stateful else (call.x[0],)
        got = self.layer.step(*args)
        same_trees(got, self.pair(*self.one_step(call)), rtol=1e-12, atol=1e-13)

    @precondition(lambda self: self.layer.causal or self.name == "nested")
    @rule(seed=seeds)
    def make_a_stepper(self, seed: int) -> None:
        call = self.call(seed, training=False)
        step = self.layer.stepper()
        first, want = step(call.x[0], call.state), self.one_step(call)
        same_trees(first, want, rtol=1e-12, atol=1e-13)
        self.steppers = [*self.steppers[-2:], (call.weights, step, first, want)]

    @precondition(lambda self: self.steppers)
    @rule(seed=seeds, which=st.integers(0, 2))
    def take_a_step(self, seed: int, which: int) -> None:
        weights, step, first, want = self.steppers[which % len(self.steppers)]
        same_trees(first, want, rtol=1e-12, atol=1e-13)  # what it returned before
        call = self.call(seed, training=False)._replace(weights=weights)
        got = step(call.x[0], call.state)
        same_trees(got, self.one_step(call), rtol=1e-12, atol=1e-13)

    def take_single_steps(self, seed: int) -> None:
        if self.layer.causal or self.name == "nested":
            self.step(seed)
            self.make_a_stepper(seed)

    # The weights.

    @rule(seed=seeds)
    def edit_the_weights(self, seed: int) -> None:
        """Change the weights in one of the ways there are."""
        rng, parameters = np.random.default_rng(seed), self.layer.parameters
        numbers = 0.5 * rng.standard_normal(self.weights.shape)
        twin = MODELS[self.name]()
        twin.parameters.data[...] = self.weights
        how = rng.integers(5)
        if how == 0:
            parameters.data *= -0.75
            self.weights *= -0.75
        elif how == 1:
            parameters.data = numbers
            self.weights = numbers.copy()
            numbers[...] = 0
        elif how == 2:
            name = rng.choice(list(parameters.values))
            for each in (parameters, twin.parameters):
                each.values[name] *= 0.5
                each.values[name][..., 0] = 0.25
            self.weights = twin.parameters.data.copy()
        elif how == 3:
            twin.parameters.data[...] = numbers
            state = twin.state_dict()
            assert self.layer.load_state_dict(state) == ([], [])
            self.weights = numbers.copy()
            for array in state.values():
                array[...] = 0
        else:
            lr = 0.1 / (1 + np.abs(self.grad).max())  # large weights would overflow in an LRU
            SGD(parameters, lr=lr).step()
            self.weights = self.weights - lr * self.grad

    @rule()
    def zero_grad(self) -> None:
        self.layer.zero_grad()
        self.grad[...] = 0

    # Copies and threads.

    @rule(seed=seeds)
    def make_a_copy(self, seed: int, go_on_with_it: bool = False) -> None:
        if seed % 2:
            stored = pickle.dumps(self.layer)
            assert abs(len(stored) - self.pickled) < 500  # bytes; generators differ by a few
            other = pickle.loads(stored)  # noqa: S301 (its own)
        else:
            other = copy.deepcopy(self.layer)
        with pytest.raises(RuntimeError, match="nothing to go back through"):
            other.backward(None)
        np.testing.assert_array_equal(other.parameters.data, self.weights)
        np.testing.assert_array_equal(other.parameters.grad, self.grad)
        if go_on_with_it:
            self.layer, other = other, self.layer
            self.pending = {True: [], False: []}
        other.forward(an_input(other, seed))
        other.parameters.data[...] = np.nan
        other.parameters.grad[...] = np.nan

    @rule(seed=seeds)
    def go_on_with_a_copy(self, seed: int) -> None:
        self.make_a_copy(seed, go_on_with_it=True)

    @rule(seed=seeds)
    def in_another_thread(self, seed: int) -> None:
        call = self.call(seed)
        dy, dstate = self.gradients_for(call, seed)

        def work() -> Any:
            with pytest.raises(RuntimeError, match="nothing to go back through"):
                self.layer.backward(dy, dstate)
            got = self.layer.forward(call.x, call.state, **call.options)
            return got, self.layer.backward(dy, dstate)

        got, got_back = in_a_thread(work)
        twin, y, final, _ = call.replay(self.name)
        self.generators = states_of_generators(twin)
        same_trees(got, self.pair(y, final))
        self.expect_backward(call, dy, dstate, got_back)

    # Nothing else has changed.

    @invariant()
    def weights_and_gradients_are_as_they_should_be(self) -> None:
        parameters = self.layer.parameters
        np.testing.assert_allclose(parameters.data, self.weights, rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(parameters.grad, self.grad)
        assert str(states_of_generators(self.layer)) == str(self.generators)
        for views, vector in (
            (parameters.values, parameters.data),
            (parameters.grads, parameters.grad),
        ):
            assert all(np.shares_memory(view, vector) for view in views.values())


RULES = ["forward", "backward", "a_forward_that_fails", "a_backward_that_fails"]
RULES += ["switch_the_mode", "forward_and_backward", "apply", "vjp", "predict_a_sequence", "step"]
RULES += ["make_a_stepper", "take_a_step", "edit_the_weights", "zero_grad", "make_a_copy"]
RULES += ["go_on_with_a_copy", "in_another_thread"]
DRAWS: dict[str, Callable[[random.Random], Any]] = {
    "seed": lambda rng: rng.randrange(10**6),
    "which": lambda rng: rng.randrange(4),
    "overwrite": lambda rng: rng.random() < 0.5,
    "mode": lambda rng: rng.random() < 0.5,
    "between": lambda rng: rng.choices(BETWEEN, k=rng.randrange(4)),
}


def run_in_random_orders(architecture: str, runs: int) -> None:
    """Run the machine without hypothesis, whose choices depend on what else is imported."""
    for seed in range(runs):
        run_in_random_order(architecture, random.Random(seed))  # noqa: S311 (not a secret)


def run_in_random_order(architecture: str, rng: random.Random) -> None:
    """Make thirty calls, and look after each."""
    running = machine(architecture)()
    steps = running.layer.causal or architecture == "nested"
    for _ in range(30):
        possible = {"vjp": running.caches, "take_a_step": running.steppers}
        possible |= {"step": steps, "make_a_stepper": steps}
        rule = getattr(running, rng.choice([name for name in RULES if possible.get(name, True)]))
        names = [name for name in inspect.signature(rule).parameters if name in DRAWS]
        rule(**{name: DRAWS[name](rng) for name in names})
        running.weights_and_gradients_are_as_they_should_be()


def machine(architecture: str) -> type[Interleavings]:
    """Return the state machine for an architecture."""
    return type("Machine", (Interleavings,), {"name": architecture})
