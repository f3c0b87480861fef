"""Any recurrent cell as a layer: its options, its weights and its calls.

What is computed is in stack.py (layers and directions) and segments.py (one cell in one direction).
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, TypedDict, Unpack

import numpy as np

from numpy_rnn.arguments import check_flag, check_probability, check_rng, check_size
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array, DTypeLike, Generator, Rng, State
from numpy_rnn.init import uniform
from numpy_rnn.layers.base import CallOptions, Layer, Step
from numpy_rnn.layers.batch import SequenceBatch, read_arguments
from numpy_rnn.layers.cell import Cell
from numpy_rnn.layers.dropout import apply_dropout
from numpy_rnn.layers.merge import check_merge
from numpy_rnn.layers.shards import ShardedCache, sharded_apply, sharded_vjp
from numpy_rnn.layers.stack import Stack, StackCache
from numpy_rnn.layers.streaming import PREDICT_STEPS, make_stepper
from numpy_rnn.layers.validate import (
    Where,
    check_array,
    check_cache_dtype,
    check_keep,
    check_shape,
    check_tokens,
    read_input,
    read_options,
    wrong_cache,
)
from numpy_rnn.layers.workers import Workers
from numpy_rnn.parameters import Parameters


class RecurrentOptions(TypedDict, total=False):
    """The options that every recurrent layer takes by keyword. See :class:`Recurrent`."""

    reverse: bool
    merge: str
    recompute: bool | int
    threads: int | None
    rng: Rng
    dtype: DTypeLike


class Recurrent(Layer):
    """Base of the recurrent layers. A subclass chooses the cell.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H.
    num_layers : int
        Number of stacked cells; each takes the outputs of the one below it.
    bias : bool
        Whether the cells have biases.
    batch_first : bool
        Whether sequences are (B, T, D) instead of (T, B, D). States are always (L, B, size).
    dropout : float
        Probability with which an output between two layers is zeroed in training.
    bidirectional : bool
        Whether a second cell in each layer runs from the end to the beginning.
    reverse : bool
        Whether the layer runs from the end to the beginning instead (not with `bidirectional`).
    merge : {"concat", "sum", "mul", "ave"}
        How the outputs of two directions become one, in every layer of a bidirectional stack.
    recompute : bool or int
        Gradient checkpointing: store every k-th state and recompute the rest in backward. An int
        is k; True is about sqrt(T).
    threads : int, optional
        Worker threads, which share a batch of 32 rows or more in ``forward`` and ``backward``. The
        batch is cut into shards of at least 16 rows, so the results have the same bits for any
        number. By default the batch is not cut.
    rng : numpy.random.Generator, int or None
        For the initial weights, U(-1/sqrt(H), 1/sqrt(H)), and for dropout.
    dtype : dtype
        float64 (default) or float32.
    """

    stateful = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        reverse: bool = False,
        merge: str = "concat",
        recompute: bool | int = False,
        threads: int | None = None,
        rng: Rng = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        kind = type(self).__name__
        self.input_size = check_size(kind, "input_size", input_size)
        self.hidden_size = check_size(kind, "hidden_size", hidden_size)
        self.num_layers = check_size(kind, "num_layers", num_layers)
        self.bias = check_flag(kind, "bias", bias)
        self.batch_first = check_flag(kind, "batch_first", batch_first)
        self.dropout = check_probability(kind, "dropout", dropout)
        self.bidirectional = check_flag(kind, "bidirectional", bidirectional)
        self.reverse = check_flag(kind, "reverse", reverse)
        if self.reverse and self.bidirectional:
            raise ValueError(f"{kind}: reverse and bidirectional are True, expected one of them")
        self.merge = check_merge(kind, merge, bidirectional=self.bidirectional)
        self.causal = not (self.bidirectional or self.reverse)
        if self.dropout and self.num_layers == 1:
            warnings.warn(
                f"{kind}: dropout is {dropout} and num_layers is 1, expected num_layers above 1 "
                "(dropout is applied between layers)",
                stacklevel=2 if type(self).__init__ is Recurrent.__init__ else 3,
            )
        self.recompute = recompute
        if not isinstance(recompute, bool):
            self.recompute = check_size(kind, "recompute", recompute)
        self.threads = None if threads is None else check_size(kind, "threads", threads)
        self._workers = None if self.threads is None else Workers(self.threads)
        self._directions = ("", "_reverse") if self.bidirectional else ("",)
        self._backwards = (False, True) if self.bidirectional else (self.reverse,)
        first = self.cell(self.input_size)
        self.state_sizes = first.states
        wide = self.bidirectional and self.merge == "concat"
        self.output_size = first.states[0] * (2 if wide else 1)
        deeper = self.cell(self.output_size)
        self._cells = [first, *[deeper] * (self.num_layers - 1)]
        shapes: dict[str, tuple[int, ...]] = {}
        self._names: list[list[str]] = []  # of each layer-direction's weights; "": no bias
        for layer, cell in enumerate(self._cells):
            for direction in self._directions:
                named = {f"{name}_l{layer}{direction}": s for name, s in cell.weights.items()}
                kept = {n: s for n, s in named.items() if self.bias or not n.startswith("bias")}
                self._names.append([name if name in kept else "" for name in named])
                shapes |= kept
        self.parameters = Parameters(shapes, dtype, kind)
        self._rng = check_rng(kind, rng)
        self.initialise(self._rng)

    def initialise(self, rng: Generator) -> None:
        """Draw the initial parameters, as PyTorch does: U(-1/sqrt(H), 1/sqrt(H))."""
        uniform(self.parameters, self.hidden_size, rng)

    @abstractmethod
    def cell(self, input_size: int) -> Cell:
        """Return the cell for inputs of this size."""

    def rngs(self) -> list[Generator]:
        """Return the generator of the dropout masks, if any are drawn."""
        return [self._rng] if self.dropout and self.num_layers > 1 else []

    def zero_state(self, B: int) -> State:
        """Return the zero state of a batch of B sequences: (L, B, size), or a tuple of such."""
        check_size(f"{type(self).__name__}.zero_state", "B", B, least=0)
        L, dtype = len(self._names), self.parameters.dtype
        return _as_state([np.zeros((L, B, size), dtype) for size in self.state_sizes])

    def weights(self, layer: int = 0, direction: int = 0) -> list[Array]:
        """Return copies of one cell's weights, in the order of its pair. Absent biases are zero.

        Layers are counted from 0. Direction 1 is the reverse one.
        """
        where, ways = Where(self, "weights"), len(self._directions)
        layer = check_size(where, "layer", layer, 0, self.num_layers - 1)
        return self._weights(layer * ways + check_size(where, "direction", direction, 0, ways - 1))

    def _weights(self, n: int) -> list[Array]:
        values, cell = self.parameters.values, self._cells[n // len(self._directions)]
        return [
            values[name].copy() if name else np.zeros(shape, self.parameters.dtype)
            for name, shape in zip(self._names[n], cell.weights.values(), strict=True)
        ]

    @property
    def _stack(self) -> Stack:
        return Stack(self._cells, self._backwards, self.merge)

    def check_input(self, x: Array, lengths: Array | None = None) -> None:
        """Raise TypeError or ValueError if `x` is not an input of this layer."""
        self._read(x, None, lengths=lengths)

    def apply(
        self,
        x: Array,
        state: State = None,
        *,
        lengths: Array | None = None,
        reset: Array | None = None,
        mask: Array | None = None,
        rng: Generator | None = None,
        training: bool | None = None,
    ) -> tuple[Array, State, StackCache | ShardedCache]:
        """Run over a batch of sequences. All other arguments are those of :meth:`Layer.apply`.

        Parameters
        ----------
        x : (T, B, D) or (T, D) array, or (T, B) or (T,) array of int
            A batch of sequences, or one sequence. Integers stand for one-hot rows.
        lengths : (B,) array of int, optional
            0 to T, in any order. What is beyond a row's end is not read.
        reset : array of bool like x without its last axis, optional
            True resets the row's state to the initial one before this step (after it, in the
            reverse direction).
        mask : array of bool like x without its last axis, optional
            False at a step that is not read: the state is carried over and the output repeated, or
            zero before the first valid step and after a bidirectional layer.

        Returns
        -------
        y : (T, B, K) or (T, K) array
            The output after every step, zero beyond a row's end. K is the size of an output, times
            two for both directions side by side.
        state : (L, B, size) or (L, size) array, or a tuple of them
            The state after each row's last step. L is layers times directions. A cell with
            several state components, such as the LSTM, has a tuple of them.
        """
        if training is not None or rng is not None:
            training, rng = read_options(Where(self), training, rng)
        call: CallOptions = {"lengths": lengths, "reset": reset, "mask": mask}
        if self._workers is not None:
            found = sharded_apply(self, self._workers, x, state, rng, training, **call)
            if found is not None:
                return found
        dropout = self.dropout if (self.training if training is None else training) else 0.0
        drop = None
        if dropout:
            drop = partial(apply_dropout, p=dropout, rng=self._rng if rng is None else rng)
        x, initial, batch = self._read(x, state, **call)
        weights = iter([self._weights(n) for n in range(len(self._names))])
        y, final, cache = self._stack.forward(x, initial, batch, weights, self.recompute, drop)
        if not batch.plain:
            y, final = batch.show(y), batch.restore_state(final)
        return y, _as_state(final), cache

    def vjp(
        self, cache: Any, dy: Array | None, dstate: State = None, keep: Keep = ""
    ) -> tuple[Array | None, State, dict[str, Array]]:
        """Backpropagate through time. See :meth:`Layer.vjp`."""
        where, dtype = Where(self, "backward"), self.parameters.dtype
        if isinstance(cache, ShardedCache) and self._workers is not None:
            return sharded_vjp(self, self._workers, cache, dy, dstate, keep)
        self._check_own(where, cache)
        if keep:
            check_keep(where, keep)
        batch, L = cache.batch, len(self._names)
        d = None if dy is None else batch.read_gradient(where, dy, self.output_size, dtype)
        dfinal: Sequence[Any] = [[None] * L] * len(self.state_sizes)
        if dstate is not None:
            dfinal = batch.read_state(where, "dstate", dstate, L, self.state_sizes, dtype)
        d, dinitial, dweights = self._stack.vjp(cache, d, dfinal, keep)
        if d is None and not batch.tokens:  # no row has a step
            d = np.zeros((batch.T, batch.B, self.input_size), dtype)
        gradients: dict[str, Array] = {}
        for names, values in zip(self._names, dweights, strict=True):
            gradients.update(zip(names, values, strict=True))
        gradients.pop("", None)  # of biases that the layer does not have
        if not batch.plain:
            d = None if d is None else batch.restore_sequence(d)
            dinitial = batch.restore_state(dinitial)
        return d, _as_state(dinitial), gradients

    def predict(
        self, x: Array, state: State = None, **call: Unpack[CallOptions]
    ) -> tuple[Array, State]:
        """Compute output and final state in evaluation mode, in little more memory than the output.

        Parameters and results are those of :meth:`apply`, without the cache.
        """
        x, initial, batch = self._read(x, state, **call)
        weights = map(self._weights, range(len(self._names)))  # one at a time is in memory
        y, final, _ = self._stack.forward(x, initial, batch, weights, PREDICT_STEPS, cached=False)
        return batch.show(y), _as_state(batch.restore_state(final))

    def step(self, x_t: Array, state: State = None) -> tuple[Array, State]:
        """Take one timestep in evaluation mode. See :meth:`Layer.step`.

        For many steps with the same weights :meth:`stepper` is several times faster. A
        layer with a reverse direction has no steps (ValueError): it begins at the end.
        """
        self._check_one_direction("step")
        where = Where(self, "step")
        x_t = read_input(where, "x_t", x_t, self.parameters.dtype, self.input_size)
        row = () if x_t.dtype.kind in "iu" else (self.input_size,)
        check_shape(where, "x_t", x_t, (("B", *row), row))
        if row:
            check_array(where, "x_t", x_t, self.parameters.dtype, (x_t.shape,))
        else:
            check_tokens(where, "x_t", x_t, self.input_size)
        batched = x_t.ndim > len(row)
        y, state, _ = self.apply(
            x_t[:, None] if self.batch_first and batched else x_t[None], state, training=False
        )
        return (y[:, 0] if self.batch_first and batched else y[0]), state

    def stepper(self) -> Step:
        """Return a fast function of one timestep, or of a block, over a copy of the weights.

        See :meth:`Layer.stepper`. What the function returns are new arrays in the layer's dtype.
        Lists are accepted. Shapes and token ids are checked; NaN and infinity pass. A layer with a
        reverse direction has no steps (ValueError).

        Examples
        --------
        >>> import numpy as np
        >>> from numpy_rnn import LSTM
        >>> lstm = LSTM(2, 3, rng=0)
        >>> step = lstm.stepper()
        >>> y_1, state = step([0.1, 0.2])
        >>> y_2, state = step([0.3, 0.4], state)
        >>> y_2.shape
        (3,)
        >>> y, state = step(np.zeros((128, 1, 2)))  # a block: k, B, D = 128, 1, 2
        >>> y.shape
        (128, 1, 3)
        """
        self._check_one_direction("stepper")
        cells = [cell.single_steps(self._weights(n)) for n, cell in enumerate(self._cells)]
        where, dtype = Where(self, "step"), self.parameters.dtype
        return make_stepper(
            where, cells, self.input_size, self.state_sizes, dtype, self.batch_first
        )

    def _read(
        self, x: Array, state: State, **call: Unpack[CallOptions]
    ) -> tuple[Array, list[Array], SequenceBatch]:
        """Return checked arguments of ``apply``: time-major input, initial state, arrangement."""
        return read_arguments(
            Where(self),
            x if type(x) is np.ndarray else self._plain(x),
            state,
            **call,
            input_size=self.input_size,
            state_shape=(len(self._names), self.state_sizes),
            dtype=self.parameters.dtype,
            batch_first=self.batch_first,
            backwards=self._backwards,
        )

    def _check_own(self, where: Where, cache: Any) -> None:
        """Raise TypeError if a cache is not from a layer with the same cells and dtype."""
        theirs = [run.cell for run in cache.runs] if isinstance(cache, StackCache) else []
        ours = [cell for cell in self._cells for _ in self._directions]
        if len(theirs) != len(ours) or any(
            a is not b and (a.weights, a.states) != (b.weights, b.states)
            for a, b in zip(theirs, ours, strict=True)
        ):
            raise wrong_cache(where, cache)
        check_cache_dtype(where, cache.dtype, self.parameters.dtype)

    def _check_one_direction(self, method: str) -> None:
        if not self.causal:
            kind = "bidirectional" if self.bidirectional else "reversed"
            raise ValueError(
                f"{self!r}.{method}: the layer is {kind}, expected one direction, forwards in time"
            )


def _as_state(parts: list[Array]) -> State:
    """Return the components of a state as users see them: a tuple, or the only one."""
    return tuple(parts) if len(parts) > 1 else parts[0]
