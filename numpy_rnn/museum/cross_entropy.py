"""Room: softmax cross-entropy with ignored targets and a mask, the mean over what counts."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Exhibit, Room, Sizes

IGNORED = -100


class CrossEntropyCache(NamedTuple):
    """What backward needs: the probabilities, the targets and which of them count."""

    p: Array
    targets: Array
    mask: Array


def cross_entropy_forward(y: Array, targets: Array, mask: Array) -> tuple[Array, CrossEntropyCache]:
    """Return the mean of -log p of the target."""
    e = np.exp(y - y.real.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    loss = 0 * p[0, 0, 0]
    counts = (targets != IGNORED) & mask
    for t, b in np.argwhere(counts):
        loss -= np.log(p[t, b, targets[t, b]])
    return loss / max(int(counts.sum()), 1), CrossEntropyCache(p, targets, mask)


def cross_entropy_backward(
    dloss: Array | float, cache: CrossEntropyCache
) -> tuple[Array, None, None]:
    """Gradient p - one_hot(target), where the target counts."""
    p, targets, mask = cache
    counts = (targets != IGNORED) & mask
    dy = np.zeros_like(p)
    for t, b in np.argwhere(counts):
        dy[t, b] = p[t, b]
        dy[t, b, targets[t, b]] -= 1
    return dloss * dy / max(int(counts.sum()), 1), None, None


def draw_targets(rng: np.random.Generator, sizes: Sizes) -> Array:
    """Draw classes, and ignore the first target of the first row."""
    targets = rng.integers(0, sizes["V"], (sizes["T"], sizes["B"]))
    targets[0, 0] = IGNORED
    return targets


def draw_counted(rng: np.random.Generator, sizes: Sizes) -> Array:
    """Draw which steps count: of the first row the first does, of the second it does not."""
    counted = rng.random((sizes["T"], sizes["B"])) < 0.8
    counted[0, :2] = [True, False][: sizes["B"]]
    return counted


CROSS_ENTROPY = Room(
    "cross-entropy",
    cross_entropy_forward,
    cross_entropy_backward,
    {"y": "T B V", "targets": draw_targets, "mask": draw_counted},
)
_bug = partial(Exhibit, CROSS_ENTROPY)

CROSS_ENTROPY_EXHIBITS = [
    _bug(
        "target forgotten",
        "dy[t, b, targets[t, b]] -= 1",
        "pass",
        "Softmax without the logarithm of its target.",
        ("dy",),
    ),
    _bug(
        "cache overwritten",
        "dy = np.zeros_like(p)\n    for t, b in np.argwhere(counts):\n        dy[t, b] = p[t, b]\n",
        "dy = p\n    dy[~counts] = 0\n    for t, b in np.argwhere(counts):\n",
        "dx = y; dx[i] -= 1: the probabilities that forward returned are not any more.",
        ("p",),
        kind="mutates",
    ),
    _bug(
        "ignored targets counted in the mean",
        "dy / max(int(counts.sum()), 1)",
        "dy / max(int(mask.sum()), 1)",
        "Forward divides by what counts, backward by what is not padding.",
        ("dy",),
    ),
    _bug(
        "divided by T B",
        "dy / max(int(counts.sum()), 1)",
        "dy / mask.size",
        "np.mean, where padding and ignored targets are zeros.",
        ("dy",),
    ),
    _bug(
        "mask forgotten",
        "    counts = (targets != IGNORED) & mask\n    dy",
        "    counts = targets != IGNORED\n    dy",
        "Padding has a target like any other, and pulls the weights towards it.",
        ("dy",),
    ),
    _bug(
        "sum for mean",
        "dloss * dy / max(int(counts.sum()), 1)",
        "dloss * dy",
        "The learning rate makes up for it, until the batch size changes.",
        ("dy",),
    ),
    _bug(
        "incoming gradient ignored",
        "return dloss * dy",
        "return dy",
        "The loss is the end of the computation, until a second loss is added with a weight.",
        ("dy",),
    ),
    _bug(
        "classes counted from one",
        "dy[t, b, targets[t, b]] -= 1",
        "dy[t, b, targets[t, b] - 1] -= 1",
        "Written for a file that starts at 1; index -1 is the last class and hides it.",
        ("dy",),
    ),
    _bug(
        "slope of the softmax, once more",
        "dy[t, b, targets[t, b]] -= 1",
        "dy[t, b, targets[t, b]] -= 1\n        dy[t, b] *= p[t, b] * (1 - p[t, b])",
        "p - one_hot is the gradient of the logits; here it is taken for that of p.",
        ("dy",),
    ),
    _bug(
        "softmax over the batch",
        "dy[t, b] = p[t, b]",
        "dy[t, b] = p[t, b] / p[t].sum(axis=0)",
        "axis=0 was the classes when there was one example.",
        ("dy",),
    ),
]
