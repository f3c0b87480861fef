"""Any recurrent cell as a layer: stacked, bidirectional, padded, reset and streamed.

A layer-direction is one cell of the stack in one direction. They are numbered layer by layer, the
forward direction first, as in PyTorch's states (L, B, size).
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from numpy_rnn.arguments import check_rng
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.dropout import DropoutCache, dropout_backward
from numpy_rnn.functional.types import Array, DTypeLike, Rng, State
from numpy_rnn.init import uniform
from numpy_rnn.layers.base import Layer, Step
from numpy_rnn.layers.batch import SequenceBatch, read_arguments
from numpy_rnn.layers.dropout import apply_dropout
from numpy_rnn.layers.segments import Cell, SegmentsCache, run_segments, segments_vjp
from numpy_rnn.layers.streaming import PREDICT_STEPS, make_stepper, predict_in_chunks
from numpy_rnn.layers.validate import (
    Where,
    check_array,
    check_flag,
    check_keep,
    check_probability,
    check_shape,
    check_size,
    check_tokens,
    read_input,
    read_options,
    wrong_cache,
)
from numpy_rnn.parameters import Parameters

if TYPE_CHECKING:  # see functional/types.py
    from numpy.random import Generator


class RecurrentCache(NamedTuple):
    """Values of ``apply`` that ``vjp`` needs, all time-major, longest rows first."""

    batch: SequenceBatch
    runs: list[SegmentsCache]  # one per layer-direction
    masks: list[DropoutCache]  # between the layers


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
    recompute : bool or int
        Gradient checkpointing: store every k-th state and recompute the rest in backward. Memory
        is about T B (H + D) numbers instead of several times T B H; time grows by a third. An
        int is k; True is about sqrt(T).
    rng : numpy.random.Generator, int or None
        For the initial weights, U(-1/sqrt(H), 1/sqrt(H)), and for dropout.
    dtype : dtype
        float64 (default) or float32.
    """

    stateful = True
    _positional: ClassVar = ("input_size", "hidden_size")
    _options: ClassVar[dict[str, Any]] = {
        "num_layers": 1,
        "bias": True,
        "batch_first": False,
        "dropout": 0.0,
        "bidirectional": False,
        "recompute": False,
    }

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
        recompute: bool | int = False,
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
        self.causal = not self.bidirectional
        if self.dropout and self.num_layers == 1:
            warnings.warn(
                f"{kind}: dropout is {dropout} and num_layers is 1, expected num_layers above 1 "
                "(dropout is applied between layers)",
                stacklevel=2 if type(self).__init__ is Recurrent.__init__ else 3,
            )
        self.recompute = recompute
        if not isinstance(recompute, bool):
            self.recompute = check_size(kind, "recompute", recompute)
        self._directions = ("", "_reverse") if self.bidirectional else ("",)
        first = self.cell(self.input_size)
        self.state_sizes = first.states
        deeper = self.cell(first.states[0] * len(self._directions))
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
        parts = tuple(np.zeros((L, B, size), dtype) for size in self.state_sizes)
        return parts if len(parts) > 1 else parts[0]

    def weights(self, layer: int = 0, direction: int = 0) -> list[Array]:
        """Return copies of one cell's weights, in the order of its pair. Absent biases are zero.

        Layers are counted from 0. Direction 1 is the reverse one.
        """
        way = check_size(f"{type(self).__name__}.weights", "direction", direction, least=0)
        layer = check_size(f"{type(self).__name__}.weights", "layer", layer, least=0)
        if layer >= self.num_layers or way >= len(self._directions):
            raise ValueError(
                f"{self!r}.weights: layer is {layer} and direction is {way}, "
                f"expected below {self.num_layers} and {len(self._directions)}"
            )
        return self._weights(layer, way)

    def _weights(self, layer: int, direction: int) -> list[Array]:
        values = self.parameters.values
        names = self._names[layer * len(self._directions) + direction]
        return [
            values[name].copy() if name else np.zeros(shape, self.parameters.dtype)
            for name, shape in zip(names, self._cells[layer].weights.values(), strict=True)
        ]

    def check_input(self, x: Array, lengths: Array | None = None) -> None:
        """Raise TypeError or ValueError if `x` is not an input of this layer."""
        self._read(x, None, lengths, None)

    def apply(
        self,
        x: Array,
        state: State = None,
        *,
        lengths: Array | None = None,
        reset: Array | None = None,
        rng: Generator | None = None,
        training: bool | None = None,
    ) -> tuple[Array, State, RecurrentCache]:
        """Run over a batch of sequences. All other arguments are those of :meth:`Layer.apply`.

        Parameters
        ----------
        x : (T, B, D) or (T, D) array, or (T, B) or (T,) array of int
            A batch of sequences, or one sequence. Integers stand for one-hot rows.
        lengths : (B,) array of int, optional
            0 to T, in any order. What is beyond a row's end is not read, and the reverse
            direction begins there.
        reset : array of bool like x without its last axis, optional
            True resets the row's state to the initial one before this step (after it, in the
            reverse direction), so that neither information nor gradient crosses it.

        Returns
        -------
        y : (T, B, K) or (T, K) array
            The output after every step, zero beyond a row's end. K is the size of an output times
            the number of directions.
        state : (L, B, size) or (L, size) array, or a tuple of them
            The state after each row's last step. L is layers times directions. A cell with
            several state components, such as the LSTM, has a tuple of them.
        """
        if training is not None or rng is not None:
            training, rng = read_options(Where(self), training, rng)
        dropout = self.dropout if (self.training if training is None else training) else 0.0
        ways = range(len(self._directions))
        weights = [self._weights(layer, way) for layer in range(self.num_layers) for way in ways]
        x, initial, batch = self._read(x, state, lengths, reset)
        runs: list[SegmentsCache] = []
        masks: list[DropoutCache] = []
        final = list(map(np.empty_like, initial))
        for layer, cell in enumerate(self._cells):
            outputs = []
            for direction in range(len(self._directions)):
                n = len(runs)
                y, last, cache = run_segments(
                    cell,
                    batch.reverse(x) if direction else x,
                    list(map(itemgetter(n), initial)),
                    weights[n],
                    batch.lengths,
                    batch.reversed_reset if direction else batch.reset,
                    self.recompute,
                )
                outputs.append(batch.reverse(y) if direction else y)
                for component, value in zip(final, last, strict=True):
                    component[n] = value
                runs.append(cache)
            x = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=2)
            if dropout and layer < self.num_layers - 1:
                x, mask = apply_dropout(x, dropout, self._rng if rng is None else rng)
                masks.append(mask)
        if len(self._directions) == 1 and runs[-1].whole:
            x = x.copy()  # it may be part of the cache
        if not batch.plain:
            x, final = batch.restore_sequence(x), batch.restore_state(final)
        state = tuple(final) if len(final) > 1 else final[0]
        return x, state, RecurrentCache(batch, runs, masks)

    def vjp(  # noqa: C901 (both directions, with and without each gradient)
        self, cache: Any, dy: Array | None, dstate: State = None, keep: Keep = ""
    ) -> tuple[Array | None, State, dict[str, Array]]:
        """Backpropagate through time. See :meth:`Layer.vjp`."""
        where, dtype = Where(self, "backward"), self.parameters.dtype
        if not isinstance(cache, RecurrentCache) or not self._is_own(cache):
            raise wrong_cache(where, cache)
        if keep:
            check_keep(where, keep)
        batch, runs, masks = cache
        ways, size, L = len(self._directions), self.state_sizes[0], len(self._names)
        dinitial = [np.empty((L, batch.B, n), dtype) for n in self.state_sizes]
        d = dy
        if dy is not None:
            shape = (batch.T, batch.B, size * ways) if batch.plain else batch.shape(size * ways)
            d = check_array(where, "dy", dy, dtype, (shape,))
            d = d if batch.plain else batch.sort_sequence(d)
        dfinal: list[Array] | None = None
        if dstate is not None:
            dfinal = batch.read_state(where, "dstate", dstate, L, self.state_sizes, dtype)
        gradients: dict[str, Array] = {}
        for layer in reversed(range(self.num_layers)):
            if d is not None and layer < len(masks):
                d = dropout_backward(d, masks[layer])[0]
            dx: Array | None = None
            for direction in range(ways):
                n = layer * ways + direction
                part = None if d is None else d[:, :, direction * size : (direction + 1) * size]
                dx_n, first, dweights = segments_vjp(
                    batch.reverse(part) if direction and part is not None else part,
                    [None] * len(dinitial) if dfinal is None else list(map(itemgetter(n), dfinal)),
                    runs[n],
                    dtype,
                    # Rows that end at different steps are reversed one by one.
                    "tb" if direction and keep == "t" else keep,
                )
                if keep:
                    dweights = [
                        batch.restore_kept(g, keep, reverse=direction == 1) for g in dweights
                    ]
                if dx_n is not None:
                    dx_n = batch.reverse(dx_n) if direction else dx_n
                    dx = dx_n if dx is None else dx + dx_n
                for component, value in zip(dinitial, first, strict=True):
                    component[n] = value
                gradients.update(zip(self._names[n], dweights, strict=True))
            d = dx
        if d is None and not batch.tokens:  # no row has a step
            d = np.zeros((batch.T, batch.B, self.input_size), dtype)
        gradients.pop("", None)  # of biases that the layer does not have
        if not batch.plain:
            d = None if d is None else batch.restore_sequence(d)
            dinitial = batch.restore_state(dinitial)
        return d, tuple(dinitial) if len(dinitial) > 1 else dinitial[0], gradients

    def predict(
        self,
        x: Array,
        state: State = None,
        *,
        lengths: Array | None = None,
        reset: Array | None = None,
    ) -> tuple[Array, State]:
        """Compute output and final state in evaluation mode, in little more memory than the output.

        Parameters and results are those of :meth:`apply`, without the cache. A bidirectional stack
        needs the outputs of two layers at a time.
        """
        if self.causal:
            return predict_in_chunks(self, x, state, lengths, reset, self.batch_first)
        x, initial, batch = self._read(x, state, lengths, reset)
        final = [np.empty_like(component) for component in initial]
        size = self.state_sizes[0]
        for layer, cell in enumerate(self._cells):
            y = np.empty((batch.T, batch.B, 2 * size), self.parameters.dtype)
            for direction in range(2):
                n, half = 2 * layer + direction, y[:, :, direction * size : (direction + 1) * size]
                flipped = direction == 1 and batch.mirror is not None
                _, last, _ = run_segments(
                    cell,
                    batch.reverse(x) if direction else x,
                    [component[n] for component in initial],
                    self._weights(layer, direction),
                    batch.lengths,
                    batch.reversed_reset if direction else batch.reset,
                    recompute=PREDICT_STEPS,
                    out=half[::-1] if direction and not flipped else half,
                )
                if flipped:
                    half[...] = batch.reverse(half)
                for component, value in zip(final, last, strict=True):
                    component[n] = value
            x = y
        final = batch.restore_state(final)
        return batch.restore_sequence(x), tuple(final) if len(final) > 1 else final[0]

    def step(self, x_t: Array, state: State = None) -> tuple[Array, State]:
        """Take one timestep in evaluation mode. See :meth:`Layer.step`.

        For many steps with the same weights :meth:`stepper` is several times faster. A
        bidirectional layer has no steps (ValueError): its reverse direction begins at the end.
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
        """Return a fast function of one timestep over a copy of the weights.

        See :meth:`Layer.stepper`. What the function returns are new arrays in the layer's dtype.
        Lists are accepted. Shapes and token ids are checked; NaN and infinity pass. A bidirectional
        layer has no steps (ValueError).

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
        """
        self._check_one_direction("stepper")
        cells = [cell.single_steps(self._weights(n, 0)) for n, cell in enumerate(self._cells)]
        return make_stepper(
            Where(self, "step"), cells, self.input_size, self.state_sizes, self.parameters.dtype
        )

    def _read(
        self, x: Array, state: State, lengths: Array | None, reset: Array | None
    ) -> tuple[Array, list[Array], SequenceBatch]:
        """Return checked arguments of ``apply``: time-major input, initial state, arrangement."""
        return read_arguments(
            Where(self),
            x if type(x) is np.ndarray else self._plain(x),
            state,
            lengths,
            reset,
            input_size=self.input_size,
            state_shape=(len(self._names), self.state_sizes),
            dtype=self.parameters.dtype,
            batch_first=self.batch_first,
        )

    def _is_own(self, cache: RecurrentCache) -> bool:
        """Whether a cache is from a layer with the same cells."""
        theirs = [run.cell for run in cache.runs]
        ours = [cell for cell in self._cells for _ in self._directions]
        return len(theirs) == len(ours) and all(
            a is b or (a.weights, a.states) == (b.weights, b.states)
            for a, b in zip(theirs, ours, strict=True)
        )

    def _check_one_direction(self, method: str) -> None:
        if self.bidirectional:
            raise ValueError(
                f"{self!r}.{method}: the layer is bidirectional, expected one direction"
            )
