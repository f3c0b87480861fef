"""The attribution matrix, against closed forms and against gradients of cut sequences."""

from __future__ import annotations

import numpy as np
import pytest

from numpy_rnn import GRU, LSTM, RNN, Linear, Sequential
from numpy_rnn.checking import attribution


def test_a_linear_recurrence_in_closed_form() -> None:
    """h_t = w h_(t-1) + x_t, as a relu of positive numbers: |dL_tau/dh_t| = w^(tau-t)."""
    rnn = RNN(1, 1, nonlinearity="relu", bias=False)
    rnn.parameters.data[...] = [1.0, 0.8]
    x, dy = np.ones((6, 1, 1)), np.ones((6, 1, 1))
    (matrix,) = attribution(rnn, x, dy)
    tau, t = np.indices((6, 6))
    np.testing.assert_allclose(matrix, np.where(tau >= t, 0.8 ** (tau - t), 0.0), rtol=1e-14)


@pytest.mark.parametrize("layer", [RNN(3, 4, 2, rng=0), GRU(3, 4, rng=0), LSTM(3, 4, 2, rng=0)])
def test_a_column_is_the_gradient_of_the_state_there(layer: RNN) -> None:
    """Cut the sequence after step t: the gradient of the initial state is dL_tau/ds_t."""
    rng = np.random.default_rng(1)
    x, dy, t, tau = rng.standard_normal((7, 2, 3)), rng.standard_normal((7, 2, 4)), 2, 5
    matrices = attribution(layer, x, dy)
    _, state = layer.predict(x[: t + 1])
    layer.forward(x[t + 1 :], state)
    only = np.zeros_like(dy[t + 1 :])
    only[tau - t - 1] = dy[tau]
    _, dstate = layer.backward(only)
    parts = dstate if isinstance(dstate, tuple) else (dstate,)
    for matrix, part in zip(matrices, parts, strict=True):
        assert matrix[tau, t] == pytest.approx(np.linalg.norm(part), rel=1e-12)


def test_a_model_is_looked_at_through_its_head() -> None:
    rng = np.random.default_rng(2)
    rnn, head = RNN(3, 4, rng=0), Linear(4, 2, rng=1)
    model = Sequential(rnn, head)
    x, dy = rng.standard_normal((5, 1, 3)), rng.standard_normal((5, 1, 2))
    before = model.parameters.grad.copy()
    (matrix,) = attribution(model, x, dy)
    (direct,) = attribution(rnn, x, dy @ head.parameters.values["weight"])
    np.testing.assert_allclose(matrix, direct, rtol=1e-13)
    np.testing.assert_array_equal(model.parameters.grad, before)
    assert not matrix[np.triu_indices(5, 1)].any()


def test_a_nested_model_is_measured_through_its_layers() -> None:
    rng = np.random.default_rng(3)
    x, dy = rng.standard_normal((5, 2, 3)), rng.standard_normal((5, 2, 2))
    state = (rng.standard_normal((1, 2, 4)), rng.standard_normal((1, 2, 4)))

    def layers() -> list[RNN | GRU | Linear]:
        return [RNN(3, 4, rng=0), GRU(4, 4, rng=1), Linear(4, 2, rng=2)]

    first, second, head = layers()
    nested = Sequential(Sequential(first), Sequential(Sequential(second), head))
    found = attribution(nested, x, dy, ((state[0],), ((state[1],),)))
    np.testing.assert_array_equal(found, attribution(Sequential(*layers()), x, dy, state))


def test_a_model_without_recurrence_has_none() -> None:
    with pytest.raises(TypeError, match="has no recurrent layer"):
        attribution(Sequential(Linear(3, 2)), np.zeros((2, 1, 3)), np.zeros((2, 1, 2)))
    with pytest.raises(TypeError, match="expected a recurrent layer or a Sequential"):
        attribution(Linear(3, 2), np.zeros((2, 1, 3)), np.zeros((2, 1, 2)))
