"""Layers in the styles of courses, books and blogs, right, and wrong with a patch of one line."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

CS231N = """
def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(x.dot(Wx) + prev_h.dot(Wh) + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)

def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    dz = dnext_h * (1 - next_h**2)
    return dz.dot(Wx.T), dz.dot(Wh.T), x.T.dot(dz), prev_h.T.dot(dz), dz.sum(axis=0)

def forward(x, h0, Wx, Wh, b):
    N, T, D = x.shape
    h, prev, caches = np.zeros((N, T, h0.shape[1])), h0, []
    for t in range(T):
        prev, cache = rnn_step_forward(x[:, t], prev, Wx, Wh, b)
        h[:, t] = prev
        caches.append(cache)
    return h, caches

def backward(dh, cache):
    N, T, H = dh.shape
    D = cache[0][0].shape[1]
    dx, dprev = np.zeros((N, T, D)), np.zeros((N, H))
    dWx, dWh, db = np.zeros((D, H)), np.zeros((H, H)), np.zeros(H)
    for t in reversed(range(T)):
        dx[:, t], dprev, dWx_t, dWh_t, db_t = rnn_step_backward(dh[:, t] + dprev, cache[t])
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
    return dx, dprev, dWx, dWh, db

subject = (forward, backward)
arguments = {"x": "B T D", "h0": "B H", "Wx": "D H", "Wh": "H H", "b": "H"}
"""

FROM_SCRATCH = """
class RNN:
    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.cache = None

    def forward(self, x, h_prev):
        Wx, Wh, b = self.params
        h_next = np.tanh(np.dot(h_prev, Wh) + np.dot(x, Wx) + b)
        self.cache = (x, h_prev, h_next)
        return h_next

    def backward(self, dh_next):
        Wx, Wh, b = self.params
        x, h_prev, h_next = self.cache
        dt = dh_next * (1 - h_next ** 2)
        db = np.sum(dt, axis=0)
        dWh = np.dot(h_prev.T, dt)
        dh_prev = np.dot(dt, Wh.T)
        dWx = np.dot(x.T, dt)
        dx = np.dot(dt, Wx.T)
        self.grads[0][...] = dWx
        self.grads[1][...] = dWh
        self.grads[2][...] = db
        return dx, dh_prev

class TimeRNN:
    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.layers = None
        self.h, self.dh = None, None

    def forward(self, xs):
        Wx, Wh, b = self.params
        N, T, D = xs.shape
        self.layers = []
        hs = np.empty((N, T, Wx.shape[1]), dtype='f8')
        self.h = np.zeros((N, Wx.shape[1]), dtype='f8')
        for t in range(T):
            layer = RNN(*self.params)
            self.h = layer.forward(xs[:, t, :], self.h)
            hs[:, t, :] = self.h
            self.layers.append(layer)
        return hs

    def backward(self, dhs):
        Wx, Wh, b = self.params
        N, T, H = dhs.shape
        dxs = np.empty((N, T, Wx.shape[0]))
        dh = 0
        grads = [0, 0, 0]
        for t in reversed(range(T)):
            layer = self.layers[t]
            dx, dh = layer.backward(dhs[:, t, :] + dh)
            dxs[:, t, :] = dx
            for i, grad in enumerate(layer.grads):
                grads[i] += grad
        for i, grad in enumerate(grads):
            self.grads[i][...] = grad
        self.dh = dh
        return dxs

subject = TimeRNN(np.full((5, 4), 0.01), np.eye(4), np.zeros(4))
arguments = ("B T 5",)
"""

MIN_CHAR = """
def lossFun(inputs, targets, hprev, Wxh, Whh, Why, bh, by):
    xs, hs, ys, ps = {}, {}, {}, {}
    hs[-1] = np.copy(hprev)
    loss = 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((6, 1))
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)
        ys[t] = np.dot(Why, hs[t]) + by
        ps[t] = np.exp(ys[t]) / np.sum(np.exp(ys[t]))
        loss += -np.log(ps[t][targets[t], 0])
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby = np.zeros_like(bh), np.zeros_like(by)
    dhnext = np.zeros_like(hs[0])
    for t in reversed(range(len(inputs))):
        dy = np.copy(ps[t])
        dy[targets[t]] -= 1
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        dh = np.dot(Why.T, dy) + dhnext
        dhraw = (1 - hs[t] * hs[t]) * dh
        dbh += dhraw
        dWxh += np.dot(dhraw, xs[t].T)
        dWhh += np.dot(dhraw, hs[t - 1].T)
        dhnext = np.dot(Whh.T, dhraw)
    return loss, {"hprev": dhnext, "dWxh": dWxh, "dWhh": dWhh, "dWhy": dWhy, "dbh": dbh, "dby": dby}

