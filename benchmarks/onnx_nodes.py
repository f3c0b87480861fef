"""Compare random recurrent nodes with onnxruntime: ``python -m benchmarks.onnx_nodes [COUNT]``.

It needs the packages of the extra `test`. Half a minute for 1,000 nodes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from numpy_rnn import interchange
from numpy_rnn.interchange.onnx_file import read
from tests.interchange.onnx_nodes import difference, onnxruntime_outputs, random_node

TOLERANCE = 1e-5  # between two float32 programs


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


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
