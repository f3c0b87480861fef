"""Stack: the cells of a recurrent layer, layer by layer, each in one direction or in both.

A layer-direction is one cell of the stack in one direction. They are numbered layer by layer, the
forward direction first, as in PyTorch's states (L, B, size). All arrays are time-major.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.dropout import DropoutCache, dropout_backward
from numpy_rnn.functional.types import Array, DType
from numpy_rnn.layers.batch import SequenceBatch
from numpy_rnn.layers.cell import Cell
from numpy_rnn.layers.merge import merge_outputs, merge_vjp
from numpy_rnn.layers.segments import SegmentsCache, run_segments, segments_vjp
from numpy_rnn.layers.spans import Spans


class StackCache(NamedTuple):
    """Values of :meth:`Stack.forward` that :meth:`Stack.vjp` needs."""

    batch: SequenceBatch
    runs: list[SegmentsCache]  # one per layer-direction
    masks: list[DropoutCache]  # between the layers
    outputs: list[list[Array]]  # of each direction of each layer, if they are multiplied
    dtype: DType


class Stack(NamedTuple):
    """Stacked cells, of which each takes the outputs of the one below it.

    Its methods take and return the components of a state, (L, B, size) each. `weights` are those of
    each layer-direction.
    """

    cells: list[Cell]  # one per layer
    backwards: tuple[bool, ...]  # of each direction: whether it runs from the end
    merge: str

    def forward(
        self,
        x: Array,
        initial: list[Array],
        batch: SequenceBatch,
        weights: Iterator[list[Array]],
        recompute: bool | int,
        drop: Callable[[Array], tuple[Array, DropoutCache]] | None = None,
        *,
        cached: bool = True,
    ) -> tuple[Array, list[Array], StackCache]:
        """Return the output, the final state and the cache. `drop` is applied between layers.

        If it is not `cached`, vjp is not possible, and the outputs of two layers are in memory.
        """
        spans = [batch.spans(backwards=backwards) for backwards in self.backwards]
        cache = StackCache(batch, [], [], [], initial[0].dtype)
        final: list[list[Array]] = []
        size = self.cells[0].states[0]
        for layer, cell in enumerate(self.cells):
            outputs = []
            wide = None if cached else np.empty((batch.T, batch.B, len(spans) * size), cache.dtype)
            for way, each in enumerate(spans):
                turned = self._turned(way, each)
                out = None if wide is None else wide[:, :, way * size : (way + 1) * size]
                y, last, run = run_segments(
                    cell,
                    x[::-1] if turned else x,
                    [component[len(final)] for component in initial],
                    next(weights),
                    each,
                    recompute,
                    out[::-1] if turned and out is not None else out,
                )
                outputs.append(y[::-1] if turned else y)
                final.append(last)
                cache.runs.append(run)
            if len(spans) == 1:
                x = outputs[0]
            elif wide is not None and self.merge == "concat":
                x = wide
            else:
                x = merge_outputs(self.merge, outputs)
            if self.merge == "mul" and cached:
                cache.outputs.append(outputs)
            if drop is not None and layer < len(self.cells) - 1:
                x, drawn = drop(x)
                cache.masks.append(drawn)
        if len(spans) == 1 and cache.runs[-1].whole:
            x = x.copy()  # it may be part of the cache
        return x, _stacked(final), cache

    def _turned(self, way: int, spans: Spans | None) -> bool:
        """Whether a direction is given its sequences reversed: spans are so themselves."""
        return spans is None and self.backwards[way]

    def vjp(
        self, cache: StackCache, d: Array | None, dfinal: Sequence[Any], keep: Keep
    ) -> tuple[Array | None, list[Array], list[list[Array]]]:
        """Backpropagate. Return the gradients of input, initial state and all `weights`.

        `dfinal` has the components of the gradient of the final state, None for each layer if zero.
        """
        _, runs, masks, outputs, dtype = cache
        ways = len(self.backwards)
        dinitial: list[list[Array]] = [[] for _ in runs]
        gradients: list[list[Array]] = [[] for _ in runs]
        for layer in reversed(range(len(self.cells))):
            if d is not None and layer < len(masks):
                d = dropout_backward(d, masks[layer])[0]
            dx: Array | None = None
            parts: list[Array | None] = [d] * ways
            if d is not None and ways == 2:
                parts[:] = merge_vjp(self.merge, d, outputs[layer] if outputs else [])
            for way, part in enumerate(parts):
                n = layer * ways + way
                turned = self._turned(way, runs[n].spans)
                dx_n, dinitial[n], gradients[n] = segments_vjp(
                    part[::-1] if turned and part is not None else part,
                    [d_n[n] for d_n in dfinal],
                    runs[n],
                    dtype,
                    keep,
                )
                if turned and "t" in keep:
                    gradients[n] = [g[::-1] for g in gradients[n]]
                if dx_n is not None:
                    dx_n = dx_n[::-1] if turned else dx_n
                    dx = dx_n if dx is None else dx + dx_n
            d = dx
        return d, _stacked(dinitial), gradients


def _stacked(states: list[list[Array]]) -> list[Array]:
    """Return the components, (L, B, size) each, of the states of all layer-directions."""
    return list(map(np.array, zip(*states, strict=True)))