subject = lossFun
symbols = lambda rng, sizes: list(map(int, rng.integers(0, 6, sizes["T"])))
arguments = {"inputs": symbols, "targets": symbols, "hprev": "H 1", "Wxh": "H 6", "Whh": "H H",
             "Why": "6 H", "bh": "H 1", "by": "6 1"}
"""

NUMPY_ML = """
class Sigmoid:
    def fn(self, z):
        return 1 / (1 + np.exp(-z))

    def grad(self, z):
        s = self.fn(z)
        return s * (1 - s)

class LSTMCell:
    def __init__(self, n_in, n_out):
        self.parameters = {"W" + g: 0.1 * np.ones((n_in + n_out, n_out)) for g in "fuco"}
        self.parameters.update({"b" + g: np.zeros((1, n_out)) for g in "fuco"})
        self.gradients = {k: np.zeros_like(v) for k, v in self.parameters.items()}
        self.gate = Sigmoid()
        self.n_out = n_out
        self.X = []

    def forward(self, X):
        P, s = self.parameters, self.gate.fn
        n_ex, n_in, n_t = X.shape
        self.steps, Y = [], []
        a, c = np.zeros((n_ex, self.n_out)), np.zeros((n_ex, self.n_out))
        for t in range(n_t):
            z = np.hstack([a, X[:, :, t]])
            zf, zu, zo, zc = (z @ P["W" + g] + P["b" + g] for g in "fuoc")
            f, u, o, cc = s(zf), s(zu), s(zo), np.tanh(zc)
            before = c
            c = f * c + u * cc
            a = o * np.tanh(c)
            self.steps.append((z, zf, zu, zo, f, u, o, cc, before, c))
            Y.append(a)
        return np.dstack(Y)

    def backward(self, dLdA):
        P, g = self.parameters, self.gate.grad
        n_ex, _, n_t = dLdA.shape
        for k, v in P.items():
            self.gradients[k] = np.zeros_like(v)
        dX = []
        da_next, dc_next = 0, 0
        for t in reversed(range(n_t)):
            z, zf, zu, zo, f, u, o, cc, before, c = self.steps[t]
            da = dLdA[:, :, t] + da_next
            dc = dc_next + da * o * (1 - np.tanh(c) ** 2)
            d = {
                "f": dc * before * g(zf),
                "u": dc * cc * g(zu),
                "o": da * np.tanh(c) * g(zo),
                "c": dc * u * (1 - cc ** 2),
            }
            dz = sum(d[k] @ P["W" + k].T for k in "fuoc")
            for k in "fuoc":
                self.gradients["W" + k] += z.T @ d[k]
                self.gradients["b" + k] += d[k].sum(axis=0, keepdims=True)
            dc_next = f * dc
            da_next = dz[:, :self.n_out]
            dX.insert(0, dz[:, self.n_out:])
        return np.dstack(dX)

subject = LSTMCell(5, 4)
arguments = ("B 5 T",)
"""

BLOG_LSTM = """
def sigmoid(x):
    return 1 / (1 + np.exp(-x))

def dsigmoid(y):
    return y * (1 - y)

def dtanh(y):
    return 1 - y * y

class Param:
    def __init__(self, name, value):
        self.name = name
        self.v = value
        self.d = np.zeros_like(value)
        self.m = np.zeros_like(value)

