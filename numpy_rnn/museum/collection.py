"""All references and all bugs, in the order in which they are shown."""

from __future__ import annotations

from numpy_rnn.museum import elman, gru, lstm, optimizers, sequences, stateless
from numpy_rnn.museum.bug import Bug, OptimizerReference, Reference

REFERENCES: list[Reference] = [
    *elman.REFERENCES,
    *lstm.REFERENCES,
    *gru.REFERENCES,
    *stateless.REFERENCES,
    *sequences.REFERENCES,
]

OPTIMIZER_REFERENCES: list[OptimizerReference] = optimizers.REFERENCES

BUGS: list[Bug] = [
    *elman.BUGS,
    *lstm.BUGS,
    *gru.BUGS,
    *stateless.BUGS,
    *sequences.BUGS,
    *optimizers.BUGS,
]
