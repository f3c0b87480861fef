"""Bugs in the LSTM, the LSTM with a projection and the LSTM with peepholes.

The pages are ``lstm.py``, ``projected_lstm.py`` and ``peephole_lstm.py`` in
``numpy_rnn/textbook/``. The carry is the gradient that step t + 1 hands back to step t: the hidden
carry ``dh_next`` and the cell carry ``dc_next``.
"""

from __future__ import annotations

from numpy_rnn.museum.bug import Reference
from numpy_rnn.textbook.lstm import lstm_backward, lstm_forward
from numpy_rnn.textbook.peephole_lstm import peephole_lstm_backward, peephole_lstm_forward
from numpy_rnn.textbook.projected_lstm import projected_lstm_backward, projected_lstm_forward

GATES = ("i", "f", "g", "o")
STATES = {"x": "T B D", "h0": "B H", "c0": "B H"}
WEIGHTS = {"W_ih": "4H D", "W_hh": "4H H", "b_ih": "4H", "b_hh": "4H"}

LSTM = Reference("lstm", lstm_forward, lstm_backward, STATES | WEIGHTS, GATES)
PROJECTED_LSTM = Reference(
    "projected_lstm",
    projected_lstm_forward,
    projected_lstm_backward,
    STATES | {"h0": "B P"} | WEIGHTS | {"W_hh": "4H P", "W_hr": "P H"},
    GATES,
)
PEEPHOLE_LSTM = Reference(
    "peephole_lstm",
    peephole_lstm_forward,
    peephole_lstm_backward,
    STATES | WEIGHTS | {"W_c": "3 H"},
    GATES,
)

REFERENCES = [LSTM, PROJECTED_LSTM, PEEPHOLE_LSTM]

