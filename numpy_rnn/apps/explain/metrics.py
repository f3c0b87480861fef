"""Metrics of a recurrent layer on a text: fading gradients, saturation, gates, spectral radius.

    (1) A[t, s] = | dL_t / dh_s |           the attribution matrix, where L_t is the loss of step t

The spectral radius of a large Jacobian J comes from k steps of Arnoldi's iteration (1951):

    (2) Q_k orthonormal,  J Q_k = Q_k H_k + r_k e_k^T
    (3) H_k y = theta y,  |y| = 1                  a problem of size k, not n
    (4) |J q - theta q| = |r_k| |y_k|,  q = Q_k y

The eigenvalues of H_k approach the outermost ones of J first, long before k = n. By (4), theta is
an eigenvalue of a matrix that differs from J by |r_k| |y_k|.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.activations import make_activation
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import GRU, LSTM, Recurrent

GATES: dict[type[Recurrent], dict[str, int]] = {  # name -> block of the stacked weights
    LSTM: {"input": 0, "forget": 1, "output": 3},
    GRU: {"reset": 0, "update": 1},
}
SMALL = 128  # size up to which computing all eigenvalues is faster
TOLERANCE = 1e-6  # for (4), relative to |theta|
CHECK_EVERY = 32  # products with J between two solutions of (3)


def by_distance(A: Array) -> Array:
    """Return what is left of a gradient k steps back, relative to 0 steps back, for each k.

    It is the median of A[t, t - k] / A[t, t] over the steps t that have a loss, and 0 if there is
    none. `A` is (T, T), the result (T,).

    >>> by_distance(np.array([[2.0, 0.0], [1.0, 4.0]])).tolist()
    [1.0, 0.25]
    """
    own, T = np.diagonal(A), len(A)
    remaining = np.zeros(T)
    for k in range(T):
        counted = own[k:] > 0
        if counted.any():
            remaining[k] = np.median(np.diagonal(A, -k)[counted] / own[k:][counted])
    return remaining


def per_step(remaining: Array) -> float:
    """Return the mean factor of a step back, over the first half of :func:`by_distance`.

    >>> per_step(np.array([1.0, 0.3, 0.25, 0.1, 0.1]))
    0.5
    """
    half = len(remaining) // 2
    return float(remaining[half] ** (1 / max(1, half)))


def saturation(h: Array, bound: float = 0.95, *, relu: bool = False) -> Array:
    """Return the fraction of saturated units at each step, (T,), of the states h, (T, H).

    Units with |h| > bound are saturated. Those of a relu, which has no upper bound, are if h = 0.

    >>> saturation(np.array([[0.96, -0.99, 0.5, 0.0]])).tolist()
    [0.5]
    """
    fraction: Array = np.mean(h <= 0 if relu else np.abs(h) > bound, axis=1)
    return fraction


def gates(layer: Recurrent, x: Array, h: Array) -> dict[str, Array]:
    """Return each gate's activations, phi(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), as (T, H).

    `layer` has one layer and one direction; cells other than LSTM and GRU have no gates here. phi
    is the layer's own, by default the sigmoid.
    `x`, (T, D), and `h`, (T, H), are its input and its output from the zero state.

    >>> gates(GRU(3, 4, rng=0), np.ones((5, 3)), np.ones((5, 4)))["update"].shape
    (5, 4)
    """
    blocks = GATES.get(type(layer), {})
    if not blocks:
        return {}
    W_ih, W_hh, b_ih, b_hh = layer.weights()[:4]
    before, H = np.concatenate([np.zeros_like(h[:1]), h[:-1]]), layer.hidden_size
    z = x @ W_ih.T + before @ W_hh.T + b_ih + b_hh
    assert isinstance(layer, LSTM | GRU)  # noqa: S101 (GATES has no others)
    activations = make_activation(layer.activations[0], layer.clip).value(z, z)
    found = {name: activations[:, k * H : (k + 1) * H] for name, k in blocks.items()}
    if isinstance(layer, LSTM) and layer.input_forget:
        found["forget"] = 1 - found["input"]
    return found


def top_layer(layer: Recurrent, x: Array) -> tuple[Recurrent, Array]:
    """Return the top layer of a one-directional stack as a separate layer, and its input.

    `x`, (T, B, D), is the input of the lowest layer.
    """
    if layer.num_layers == 1:
        return layer, x
    values, output = layer.parameters.values, x
    options = layer.describe() | {"num_layers": 1, "dropout": 0.0}
    del options["class"]
    for k in range(layer.num_layers):
        top = type(layer)(**options | {"input_size": output.shape[-1]})
        names = top.parameters.values
        top.load_state_dict({name: values[f"{name.removesuffix('_l0')}_l{k}"] for name in names})
        x, (output, _) = output, top.predict(output)
    return top, x


def spectral_radius(J: Array) -> float:
    """Return the largest absolute eigenvalue of a real matrix, (n, n).

    It comes from all eigenvalues if n is at most 128, or if (4) is not small before k = n / 2.
    Otherwise it is |theta| for the largest eigenvalue of H_k, where (4) is at most 1e-6 |theta|.

    >>> spectral_radius(np.diag([0.5, -2.0]))
    2.0
    """
    radius = _arnoldi(J.astype(np.float64)) if len(J) > SMALL else None
    return float(np.abs(np.linalg.eigvals(J)).max(initial=0)) if radius is None else radius


def _arnoldi(J: Array) -> float | None:
    n, steps = len(J), len(J) // 2
    Q, H = np.zeros((steps + 1, n)), np.zeros((steps + 1, steps))
    start = np.random.default_rng(0).standard_normal(n)
    Q[0] = start / np.linalg.norm(start)
    for k in range(1, steps + 1):
        r = J @ Q[k - 1]
        for _ in range(2):  # after one pass, rounding errors would grow with k
            projection = Q[:k] @ r
            r -= projection @ Q[:k]
            H[:k, k - 1] += projection
        length = H[k, k - 1] = np.linalg.norm(r)  # (2)
        complete = length <= TOLERANCE**2 * np.abs(H[:k, k - 1]).max()  # Q_k is invariant under J
        if complete or k % CHECK_EVERY == 0:
            values, vectors = np.linalg.eig(H[:k, :k])  # (3)
            largest = np.abs(values).argmax()
            radius = float(abs(values[largest]))
            if complete or length * abs(vectors[-1, largest]) <= TOLERANCE * radius:  # (4)
                return radius
        Q[k] = r / length
    return None
