"""The checks fail on wrong gradients: a check that never failed shows nothing.

Each bug is one that people write. Without a bug the textbook loops below pass, so it is the
bug that is caught.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.functional.elman import ElmanCache
from numpy_rnn.functional.types import Array
from tests.case import Case
from tests.cases import CASES
from tests.functional.test_pairs import check_complex_step

ELMAN_BUGS = [
    "skip t = 0",
    "unshifted h",
    "dropped carry",
    "carry not transposed",
    "a factor 1.001",
    "a factor 1.0005 in one element of one step",
    "= for +=",
    "one bias forgotten",
    "slope of the step before",
    "sum over the batch forgotten",
    "initial state's gradient forgotten",
]


def elman_backward_with(bug: str, dh: Array, cache: ElmanCache) -> tuple[Array, ...]:
    """BPTT as a plain loop that accumulates, and goes wrong in one way."""
    (x, W_ih), h, W_hh, phi, _ = cache
    assert isinstance(x, np.ndarray)
    T = len(dh)
    slope = phi.slope(h[1:]) * 1.0
    dx, carry = np.zeros_like(x), np.zeros_like(h[0])
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)
    db_ih, db_hh = np.zeros(len(W_hh)), np.zeros(len(W_hh))
    for t in reversed(range(T)):
        dz = (dh[t] + carry) * slope[t - 1 if bug == "slope of the step before" else t]
        if bug == "a factor 1.001":
            dz = dz * 1.001
        if bug == "a factor 1.0005 in one element of one step" and t == 4:
            dz[1, 2] *= 1.0005
        if bug == "skip t = 0" and t == 0:
            carry = dz @ W_hh
            continue
        carry = np.zeros_like(dz) if bug == "dropped carry" else dz @ W_hh
        if bug == "carry not transposed":
            carry = dz @ W_hh.T
        dx[t] = dz @ W_ih
        rows = slice(0, 1) if bug == "sum over the batch forgotten" else slice(None)
        share = dz[rows].T @ h[t + 1 if bug == "unshifted h" else t][rows]
        dW_hh = share if bug == "= for +=" else dW_hh + share
        dW_ih += dz.T @ x[t]
        db_ih += dz.sum(axis=0)
        if bug != "one bias forgotten":
            db_hh += dz.sum(axis=0)
    if bug == "initial state's gradient forgotten":
        carry = np.zeros_like(carry)
    return dx, carry, dW_ih, dW_hh, db_ih, db_hh


INDRNN_BUGS = [
    "carry not multiplied by w",
    "slope forgotten",
    "h of the same step",
    "w of the other unit",
    "= for +=",
    "sign of the carry",
    "initial state's gradient forgotten",
]
MINGRU_BUGS = [
    "sign of the state in the gate's gradient",
    "slope of the gate forgotten",
    "z for 1 - z",
    "h of the same step",
    "z of the next step",
    "candidate not multiplied by the gate",
    "blocks swapped",
]
SCAN_BUGS = ["a of the same step", "h of the same step", "dropped carry", "dh0 not multiplied"]
LRU_BUGS = [
    "conjugate forgotten",
    "chain rule of omega forgotten",
    "sign of nu",
    "gamma's share",
    "h of the same step",
    "sign of theta",
    "scale of the input forgotten",
    "dh0 not multiplied",
]


def indrnn_backward_with(bug: str, dh: Array, cache: Any) -> tuple[Array, ...]:
    """A plain loop that accumulates, and goes wrong in one way."""
    (x, W_ih), h, w_hh, phi = cache
    slope = np.ones_like(dh) if bug == "slope forgotten" else phi.slope(h[1:]) * 1.0
    w = {"carry not multiplied by w": np.ones_like(w_hh), "sign of the carry": -w_hh}.get(bug, w_hh)
    w = np.roll(w_hh, 1) if bug == "w of the other unit" else w
    dx, carry = np.zeros_like(x), np.zeros_like(h[0])
    dW_ih, dw_hh, db_ih = np.zeros_like(W_ih), np.zeros_like(w_hh), np.zeros_like(w_hh)
    for t in reversed(range(len(dh))):
        dz = (dh[t] + carry) * slope[t]
        carry = dz * w
        dx[t] = dz @ W_ih
        share = np.sum(dz * h[t + 1 if bug == "h of the same step" else t], axis=0)
        dw_hh = share if bug == "= for +=" else dw_hh + share
        dW_ih += dz.T @ x[t]
        db_ih += dz.sum(axis=0)
    dh0 = np.zeros_like(carry) if bug == "initial state's gradient forgotten" else carry
    return dx, dh0, dW_ih, dw_hh, db_ih


def mingru_backward_with(bug: str, dh: Array, cache: Any) -> tuple[Array, ...]:
    """A plain loop that accumulates, and goes wrong in one way."""
    (x, W_ih), (kept, h), z, n = cache
    H = z.shape[2]
    dx, carry = np.zeros_like(x), np.zeros_like(h[0])
    dW_ih, db_ih = np.zeros_like(W_ih), np.zeros(len(W_ih))
    for t in reversed(range(len(dh))):
        e = dh[t] + carry
        carry = e * (z[t] if bug == "z for 1 - z" else kept[t])
        if bug == "z of the next step":
            carry = e * kept[min(t + 1, len(dh) - 1)]
        before = h[t + 1 if bug == "h of the same step" else t]
        if bug == "sign of the state in the gate's gradient":
            before = -before
        dgate = e * (n[t] - before)
        if bug != "slope of the gate forgotten":
            dgate = dgate * z[t] * kept[t]
        dcandidate = e if bug == "candidate not multiplied by the gate" else e * z[t]
        da = np.concatenate([dgate, dcandidate], axis=1)
        if bug == "blocks swapped":
            da = np.roll(da, H, axis=1)
        dx[t] = da @ W_ih
        dW_ih += da.T @ x[t]
        db_ih += da.sum(axis=0)
    return dx, carry, dW_ih, db_ih


def scan_backward_with(bug: str, dh: Array, cache: Any) -> tuple[Array, ...]:
    a, h = cache
    e, carry = np.zeros_like(dh), np.zeros_like(h[0])
    for t in reversed(range(len(dh))):
        e[t] = dh[t] + carry
        carry = a[t - 1 if bug == "a of the same step" else t] * e[t]
        if bug == "dropped carry" and t == 5:
            carry = np.zeros_like(carry)
    da = e * (h[1:] if bug == "h of the same step" else h[:-1])
    return da, e, e[0] if bug == "dh0 not multiplied" else carry


def lru_backward_with(bug: str, dh: Array, cache: Any) -> tuple[Array, ...]:
    """Orvieto's recurrence in complex numbers, dL/dh being dL/dRe + i dL/dIm."""
    (x, W_ih), scan, _, (cos, sin), nu, omega, scale = cache
    H, turned = len(nu), cos + 1j * sin
    h = scan.h[..., :H] + 1j * scan.h[..., H:]
    h[1:] *= turned
    u = x @ W_ih[:H].T + 1j * (x @ W_ih[H:].T)
    eigenvalue = np.exp(-np.exp(nu) + 1j * omega)
    back = eigenvalue if bug == "conjugate forgotten" else eigenvalue.conj()
    d, carry = dh[..., :H] + 1j * dh[..., H:], np.zeros_like(h[0])
    e = np.zeros_like(d)
    for t in reversed(range(len(d))):
        e[t] = d[t] + carry
        carry = back * e[t]
    used = h[1:] if bug == "h of the same step" else h[:-1]
    dlog = np.sum(e.conj() * eigenvalue * used, axis=(0, 1))  # of log lambda = -exp(nu) + i omega
    dnu = dlog.real * np.exp(nu) * (1 if bug == "sign of nu" else -1)
    sign = 1 if bug == "sign of theta" else -1
    dtheta = sign * dlog.imag * (1 if bug == "chain rule of omega forgotten" else omega)
    dgamma = scale * np.sum(e.conj() * u, axis=(0, 1)).real
    if bug == "gamma's share":
        dgamma = dgamma / scale
    if bug == "dh0 not multiplied":
        carry = e[0]
    du = np.concatenate([e.real, e.imag], axis=2)
    if bug != "scale of the input forgotten":
        du = du * np.tile(scale, 2)
    dW_ih = np.einsum("tbg,tbd->gd", du, x)
    return du @ W_ih, np.concatenate([carry.real, carry.imag], axis=1), dW_ih, dnu, dtheta, dgamma


