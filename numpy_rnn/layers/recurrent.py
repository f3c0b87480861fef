"""Any recurrent cell as a layer: stacked, in both directions, padded, reset and streamed."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple, Never

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.dropout import DropoutCache, dropout_backward, dropout_forward
from numpy_rnn.functional.types import Array, DTypeLike, Rng
from numpy_rnn.init import uniform
from numpy_rnn.layers.base import RecurrentLayer, forward_first
from numpy_rnn.layers.batch import Batch, read_batch
from numpy_rnn.layers.cell import Cell
from numpy_rnn.layers.stepping import Step, take_step
from numpy_rnn.layers.strand import (
    StrandCache,
    recompute_every,
    strand_backward,
    strand_forward,
)
from numpy_rnn.layers.validate import check_array, check_probability, check_size
from numpy_rnn.parameters import Parameters

if TYPE_CHECKING:  # see functional/types.py
    from numpy.random import Generator


class _Cache(NamedTuple):
    """What ``backward`` needs of ``forward``; everything time-major, rows longest first."""

    batch: Batch
    strands: list[StrandCache]  # layer by layer, forward direction first
    dropouts: list[DropoutCache]  # between the layers
    version: int  # of the parameters


class Recurrent(RecurrentLayer):
    """Base of the recurrent layers; a subclass says which cell it is made of.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H.
    num_layers : int
        How many cells stand on each other; each takes the outputs of the one below.
    bias : bool
        Whether the cells have biases.
    batch_first : bool
        Sequences are (B, T, D) instead of (T, B, D). States are (L, B, H) in either case.
    dropout : float
        Probability with which an output between two layers is zeroed in training.
    bidirectional : bool
        Whether a second cell in each layer runs from the end to the beginning.
    recompute : bool or int
        Of the states, keep every k-th for ``backward``, which computes what was between them
        again: about T B (H + D) numbers in place of many times T B H, for a third of the time
        more. An int is k; True is about sqrt(T).
    rng : numpy.random.Generator, int or None
        For the initial weights, U(-1/sqrt(H), 1/sqrt(H)), and for dropout.
    dtype : dtype
        float64 (default) or float32.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        recompute: bool | int = False,
        rng: Rng = None,
        dtype: DTypeLike = np.float64,
        **unknown: Never,
    ) -> None:
        kind = type(self).__name__
        for name in unknown:  # Python's message would name this class
            raise TypeError(f"{kind}: there is no argument {name!r}")
        self.input_size = check_size(kind, "input_size", input_size)
        self.hidden_size = check_size(kind, "hidden_size", hidden_size)
        self.num_layers = check_size(kind, "num_layers", num_layers)
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        self.dropout = check_probability(kind, "dropout", dropout)
        self.recompute = recompute
        if not isinstance(recompute, bool):
            self.recompute = check_size(kind, "recompute", recompute)
        self.training = True
        self._name = f"{kind}({self.input_size}, {self.hidden_size})"
        self._directions = ("", "_reverse") if bidirectional else ("",)
        first = self.cell(self.input_size)
        self.state_sizes = first.states
        deeper = self.cell(first.states[0] * len(self._directions))
        self._cells = [first if layer == 0 else deeper for layer in range(self.num_layers)]
        shapes: dict[str, tuple[int, ...]] = {}
        self._names: list[list[str | None]] = []  # of each strand's weights; None: no bias
        for layer, cell in enumerate(self._cells):
            for direction in self._directions:
                strand = {f"{name}_l{layer}{direction}": s for name, s in cell.weights.items()}
                kept = {n: s for n, s in strand.items() if bias or not n.startswith("bias")}
                self._names.append([name if name in kept else None for name in strand])
                shapes |= kept
        self.parameters = Parameters(shapes, dtype, kind)
        self._rng = np.random.default_rng(rng)
        uniform(self.parameters, self.hidden_size, self._rng)
        self._cache: _Cache | None = None
        # For `step`: a version of the parameters, and what was arranged of it.
        self._steps: tuple[int, list[Step]] = (-1, [])

    def generators(self) -> list[Generator]:
        """Return the generator of the masks between the layers, if any are drawn."""
        return [self._rng] if self.dropout and self.num_layers > 1 else []

    def zero_state(self, B: int) -> Any:
        """Return the state that a batch of B sequences starts from.

        Parameters
        ----------
        B : int
            Number of rows.

        Returns
        -------
        state : (L, B, size) array, or a tuple of them
            Zeros, as ``forward`` takes them.
        """
        L, dtype = self.num_layers * len(self._directions), self.parameters.dtype
        parts = tuple(np.zeros((L, B, size), dtype) for size in self.state_sizes)
        return parts if len(parts) > 1 else parts[0]

    @abstractmethod
    def cell(self, input_size: int) -> Cell:
        """Return the cell for inputs of this size."""

    def __repr__(self) -> str:
        return self._name

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle needs: versions mean nothing in another process."""
        return self.__dict__ | {"_steps": (-1, [])}

    def forward(
        self,
        x: Array,
        state: Any = None,
        *,
        lengths: Array | None = None,
        reset: Array | None = None,
    ) -> tuple[Array, Any]:
        """Run over a batch of sequences.

        Parameters
        ----------
        x : (T, B, D) or (T, D) array, or (T, B) or (T,) array of int
            A batch of sequences or one; integers stand for one-hot rows.
        state : array or tuple of arrays, optional
            State before the first step, like the one returned; zeros if left out.
        lengths : (B,) array of int, optional
            Where each row of a padded batch ends, 0 to T, in any order. What stands behind
            the end is not looked at, and the other direction begins there.
        reset : array of bool like x without its last axis, optional
            True puts a row's state back to the initial one before this step, in the other
            direction after it: the row is cut into pieces that do not know of each other.

        Returns
        -------
        y : (T, B, K) or (T, K) array
            The output after every step, zero behind a row's end; K is the size of an output
            times the number of directions. May be read-only.
        state : (L, B, size) or (L, size) array, or a tuple of them
            The state after each row's last step; L is layers times directions, and a cell with
            several state components, as the LSTM, has a tuple of them.

        Raises
        ------
        TypeError, ValueError
            If the dtype, the shape or a number of an argument is not what the layer takes.
        """
        self._cache = None
        where = self._name + ".forward"
        dtype = self.parameters.dtype
        x, batch = read_batch(
            where, x, self.input_size, dtype, lengths, reset, batch_first=self.batch_first
        )
        L = self.num_layers * len(self._directions)
        initial = batch.read_state(where, "state", state, L, self.state_sizes, dtype)
        strands: list[StrandCache] = []
        dropouts: list[DropoutCache] = []
        final = [np.empty_like(component) for component in initial]
        for layer, cell in enumerate(self._cells):
            outputs = []
            for direction in self._directions:
                n = len(strands)
                turned = bool(direction)
                y, last, cache = strand_forward(
                    cell,
                    batch.turn(x) if turned else x,
                    [component[n] for component in initial],
                    self._weights(n),
                    batch.lengths,
                    batch.turned_reset if turned else batch.reset,
                    recompute_every(self.recompute, batch.T),
                )
                outputs.append(batch.turn(y) if turned else y)
                for component, value in zip(final, last, strict=True):
                    component[n] = value
                strands.append(cache)
            x = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=2)
            if self.dropout and self.training and layer < self.num_layers - 1:
                mask = self._rng.random(x.shape, np.float32) >= self.dropout
                x, kept = dropout_forward(x, mask, p=self.dropout)
                dropouts.append(kept)
        self._cache = _Cache(batch, strands, dropouts, self.parameters.version)
        return batch.restore_sequence(x), batch.write_state(final)

    def gradients(
        self, dy: Array | None, dstate: Any = None, keep: Keep = ""
    ) -> tuple[Array | None, Any, dict[str, Array]]:
        """Backpropagate through time, and return every gradient.

        Parameters
        ----------
        dy : array like y, or None
            Gradient of the output; None is zero.
        dstate : like the returned state, optional
            Gradient of the final state; None is zero.
        keep : {"", "t", "b", "tb"}
            Axes of the parameters' gradients to leave standing: what each timestep, each row or
            each of both contributed.

        Returns
        -------
        dx : array like x, or None for an integer x
            Gradient of the input, zero behind a row's end.
        dstate : like the returned state
            Gradient of the initial state.
        gradients : dict of str to array
            Of each parameter, with the kept axes in front.

        Raises
        ------
        RuntimeError
            If there was no forward pass, or the parameters have changed since.
        TypeError, ValueError
            If a gradient is not like the output it belongs to.
        """
        if self._cache is None:
            raise forward_first(self._name)
        where, dtype = self._name + ".backward", self.parameters.dtype
        batch, _, dropouts, version = self._cache
        self.parameters.check_unchanged(where, version)
        K = self.state_sizes[0] * len(self._directions)
        d: Array | None = None
        if dy is not None:
            d = batch.sort_sequence(
                check_array(where, "dy", dy, dtype, (batch.layout.shape(batch.T, batch.B, K),))
            )
        L = self.num_layers * len(self._directions)
        dfinal: list[Array] | None = None
        if dstate is not None:
            dfinal = batch.read_state(where, "dstate", dstate, L, self.state_sizes, dtype)
        dinitial = [np.empty((L, batch.B, size), dtype) for size in self.state_sizes]
        gradients: dict[str, Array] = {}
        for layer in reversed(range(self.num_layers)):
            if d is not None and layer < len(dropouts):
                d, _ = dropout_backward(d, dropouts[layer])
            ways = len(self._directions)
            dxs = [
                self._strand_backward(self._cache, n, d, dfinal, dinitial, gradients, keep)
                for n in range(layer * ways, (layer + 1) * ways)
            ]
            d = dxs[0] if ways == 1 or dxs[0] is None else dxs[0] + dxs[1]
        if d is None and not batch.symbols:  # no row has a step
            d = np.zeros((batch.T, batch.B, self.input_size), dtype)
        return (
            None if d is None else batch.restore_sequence(d),
            batch.write_state(dinitial),
            gradients,
        )

    def _strand_backward(
        self,
        cache: _Cache,
        n: int,
        d: Array | None,
        dfinal: list[Array] | None,
        dinitial: list[Array],
        gradients: dict[str, Array],
        keep: Keep,
    ) -> Array | None:
        """Go back through strand `n`: write `dinitial` and `gradients`, return dx."""
        batch, place = cache.batch, n % len(self._directions)
        turned = place == 1
        if d is not None:
            size = self.state_sizes[0]
            d = d[:, :, place * size : (place + 1) * size]
            d = batch.turn(d) if turned else d
        last = [None if dfinal is None else dfinal[k][n] for k in range(len(dinitial))]
        # Rows that end at different steps are turned round one by one.
        kept: Keep = "tb" if turned and keep == "t" else keep
        dx, first, dweights = strand_backward(
            d, last, cache.strands[n], self.parameters.dtype, kept
        )
        for component, value in zip(dinitial, first, strict=True):
            component[n] = value
        for name, dweight in zip(self._names[n], dweights, strict=True):
            if name is not None:
                gradients[name] = batch.restore_kept(dweight, keep, turned=turned)
        return batch.turn(dx) if turned and dx is not None else dx

    def step(self, x_t: Array, state: Any = None) -> tuple[Array, Any]:
        """Take one timestep, for serving: as ``forward`` on one step, and nothing is kept.

        Of the arguments, only shapes are checked. The weights are arranged once and used
        until :meth:`Parameters.changed` is called, as optimisers, initialisers and loading do;
        whoever writes to the parameters directly has to call it too.

        Parameters
        ----------
        x_t : (B, D) or (D,) array, or (B,) array of int
            Input of the step.
        state : like the one returned, optional
            State before the step; zeros if left out. It is not changed.

        Returns
        -------
        y_t : (B, K) or (K,) array
            Output of the step.
        state : (L, B, size) or (L, size) array, or a tuple of them
            State after the step: a plain value, to be kept, saved and handed back.

        Raises
        ------
        ValueError
            If a shape is wrong, or the layer is bidirectional: the other direction begins at the
            end.
        """
        if self.bidirectional:
            raise ValueError(f"{self._name}.step: the layer is bidirectional, expected one way")
        version, steps = self._steps
        if version != self.parameters.version:
            version = self.parameters.version
            steps = [
                cell.single_steps(self._weights(layer)) for layer, cell in enumerate(self._cells)
            ]
            self._steps = version, steps
        dtype = self.parameters.dtype
        return take_step(self._name, steps, self.input_size, self.state_sizes, dtype, x_t, state)

    def _weights(self, strand: int) -> list[Array]:
        """Return one strand's weights in the order of its pair; absent biases are zero."""
        values = self.parameters.values
        shapes = self._cells[strand // len(self._directions)].weights.values()
        return [
            np.zeros(shape, self.parameters.dtype) if name is None else values[name]
            for name, shape in zip(self._names[strand], shapes, strict=True)
        ]
