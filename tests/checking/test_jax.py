"""A function of JAX with a backward of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

JAX = """
import sys
import jax
import jax.numpy as jnp
from numpy_rnn.checking import check_gradients

def pair(factor):
    @jax.custom_vjp
    def layer(x, W):
        return jnp.tanh(x @ W.T)

    def forward(x, W):
        y = jnp.tanh(x @ W.T)
        return y, (x, W, y)

    def backward(kept, dy):
        x, W, y = kept
        dz = dy * (1 - y**2)
        return dz @ W, factor * jnp.einsum("tbh,tbd->hd", dz, x)

    layer.defvjp(forward, backward)
    return layer

inner = pair(2)

def caller(x, W):
    return inner(x, W)

for layer in (pair(1), inner, caller):
    report = check_gradients(layer, "T B D", "H D", regimes=["usual"])
    assert report.method == "complex step", report
    wrong = [row.name for row in report.rows if not row.right]
    print(wrong, len(report.rows), report.worst < 1e-10)
assert not jax.config.jax_enable_x64
"""


@pytest.mark.torch
def test_a_custom_vjp_of_jax_is_checked() -> None:
    found = subprocess.run([sys.executable, "-c", JAX], capture_output=True, text=True, check=False)
    wrong = "['W'] 2 False"
    assert found.stdout.splitlines() == ["[] 2 True", wrong, wrong], found.stderr
