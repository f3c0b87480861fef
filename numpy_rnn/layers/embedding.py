"""Embedding: a table of vectors as a layer."""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.embedding import EmbeddingCache, embedding_backward, embedding_forward
from numpy_rnn.functional.types import Array, DTypeLike, Rng
from numpy_rnn.layers.base import Layer, forward_first, two_axes
from numpy_rnn.layers.validate import check_array, check_size, check_symbols
from numpy_rnn.parameters import Parameters


class Embedding(Layer):
    """``y[t,b] = weight[s[t,b]]``, as ``torch.nn.Embedding``.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        V and E.
    rng : numpy.random.Generator, int or None
        For the initial table: standard normal, as in PyTorch.
    dtype : dtype
        float64 (default) or float32.

    Raises
    ------
    ValueError, TypeError
        If a size is below 1 or the dtype is another one.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.num_embeddings = V = check_size("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = E = check_size("Embedding", "embedding_dim", embedding_dim)
        self._name = f"Embedding({V}, {E})"
        self.parameters = Parameters({"weight": (V, E)}, dtype, "Embedding")
        self.parameters.data[...] = np.random.default_rng(rng).standard_normal(V * E)
        self._cache: tuple[EmbeddingCache, tuple[int, ...]] | None = None

    def __repr__(self) -> str:
        return self._name

    def forward(self, x: Array) -> Array:
        """Look every symbol up.

        Parameters
        ----------
        x : (...) array of int
            Symbols, 0 to V - 1.

        Returns
        -------
        y : (..., E) array

        Raises
        ------
        TypeError, ValueError
            If x is not integers, or one of them is no row of the table.
        """
        self._cache = None
        where = self._name + ".forward"
        x = np.asarray(x)
        if x.dtype.kind not in "iu":
            raise TypeError(f"{where}: x has dtype {x.dtype}, expected integers")
        check_symbols(where, "x", x, self.num_embeddings)
        weight = self.parameters.values["weight"]
        y, cache = embedding_forward(x.reshape(two_axes(x.shape)), weight)
        self._cache = cache, x.shape
        return y.reshape(*x.shape, self.embedding_dim)

    def gradients(self, dy: Array, keep: Keep = "") -> tuple[None, dict[str, Array]]:
        """Go back; see :meth:`Layer.gradients`. An index has no gradient."""
        if self._cache is None:
            raise forward_first(self._name)
        cache, shape = self._cache
        where, expected = self._name + ".backward", (*shape, self.embedding_dim)
        dy = check_array(where, "dy", dy, self.parameters.dtype, (expected,))
        axes = two_axes(shape, keep, where)
        _, dweight = embedding_backward(dy.reshape(*axes, self.embedding_dim), cache, keep)
        return None, {"weight": dweight}
