"""Bugs in the GRU, with the reset gate after and before the matrix product.

The pages are ``gru.py`` and ``gru_reset_before.py`` in ``numpy_rnn/textbook/``. The carry is the
gradient that step t + 1 hands back to step t: ``dh_next`` in the code. Its direct part goes past
the weights, through the update gate z.
"""

from __future__ import annotations

from numpy_rnn.museum.bug import Reference
from numpy_rnn.textbook.gru import gru_backward, gru_forward
from numpy_rnn.textbook.gru_reset_before import (
    gru_reset_before_backward,
    gru_reset_before_forward,
)

GATES = ("r", "z", "n")
SHAPES = {"x": "T B D", "h0": "B H", "W_ih": "3H D", "W_hh": "3H H", "b_ih": "3H", "b_hh": "3H"}

GRU = Reference("gru", gru_forward, gru_backward, SHAPES, GATES)
GRU_RESET_BEFORE = Reference(
    "gru_reset_before", gru_reset_before_forward, gru_reset_before_backward, SHAPES, GATES
)

REFERENCES = [GRU, GRU_RESET_BEFORE]

BUGS = [
    *GRU.bugs("""
1 - z instead of z in the carry | h0
    - dh_next = dh_t * z + ds
    + dh_next = dh_t * (1 - z) + ds
    Some papers swap z and 1 - z. Backward follows one convention and forward the other.
z instead of 1 - z in the candidate's gradient | dx
    - dn = dh_t * (1 - z)
    + dn = dh_t * z
    Some papers swap z and 1 - z. Backward follows one convention and forward the other.
direct carry missing | h0
    - dh_next = dh_t * z + ds @ W_hh
    + dh_next = ds @ W_hh
    The previous state is used four times. The use that has no weight is overlooked.
carry through the weights missing | h0
    - dh_next = dh_t * z + ds @ W_hh
    + dh_next = dh_t * z
    Where z is near 1, the direct carry is most of the gradient.
direct carry without the later steps | dx
    - dh_next = dh_t * z + ds
    + dh_next = dh[t] * z + ds
    dh[t] is used instead of dh_t, and only dh_t includes the carry.
update gate gradient with the wrong sign | gate z
    - dz = dh_t * (h[t] - n)
    + dz = dh_t * (n - h[t])
    The line is correct for papers in which z multiplies n and 1 - z the state.
update gate gradient from the new state | gate z
    - dz = dh_t * (h[t] - n)
    + dz = dh_t * (h[t + 1] - n)
    z multiplies the previous state. In a list that begins with h0, that is h[t].
reset gate missing in the state's pre-activations | W_hh, gate n
    - [da_r, da_z, da_n * r]
    + [da_r, da_z, da_n]
    In every other cell, both products have the same pre-activation gradient.
b_hn treated like b_in | b_hh, gate n
    - db_hh += ds.sum(axis=0)
    + db_hh += da.sum(axis=0)
    In every other cell, and in the other two gates, the two biases have equal gradients.
recurrent weight gradient from da instead of ds | W_hh, gate n
    - dW_hh += ds.T @ h[t]
    + dW_hh += da.T @ h[t]
    da and ds have the same shape and differ in one block of three.
carry from da instead of ds | h0
    - + ds @ W_hh
    + + da @ W_hh
    da and ds have the same shape and differ in one block of three.
reset gate gradient of the other variant | gate r
    - dr = da_n * s_n
    + dr = da_n * h[t]
    In the other variant r multiplies the state. Here it multiplies the product with W_hn.
reset gate gradient without the tanh derivative | gate r
    - dr = da_n * s_n
    + dr = dn * s_n
    dn and da_n differ by the tanh derivative. For small numbers they are equal.
tanh derivative missing | dx
    - da_n = dn * (1 - n**2)
    + da_n = dn
    The step from n to its pre-activation seems to be done in the line before.
sigmoid derivative with the wrong sign | gate r
    - da_r = dr * r * (1 - r)
    + da_r = dr * r * (1 + r)
    s * (1 + s) is typed instead of s * (1 - s).
half of the sigmoid derivative missing | gate z
    - da_z = dz * z * (1 - z)
    + da_z = dz * (1 - z)
    The factor z was part of the line before, and was then removed there.
gates in the order of another library | W_ih
    - [da_r, da_z, da_n],
    + [da_z, da_r, da_n],
    Keras and ONNX put z first, PyTorch puts r first.
t = 0 skipped | t = 0
    - reversed(range(T))
    + range(T - 1, 0, -1)
    range() excludes its stop value, also when it counts down.
weight gradient from the new state | W_hh
    - ds.T @ h[t]
    + ds.T @ h[t + 1]
    The cache holds T + 1 states: h[t] is the state before step t, h[t + 1] the one after it.
gradient of the initial state missing | h0
    - return dx, dh_next,
    + return dx, np.zeros_like(dh_next),
    Tutorials start from a zero state, so its gradient is assumed to be zero as well.
carry clipped inside the loop | dx | nonlinear
    - dh_next = dh_t * z + ds @ W_hh
    + dh_next = np.clip(dh_t * z + ds @ W_hh, -10, 10)
    Clipping against exploding gradients is put inside the loop instead of after it.
cache overwritten | gates | mutates
    - da_n = dn * (1 - n**2)
    + n *= -n
    + n += 1
    + da_n = dn * n
    The product is computed in place to save an allocation. A second backward is then wrong.
truncated after 25 steps | dx | T = 30
    - reversed(range(T))
    + range(T - 1, max(T - 26, -1), -1)
    A library truncates backpropagation through time without documenting it.
0.05 % error in one element of one step | t = 4
    - da_z = dz * z * (1 - z)
    + da_z = dz * z * (1 - z)
    + da_z[0, 1] *= 1.0005 if t == 4 else 1
    A line of an experiment is left in the code, or a memory chip is damaged.
"""),
    *GRU_RESET_BEFORE.bugs("""
weight gradient from the state without reset | W_hh, gate n
    - da_n.T @ (r * h[t])
    + da_n.T @ h[t]
    W_hn multiplies r * h. The other two blocks of W_hh multiply h.
carry through the reset state missing | h0
    - dh_next = dh_t * z + dm * r + da_r
    + dh_next = dh_t * z + da_r
    The previous state is used four times. The use inside the product is overlooked.
carry through the reset state without the reset gate | h0
    - dm * r
    + dm
    dm is the gradient of r * h, not of h.
carry through the gates missing | h0
    - dh_next = dh_t * z + dm * r + da_r @ W_hr + da_z @ W_hz
    + dh_next = dh_t * z + dm * r
    The gates r and z depend on the previous state as well.
reset gate gradient without the weights | gate r
    - dr = dm * h[t]
    + dr = da_n * h[t]
    The gradient skips the product with W_hn. The shapes match either way.
reset gate gradient from the reset state | gate r
    - dr = dm * h[t]
    + dr = dm * (r * h[t])
    The derivative of a product by one factor is the other factor, not the product.
product with the transposed weights | gate r
    - dm = da_n @ W_hn
    + dm = da_n @ W_hn.T
    W_hn is square, so the wrong product has the right shape.
= instead of += | W_hh, gate n
    - dW_hn += da_n
    + dW_hn = da_n
    The block was split off from W_hh later, without the += of the other weights.
1 - z instead of z in the carry | h0
    - dh_next = dh_t * z
    + dh_next = dh_t * (1 - z)
    Chung et al. (2014) swap z and 1 - z. Backward follows their convention, forward does not.
"""),
]