class Parameters:
    def __init__(self, H, D):
        Z = H + D
        self.W_f = Param('W_f', np.random.randn(H, Z) * 0.1 + 0.5)
        self.b_f = Param('b_f', np.zeros((H, 1)))
        self.W_i = Param('W_i', np.random.randn(H, Z) * 0.1 + 0.5)
        self.b_i = Param('b_i', np.zeros((H, 1)))
        self.W_C = Param('W_C', np.random.randn(H, Z) * 0.1)
        self.b_C = Param('b_C', np.zeros((H, 1)))
        self.W_o = Param('W_o', np.random.randn(H, Z) * 0.1 + 0.5)
        self.b_o = Param('b_o', np.zeros((H, 1)))

class LSTM:
    def __init__(self, H, D):
        self.H = H
        self.parameters = Parameters(H, D)

    def forward(self, x, h, C):
        p = self.parameters
        self.z = np.vstack((h, x))
        z = self.z
        self.f = sigmoid(np.dot(p.W_f.v, z) + p.b_f.v)
        self.i = sigmoid(np.dot(p.W_i.v, z) + p.b_i.v)
        self.C_bar = np.tanh(np.dot(p.W_C.v, z) + p.b_C.v)
        self.C_prev = C
        self.C = self.f * C + self.i * self.C_bar
        self.o = sigmoid(np.dot(p.W_o.v, z) + p.b_o.v)
        return self.o * np.tanh(self.C), self.C

    def backward(self, dh, dC_next):
        p, z = self.parameters, self.z
        do = dsigmoid(self.o) * dh * np.tanh(self.C)
        p.W_o.d += np.dot(do, z.T)
        p.b_o.d += do.sum(axis=1, keepdims=True)
        dC = np.copy(dC_next)
        dC += dh * self.o * dtanh(np.tanh(self.C))
        dC_bar = dtanh(self.C_bar) * dC * self.i
        p.W_C.d += np.dot(dC_bar, z.T)
        p.b_C.d += dC_bar.sum(axis=1, keepdims=True)
        di = dsigmoid(self.i) * dC * self.C_bar
        p.W_i.d += np.dot(di, z.T)
        p.b_i.d += di.sum(axis=1, keepdims=True)
        df = dsigmoid(self.f) * dC * self.C_prev
        p.W_f.d += np.dot(df, z.T)
        p.b_f.d += df.sum(axis=1, keepdims=True)
        dz = (np.dot(p.W_f.v.T, df) + np.dot(p.W_i.v.T, di)
              + np.dot(p.W_C.v.T, dC_bar) + np.dot(p.W_o.v.T, do))
        return dz[self.H:], dz[:self.H], self.f * dC

subject = LSTM(4, 5)
arguments = ("5 B", "4 B", "4 B")
"""

GRU_COLUMNS = """
class GRU:
    def __init__(self, D, H):
        def matrix(n):
            return np.random.RandomState(n).uniform(-0.1, 0.1, (H, n))
        self.p = {"Wz": matrix(D), "Uz": matrix(H), "bz": np.zeros((H, 1)),
                  "Wr": matrix(D), "Ur": matrix(H), "br": np.zeros((H, 1)),
                  "Wh": matrix(D), "Uh": matrix(H), "bh": np.zeros((H, 1))}
        self.g = {k: np.zeros_like(v) for k, v in self.p.items()}

    def forward_pass(self, xs, h):
        p, self.tape, out = self.p, [], []
        for x in xs:
            z = 1 / (1 + np.exp(-(p["Wz"] @ x + p["Uz"] @ h + p["bz"])))
            r = 1 / (1 + np.exp(-(p["Wr"] @ x + p["Ur"] @ h + p["br"])))
            n = np.tanh(p["Wh"] @ x + p["Uh"] @ (r * h) + p["bh"])
            self.tape.append((x, h, z, r, n))
            h = (1 - z) * h + z * n
            out.append(h)
        return out

    def backward_pass(self, dhs):
        p, g, dh, dxs = self.p, self.g, 0, []
        for k in g:
            g[k] = np.zeros_like(g[k])
        for (x, h, z, r, n), dy in zip(reversed(self.tape), reversed(dhs)):
            dh = dh + dy
            dn = dh * z * (1 - n * n)
            dz = dh * (n - h) * z * (1 - z)
            drh = p["Uh"].T @ dn
            dr = drh * h * r * (1 - r)
            for k, d, other in (("z", dz, h), ("r", dr, h), ("h", dn, r * h)):
                g["W" + k] += d @ x.T
                g["U" + k] += d @ other.T
                g["b" + k] += d.sum(axis=1, keepdims=True)
            dxs.append(p["Wz"].T @ dz + p["Wr"].T @ dr + p["Wh"].T @ dn)
            dh = dh * (1 - z) + drh * r + p["Uz"].T @ dz + p["Ur"].T @ dr
        return dxs[::-1], dh

