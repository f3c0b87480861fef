"""All references and all bugs, in the order in which they are shown."""

from __future__ import annotations

import numpy as np

from numpy_rnn import textbook
from numpy_rnn.checking.registry import RegisteredPair, Shapes, pair_of
from numpy_rnn.functional.types import Array
from numpy_rnn.museum import optimizers, sequences
from numpy_rnn.museum.bug import Bug, OptimizerReference, read_bugs

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


_STATE: Shapes = {"x": "T B D", "h0": "B H"}
_STATES = _STATE | {"c0": "B H"}
_LSTM: Shapes = {"W_ih": "4H D", "W_hh": "4H H", "b_ih": "4H", "b_hh": "4H"}
_GRU = _STATE | {"W_ih": "3H D", "W_hh": "3H H", "b_ih": "3H", "b_hh": "3H"}
_PROJECTION = {"h0": "B P"} | _LSTM | {"W_hh": "4H P", "W_hr": "P H"}
_LOGITS: Shapes = {"y": "T B V", "targets": draw_targets, "mask": draw_loss_mask}

REFERENCES = [
    pair_of(textbook, "elman", "elman", sequences.ELMAN_SHAPES),
    pair_of(textbook, "lstm", "lstm", _STATES | _LSTM, "ifgo"),
    pair_of(textbook, "projected_lstm", "projected_lstm", _STATES | _PROJECTION, "ifgo"),
    pair_of(textbook, "peephole_lstm", "peephole_lstm", _STATES | _LSTM | {"W_c": "3 H"}, "ifgo"),
    pair_of(textbook, "gru", "gru", _GRU, "rzn"),
    pair_of(textbook, "gru_reset_before", "gru_reset_before", _GRU, "rzn"),
    pair_of(textbook, "linear", "linear", {"x": "T B D", "W": "H D", "b": "H"}),
    pair_of(textbook, "embedding", "embedding", {"tokens": draw_tokens, "W": "V D"}),
    pair_of(textbook, "layer_norm", "layer_norm", {"x": "T B H", "weight": "H", "bias": "H"}),
    pair_of(textbook, "dropout", "dropout", {"x": "T B H", "mask": draw_dropout_mask}, p=DROPPED),
    pair_of(textbook, "mse", "mse", {"y": "T B V", "target": "T B V"}),
    pair_of(textbook, "cross_entropy", "cross_entropy", _LOGITS),
    *sequences.REFERENCES,
]

OPTIMIZER_REFERENCES: list[OptimizerReference] = optimizers.REFERENCES

_ALL: list[RegisteredPair | OptimizerReference] = [*REFERENCES, *OPTIMIZER_REFERENCES]
_BY_NAME = {reference.name: reference for reference in _ALL}
_TABLES = ("elman", "lstm", "gru", "layers", "sequences", "optimizers")
BUGS: list[Bug] = [bug for table in _TABLES for bug in read_bugs(table, _BY_NAME)]
