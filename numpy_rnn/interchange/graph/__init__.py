"""Networks that are no chain of layers: named nodes, run forward only.

`graph` is the model, `nodes` are what it consists of. `run` runs the nodes and records a plan, so
that the next run for the same shapes only repeats its steps.
"""
