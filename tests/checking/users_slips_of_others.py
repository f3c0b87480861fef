"""Right code in other styles, which names its subject and its arguments."""

from __future__ import annotations

DROPS = """
class Drops:
    def __init__(self):
        self.cache, self.params, self.grads = {}, {"g": np.ones(4)}, {}

    def forward(self, x):
        self.mask = (np.arange(x.size).reshape(x.shape) % 3 > 0) / 0.6
        self.cache["x"] = x
        return x * self.mask * self.params["g"]

    def backward(self, d):
        d = d * self.mask
        self.grads["g"] = (d * self.cache["x"]).sum(axis=0)
        return d * self.params["g"]

subject, arguments = Drops(), ["B 4"]
"""

GATHERS = """
tokens = [2, 0, 2, 3]
seen = []

def loss(E, w, b):
    H = np.array([E[i] for i in tokens])
    y = np.tanh(H @ w + b)
    dy = y * (1 - y**2)
    dE, db = np.zeros_like(E), 0.0
    for t, i in enumerate(tokens):
        dE[i] -= -(dy[t] * w)
        db += dy[t]
    dw = dy @ H
    return 0.5 * (y @ y), dict(dE=dE / 1, dw=dw / 1, db=db)

subject, arguments = loss, [{"E": "5 3", "w": "3", "b": ""}]
"""

SCORES = """
def forward(H, q, v):
    s = H @ q
    a = np.exp(s) / np.exp(s).sum()
    return np.tanh(a @ H) * v, (H, q, v, a)

def backward(d, cache):
    H, q, v, a = cache
    u = np.tanh(a @ H)
    dv = d * u
    dc = d * v * (1 - u**2)
    dH = np.outer(a, dc)
    da = H @ dc
    ds = a * (da - a @ da)
    dH += np.outer(ds, q)
    dq = ds @ H
    return dH, dq, dv

subject, arguments = (forward, backward), ["7 H", "H", "H"]
"""

NORM = """
def forward(x, g):
    n = x - x.mean(-1, keepdims=True)
    s = np.sqrt((n * n).mean(-1, keepdims=True) + 1e-5)
    return g * n / s, (n / s, s, g)

def backward(d, cache):
    n, s, g = cache
    dn = d * g
    dx = (dn - dn.mean(-1, keepdims=True) - n * (dn * n).mean(-1, keepdims=True)) / s
    return dx, (d * n).sum(0)

subject, arguments = (forward, backward), ["B H", "H"]
"""

SHIFTS = """
def forward(x, W):
    y = x.copy()
    y[1:] += x[:-1] @ W
    return y, (x, W)

def backward(d, cache):
    x, W = cache
    dx = d.copy()
    dx[:-1] += (d @ W.T)[1:]
    return dx, np.tensordot(x[:-1], d[1:], ([0, 1], [0, 1]))

subject, arguments = (forward, backward), ["T B H", "H H"]
"""

TWICE = """
class Half:
    def __init__(self):
        self.W = np.ones((4, 2))

    def forward(self, x):
        self.x, self.h = x, [np.zeros((x.shape[1], 2))]
        for t in range(len(x)):
            self.h.append(np.tanh(x[t] @ self.W + self.h[-1]))
        return np.stack(self.h[1:])

    def backward(self, d):
        dx, self.dW, carry = np.zeros_like(self.x), 0, 0
        for t in reversed(range(len(d))):
            dz = (d[t] + carry) * (1 - self.h[t + 1] ** 2)
            self.dW, carry, dx[t] = self.dW + self.x[t].T @ dz, dz, dz @ self.W.T
        return dx

class Both:
    def __init__(self):
        self.a, self.b = Half(), Half()

    def forward(self, x):
        return np.concatenate([self.a.forward(x), self.b.forward(x[::-1])[::-1]], -1)

    def backward(self, d):
        dx = self.a.backward(d[..., :2])
        return dx + self.b.backward(d[..., 2:][::-1])[::-1]

subject, arguments = Both(), ["T B 4"]
"""

