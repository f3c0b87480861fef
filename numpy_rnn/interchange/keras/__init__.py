"""Keras's files, of Keras 1 to 3, whole models or weights alone.

`file` reads one and `write` writes one; `hdf5` reads the arrays, and `network` the config. What it
describes becomes layers, by `chain`, or a Graph of functions of arrays, by `graph`.
"""
