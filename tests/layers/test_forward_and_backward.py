"""The thin skin: forward remembers one pass, backward uses it up and adds to the gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from numpy_rnn.functional.types import Array
from numpy_rnn.layers import (
    GRU,
    LSTM,
    RNN,
    Cell,
    CrossEntropyLoss,
    LastStep,
    Layer,
    LayerNorm,
    Linear,
    MSELoss,
    Recurrent,
    Sequential,
)
from numpy_rnn.layers.stateless import StatelessLayer
from numpy_rnn.optim import SGD
from numpy_rnn.parameters import Parameters
from tests.layers.models import MODELS, a_gradient, an_input, flat, normal_like, same_trees

X = np.random.default_rng(0).standard_normal((5, 2, 3))
DY = np.random.default_rng(1).standard_normal((5, 2, 4))
each_model = pytest.mark.parametrize("name", MODELS)


def rnn(**options: Any) -> RNN:
    return RNN(3, 4, rng=0, **options)


def model() -> Sequential:
    return Sequential(rnn=rnn(), i2o=Linear(4, 2, rng=1))


@pytest.mark.parametrize(
    "backward",
    [
        lambda: rnn().backward(DY),
        lambda: Linear(3, 4).backward(DY),
        lambda: LayerNorm(4).backward(DY),
        lambda: MSELoss().backward(),
        lambda: CrossEntropyLoss().backward(),
        lambda: model().backward(DY),
    ],
)
def test_backward_before_forward_is_a_clear_error(backward: Callable[[], Any]) -> None:
    with pytest.raises(RuntimeError, match=r"backward: nothing to go back through.*forward first"):
        backward()


@each_model
def test_backward_uses_its_forward_up(name: str) -> None:
    layer = MODELS[name]()
    layer.forward(an_input(layer, 0))
    dy, dstate = a_gradient(layer, 1)
    layer.backward(dy, dstate)
    once = layer.parameters.grad.copy()
    with pytest.raises(RuntimeError, match=r"backward: nothing to go back through"):
        layer.backward(dy, dstate)
    np.testing.assert_array_equal(layer.parameters.grad, once)


@each_model
def test_backward_after_two_forwards_is_a_clear_error(name: str) -> None:
    layer = MODELS[name]()
    for seed in (0, 1):
        layer.forward(an_input(layer, seed))
    with pytest.raises(RuntimeError, match=r"another forward took the place .*\(2 since"):
        layer.backward(*a_gradient(layer, 1))
    assert not layer.parameters.grad.any()
    layer.forward(an_input(layer, 2))  # the error has cleared the way
    layer.backward(*a_gradient(layer, 2))
    assert layer.parameters.grad.any()


@each_model
def test_forward_and_backward_are_apply_and_vjp(name: str) -> None:
    layer, pure = MODELS[name](), MODELS[name]()
    x, (dy, dstate) = an_input(layer, 0), a_gradient(layer, 1)
    y, state, cache = pure.apply(x)
    dx, dinitial, gradients = pure.vjp(cache, dy, dstate)
    same_trees(layer.forward(x), (y, state) if layer.stateful else y)
    same_trees(layer.backward(dy, dstate), (dx, dinitial) if layer.stateful else dx)
    assert set(gradients) == set(layer.parameters.shapes)  # tied weights under one name
    for parameter, gradient in gradients.items():
        np.testing.assert_array_equal(layer.parameters.grads[parameter], gradient)
    assert not pure.parameters.grad.any()  # the core adds to nothing


@each_model
def test_vjp_may_be_called_again_with_the_same_cache(name: str) -> None:
    layer = MODELS[name]()
    _, _, cache = layer.apply(an_input(layer, 0))
    first, other, second = (layer.vjp(cache, *a_gradient(layer, seed)) for seed in (1, 2, 1))
    same_trees(first, second)
    assert not all(
        np.array_equal(a, b) for a, b in zip(flat(first), flat(other), strict=True) if a.size
    )


def test_gradients_accumulate_until_zeroed() -> None:
    layer = rnn()
    layer.forward(X)
    layer.backward(DY)
    once = layer.parameters.grad.copy()
    layer.forward(X)
    layer.backward(DY)
    np.testing.assert_array_equal(layer.parameters.grad, 2 * once)
    layer.zero_grad()
    assert not layer.parameters.grad.any()


def test_a_split_sequence_with_carried_state_is_the_whole() -> None:
    whole, first, second = rnn(), rnn(), rnn()
    y, h_n = whole.forward(X)
    y1, state = first.forward(X[:2])
    y2, last = second.forward(X[2:], state)
    np.testing.assert_allclose(np.concatenate([y1, y2]), y, rtol=1e-14)
    np.testing.assert_allclose(last, h_n, rtol=1e-14)
    dx, _ = whole.backward(DY)
    dx2, dstate = second.backward(DY[2:])
    dx1, _ = first.backward(DY[:2], dstate)
    np.testing.assert_allclose(np.concatenate([dx1, dx2]), dx, rtol=1e-12)
    np.testing.assert_allclose(
        first.parameters.grad + second.parameters.grad, whole.parameters.grad, rtol=1e-12
    )


def test_no_timesteps_hand_the_state_and_its_gradient_through() -> None:
    layer = rnn()
    state = np.ones((1, 2, 4))
    y, h_n = layer.forward(np.zeros((0, 2, 3)), state)
    assert y.shape == (0, 2, 4)
    np.testing.assert_array_equal(h_n, state)
    dx, dh0 = layer.backward(None, 3 * state)
    assert dx.shape == (0, 2, 3)
    np.testing.assert_array_equal(dh0, 3 * state)
    assert not layer.parameters.grad.any()


@pytest.mark.parametrize("keep", ["", "t", "b", "tb"])
@pytest.mark.parametrize("shape", [(0, 2, 3), (4, 2, 3)])
def test_without_a_step_every_parameter_has_a_gradient_of_zero(keep: Any, shape: Any) -> None:
    layer = LSTM(3, 4, 2, bidirectional=True, proj_size=2, rng=0)
    y, _, cache = layer.apply(np.ones(shape), lengths=np.zeros(2, int))
    _, _, gradients = layer.vjp(cache, y, None, keep)
    kept = tuple({"t": shape[0], "b": 2}[axis] for axis in keep)
    assert {name: g.shape for name, g in gradients.items()} == {
        name: (*kept, *s) for name, s in layer.parameters.shapes.items()
    }
    assert not any(g.any() for g in gradients.values())


def test_only_the_final_state_may_have_a_gradient() -> None:
    layer, dstate = rnn(), DY[None, -1]
    dy = np.zeros_like(DY)
    dy[-1] = DY[-1]
    layer.forward(X)
    by_output = layer.backward(dy)
    layer.forward(X)
    by_state = layer.backward(None, dstate)
    same_trees(by_output, by_state)


def test_a_gradient_that_is_passed_in_stays_as_it_was() -> None:
    layer, dy = rnn(), DY.copy()
    layer.forward(X)
    layer.backward(dy, np.ones((1, 2, 4)))
    np.testing.assert_array_equal(dy, DY)


def test_a_chain_routes_states_both_ways() -> None:
    chain = Sequential(rnn(), RNN(4, 3, rng=2), Linear(3, 2, rng=3))
    states = (np.ones((1, 2, 4)), np.full((1, 2, 3), 0.5))
    y, final = chain.forward(X, states)
    assert [state.shape for state in final] == [(1, 2, 4), (1, 2, 3)]
    dx, dstates = chain.backward(np.ones((5, 2, 2)), (np.ones((1, 2, 4)), None))
    assert [d.shape for d in dstates] == [(1, 2, 4), (1, 2, 3)]
    # The derivative along a direction, by central differences.
    direction = np.random.default_rng(1).standard_normal(states[0].shape)
    losses = []
    for step in (1e-6, -1e-6):
        y, final = chain.forward(X, (states[0] + step * direction, states[1]))
        losses.append(y.sum() + final[0].sum())
    np.testing.assert_allclose(
        (dstates[0] * direction).sum(), (losses[0] - losses[1]) / 2e-6, rtol=1e-6
    )
    assert dx is not None


class Modulo(StatelessLayer):
    """Tokens to tokens: no gradient arrives here, and none leaves."""

    def __init__(self) -> None:
        self.parameters = Parameters({}, "float64")

    def _apply(self, x: Array, _: Any) -> tuple[Array, None]:
        return x % 3, None

    def _vjp(self, *_: Any) -> Any:
        raise AssertionError("a gradient of tokens was asked for")


@pytest.mark.parametrize("make", [rnn, lambda: Linear(3, 4, rng=0)])
def test_a_layer_below_one_that_takes_tokens_gets_no_gradient(make: Callable[[], Layer]) -> None:
    alone, chain = make(), Sequential(Modulo(), make())
    dy = np.arange(16.0).reshape(2, 2, 4)
    alone.forward(np.array([[0, 1], [2, 0]]))
    chain.forward(np.array([[3, 4], [8, 0]]))
    alone.backward(dy)
    result = chain.backward(dy)
    assert (result[0] if chain.stateful else result) is None
    assert chain.parameters.grad.any()
    np.testing.assert_array_equal(chain.parameters.grad, alone.parameters.grad)


def test_a_copied_model_trains_by_itself() -> None:
    chain = model()
    other = copy.deepcopy(chain)
    before = chain.parameters.data.copy()
    y, _ = other.forward(X)
    other.backward(np.ones_like(y))
    SGD(other.parameters, lr=0.1).step()
    assert not np.array_equal(other.forward(X)[0], y)
    np.testing.assert_array_equal(chain.parameters.data, before)
    assert not chain.parameters.grad.any()


@each_model
def test_a_failed_forward_does_not_disturb_the_forward_before_it(name: str) -> None:
    layer, pure = MODELS[name](), MODELS[name]()
    x, (dy, dstate) = an_input(layer, 0), a_gradient(layer, 1)
    layer.forward(x)
    bad = np.full(x.shape, -1) if x.dtype.kind == "i" else np.full_like(x, np.nan)
    with pytest.raises(ValueError, match=r"x is (nan|-1) at index"):
        layer.forward(bad)
    got = layer.backward(dy, dstate)
    _, _, cache = pure.apply(x)
    dx, dinitial, _ = pure.vjp(cache, dy, dstate)
    same_trees(got, (dx, dinitial) if layer.stateful else dx)


@each_model
def test_a_failed_backward_can_be_repeated(name: str) -> None:
    layer, pure = MODELS[name](), MODELS[name]()
    dy, dstate = a_gradient(layer, 1)
    for each in (layer, pure):
        each.forward(an_input(layer, 0))
    with pytest.raises(ValueError, match=r"backward: dy has shape"):
        layer.backward(dy[:-1], dstate)
    assert not layer.parameters.grad.any()
    same_trees(layer.backward(dy, dstate), pure.backward(dy, dstate))
    np.testing.assert_array_equal(layer.parameters.grad, pure.parameters.grad)


def test_a_failed_loss_does_not_disturb_the_loss_before_it() -> None:
    loss, untouched = MSELoss(), MSELoss()
    for each in (loss, untouched):
        each.forward(X, 2 * X)
    with pytest.raises(ValueError, match="nan"):
        loss.forward(X, np.full_like(X, np.nan))
    np.testing.assert_array_equal(loss.backward(), untouched.backward())


CHANGES: dict[str, Callable[[Layer], Any]] = {
    "step": lambda layer: SGD(layer.parameters, lr=0.1).step(),
    "load": lambda layer: layer.load_state_dict(
        {name: value + 1 for name, value in layer.state_dict().items()}
    ),
    "scale": lambda layer: np.multiply(layer.parameters.data, -3, layer.parameters.data),
    "assign": lambda layer: setattr(layer.parameters, "data", 0.5 - layer.parameters.data),
    "write": lambda layer: [v.__setitem__(..., 0.3) for v in layer.parameters.values.values()],
}


@each_model
@pytest.mark.parametrize("change", CHANGES)
def test_backward_is_that_of_its_forward_whatever_the_weights_are_by_then(
    name: str, change: str
) -> None:
    layer, pure = MODELS[name](), MODELS[name]()
    x, (dy, dstate) = an_input(layer, 0), a_gradient(layer, 1)
    _, _, cache = pure.apply(x)
    dx, dinitial, gradients = pure.vjp(cache, dy, dstate)
    for each in (layer, pure):
        each.parameters.grad[...] = 1  # so that the optimiser has something to do
    layer.forward(x)
    _, _, own_cache = layer.apply(x, rng=np.random.default_rng(99))
    before = layer.vjp(own_cache, dy, dstate)
    weights = layer.parameters.data.copy()
    CHANGES[change](layer)
    assert np.abs(layer.parameters.data - weights).max(initial=0) > 0.01
    same_trees(layer.vjp(own_cache, dy, dstate), before)
    same_trees(layer.backward(dy, dstate), (dx, dinitial) if layer.stateful else dx)
    pure.parameters.add(gradients)
    np.testing.assert_array_equal(layer.parameters.grad, pure.parameters.grad)


@each_model
def test_what_goes_in_and_comes_out_may_be_written_to_before_backward(name: str) -> None:
    layer, pure = MODELS[name](), MODELS[name]()
    batch = next(iter(an_input(layer, 0).shape[1:2]))
    x, (dy, dstate) = an_input(layer, 0), a_gradient(layer, 1)
    rng = np.random.default_rng(2)
    zero = layer.zero_state(batch)
    state = normal_like(zero, rng) if layer.stateful else None
    lengths = np.array([4, 0, 6])
    reset = rng.random((6, 3)) < 0.3
    arguments = {"lengths": lengths, "reset": reset}
    want = pure.forward(x.copy(), copy.deepcopy(state), **copy.deepcopy(arguments))
    got = layer.forward(x, state, **arguments)
    same_trees(got, want)
    for array in [*flat(got), x, *flat(state), lengths, reset]:
        assert array.flags.writeable
        array[...] = 0 if array.dtype.kind in "ib" else 99
    same_trees(layer.backward(dy, dstate), pure.backward(dy, dstate))
    np.testing.assert_array_equal(layer.parameters.grad, pure.parameters.grad)


def decay_forward(x: Array, h0: Array, w: Array) -> tuple[Array, Any]:
    """h_t = w^(t + 1) h0, by a cell that keeps what it is given as it is."""
    powers = w ** np.arange(1, len(x) + 1)[:, None, None]
    return powers * h0, (x, h0, w)


def decay_backward(dh: Array | None, cache: Any) -> tuple[Any, ...]:
    x, h0, w = cache
    dh = np.zeros((*x.shape[:2], len(w))) if dh is None else dh
    t = np.arange(1, len(x) + 1)[:, None, None]
    return 0 * x, (dh * w**t).sum(axis=0), (dh * h0 * t * w ** (t - 1)).sum(axis=(0, 1))


class Decay(Recurrent):
    def cell(self, input_size: int) -> Cell:  # noqa: ARG002 (it does not look at x)
        return Cell(decay_forward, decay_backward, {"weight": (self.hidden_size,)}, (4,))


@pytest.mark.parametrize("recompute", [False, 2])
def test_a_custom_cell_may_keep_its_arguments(recompute: Any) -> None:
    layer, pure = (Decay(3, 4, recompute=recompute, rng=0) for _ in range(2))
    state = np.ones((1, 2, 4))
    for each in (layer, pure):
        each.forward(X, state.copy() if each is pure else state)
    state[...] = 99
    layer.parameters.data *= 2
    same_trees(layer.backward(DY), pure.backward(DY))
    np.testing.assert_array_equal(layer.parameters.grad, pure.parameters.grad)
    assert layer.parameters.grad.any()


@pytest.mark.parametrize("keep", ["x", "bt", "tt", True, ["t"]])
@each_model
def test_an_unknown_keep_is_an_error(name: str, keep: Any) -> None:
    layer = MODELS[name]()
    _, _, cache = layer.apply(an_input(layer, 0), lengths=np.array([4, 0, 6]))
    with pytest.raises(ValueError, match=r"keep is .*, expected one of '', 't', 'b', 'tb'"):
        layer.vjp(cache, *a_gradient(layer, 1), keep)


def test_the_cache_of_another_layer_is_refused() -> None:
    layers: list[Layer] = [rnn(), LSTM(3, 4), GRU(3, 4), rnn(num_layers=2), rnn(bidirectional=True)]
    layers += [Linear(3, 4), LayerNorm(3), model(), RNN(3, 5)]
    for layer in layers:
        for other in layers:
            y, _, cache = other.apply(X)
            if other is layer:
                layer.vjp(cache, y)
                copy.deepcopy(layer).vjp(cache, y)  # of the same architecture, as workers have it
            else:
                with pytest.raises(TypeError, match=r"cache is a .*, expected one from its own"):
                    layer.vjp(cache, y)


@pytest.mark.parametrize("x", [X, X[:, 0], X[:1], X[:1, 0]], ids=lambda x: str(x.shape))
@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_output_is_never_the_final_state(x: Array, bidirectional: bool) -> None:
    y, h_n = rnn(bidirectional=bidirectional).forward(x)
    assert y.flags.writeable
    assert h_n.flags.writeable
    assert not np.shares_memory(y, h_n)


def test_a_final_state_after_no_steps_is_a_copy() -> None:
    state = np.ones((1, 2, 4))
    _, h_n = rnn().forward(X[:0], state)
    h_n[...] = 99
    assert (state == 1).all()


def test_a_layer_and_a_loss_can_be_called() -> None:
    called, by_name, loss = rnn(), rnn(), MSELoss()
    same_trees(called(X, lengths=np.array([5, 2])), by_name.forward(X, lengths=np.array([5, 2])))
    same_trees(called.backward(DY), by_name.backward(DY))
    assert loss(X, 2 * X) == MSELoss().forward(X, 2 * X)
    assert loss.backward().shape == X.shape
    assert LastStep()(X, lengths=np.array([5, 2])).shape == (2, 3)


def test_switching_the_mode_returns_the_layer() -> None:
    for layer in (rnn(), model(), LayerNorm(3)):
        assert layer.eval() is layer
        assert not layer.training
        assert layer.train() is layer
        assert layer.training
        assert layer.train(False) is layer
        with pytest.raises(TypeError, match="mode is 'False', expected True or False"):
            layer.train("False")
    nested = Sequential(Sequential(rnn())).eval()
    assert not any(part.training for part in nested.layers.values())


def test_an_evaluation_by_forward_does_not_disturb_the_training_pass() -> None:
    layer, untouched = rnn(), rnn()
    for each in (layer, untouched):
        each.forward(X)
    layer.eval()
    for _ in range(3):
        layer.forward(-X)
    layer.train()
    same_trees(layer.backward(DY), untouched.backward(DY))


def test_a_pass_in_evaluation_mode_is_not_gone_back_through_in_training_mode() -> None:
    layer = rnn().eval()
    layer.forward(X)
    layer.train()
    with pytest.raises(RuntimeError, match=r"in this thread and mode"):
        layer.backward(DY)
