"""Bugs in the layers without a state and in the losses.

The pages are ``linear.py``, ``embedding.py``, ``layer_norm.py``, ``dropout.py``, ``mse.py`` and
``cross_entropy.py`` in ``numpy_rnn/textbook/``.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.bug import Reference
from numpy_rnn.textbook.cross_entropy import cross_entropy_backward, cross_entropy_forward
from numpy_rnn.textbook.dropout import dropout_backward, dropout_forward
from numpy_rnn.textbook.embedding import embedding_backward, embedding_forward
from numpy_rnn.textbook.layer_norm import layer_norm_backward, layer_norm_forward
from numpy_rnn.textbook.linear import linear_backward, linear_forward
from numpy_rnn.textbook.mse import mse_backward, mse_forward

IGNORED = -100  # the target of a step that does not count
DROPPED = 0.3  # the probability of dropout


def draw_tokens(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    """Draw token ids with repetitions, also within a step."""
    tokens = rng.integers(0, sizes["V"], (sizes["T"], sizes["B"]))
    tokens[0] = 0
    return tokens


def draw_dropout_mask(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    """Draw which elements dropout keeps."""
    return np.asarray(rng.random([sizes[axis] for axis in "TBH"]) >= DROPPED)


def draw_targets(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    """Draw classes, and ignore the first target of the first sequence."""
    targets = rng.integers(0, sizes["V"], (sizes["T"], sizes["B"]))
    targets[0, 0] = IGNORED
    return targets


def draw_loss_mask(rng: np.random.Generator, sizes: dict[str, int]) -> Array:
    """Draw which steps count: the first step of sequence 0 does, that of sequence 1 does not."""
    mask = rng.random((sizes["T"], sizes["B"])) < 0.8
    mask[0, :2] = [True, False][: sizes["B"]]
    return mask


LINEAR = Reference("linear", linear_forward, linear_backward, {"x": "T B D", "W": "H D", "b": "H"})
EMBEDDING = Reference(
    "embedding", embedding_forward, embedding_backward, {"tokens": draw_tokens, "W": "V D"}
)
LAYER_NORM = Reference(
    "layer_norm",
    layer_norm_forward,
    layer_norm_backward,
    {"x": "T B H", "weight": "H", "bias": "H"},
)
DROPOUT = Reference(
    "dropout",
    partial(dropout_forward, p=DROPPED),
    dropout_backward,
    {"x": "T B H", "mask": draw_dropout_mask},
)
MSE = Reference("mse", mse_forward, mse_backward, {"y": "T B V", "target": "T B V"})
CROSS_ENTROPY = Reference(
    "cross_entropy",
    cross_entropy_forward,
    cross_entropy_backward,
    {"y": "T B V", "targets": draw_targets, "mask": draw_loss_mask},
)

REFERENCES = [LINEAR, EMBEDDING, LAYER_NORM, DROPOUT, MSE, CROSS_ENTROPY]

BUGS = [
    *LINEAR.bugs("""
= instead of += | dW
    - dW += dy[t].T @ x[t]
    + dW = dy[t].T @ x[t]
    Code of a feed-forward layer is called once per step.
only the first example of the batch | db
    - db += dy[t].sum(axis=0)
    + db += dy[t, 0]
    The code was written for one example. The shapes match without the sum over the batch.
t = 0 skipped | t = 0
    - range(len(x))
    + range(1, len(x))
    The first token marks the beginning of the text, and the model does not predict it.
mean over the batch instead of the sum | dW
    - dy[t].T @ x[t]
    + dy[t].T @ x[t] / len(x[t])
    The loss already takes the mean over the batch, and here it is taken again.
input gradient accumulated over time | dx
    - dx[t] = dy[t] @ W
    + dx[t] = dx[t - 1] + dy[t] @ W
    The weights' gradients are summed over time, and here the input's is summed as well.
"""),
    *EMBEDDING.bugs("""
= instead of += | dW
    - dW[tokens[t, b]] += dy[t, b]
    + dW[tokens[t, b]] = dy[t, b]
    The line is correct as long as no token occurs twice.
repeated tokens within a step counted once | dW
    - for b in range(len(tokens[t])):
    -     dW[tokens[t, b]] += dy[t, b]
    + dW[tokens[t]] += dy[t]
    With an index array, += adds once per different index, however often it is listed.
token 0 treated as padding | dW
    - dW[tokens[t, b]] += dy[t, b]
    + dW[tokens[t, b]] += dy[t, b] * (tokens[t, b] > 0)
    In another project 0 was the padding. Here it is a token like any other.
divided by the token's frequency | dW
    - dW[tokens[t, b]] += dy[t, b]
    + dW[tokens[t, b]] += dy[t, b] / np.sum(tokens == tokens[t, b])
    This is PyTorch's scale_grad_by_freq, switched on by default.
"""),
    *LAYER_NORM.bugs("""
path through the mean missing | dx
    - dx = dd + dmean / H
    + dx = dd
    The mean is treated as a constant, as batch normalisation does in evaluation mode.
