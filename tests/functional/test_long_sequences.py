"""float32 stays beside float64 over long sequences: outputs, gradients, sums."""

from __future__ import annotations

import numpy as np
import pytest

from numpy_rnn import clip_grad_norm
from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.layers import Recurrent
from numpy_rnn.parameters import Parameters
from tests.layers.models import MODELS, D

T = 2000
TENTH = np.float32(0.1)
RECURRENT = [n for n, make in MODELS.items() if isinstance(layer := make(), Recurrent)]
RECURRENT = [n for n in RECURRENT if "dropout" not in n]


@pytest.mark.parametrize("name", RECURRENT)
def test_float32_does_not_drift(name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((T, 1, D)).astype(np.float32)
    single, double = MODELS[name](), MODELS[name]()
    single.parameters.to(np.float32)
    double.load_state_dict(single.state_dict())
    y, _, cache = single.apply(x)
    want, _, double_cache = double.apply(x.astype(float))
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx, _, gradients = single.vjp(cache, dy)
    double_dx, _, double_gradients = double.vjp(double_cache, dy.astype(float))
    step = single.stepper()
    state, last = None, y[0]
    for x_t in x:
        last, state = step(x_t, state)
    pairs = [(y, want), (single.predict(x)[0], want), (last, want[-1]), (dx, double_dx)]
    pairs += [(gradients[n], double_gradients[n]) for n in gradients]
    for got, expected in pairs:
        assert got.dtype == np.float32
        assert np.abs(got - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("keep", ["", "b"])
@pytest.mark.parametrize("steps", [255, 256, 257, 300_000])
def test_a_sum_over_time_keeps_its_digits(keep: F.Keep, steps: int) -> None:
    dz, tokens = np.full((steps, 1, 2), TENTH), np.ones((steps, 1), int)
    want = steps * float(TENTH)
    np.testing.assert_allclose(
        F.contract_bias(dz, keep), np.full((1,) * len(keep) + (2,), want), 3e-5
    )
    np.testing.assert_allclose(F.contract_one_hot(dz, tokens, 3, keep)[..., 1, :], want, 3e-5)
    np.testing.assert_allclose(F.contract(dz, dz, keep), want * float(TENTH), 3e-5)


def test_a_norm_of_many_gradients_keeps_its_digits() -> None:
    parameters = Parameters({"w": (10_000_000,)}, np.float32)
    parameters.grad[...] = TENTH
    parameters.grad[0] = 1  # the unit of the others
    want = (float(TENTH) ** 2 * 1e7 + 1) ** 0.5
    np.testing.assert_allclose(clip_grad_norm(parameters, np.inf), want, 1e-5)


def test_a_mean_loss_over_many_steps_keeps_its_digits() -> None:
    y = np.full((300_000, 1, 1), TENTH)
    loss, _ = F.mse_forward(y, np.zeros_like(y))
    np.testing.assert_allclose(loss, float(TENTH) ** 2, 1e-6)
    two = np.concatenate([y, np.zeros_like(y)], axis=2)
    loss, _ = F.cross_entropy_forward(two, np.ones((300_000, 1), int))
    np.testing.assert_allclose(loss, np.log1p(np.exp(float(TENTH))), 1e-6)
