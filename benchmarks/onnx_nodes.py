"""Compare nodes of ONNX with onnxruntime and with the specification.

``python -m benchmarks.onnx_nodes [COUNT]`` runs random recurrent nodes beside onnxruntime, 1,000 in
half a minute. ``python -m benchmarks.onnx_nodes specification`` runs the node tests of the `onnx`
package in 10 seconds.

It needs the packages of the extra `test`.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn import interchange
from numpy_rnn.interchange.onnx.file import read
from tests.interchange.onnx.nodes import difference, onnxruntime_outputs, random_node

TOLERANCE = 1e-5  # between two float32 programs
RANDOM = "test_bernoulli"  # other numbers in each run


def main(count: int = 1000) -> int:
    """Print the worst difference and every node that differs. Return the exit status."""
    worst, wrong = 0.0, []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "node.onnx")
        for seed in range(count):
            node = random_node(seed)
            path.write_bytes(node.model)
            theirs = onnxruntime_outputs(node.model, node.inputs)
            try:
                ours = read(path).build(graph=True)(*node.inputs.values())
                apart = difference(ours, theirs)
            except (interchange.UnsupportedError, ValueError, TypeError) as error:
                wrong.append(f"{node.about}\n{error}")
                continue
            if apart > TOLERANCE:
                wrong.append(f"{node.about}\ndifference {apart:.1e}")
            else:
                worst = max(worst, apart)
    print("\n\n".join(wrong[:10]))
    print(f"{count} nodes, {len(wrong)} wrong; worst difference of the others {worst:.1e}")
    return bool(wrong)


def specification() -> int:
    """Print what becomes of the node tests of the `onnx` package. Return the exit status."""
    from onnx.backend.test.case.node import collect_testcases  # noqa: PLC0415 (it takes seconds)

    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "node.onnx")
        cases: Any = collect_testcases(None)
        for case in cases:
            if case.name.startswith(RANDOM):
                continue
            path.write_bytes(case.model.SerializeToString())
            found = {_outcome(path, *pair) for pair in case.data_sets} or {"without data"}
            counts.update(found)
            if "wrong" in found:
                print(f"wrong: {case.name}")
    print(", ".join(f"{count} {what}" for what, count in counts.most_common()))
    return int(counts["wrong"] > 0)


def _outcome(path: Path, inputs: Any, expected: Any) -> str:
    try:
        graph = interchange.load(path, graph=True)
    except interchange.UnsupportedError:
        return "refused by name"
    if any(np.asarray(x).dtype == object for x in inputs):
        return "of strings"
    try:
        ours = graph(*inputs)
    except ValueError:
        return "refused when they run"
    for a, b in zip(ours, expected, strict=True):
        near = 1e-2 if b.dtype.itemsize < 4 else 1e-3  # float16 and bfloat16
        if a.shape != b.shape or not np.allclose(a, b.astype(a.dtype), near, 1e-5, equal_nan=True):
            return "wrong"
    return "right"


if __name__ == "__main__":
    if sys.argv[1:] == ["specification"]:
        sys.exit(specification())
    sys.exit(main(*map(int, sys.argv[1:])))