subject = GRU(5, 4)
arguments = (["5 B"] * 7, "4 B")
"""

ELMAN_LISTS = """
class Elman:
    def __init__(self):
        self.W_in, self.W_rec = np.ones((4, 5)) * 0.1, np.eye(4)
        self.b = np.ones(4)

    def forward(self, inputs):
        self.inputs, self.states = inputs, [np.zeros((inputs[0].shape[0], 4))]
        for x in inputs:
            self.states.append(np.tanh(x @ self.W_in.T + self.states[-1] @ self.W_rec.T + self.b))
        return self.states[1:]

    def backward(self, grads):
        self.grad_W_in, self.grad_W_rec = 0 * self.W_in, 0 * self.W_rec
        self.grad_b = 0 * self.b
        carry, dinputs = 0, [None] * len(grads)
        for t in range(len(grads) - 1, -1, -1):
            delta = (grads[t] + carry) * (1 - self.states[t + 1] ** 2)
            self.grad_W_in += delta.T @ self.inputs[t]
            self.grad_W_rec += delta.T @ self.states[t]
            self.grad_b += delta.sum(0)
            dinputs[t] = delta @ self.W_in
            carry = delta @ self.W_rec
        return dinputs

subject = Elman()
arguments = (["B 5"] * 6,)
"""

DENSE_LR = """
class Dense:
    def __init__(self, n_in, n_out):
        self.weights = np.random.randn(n_out, n_in) * 0.01
        self.bias = np.zeros((n_out, 1))

    def forward(self, input):
        self.input = input
        print("dense", input.shape)
        return np.dot(self.weights, self.input) + self.bias

    def backward(self, output_gradient, learning_rate):
        weights_gradient = np.dot(output_gradient, self.input.T)
        input_gradient = np.dot(self.weights.T, output_gradient)
        self.weights -= learning_rate * weights_gradient
        self.bias -= learning_rate * output_gradient.sum(axis=1, keepdims=True)
        return input_gradient

subject = Dense(5, 4)
arguments = ("5 B",)
"""

THETA = """
def unroll(theta):
    U, W, V = theta[:20].reshape(4, 5), theta[20:36].reshape(4, 4), theta[36:44].reshape(2, 4)
    return U, W, V

def cost(theta):
    U, W, V = unroll(theta)
    h = np.zeros((8, 4))
    E, dU, dW, dV = 0.0, np.zeros_like(U), np.zeros_like(W), np.zeros_like(V)
    err = []
    for t in range(7):
        h[t] = np.tanh(U @ X[t] + W @ h[t - 1])
        e = V @ h[t] - Y[t]
        err.append(e)
        E += 0.5 * e @ e
    delta = np.zeros(4)
    for t in range(6, -1, -1):
        dV += np.outer(err[t], h[t])
        delta = (V.T @ err[t] + W.T @ delta) * (1 - h[t] ** 2)
        dU += np.outer(delta, X[t])
        dW += np.outer(delta, h[t - 1])
    return E, np.concatenate([dU.ravel(), dW.ravel(), dV.ravel()])

X, Y = np.random.RandomState(0).randn(7, 5), np.random.RandomState(1).randn(7, 2)
subject = cost
arguments = {"U": "4 5", "W": "4 4", "V": "2 4"}
"""

LOSS_LAYER = """
class SoftmaxWithLoss:
    def __init__(self):
        self.params, self.grads = [], []

    def forward(self, x, t):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        self.y, self.t = e / e.sum(axis=-1, keepdims=True), t
        return -np.sum(np.log(self.y[np.arange(len(t)), t])) / len(t)

    def backward(self):
        dx = self.y.copy()
        dx[np.arange(len(self.t)), self.t] -= 1
        return dx / len(self.t)

