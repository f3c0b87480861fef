"""Bugs in the Elman cell, ``numpy_rnn/textbook/elman.py``.

The carry is the gradient that step t + 1 hands back to step t: ``dh_next`` in the code.
"""

from __future__ import annotations

from numpy_rnn.museum.bug import Reference
from numpy_rnn.textbook.elman import elman_backward, elman_forward

ELMAN = Reference(
    "elman",
    elman_forward,
    elman_backward,
    {"x": "T B D", "h0": "B H", "W_ih": "H D", "W_hh": "H H", "b_ih": "H", "b_hh": "H"},
)

REFERENCES = [ELMAN]

BUGS = [
    *ELMAN.bugs("""
= instead of += | W_hh
    - dW_hh += dz.T @ h[t]
    + dW_hh = dz.T @ h[t]
    The code was written and tested for one step, and the loop was added later.
t = 0 skipped | t = 0
    - reversed(range(T))
    + range(T - 1, 0, -1)
    range() excludes its stop value, also when it counts down.
weight gradient from the new state | W_hh
    - dz.T @ h[t]
    + dz.T @ h[t + 1]
    The cache holds T + 1 states: h[t] is the state before step t, h[t + 1] the one after it.
input of the previous step | W_ih
    - dz.T @ x[t]
    + dz.T @ x[t - 1]
    x is indexed like h, but has no initial entry. The index -1 hides the error at t = 0.
carry dropped | dx
    - dh_t = dh[t] + dh_next
    + dh_t = dh[t]
    Each step is differentiated on its own, like a feed-forward layer.
carry through the transposed weight | h0
    - dh_next = dz @ W_hh
    + dh_next = dz @ W_hh.T
    W_hh is square, so the wrong product has the right shape.
carry without the tanh derivative | h0
    - dh_next = dz @ W_hh
    + dh_next = dh_t @ W_hh
    dh_t and dz have the same shape and are confused.
input gradient without the tanh derivative | dx
    - dx[t] = dz @ W_ih
    + dx[t] = dh_t @ W_ih
    dh_t and dz have the same shape and are confused in one of five lines.
gradient of the initial state missing | h0
    - return dx, dh_next,
    + return dx, np.zeros_like(dh_next),
    Tutorials start from a zero state, so its gradient is assumed to be zero as well.
gradient of one bias missing | b_hh
    - db_hh += dz.sum(axis=0)
    + db_hh = np.zeros_like(b_hh)
    The two biases are added, so one gradient seems enough. Their sum then moves half as far.
only the first example of the batch | b_ih
    - db_ih += dz.sum(axis=0)
    + db_ih += dz[0]
    The code was written for one example. The shapes match without the sum over the batch.
mean over the batch instead of the sum | W_ih
    - dz.T @ x[t]
    + dz.T @ x[t] / len(dz)
    The loss already takes the mean over the batch, and here it is taken again.
divided by the sequence length | W_ih
    - return dx, dh_next, dW_ih,
    + return dx, dh_next, dW_ih / T,
    The gradient is averaged over time to make it independent of the length.
tanh applied twice in the derivative | dx
    - (1 - h[t + 1] ** 2)
    + (1 - np.tanh(h[t + 1]) ** 2)
    The formula for the pre-activation z is applied to h, which is tanh(z) already.
square missing in the tanh derivative | dx
    - (1 - h[t + 1] ** 2)
    + (1 - h[t + 1])
    It is written by analogy with the sigmoid's 1 - s. Near h = 0 both expressions are 1.
tanh derivative of the previous step | dx
    - (1 - h[t + 1] ** 2)
    + (1 - h[t] ** 2)
    The cache holds T + 1 states. The one that step t computes is at t + 1.
carry clipped inside the loop | dx | nonlinear
    - dh_next = dz @ W_hh
    + dh_next = np.clip(dz @ W_hh, -5, 5)
    Clipping against exploding gradients is put inside the loop instead of after it.
float32 inside the loop | dx | float32
    - (1 - h[t + 1] ** 2)
    + (1 - h[t + 1] ** 2).astype(np.float32)
    A dtype that was chosen for the GPU is left in the code.
incoming gradient modified in place | dh | mutates
    - dh_t = dh[t] + dh_next
    + dh_t = dh[t]
    + dh_t += dh_next
    To save an allocation, += writes into a view of the caller's array.
carry cut at every fifth step | dx
    - dh_next = dz @ W_hh
    + dh_next = dz @ W_hh * (t % 5 > 0)
    A detach() for windows of five steps is left in the code, and the test has four steps.
truncated after 25 steps | dx | T = 30
    - reversed(range(T))
    + range(T - 1, max(T - 26, -1), -1)
    A library truncates backpropagation through time without documenting it.
0.05 % error in one element of one step | t = 4
    - dx[t] = dz @ W_ih
    + dz[0, 1] *= 1.0005 if t == 4 else 1
    + dx[t] = dz @ W_ih
    A line of an experiment is left in the code, or a memory chip is damaged.
only the last step's output gradient used | dx
    - dh_t = dh[t] + dh_next
    + dh_t = dh[t] * (t == T - 1) + dh_next
    Code for one output per sequence is used with an output at every step.
"""),
]
