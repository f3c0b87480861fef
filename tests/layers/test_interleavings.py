"""No call disturbs another: every answer is that of the pure core, or an error names the cause.

The calls and the comparison are in interleavings.py. Below, bugs are planted that people write, and
the machine must find each of them: a check that has never failed has shown nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from numpy_rnn.layers import (
    Dropout,
    Layer,
    Linear,
    Recurrent,
    Sequential,
    batch,
    dropout,
    recurrent,
    segments,
    stack,
    validate,
)
from numpy_rnn.layers import (
    remember as skin,
)
from numpy_rnn.parameters import Parameters
from tests.layers.interleavings import machine, run_in_random_orders
from tests.layers.models import MODELS

ANY_ORDER = settings(
    max_examples=7,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# Most bugs are found within ten runs. The limit is so high that a miss is not chance.
RUNS = 1000


@pytest.mark.parametrize("architecture", MODELS)
def test_calls_in_any_order_equal_the_pure_core(architecture: str) -> None:
    run_state_machine_as_test(machine(architecture), settings=ANY_ORDER)


# Planted bugs: where they are, and a function that plants one with `patch`.

BUGS: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], None]]] = {}


def bug(architecture: str) -> Callable[[Any], Any]:
    def note(plant: Callable[[pytest.MonkeyPatch], None]) -> Any:
        BUGS[plant.__name__.replace("_", " ")] = architecture, plant
        return plant

    return note


@bug("rnn")
def step_calls_forward(patch: pytest.MonkeyPatch) -> None:
    def step(self: Any, x_t: Any, state: Any = None) -> Any:
        self.train(False).forward(x_t[None], state)
        self.train()
        y, after = self.forward(x_t[None], state)
        return y[0], after

    patch.setattr(Recurrent, "step", step)


@bug("nested")
def step_of_a_model_calls_forward_of_its_layers(patch: pytest.MonkeyPatch) -> None:
    step = Layer.step

    def forwarding(self: Any, x_t: Any, state: Any = None) -> Any:
        return self.forward(x_t) if isinstance(self, Linear) else step(self, x_t, state)

    patch.setattr(Layer, "step", forwarding)
    patch.setattr(Layer, "backward", backward_of_parts)


def backward_of_parts(self: Any, dy: Any, dstate: Any = None) -> Any:
    """Backpropagate; a part that has its own pass in memory uses that, as if caches were shared."""
    if isinstance(self, Sequential) and self._memory.caches.get(self.training) is not None:
        caches = self._memory.caches[self.training].caches
        for n, part in enumerate(self.layers.values()):
            if part._memory.caches.get(part.training) is not None:
                caches[n] = part._memory.caches[part.training]
    dx, dinitial, gradients = self._memory.use_up(
        self, self.vjp, dy, dstate, training=self.training
    )
    self.parameters.add(gradients)
    return (dx, dinitial) if self.stateful else dx


@bug("chain")
def backward_keeps_the_cache(patch: pytest.MonkeyPatch) -> None:
    use_up = skin.Memory.use_up

    def keeping(self: Any, where: Any, vjp: Any, *d: Any, training: bool = True) -> Any:
        before = dict(self.caches), dict(self.forwards)
        result = use_up(self, where, vjp, *d, training=training)
        self.caches, self.forwards = before
        return result

    patch.setattr(skin.Memory, "use_up", keeping)


@bug("linear")
def backward_forgets_the_cache_when_it_fails(patch: pytest.MonkeyPatch) -> None:
    use_up = skin.Memory.use_up

    def using_up(self: Any, where: Any, vjp: Any, *d: Any, training: bool = True) -> Any:
        try:
            return use_up(self, where, vjp, *d, training=training)
        finally:
            self.forget(training=training)

    patch.setattr(skin.Memory, "use_up", using_up)


@bug("gru")
def the_second_forward_replaces_the_first(patch: pytest.MonkeyPatch) -> None:
    def remember(self: Any, cache: Any, *, training: bool = True) -> None:
        self.caches[training], self.forwards[training] = cache, 1

    patch.setattr(skin.Memory, "remember", remember)


@bug("rnn")
def the_second_forward_is_ignored(patch: pytest.MonkeyPatch) -> None:
    def remember(self: Any, cache: Any, *, training: bool = True) -> None:
        self.caches.setdefault(training, cache)
        self.forwards[training] = 1

    patch.setattr(skin.Memory, "remember", remember)


@bug("linear")
def a_forward_that_fails_is_remembered(patch: pytest.MonkeyPatch) -> None:
    forward = Layer.forward

    def failing(self: Any, *args: Any, **options: Any) -> Any:
        try:
            return forward(self, *args, **options)
        except ValueError:
            self._memory.forget(training=self.training)
            raise

    patch.setattr(Layer, "forward", failing)


@bug("lru")
def evaluation_and_training_share_a_memory(patch: pytest.MonkeyPatch) -> None:
    for name in ("remember", "use_up", "forget"):
        method = getattr(skin.Memory, name)

        def in_one_mode(self: Any, *args: Any, method: Any = method, training: bool = True) -> Any:
            del training
            return method(self, *args, training=True)

        patch.setattr(skin.Memory, name, in_one_mode)


@bug("mingru")
def threads_share_a_memory(patch: pytest.MonkeyPatch) -> None:
    members = {
        name: vars(skin.Memory)[name] for name in ("__init__", "remember", "use_up", "forget")
    }
    patch.setattr(skin, "Memory", type("Shared", (), members))


@bug("indrnn")
def weights_are_not_copied(patch: pytest.MonkeyPatch) -> None:
    def weights(self: Any, layer: int = 0, direction: int = 0) -> Any:
        names = self._names[layer * len(self._directions) + direction]
        return [self.parameters.values[name] for name in names]

    patch.setattr(Recurrent, "_weights", weights)


@bug("linear")
def the_weights_of_linear_are_not_copied(patch: pytest.MonkeyPatch) -> None:
    apply = Linear._apply

    def live(self: Any, *args: Any) -> Any:
        y, (cache, leading) = apply(self, *args)
        return y, (cache._replace(W=self.parameters.values["weight"]), leading)

    patch.setattr(Linear, "_apply", live)


@bug("projected lstm")
def forward_keeps_the_callers_input(patch: pytest.MonkeyPatch) -> None:
    def forward(self: Any, x: Any, state: Any = None, **options: Any) -> Any:
        y, state, cache = self.apply(x, state, **options)
        self._memory.remember(cache, training=self.training)
        return (y, state) if self.stateful else y

    patch.setattr(Layer, "forward", forward)


@bug("gru, reset before")
def lengths_are_the_callers(patch: pytest.MonkeyPatch) -> None:
    def read(*args: Any, **options: Any) -> Any:
        x, initial, arranged = batch.read_arguments(*args, **options)
        if options.get("lengths") is None:
            return x, initial, arranged
        late = _Late(*arranged)
        late.given = options["lengths"]
        return x, initial, late

    class _Late(batch.SequenceBatch):
        """A batch that looks at the lengths when the gradient comes."""

        given: Any

        def read_gradient(self, *args: Any) -> Any:
            within = np.arange(self.T)[:, None] < self.given
            return super().read_gradient(*args) * within[..., None]

    patch.setattr(recurrent, "read_arguments", read)


@bug("relu rnn, stored states")
def the_state_is_the_callers(patch: pytest.MonkeyPatch) -> None:
    run = segments.run_segments

    def aliasing(cell: Any, x: Any, initial: Any, *args: Any, **options: Any) -> Any:
        y, final, cache = run(cell, x, initial, *args, **options)
        if cache.caches and cache.recompute:
            first = cache.caches[0]
            cache.caches[0] = (first[0], initial[0][: len(first[1])], *first[2:])
        return y, final, cache

    patch.setattr(stack, "run_segments", aliasing)
    patch.setattr(batch.SequenceBatch, "read_state", _read_state_without_copies)


def _read_state_without_copies(
    self: Any, where: str, name: str, state: Any, L: int, sizes: Any, dtype: Any
) -> Any:
    if state is None:
        return [np.zeros((L, self.B, size), dtype) for size in sizes]
    return [np.asarray(part) for _, part in validate.split_state(where, name, state, len(sizes))]


@bug("custom cell")
def the_output_is_the_cache(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(segments.SegmentsCache, "whole", False)


@bug("indrnn")
def the_final_state_of_a_step_is_a_buffer(patch: pytest.MonkeyPatch) -> None:
    stepper = Recurrent.stepper

    def buffered(self: Any) -> Any:
        step = stepper(self)
        buffers: dict[Any, Any] = {}

        def into_a_buffer(x_t: Any, state: Any = None) -> Any:
            y, after = step(x_t, state)
            buffer = buffers.setdefault(after.shape, np.empty_like(after))
            buffer[...] = after
            return y, buffer

        return into_a_buffer

    patch.setattr(Recurrent, "stepper", buffered)


@bug("rnn")
def steppers_share_a_snapshot(patch: pytest.MonkeyPatch) -> None:
    stepper = Recurrent.stepper

    def shared(self: Any) -> Any:
        if not hasattr(self, "_only"):
            self._only = stepper(self)
        return self._only

    patch.setattr(Recurrent, "stepper", shared)
    patch.setattr(
        Layer,
        "__getstate__",
        lambda self: {k: v for k, v in vars(self).items() if k not in ("_memory", "_only")},
    )


@bug("chain")
def a_stepper_reads_the_weights_as_they_are(patch: pytest.MonkeyPatch) -> None:
    def live(self: Any) -> Any:
        return lambda x_t, state=None: (self.predict(x_t), ())  # noqa: ARG005

    patch.setattr(Linear, "stepper", live)


@bug("nested")
def predict_draws_masks(patch: pytest.MonkeyPatch) -> None:
    apply = Dropout._apply

    def drawing(self: Any, x: Any, call: Any) -> Any:
        y, mask = apply(self, x, call._replace(training=True))
        return (y, mask) if call.training else (x.copy(), None)

    patch.setattr(Dropout, "_apply", drawing)


@bug("stacked bidirectional lstm with dropout")
def vjp_draws_the_masks_again(patch: pytest.MonkeyPatch) -> None:
    vjp = Recurrent.vjp

    def redrawn(self: Any, cache: Any, *args: Any, **options: Any) -> Any:
        masks = [dropout.apply_dropout(m.mask, m.p, self._rng)[1] for m in cache.masks]
        return vjp(self, cache._replace(masks=masks), *args, **options)

    patch.setattr(Recurrent, "vjp", redrawn)


@bug("rnn")
def vjp_changes_its_cache(patch: pytest.MonkeyPatch) -> None:
    vjp = Recurrent.vjp

    def scaling(self: Any, cache: Any, *args: Any, **options: Any) -> Any:
        result = vjp(self, cache, *args, **options)
        cache.runs[0].caches[0].projection.x[...] *= 2
        return result

    patch.setattr(Recurrent, "vjp", scaling)


@bug("embedding")
def backward_replaces_the_gradients(patch: pytest.MonkeyPatch) -> None:
    def replace(self: Any, gradients: Any) -> None:
        for name, gradient in gradients.items():
            self.grads[name][...] = gradient

    patch.setattr(Parameters, "add", replace)


@bug("chain")
def a_copy_shares_the_weights(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Parameters, "__deepcopy__", lambda self, _: self, raising=False)


@bug("linear")
def a_copy_remembers_the_forward_pass(patch: pytest.MonkeyPatch) -> None:
    def with_memory(self: Any, memo: Any) -> Any:
        other = copy.copy(self)
        other.parameters = copy.deepcopy(self.parameters, memo)
        for name in ("caches", "forwards"):
            setattr(other._memory, name, dict(getattr(self._memory, name)))
        return other

    patch.setattr(Layer, "__deepcopy__", with_memory, raising=False)


@bug("chain")
def a_pickle_holds_the_activations(patch: pytest.MonkeyPatch) -> None:
    def with_memory(self: Any) -> Any:
        return {k: v for k, v in vars(self).items() if k != "_memory"} | {
            "waste": [str(c) for c in self._memory.caches.values()]
        }

    patch.setattr(Layer, "__getstate__", with_memory)


@bug("linear")
def load_makes_the_callers_array_the_weight(patch: pytest.MonkeyPatch) -> None:
    load = Parameters.load_state_dict

    def aliasing(self: Any, state: Any, **options: Any) -> Any:
        keys = load(self, state, **options)
        dict.update(self.values, state)
        return keys

    patch.setattr(Parameters, "load_state_dict", aliasing)


@contextmanager
def planted(name: str) -> Iterator[str]:
    architecture, plant = BUGS[name]
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        yield architecture


@pytest.mark.parametrize("name", BUGS)
def test_the_machine_finds_a_planted_bug(name: str) -> None:
    with planted(name) as architecture, pytest.raises(BaseException) as caught:  # noqa: PT011 (any)
        run_in_random_orders(architecture, RUNS)
    # An error of the planted code itself, such as an AttributeError, would show nothing.
    assert isinstance(
        caught.value, (AssertionError, RuntimeError, ValueError, pytest.fail.Exception)
    )