subject = SoftmaxWithLoss()
arguments = ("B V", lambda rng, sizes: rng.integers(0, sizes["V"], sizes["B"]))
"""

COURSE = """
def rnn_forward(x, a0, parameters):
    n_x, m, T_x = x.shape
    n_a = a0.shape[0]
    caches = []
    a = np.zeros((n_a, m, T_x))
    a_next = a0
    for t in range(T_x):
        a_prev = a_next
        a_next = np.tanh(parameters["Wax"] @ x[:, :, t] + parameters["Waa"] @ a_next
                         + parameters["ba"])
        a[:, :, t] = a_next
        caches.append((a_next, a_prev, x[:, :, t], parameters))
    return a, (caches, x)

def rnn_backward(da, caches):
    (steps, x) = caches
    n_a, m, T_x = da.shape
    dx = np.zeros(x.shape)
    p = steps[0][3]
    dWax, dWaa = np.zeros(p["Wax"].shape), np.zeros(p["Waa"].shape)
    dba, da_prevt = np.zeros((n_a, 1)), np.zeros((n_a, m))
    for t in reversed(range(T_x)):
        a_next, a_prev, xt, _ = steps[t]
        dtanh = (1 - a_next ** 2) * (da[:, :, t] + da_prevt)
        dx[:, :, t] = p["Wax"].T @ dtanh
        dWax += dtanh @ xt.T
        da_prevt = p["Waa"].T @ dtanh
        dWaa += dtanh @ a_prev.T
        dba += np.sum(dtanh, axis=1, keepdims=True)
    return {"dx": dx, "da0": da_prevt, "dWax": dWax, "dWaa": dWaa, "dba": dba}

subject = (rnn_forward, rnn_backward)
arguments = {"x": "D B T", "a0": "H B", "parameters": {"Wax": "H D", "Waa": "H H", "ba": "H 1"}}
"""

STYLES = {
    name.lower(): code
    for name, code in list(globals().items())
    if name.isupper() and isinstance(code, str)
}


def source(name: str, *patch: str) -> str:
    """Return a style's code, with a line replaced."""
    code = textwrap.dedent(STYLES[name])
    if patch:
        before, after = patch
        assert code.count(before) == 1, (name, before, code.count(before))
        code = code.replace(before, after)
    return code


def style(name: str, *patch: str) -> tuple[Any, Any]:
    """Return what check_gradients takes: a style's subject and arguments, with a line replaced."""
    code = source(name, *patch)
    space: dict[str, Any] = {"np": np, "__name__": f"style_{name}"}
    exec(compile(code, f"{name}.py", "exec"), space)  # noqa: S102 (the code above)
    arguments = space["arguments"]
    return space["subject"], (arguments if isinstance(arguments, tuple) else (arguments,))


