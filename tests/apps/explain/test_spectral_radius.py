"""The spectral radius, against all eigenvalues and closed forms, for small and large matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_rnn import LSTM, RNN
from numpy_rnn.apps.explain import metrics
from numpy_rnn.apps.explain.metrics import SMALL, spectral_radius
from numpy_rnn.checking.ledger import jacobians
from numpy_rnn.functional.types import Array

LARGE = 2 * SMALL


def rotation(n: int, angle: float) -> Array:
    """A matrix that rotates each of n / 2 planes by a different angle."""
    J = np.zeros((n, n))
    for k in range(0, n, 2):
        turn = angle * (k + 1)
        J[k : k + 2, k : k + 2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    return J


def basis(n: int, seed: int) -> Array:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]


@given(
    n=st.sampled_from([1, 2, 35, SMALL + 1, LARGE]),
    radius=st.floats(1e-6, 10),
    gap=st.floats(0.01, 1),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=25)
def test_a_matrix_of_known_eigenvalues(n: int, radius: float, gap: float, seed: int) -> None:
    """One eigenvalue has the radius, the others are at most (1 - gap) of it."""
    rng = np.random.default_rng(seed)
    others = (1 - gap) * rng.uniform(-1, 1, n - 1)
    eigenvalues = radius * np.array([rng.choice([-1, 1]), *others])
    Q = basis(n, seed)
    assert spectral_radius(Q @ np.diag(eigenvalues) @ Q.T) == pytest.approx(radius, rel=1e-6)


@pytest.mark.parametrize("n", [10, LARGE])
@pytest.mark.parametrize(
    ("make", "radius"),
    [
        (lambda n: np.zeros((n, n)), 0.0),
        (lambda n: -0.5 * np.eye(n), 0.5),
        (lambda n: 0.9 * rotation(n, 0.01), 0.9),  # all eigenvalues have the same size
        (lambda n: np.outer(np.ones(n), np.arange(n)), None),  # rank 1: the trace
        (lambda n: np.diag(np.r_[3.0, np.full(n - 1, 1e-9)]), 3.0),
        (lambda n: np.diag(1 - np.arange(n) / 1e4), 1.0),  # many eigenvalues near the radius
    ],
    ids=["zero", "identity", "rotation", "rank 1", "one alone", "crowd"],
)
def test_closed_forms(n: int, make: Callable[[int], Array], radius: float | None) -> None:
    J = make(n)
    expected = float(np.trace(J)) if radius is None else radius
    assert spectral_radius(J) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", [LSTM, RNN])
@pytest.mark.parametrize("scale", [1, 3])
def test_the_jacobians_of_large_layers(kind: type[LSTM | RNN], scale: float) -> None:
    layer = kind(5, SMALL + 20, rng=0, dtype=np.float32)
    layer.parameters.data *= scale
    x = np.random.default_rng(1).standard_normal((3, 1, 5)).astype(np.float32)
    for J in jacobians(layer, x, None):
        assert len(J[0]) > SMALL
        all_of_them = np.abs(np.linalg.eigvals(J[0].astype(float))).max()
        assert spectral_radius(J[0]) == pytest.approx(all_of_them, rel=1e-5)


def test_all_eigenvalues_are_computed_if_the_iteration_does_not_converge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "TOLERANCE", 0.0)  # that no vector reaches
    J = np.random.default_rng(0).standard_normal((SMALL + 1, SMALL + 1))
    assert spectral_radius(J) == np.abs(np.linalg.eigvals(J)).max()
