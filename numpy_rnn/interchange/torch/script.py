"""Options of layers that only the code of a TorchScript file tells. It is searched, never run."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable
from functools import cache
from typing import Any

from numpy_rnn.interchange.torch.tree import walk
from numpy_rnn.interchange.torch.unpickle import Instance

MAX_CODE = 1 << 17  # characters of a file
MAX_LINE = 500  # characters of a line that is searched
VALUE = r'(True|False|\d[\d.e-]{0,30}|"\w{0,30}")'
# A scripted module has its options as constants, a traced one has them in calls.
CONSTANT = re.compile(rf"  (batch_first|mode|nonlinearity|eps|max_norm) : Final\[\w+\] = {VALUE}$")
CALLS = {
    "batch_first": rf"torch\.(?:lstm|gru|rnn_tanh|rnn_relu)\(.*, {VALUE}\)$",
    "eps": rf"torch\.(?:layer_norm\(.*\]|batch_norm\(.*), \w+, \S+, {VALUE}(?:, \w+)?\)$",
}


def add_options(tree: Any, read: Callable[[str], str]) -> None:
    """Add to each module in a tree what the code of its class says. `read` returns a file."""
    options = cache(lambda kind: _options(kind, read))
    for _, module in walk(tree):
        if isinstance(module, Instance) and module.kind.startswith("__torch__"):
            module.state |= options(module.kind)


def _options(kind: str, read: Callable[[str], str]) -> dict[str, Any]:
    place, _, name = kind.rpartition(".")
    code = read(f"code/{place.replace('.', '/')}.py")
    if len(code) > MAX_CODE:
        raise ValueError(f"its code has {len(code)} characters, expected at most {MAX_CODE}")
    lines = code.partition(f"class {name}(")[2].partition("\nclass ")[0].splitlines()
    lines = [line for line in lines if len(line) <= MAX_LINE]
    found = {n: v for line in lines for n, p in CALLS.items() for v in re.findall(p, line)}
    found |= {n: v for line in lines for n, v in CONSTANT.findall(line)}
    relu = {"mode": "RNN_RELU"} if any("torch.rnn_relu(" in line for line in lines) else {}
    return relu | {name: literal_eval(value) for name, value in found.items()}
