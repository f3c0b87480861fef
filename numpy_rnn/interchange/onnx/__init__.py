"""ONNX files and the operators in them.

`file` reads a model and `write` writes one; `protobuf` is the wire format of both. `chain` tells
whether nodes are layers one after the other; all others run as a Graph of the functions that
`operators` lists.
"""
