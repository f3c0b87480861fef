"""Write docs/proof.md: the tables of numpy-rnn check and of the museum, as measured here.

Run with ``python -m benchmarks.proof``. It needs torch, jax and scipy, and takes a few minutes.
This command writes the whole page; nothing in it is typed by hand.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import torch_references
from numpy_rnn.checking import rtrl
from numpy_rnn.checking.derivatives import Method, gradient
from numpy_rnn.checking.proof import usual_points, worst
from numpy_rnn.checking.registry import PAIRS
from numpy_rnn.checking.target import is_real

PAGE = Path(__file__).parents[1] / "docs" / "proof.md"
CELLS = ("elman tanh", "lstm", "gru")


def five_derivations(name: str) -> dict[str, list[Any]]:
    """Return the gradients of a cell by five derivations that share only the forward pass."""
    pair = next(pair for pair in PAIRS if pair.name == name)
    point, _ = usual_points(pair.checked(), pair.shapes)
    arguments = list(point.values.values())
    found = {"BPTT": list(point.claimed().values())}
    methods: tuple[Method, ...] = ("complex step", "central differences")
    for method in methods:
        found[method] = [
            gradient(point, n, method)[0] if is_real(v) else None for n, v in point.values.items()
        ]
    found["RTRL"] = rtrl(pair.forward, pair.backward, arguments, point.douts)
    found["PyTorch"] = torch_references.pair_gradients(pair, arguments, point.douts)
    return found


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def agreement(name: str) -> str:
    """Return the table of how far each two derivations differ."""
    found = five_derivations(name)
    rows = [
        [method, *(f"{worst(a, b):.0e}" if method != other else "" for other, b in found.items())]
        for method, a in found.items()
    ]
    return table([name, *found], rows)


def command(*options: str) -> Any:
    """Return what ``numpy-rnn check`` prints as JSON."""
    run = subprocess.run(
        [sys.executable, "-m", "numpy_rnn", "check", "--json", *options],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(run.stdout)


def page(proof: Any, museum: Any) -> str:
    """Return the text of the page."""
    columns, torch_errors = [*proof["allowed"], "PyTorch"], torch_references.errors()
    allowed = [*proof["allowed"].values(), torch_references.TOLERANCE]
    rows = [["*allowed*", *(f"{tolerance:.0e}" for tolerance in allowed)]]
    for row in proof["rows"]:
        errors = [*row["errors"].values(), torch_errors[row["name"]]]
        rows.append([row["name"], *("-" if e is None else f"{e:.0e}" for e in errors)])
    caught = museum["caught"]
    checkers = list(caught["typical"])
    counted = [
        [
            checker,
            *(
                "{} of {}".format(*caught[regime][checker]) if checker in caught[regime] else "-"
                for regime in ("typical", "vanishing")
            ),
        ]
        for checker in checkers
    ]
    missed = [
        f"- {item['reference']}, {item['name']}: {item['cause']}"
        for item in museum["bugs"]
        if len(item["caught"]["typical"]) > 1 and sum(item["caught"]["typical"].values()) == 1
    ]
    return "\n".join(
        [
            "# Proof",
            "",
            f"Written by `python -m benchmarks.proof` on {dt.date.today()}, 2 cores, x86-64.",
            "What the columns and the checkers are: [checking.md](checking.md).",
            "",
            "## Everything that is shipped",
            "",
            "Worst relative error, as `numpy-rnn check` prints it. The last column compares with",
            "PyTorch's autograd (`benchmarks/torch_references.py`).",
            "",
            table(["", *columns], rows),
            "",
            "## Five derivations",
            "",
            "How far each two of them differ, relative to the largest entry of a gradient.",
            "",
            "\n\n".join(agreement(name) for name in CELLS),
            "",
            "## The museum",
            "",
            f"Of {len(museum['bugs'])} bugs, those that each checker catches. Optimisers",
            "are no pairs: only our own checker takes them, and compares them with closed forms.",
            "",
            table(["checker", "typical inputs", "vanishing gradients"], counted),
            "",
            "On typical inputs only our own checker catches these:",
            "",
            *missed,
            "",
        ]
    )


def main() -> None:
    """Measure and write."""
    PAGE.write_text(page(command(), command("--museum")), encoding="utf-8")
    print(f"wrote {PAGE.name}")


if __name__ == "__main__":
    main()
