"""A recurrent network that learns to invent first names, letter by letter, in NumPy alone.

names.txt: 5,130 names of the 1990 US census, public domain. docs/min_rnn.md explains each line.
"""

from pathlib import Path

import numpy as np

LETTERS = ".abcdefghijklmnopqrstuvwxyz"  # token 0, the dot, begins and ends every name
rng = np.random.default_rng(0)


def encode(names):
    """Return the token ids of the names, one column a name, with dots around each: (T + 1, B)."""
    tokens = np.zeros((max(map(len, names)) + 2, len(names)), int)
    for b, name in enumerate(names):
        tokens[1 : len(name) + 1, b] = [LETTERS.index(letter) for letter in name]
    return tokens


def forward(tokens, W_xh, W_hh, b_h, W_hy, b_y):
    """Predict each token from those before it. Return the mean loss per token, and a cache."""
    x, targets = tokens[:-1], tokens[1:]  # (T, B)
    h = [np.zeros((x.shape[1], len(W_hh)))]
    for t in range(len(x)):
        h.append(np.tanh(W_xh[x[t]] + h[t] @ W_hh + b_h))  # (B, H)
    y = np.stack(h[1:]) @ W_hy + b_y
    p = np.exp(y) / np.exp(y).sum(axis=-1, keepdims=True)  # (T, B, V)
    counts = (x != 0) | (np.arange(len(x)) == 0)[:, None]  # a name ends with its second dot
    p_target = np.take_along_axis(p, targets[..., None], axis=-1)[..., 0]
    return -np.log(p_target[counts]).mean(), (x, targets, counts, h, p, W_xh, W_hh, b_h, W_hy, b_y)


def backward(dloss, cache):
    """Return the gradient of each argument of forward, by backpropagation through time."""
    x, targets, counts, h, p, W_xh, W_hh, b_h, W_hy, b_y = cache
    dy = (p - np.eye(len(b_y))[targets]) * counts[..., None] * dloss / counts.sum()
    dW_xh, dW_hh, db_h, dW_hy = (np.zeros_like(W) for W in (W_xh, W_hh, b_h, W_hy))
    dh_next = np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        dh = dy[t] @ W_hy.T + dh_next  # h_t reaches the loss through y_t and through h_{t+1}
        dz = dh * (1 - h[t + 1] ** 2)
        np.add.at(dW_xh, x[t], dz)
        dW_hh += h[t].T @ dz
        db_h += dz.sum(axis=0)
        dW_hy += h[t + 1].T @ dy[t]
        dh_next = dz @ W_hh.T
    return None, dW_xh, dW_hh, db_h, dW_hy, dy.sum(axis=(0, 1))


def sample(weights):
    """Return a name that the network invents: each letter is drawn from p and fed back in."""
    W_xh, W_hh, b_h, W_hy, b_y = weights
    name, token, h = "", 0, np.zeros(len(W_hh))
    while True:
        h = np.tanh(W_xh[token] + h @ W_hh + b_h)
        p = np.exp(h @ W_hy + b_y)
        token = rng.choice(len(LETTERS), p=p / p.sum())
        if token == 0 or len(name) == 20:
            return name
        name += LETTERS[token]


if __name__ == "__main__":
    names = rng.permutation(Path(__file__).with_name("names.txt").read_text().split())
    V, H, steps, batch = len(LETTERS), 64, 600, 32
    weights = [rng.normal(size=s) * 0.1 for s in ((V, H), (H, H), H, (H, V), V)]
    m, v = ([np.zeros_like(W) for W in weights] for _ in range(2))
    for step in range(1, steps + 1):
        loss, cache = forward(encode(rng.choice(names[500:], batch)), *weights)
        if step % 100 == 0:
            print(f"step {step}: loss {loss:.2f}")
        rate = 0.01 * (1 - step / steps)
        for i, g in enumerate(backward(1.0, cache)[1:]):  # Adam
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.99 * v[i] + 0.01 * g**2
            weights[i] -= rate * m[i] / (1 - 0.9**step) / (np.sqrt(v[i] / (1 - 0.99**step)) + 1e-8)
    print(f"500 names it has not seen: loss {forward(encode(names[:500]), *weights)[0]:.2f}")
    print(*(sample(weights) for _ in range(20)))