# Each: a style, the line that is right, the line that people write, and what the report must name.
WRONG = [
    ("cs231n", "(1 - next_h**2)", "(1 - np.tanh(next_h)**2)", "Wx"),
    ("cs231n", "dz.dot(Wh.T)", "dz.dot(Wh)", "h0"),
    ("cs231n", "dWh += dWh_t", "dWh = dWh_t", "Wh"),
    ("cs231n", "dh[:, t] + dprev, cache[t]", "dh[:, t], cache[t]", "x"),
    ("cs231n", "dz.sum(axis=0)", "dz.mean(axis=0)", "b"),
    ("cs231n", "in reversed(range(T))", "in reversed(range(1, T))", "x"),
    ("from_scratch", "dh_next * (1 - h_next ** 2)", "dh_next * (1 - h_next)", "params"),
    ("from_scratch", "np.dot(dt, Wh.T)", "np.dot(dt, Wh)", "x"),
    ("from_scratch", "grads[i] += grad", "grads[i] = grad", "params"),
    ("from_scratch", "dhs[:, t, :] + dh)", "dhs[:, t, :])", "x"),
    ("min_char", "hs[t - 1].T)", "hs[t].T)", "Whh"),
    ("min_char", "np.dot(Why.T, dy) + dhnext", "np.dot(Why.T, dy)", "hprev"),
    ("min_char", "dbh += dhraw", "dbh += dh", "bh"),
    ("min_char", "dy[targets[t]] -= 1", "dy[targets[t]] -= 0.9", "by"),
    (
        "min_char",
        "    return loss, {",
        "    np.clip(dWhh, -5, 5, out=dWhh)\n    return loss, {",
        "Whh",
    ),
    ("numpy_ml", "dc * before * g(zf)", "dc * c * g(zf)", "Wf"),
    ("numpy_ml", "dc * cc * g(zu)", "dc * cc * g(u)", "Wu"),
    ("numpy_ml", "da * np.tanh(c) * g(zo)", "da * c * g(zo)", "Wo"),
    ("numpy_ml", "dc_next = f * dc", "dc_next = dc", "X"),
    ("numpy_ml", "dc = dc_next + da", "dc = da", "X"),
    ("numpy_ml", "(1 - np.tanh(c) ** 2)", "(1 - c ** 2)", "X"),
    ("numpy_ml", "dz[:, :self.n_out]", "dz[:, :self.n_out] * 0.99", "X"),
    ("blog_lstm", "dC * self.C_prev", "dC * self.C", "W_f"),
    (
        "blog_lstm",
        "dC += dh * self.o * dtanh(np.tanh(self.C))",
        "dC += dh * self.o * dtanh(self.C)",
        "C",
    ),
    ("blog_lstm", "np.dot(p.W_i.v.T, di)\n", "np.dot(p.W_f.v.T, di)\n", "x"),
    ("blog_lstm", "p.b_o.d += do.sum(axis=1, keepdims=True)", "p.b_o.d += do[:, :1]", "b_o"),
    ("blog_lstm", "dsigmoid(self.i) * dC * self.C_bar", "dsigmoid(self.i) * dC * self.i", "W_i"),
    ("blog_lstm", "dtanh(self.C_bar) * dC * self.i", "dC * self.i", "W_C"),
    ("gru_columns", "dh * z * (1 - n * n)", "dh * (1 - z) * (1 - n * n)", "Wh"),
    ("gru_columns", "dh * (n - h) * z * (1 - z)", "dh * (h - n) * z * (1 - z)", "Wz"),
    ("gru_columns", '("h", dn, r * h)', '("h", dn, h)', "Uh"),
    ("gru_columns", "dh * (1 - z) + drh * r", "dh * (1 - z) + drh", "h"),
    ("elman_lists", "self.grad_b += delta.sum(0)", "self.grad_b += delta[0]", "b"),
    ("elman_lists", "carry = delta @ self.W_rec", "carry = delta @ self.W_rec.T", "inputs[0]"),
    ("elman_lists", "delta.T @ self.states[t]", "delta.T @ self.states[t + 1]", "W_rec"),
    (
        "dense_lr",
        "np.dot(self.weights.T, output_gradient)\n",
        "np.dot(self.weights.T, output_gradient) / 3\n",
        "input",
    ),
    (
        "dense_lr",
        "output_gradient, self.input.T)",
        "output_gradient, self.input.T) / len(self.input.T)",
        "weights",
    ),
    ("theta", "(1 - h[t] ** 2)", "(1 - h[t - 1] ** 2)", "U"),
    ("theta", "    return E, ", "    dW = np.clip(dW, -1, 1)\n    return E, ", "W"),
    ("theta", "range(6, -1, -1)", "range(6, 2, -1)", "V"),
    ("loss_layer", "return dx / len(self.t)", "return dx", "x"),
    ("course", "da[:, :, t] + da_prevt", "da[:, :, t]", "x"),
    ("course", "dWaa += dtanh @ a_prev.T", "dWaa += dtanh @ a_next.T", "Waa"),
    (
        "course",
        "dba += np.sum(dtanh, axis=1, keepdims=True)",
        "dba = np.sum(dtanh, axis=1, keepdims=True)",
        "ba",
    ),
]