def embedding_backward_with(bug: str, dy: Array, cache: Any) -> tuple[None, Array]:
    dW = np.zeros((cache.size, dy.shape[-1]))
    if bug == "= for +=":
        dW[cache.tokens] = dy  # what `dW[tokens] += dy` does too
    else:
        np.add.at(dW, cache.tokens, dy)
    return None, dW


def mse_backward_with(bug: str, dloss: float, cache: Any) -> tuple[Array, Array]:
    dy = (1 if bug == "factor 2 forgotten" else 2) * cache.scale * dloss * cache.difference
    return dy, dy if bug == "sign of the target" else -dy


def cross_entropy_backward_with(bug: str, dloss: float, cache: Any) -> tuple[Array, None, None]:
    p, targets, counts, scale = cache
    w = scale * dloss * (np.ones_like(counts) if bug == "mask forgotten" else counts)
    one_hot = np.arange(p.shape[-1]) == targets
    if bug == "mean over all instead of what counts":
        w = w * counts.sum() / counts.size
    return w[..., None] * (p - (0 if bug == "target forgotten" else one_hot)), None, None


BUGS = [
    *(("elman tanh", elman_backward_with, bug) for bug in ELMAN_BUGS),
    *(("scan", scan_backward_with, bug) for bug in SCAN_BUGS),
    *(("indrnn relu", indrnn_backward_with, bug) for bug in INDRNN_BUGS),
    *(("indrnn tanh", indrnn_backward_with, bug) for bug in INDRNN_BUGS),
    *(("mingru", mingru_backward_with, bug) for bug in MINGRU_BUGS),
    *(("lru", lru_backward_with, bug) for bug in LRU_BUGS),
    ("embedding", embedding_backward_with, "= for +="),
    ("mse mean", mse_backward_with, "factor 2 forgotten"),
    ("mse mean", mse_backward_with, "sign of the target"),
    ("cross-entropy mean", cross_entropy_backward_with, "mask forgotten"),
    ("cross-entropy mean", cross_entropy_backward_with, "target forgotten"),
    ("cross-entropy mean", cross_entropy_backward_with, "mean over all instead of what counts"),
]
NO_BUG = "none"


def case_with(name: str, backward: Any, bug: str) -> Case:
    case = next(case for case in CASES if case.name == name)
    return case._replace(backward=lambda *args: backward(bug, *args))


@pytest.mark.parametrize(
    ("name", "backward", "bug"), BUGS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_planted_bug_is_caught(name: str, backward: Any, bug: str) -> None:
    check_complex_step(case_with(name, backward, NO_BUG), seed=0, T=11, B=3)
    with pytest.raises(AssertionError):
        check_complex_step(case_with(name, backward, bug), seed=0, T=11, B=3)


def test_the_page_counts_the_planted_bugs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    assert f"{len(BUGS)} planted bugs" in " ".join(page.split())


def test_writing_to_a_cache_is_caught() -> None:
    def overwrites(dh: Array, cache: ElmanCache) -> Any:
        cache.h[1:] *= cache.h[1:]
        return F.elman_backward(dh, cache)

    case = next(case for case in CASES if case.name == "elman tanh")
    arguments = case.arguments(np.random.default_rng(0), 3, 2)
    h, cache = case.forward(*arguments)
    with pytest.raises(ValueError, match="read-only"):
        overwrites(np.ones_like(h), cache)