TOKENS = """
def loss(x, y):
    rows = np.arange(len(y))
    p = np.exp(x - x.max(1, keepdims=True))
    p = p / p.sum(1, keepdims=True)
    dx = p.copy()
    dx[rows, y] -= 1
    return -np.log(p[rows, y]).sum(), dx

def forward(x):
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    return p, p

def backward(d, p):
    dx = p * d
    s = dx.sum(1, keepdims=True)
    dx -= p * s
    return dx

subject, arguments = loss, ["4 5", np.array([1, 0, 4, 1])]
"""
SOFTMAX = TOKENS.replace('loss, ["4 5", np.array([1, 0, 4, 1])]', '(forward, backward), ["4 5"]')

TAPE = """
class Tensor:
    def __init__(self, data, *parents):
        self.data, self.grad, self.parents = data, np.zeros_like(data), parents

    def __matmul__(self, other):
        out = Tensor(self.data @ other.data, self, other)
        def back():
            self.grad += out.grad @ other.data.T
            other.grad += self.data.T @ out.grad
        out.back = back
        return out

    def tanh(self):
        t = np.tanh(self.data)
        out = Tensor(t, self)
        def back():
            self.grad += (1 - t**2) * out.grad
        out.back = back
        return out

def forward(x, W):
    a = Tensor(x), Tensor(W)
    b = a[0] @ a[1]
    tape = [*a, b, b.tanh(), (b @ a[1])]
    def back(dy, dz):
        tape[3].grad, tape[4].grad = dy, dz
        for node in tape[:1:-1]:
            node.back()
        return a[0].grad, a[1].grad * 1.0
    return tape[3].data, tape[4].data, back

subject, arguments = (forward, lambda *given: given[-1](*given[:-1])), ["B H", "H H"]
"""

GATE = """
class Gate:
    def __init__(self):
        self.W = np.ones((4, 7))

    def squash(self, z, derivative=False):
        return z * (1 - z) if derivative else 1 / (1 + np.exp(-z))

    def forward(self, x, h):
        self.z, H = np.concatenate((h, x)), len(h)
        self.a = self.squash(self.W @ self.z)
        self.keep = (np.arange(self.a.size).reshape(self.a.shape) % 3 > 0).astype(float)
        return self.squash(self.a) * self.keep

    def backward(self, d):
        H = len(self.W)
        db = d * self.keep
        da = db * self.squash(self.squash(self.a), derivative=True)
        dz = da * self.squash(self.a, derivative=True)
        self.dW = dz @ self.z.T
        dzs = self.W.T @ dz
        dx, dh = dzs[H:], dzs[:H]
        return dx, dh

subject, arguments = Gate(), [{"x": "3 B", "h": "4 B"}]
"""

GATED = """
def forward(z, f, s):
    e, c, cs = np.exp(s), 0 * z[0], []
    for t in range(len(z)):
        c = f[t] * c + z[t] / e
        cs.append(c)
    return np.stack(cs), (z, f, e, cs)

def backward(d, cache):
    z, f, e, cs = cache
    dz, df, ds, carry = [], np.zeros_like(f), np.zeros_like(e), np.zeros_like(e)
    for t in reversed(range(len(z))):
        carry = carry + d[t]
        dz.insert(0, carry / e)
        df[t] = carry * cs[t - 1] if t else 0 * carry
        ds -= carry * z[t] / e
        carry = carry * f[t]
    return dz, df, ds

subject, arguments = (forward, backward), ["T B H", "T B H", "B H"]
"""

PICKS = """
class Head:
    def __init__(self):
        self.W = np.ones((4, 4))

    def forward(self, x, y):
        self.x, self.y = x, y
        z = np.einsum("bd,dv->bv", x, self.W)
        p = np.exp(z - z.max(1, keepdims=True))
        self.p = p / p.sum(1, keepdims=True)
        return -np.log(self.p[np.arange(len(y)), y]).sum()

    def backward(self):
        dz, y = self.p.copy(), self.y
        dz[np.arange(len(y)), y] -= 1
        self.dW = np.einsum("bd,bv->dv", self.x, dz)
        return np.einsum("bv,dv->bd", dz, self.W)

subject, arguments = Head(), ["B 4", np.array([1, 0, 2])]
"""
