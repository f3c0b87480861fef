"""Masks in networks of Keras 3: who makes, reads, passes and drops them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from numpy_rnn.interchange import load
from tests.interchange.keras.keras_3 import (
    L,
    close,
    functional,
    keras,
    random_input,
    store,
)


def with_masks(a: Any, b: Any, c: Any) -> Any:
    """Encode and decode tokens; mask features beside them."""
    embedded = L.Embedding(6, 3, mask_zero=True)(a)
    _, *states = L.LSTM(3, return_state=True)(
        L.Bidirectional(L.GRU(3, return_sequences=True))(embedded)
    )
    steps = {"return_sequences": True, "return_state": True}
    words = L.Dropout(0.1)(L.Embedding(6, 3, mask_zero=True)(b))
    y, h, _ = L.LSTM(3, **steps)(words, initial_state=states)
    again = L.LSTM(3, return_sequences=True)(words, initial_state=None)
    masked = L.Masking(1.0)(c)
    z = L.TimeDistributed(L.Dense(3))(
        L.RNN([L.GRUCell(3), L.GRUCell(2)], return_sequences=True)(masked)
    )
    last = L.Add()(
        [L.Bidirectional(L.LSTM(3), merge_mode="sum")(z), L.GRU(3, go_backwards=True)(masked)]
    )
    return [L.Dense(4, "softmax")(y), h, again, last, z]


def with_masked_attention(a: Any, b: Any, c: Any) -> Any:
    """Translate: attention of a decoder's words to those of an encoder. Join and pool."""
    words, masked = L.Embedding(6, 3, mask_zero=True), L.Masking(1.0)(c)
    read, *states = L.LSTM(3, return_sequences=True, return_state=True)(words(a))
    spoken = L.LSTM(3, return_sequences=True)(L.SpatialDropout1D(0.1)(words(b)))
    written = L.LSTM(3, return_sequences=True)(words(b), initial_state=states)
    context = L.AdditiveAttention()([written, read])
    y = L.TimeDistributed(L.Dense(4))(L.Concatenate()([written, context]))
    z = L.GRU(2, return_sequences=True)(L.Add()([masked, L.Dense(3)(masked)]))
    mixed = L.Concatenate()([masked, L.Dense(2)(c)])  # of which one has no mask
    pooled = [L.GlobalAveragePooling1D()(v) for v in (context, z, mixed, spoken)]
    return [y, *pooled, L.GRU(3)(mixed), L.Attention()([masked, c]), L.Attention()([c, masked])]


def with_lost_masks(a: Any, b: Any, c: Any) -> Any:
    """Give masked sequences to layers and functions that drop a mask."""
    read = L.LSTM(3, return_sequences=True)(L.Embedding(6, 3, mask_zero=True)(a))
    seen = L.GRU(2)(L.Conv1D(2, 2, padding="same")(L.Embedding(6, 3, mask_zero=True)(b)))
    steps = L.GRU(3, return_sequences=True)(L.Masking(1.0)(c))
    functions = [keras.ops.max(steps, axis=1), L.LSTM(2)(steps + steps), steps[:, -1]]
    product = L.Dot(axes=2)([steps, L.Masking(1.0)(c)])
    return [L.GlobalMaxPooling1D()(read), seen, *functions, L.GRU(2)(L.Permute((2, 1))(c)), product]


def with_own_masks(a: Any, b: Any, c: Any) -> Any:
    """Give layers masks that functions make."""
    some, both = keras.ops.any(keras.ops.not_equal(c, 0), -1), L.Masking(1.0)(c)
    parts = [some[:, :2], keras.ops.ones_like(c[:, 2:, 0], "bool")]
    joined = L.GRU(3, return_sequences=True)(both, mask=keras.ops.concatenate(parts, axis=1))
    embedded = L.Embedding(6, 3, mask_zero=True)
    return [
        L.Attention()([both, c], mask=[None, some]),
        joined,
        L.GRU(2)(embedded(a), mask=keras.ops.ones_like(a, "bool")),
        L.LSTM(2)(embedded(b), mask=keras.ops.not_equal(b, 3)),
        L.Bidirectional(L.GRU(2))(L.Dense(2)(c), mask=some),
        L.GlobalAveragePooling1D(keepdims=True)(c, mask=some),
    ]


NETWORKS = [with_masks, with_masked_attention, with_lost_masks, with_own_masks]


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
@pytest.mark.filterwarnings("ignore:invalid value encountered in divide")  # a row without steps
def test_masks_of_branches(network: Any, ending: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = (None,), (None,), (7, 3) if network in NETWORKS[2:] else (None, 3)
    model = functional(network, *sizes)
    for weight in model.weights:
        weight.assign(rng.standard_normal(weight.shape))
    store(model, tmp_path / f"model.{ending}")
    x = [random_input(rng, kind) for kind in ("tokens", "tokens", "features")]
    expected = model([torch.tensor(a) for a in x], training=False)
    for ours, theirs in zip(load(tmp_path / f"model.{ending}")(*x), expected, strict=True):
        close(ours, theirs.detach().numpy(), model)