path through the variance missing | dx
    - dd = du * s + dvariance * 2 * d / H
    + dd = du * s
    The variance is treated as a constant, as batch normalisation does in evaluation mode.
H - 1 instead of H | dx
    - dvariance * 2 * d / H
    + dvariance * 2 * d / (H - 1)
    Backward takes the unbiased variance of statistics, and forward does not.
factor 2 missing | dx
    - dvariance * 2 * d / H
    + dvariance * d / H
    The factor cancels with the 1/2 of the square root, and is cancelled twice.
weight missing in the input gradient | dx
    - du = dy * weight
    + du = dy
    The line is correct as long as the weight has its initial value of one.
weight gradient from the input before scaling | weight
    - dweight += (dy[t] * u[t])
    + dweight += (dy[t] * d[t])
    The weight multiplies the normalised input u, not the centred input d.
bias gradient summed over time only | bias
    - dbias += dy[t].sum(axis=0)
    + dbias += dy[t, 0]
    The sum over the batch is missing, and an index makes the shapes match.
"""),
    *DROPOUT.bugs("""
not scaled | dx
    - dy * mask / (1 - p)
    + dy * mask
    Forward was changed to inverted dropout, and backward was not.
divided by p | dx
    - dy * mask / (1 - p)
    + dy * mask / p
    p is the probability to drop in one library, and to keep in another.
new mask drawn in backward | dx | random
    - dy * mask / (1 - p)
    + dy * (np.random.default_rng().random(mask.shape) >= p) / (1 - p)
    Backward draws a mask, as forward does, instead of using the one in the cache.
mask of the first step used at all steps | dx
    - dy * mask / (1 - p)
    + dy * mask[:1] / (1 - p)
    Variational dropout has one mask for all steps. Here only backward does.
not masked | dx
    - dy * mask / (1 - p)
    + dy / (1 - p)
    Dropped elements receive a gradient, as in the straight-through estimator.
incoming gradient modified in place | dy | mutates
    - dx = dy * mask / (1 - p)
    + dy *= mask / (1 - p)
    + dx = dy
    The product is computed in place to save an allocation. The caller still needs the array.
"""),
    *MSE.bugs("""
factor 2 missing | dy
    - de * 2 * difference
    + de * difference
    The factor 1/2 of other definitions was removed from forward. Backward did not get its 2.
divided by the number of steps only | dy
    - dloss / N
    + dloss / len(difference)
    Backward takes the mean over one axis, and forward takes it over all axes.
target gradient with the wrong sign | target
    - dtarget = -dy
    + dtarget = dy
    A gradient of the target is rarely needed, so the error is not noticed.
incoming gradient ignored | dy
    - dloss / N
    + 1 / N
    The loss is the end of the computation, until a second loss is added with a weight.
cache overwritten | difference | mutates
    - dy = de * 2 * difference
    + difference *= de * 2
    + dy = difference
    The product is computed in place to save an allocation. A second backward is then wrong.
"""),
    *CROSS_ENTROPY.bugs("""
target missing | dy
    - dy[t, b, targets[t, b]] -= 1
    + pass
    The gradient of the normalisation is there, the gradient of the target's logit is not.
cache overwritten | p | mutates
    - dy = np.zeros_like(p)
    + dy = p
    + dy[~counts] = 0
    - dy[t, b] = p[t, b]
    + pass
    dx = y; dx[i] -= 1 is a common recipe. It overwrites the probabilities of forward.
ignored targets counted in the mean | dy
    - / N
    + / (N + np.count_nonzero(targets < 0))
    Forward divides by the number of targets that count. Backward adds the ignored targets.
divided by T * B | dy
    - / N
    + / targets.size
    np.mean also counts the zeros of padding and of ignored targets.
mask missing | dy
    - np.argwhere(counts)
    + np.argwhere(targets >= 0)
    Padding has a target id like any other step, and the weights are trained to predict it.
sum instead of mean | dy
    - np.asarray(dloss, p.dtype) / N
    + np.asarray(dloss, p.dtype)
    The learning rate compensates for the factor, until the batch size changes.
incoming gradient ignored | dy
    - np.asarray(dloss, p.dtype) / N
    + np.asarray(1 / N, p.dtype)
    The loss is the end of the computation, until a second loss is added with a weight.
classes counted from one | dy
    - dy[t, b, targets[t, b]] -= 1
    + dy[t, b, targets[t, b] - 1] -= 1
    The class ids of a file begin at 1. The index -1 is the last class and hides the error.
softmax derivative applied twice | dy
    - dy[t, b, targets[t, b]] -= 1
    + dy[t, b, targets[t, b]] -= 1
    + dy[t, b] *= p[t, b] * (1 - p[t, b])
    p minus the one-hot target is the gradient of the logits, and is mistaken for that of p.
normalised over the batch | dy
    - dy[t, b] = p[t, b]
    + dy[t, b] = p[t, b] / p[t].sum(axis=0)
    axis=0 was the axis of the classes when there was one example.
"""),
]