BUGS = [
    *LSTM.bugs("""
cell carry without the forget gate | c0
    - dc_next = dc_t * f
    + dc_next = dc_t
    This is the constant error carousel of 1997, from before the forget gate was introduced.
cell carry with the forget gate of another step | dx
    - dc_next = dc_t * f
    + dc_next = dc_t * gates[max(t - 1, 0)][1]
    The carry to t - 1 takes the gate of step t - 1. It needs the gate that multiplies c[t].
cell carry dropped | dx
    - dc[t] + dc_next + dh_t * o
    + dc[t] + dh_t * o
    Only h is carried back, as in the Elman cell that the code was derived from.
cell carry through tanh | c0
    - dc_next = dc_t * f
    + dc_next = dc_t * f * (1 - tanh_c**2)
    The tanh derivative belongs to the path from h to c, and is applied a second time here.
cell carry replaced instead of added to | dx
    - dc_t = dc[t] + dc_next + dh_t * o * (1 - tanh_c**2)
    + dc_t = dc[t] + (dc_next if t < T - 1 else dh_t * o * (1 - tanh_c**2))
    The last step initialises the carry, and all other steps leave out their own contribution.
derivative of tanh(c) missing | c0
    - dh_t * o * (1 - tanh_c**2)
    + dh_t * o
    h = o * tanh(c) is differentiated like o * c. For small c the two are equal.
tanh derivative at the previous cell state | c0
    - tanh_c = np.tanh(c[t + 1])
    + tanh_c = np.tanh(c[t])
    The cache holds T + 1 cell states. The one that step t computes is at t + 1.
hidden carry does not reach the cell | dx
    - dh_t * o * (1 - tanh_c**2)
    + dh[t] * o * (1 - tanh_c**2)
    dh[t] is used instead of dh_t, and only dh_t includes the carry.
hidden carry does not reach the output gate | gate o
    - do = dh_t * tanh_c
    + do = dh[t] * tanh_c
    dh[t] is used instead of dh_t, and only dh_t includes the carry.
hidden carry dropped | dx
    - dh_t = dh[t] + dh_next
    + dh_t = dh[t]
    Only c is carried back. Where the forget gate is open, that is most of the gradient.
gradient of c ignored | c0
    - dc_t = dc[t] + dc_next
    + dc_t = dc_next
    No loss depends on c directly, until a window passes its state to the next one.
only the last step's output gradient used | dx
    - dh_t = dh[t] + dh_next
    + dh_t = dh[t] * (t == T - 1) + dh_next
    Code for one output per sequence is used with an output at every step.
hidden carry through the output gate only | h0
    - dh_next = dz @ W_hh
    + dh_next = dz_o @ W_hh[-dz_o.shape[1] :]
    The output gate computes h, so the gradient of h is assumed to pass through it alone.
sigmoid derivative with the wrong sign | gate f
    - dz_f = df * f * (1 - f)
    + dz_f = df * f * (1 + f)
    s * (1 + s) is typed instead of s * (1 - s).
sigmoid derivative instead of tanh derivative | gate g
    - dz_g = dg * (1 - g**2)
    + dz_g = dg * g * (1 - g)
    Of four similar lines the third is different, and it is copied from the first.
tanh derivative instead of sigmoid derivative | gate o
    - dz_o = do * o * (1 - o)
    + dz_o = do * (1 - o**2)
    The output gate is next to a tanh in the equations and is given its derivative.
half of the sigmoid derivative missing | gate i
    - dz_i = di * i * (1 - i)
    + dz_i = di * i
    The end of a line was deleted.
gates in the order of another library | W_ih
    - [dz_i, dz_f, dz_g, dz_o]
    + [dz_i, dz_f, dz_o, dz_g]
    Forward uses the gate order of one library, backward that of another.
input and forget gates swapped | W_ih
    - [dz_i, dz_f, dz_g, dz_o]
    + [dz_f, dz_i, dz_g, dz_o]
    The forget gate comes first in the papers, the input gate in the libraries.
forget gate gradient from the new cell state | gate f
    - df = dc_t * c[t]
    + df = dc_t * c[t + 1]
    f multiplies the previous cell state. In a list that begins with c0, that is c[t].
output gate gradient without tanh | gate o
    - do = dh_t * tanh_c
    + do = dh_t * c[t + 1]
    h = o * tanh(c) is differentiated like o * c. For small c the two are equal.
di and dg swapped | W_ih
    - di = dc_t * g
    + di = dc_t * i
    - dg = dc_t * i
    + dg = dc_t * g
    The derivative of a product by one factor is the other factor.
weight gradient from the new state | W_hh
    - dz.T @ h[t]
    + dz.T @ h[t + 1]
    The cache holds T + 1 states: h[t] is the state before step t, h[t + 1] the one after it.
= instead of += | W_ih
    - dW_ih += dz.T @ x[t]
    + dW_ih = dz.T @ x[t]
    The code was written and tested for one step, and the loop was added later.
t = 0 skipped | t = 0
    - reversed(range(T))
    + range(T - 1, 0, -1)
    range() excludes its stop value, also when it counts down.
gradient of the initial cell state missing | c0
    - return dx, dh_next, dc_next,
    + return dx, dh_next, np.zeros_like(dc_next),
    Tutorials start from a zero state, so its gradient is assumed to be zero as well.
mean over the batch instead of the sum | b_ih
    - db_ih += dz.sum(axis=0)
    + db_ih += dz.mean(axis=0)
    The loss already takes the mean over the batch, and here it is taken again.
input gradient reversed in time | dx
    - dx[t] = dz @ W_ih
    + dx[T - 1 - t] = dz @ W_ih
    The loop runs backwards and appends to a list, and the list is not reversed.
cell carry clipped inside the loop | dx | nonlinear
    - dc_next = dc_t * f
    + dc_next = np.clip(dc_t * f, -10, 10)
    Graves (2013) clips here and documents it. Most copies of the code do not.
small gradients set to zero | dx | nonlinear
    - dh_next = dz @ W_hh
    + dh_next = np.where(np.abs(dz) > 1e-12, dz, 0) @ W_hh
    A threshold against denormal numbers is far too high where gradients vanish.
float32 inside the loop | dx | float32
    - [dz_i, dz_f, dz_g, dz_o], axis=1)
    + [dz_i, dz_f, dz_g, dz_o], axis=1).astype(np.float32)
    A dtype that was chosen for the GPU is left in the code.
cache overwritten | gates | mutates
    - dz_o = do * o * (1 - o)
    + o *= do * (1 - o)
    + dz_o = o
    The product is computed in place to save an allocation. A second backward is then wrong.
carry cut at every fifth step | dx
    - dc_next = dc_t * f
    + dc_next = dc_t * f * (t % 5 > 0)
    A detach() for windows of five steps is left in the code for one of the two states.
truncated after 25 steps | dx | T = 30
    - reversed(range(T))
    + range(T - 1, max(T - 26, -1), -1)
    A library truncates backpropagation through time without documenting it.
0.05 % error in one element of one step | t = 4
    - dz_f = df * f * (1 - f)
    + dz_f = df * f * (1 - f)
    + dz_f[0, 1] *= 1.0005 if t == 4 else 1
    A line of an experiment is left in the code, or a memory chip is damaged.
"""),
    *PROJECTED_LSTM.bugs("""
output gate missing in the projection gradient | W_hr
    - dW_hr += dh_t.T @ m[t]
    + dW_hr += dh_t.T @ tanh_c
    tanh(c) is a local variable, and the projected o * tanh(c) is not.
carry missing in the projection gradient | W_hr
    - dW_hr += dh_t.T @ m[t]
    + dW_hr += dh[t].T @ m[t]
    The projection is treated as an output layer outside the recurrence.
carry does not pass through the projection | dx
    - dm = dh_t @ W_hr
    + dm = dh[t] @ W_hr
    The projection is treated as an output layer outside the recurrence.
= instead of += | W_hr
    - dW_hr += dh_t.T @ m[t]
    + dW_hr = dh_t.T @ m[t]
    The projection was added to the code later, without the += of the other weights.
projection gradient from the previous step | W_hr
    - dh_t.T @ m[t]
    + dh_t.T @ m[t - 1]
    m is indexed like h, but has no initial entry. The index -1 hides the error at t = 0.
mean over the batch instead of the sum | W_hr
    - dh_t.T @ m[t]
    + dh_t.T @ m[t] / len(dh_t)
    The loss already takes the mean over the batch, and here it is taken again.
t = 0 missing in the projection gradient | W_hr
    - dW_hr += dh_t.T @ m[t]
    + dW_hr += dh_t.T @ m[t] * (t > 0)
    h0 is not projected, so the first step is assumed to have no projection.
tanh derivative from the gated value | c0
    - dm * o * (1 - tanh_c**2)
    + dm * o * (1 - m[t] ** 2)
    1 - h**2 comes from a cell in which h is a tanh. Here m is o times the tanh.
"""),
    *PEEPHOLE_LSTM.bugs("""
output peephole gradient from the previous cell state | W_c, row 2
    - dw_o += (dz_o * c[t + 1])
    + dw_o += (dz_o * c[t])
    Of three similar lines the third is different: o depends on the new cell state.
output peephole missing in the cell gradient | c0
    - dc_t = dc[t] + dc_next + dh_t * o * (1 - tanh_c**2) + dz_o * w_o
    + dc_t = dc[t] + dc_next + dh_t * o * (1 - tanh_c**2)
    The peephole was added to forward and to its weight gradient, but not here.
output peephole in the carry | c0
    - dc_next = dc_t * f + dz_i * w_i + dz_f * w_f
    + dc_next = dc_t * f + dz_i * w_i + dz_f * w_f + dz_o * w_o
    All three peepholes are carried back, although o depends on the cell state of this step.
input peephole missing in the carry | c0
    - dc_next = dc_t * f + dz_i * w_i + dz_f * w_f
    + dc_next = dc_t * f + dz_f * w_f
    The carry passes through the forget gate alone, as in an LSTM without peepholes.
forget peephole missing in the carry | c0
    - dc_next = dc_t * f + dz_i * w_i + dz_f * w_f
    + dc_next = dc_t * f + dz_i * w_i
    The carry passes through the forget gate alone, as in an LSTM without peepholes.
peepholes swapped in the carry | c0
    - dz_i * w_i + dz_f * w_f
    + dz_i * w_f + dz_f * w_i
    The names differ in one letter.
input peephole gradient from the new cell state | W_c, row 0
    - dw_i += (dz_i * c[t])
    + dw_i += (dz_i * c[t + 1])
    i depends on the previous cell state. In a list that begins with c0, that is c[t].
= instead of += | W_c, row 1
    - dw_f += (dz_f * c[t])
    + dw_f = (dz_f * c[t])
    The peepholes were added to the code later, without the += of the other weights.
only the first example of the batch | W_c, row 0
    - dw_i += (dz_i * c[t]).sum(axis=0)
    + dw_i += (dz_i * c[t])[0]
    The code was written for one example. The shapes match without the sum over the batch.
carry does not reach the output gate | dx
    - do = dh_t * tanh_c
    + do = dh[t] * tanh_c
    dh[t] is used instead of dh_t, and only dh_t includes the carry.
truncated at the gates | h0
    - dh_next = dz @ W_hh
    + dh_next = np.zeros_like(dh_next)
    The original paper truncates the gradient where it leaves the cell. This is not the full one.
"""),
]
