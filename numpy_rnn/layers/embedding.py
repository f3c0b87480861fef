"""Embedding: a table of vectors as a layer."""

from __future__ import annotations

import numpy as np

from numpy_rnn.arguments import check_rng, check_size
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.embedding import EmbeddingCache, embedding_backward, embedding_forward
from numpy_rnn.functional.types import Array, DTypeLike, Rng
from numpy_rnn.layers.stateless import Call, StatelessLayer, two_axes
from numpy_rnn.layers.validate import Where, check_tokens
from numpy_rnn.parameters import Parameters


class Embedding(StatelessLayer):
    """``y[t,b] = weight[x[t,b]]`` for token ids x, as ``torch.nn.Embedding``.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        V and E.
    padding_idx : int, optional
        Token of the padding, counted from the end if negative. Its vector is zero at first and
        gets no gradient.
    rng : numpy.random.Generator, int or None
        For the initial table: standard normal, as in PyTorch.
    dtype : dtype
        float64 (default) or float32.

    Examples
    --------
    >>> embedding = Embedding(10, 3, rng=0)
    >>> embedding([[1, 2], [4, 5]]).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.num_embeddings = V = check_size("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = E = check_size("Embedding", "embedding_dim", embedding_dim)
        self.padding_idx = padding_idx
        if padding_idx is not None:
            self.padding_idx = check_size("Embedding", "padding_idx", padding_idx, -V, V - 1) % V
        self.parameters = Parameters({"weight": (V, E)}, dtype, "Embedding")
        self.parameters.data[...] = check_rng("Embedding", rng).standard_normal(V * E)
        if self.padding_idx is not None:
            self.parameters.values["weight"][self.padding_idx] = 0

    def check_input(self, x: Array, lengths: Array | None = None) -> None:  # noqa: ARG002 (padding is computed too)
        """Raise TypeError or ValueError if `x` is not an input of this layer."""
        where = Where(self)
        if x.dtype.kind not in "iu":
            raise TypeError(f"{where}: x has dtype {x.dtype}, expected integers")
        check_tokens(where, "x", x, self.num_embeddings)

    def _apply(self, x: Array, call: Call) -> tuple[Array, tuple[EmbeddingCache, tuple[int, ...]]]:  # noqa: ARG002 (every row is treated alike)
        self.check_input(x)
        y, cache = embedding_forward(x.reshape(two_axes(x.shape)), self.parameters.values["weight"])
        return y.reshape(*x.shape, self.embedding_dim), (cache, x.shape)

    def _vjp(
        self, cache: tuple[EmbeddingCache, tuple[int, ...]], dy: Array, keep: Keep
    ) -> tuple[None, dict[str, Array]]:
        pair, shape = cache
        axes = two_axes(shape, keep, Where(self, "backward"))
        dy = dy.reshape(*axes, self.embedding_dim)
        dW = embedding_backward(dy, pair, keep)[1]
        if self.padding_idx is not None:
            dW[..., self.padding_idx, :] = 0
        return None, {"weight": dW}
