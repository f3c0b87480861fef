"""Keras's files, of Keras 1 to 3, whole models or weights alone.

`file` reads one and `write` writes one; `hdf5` reads the arrays. A chain becomes `layers`, one by
one, and a network with branches becomes a Graph, by `graph`.
"""
