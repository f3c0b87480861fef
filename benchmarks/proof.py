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

import numpy as np

from numpy_rnn.checking import rtrl
from numpy_rnn.checking.derivatives import Method, gradient
from numpy_rnn.checking.proof import torch_or_none, torch_pair_gradients, worst
from numpy_rnn.checking.registry import PAIRS
from numpy_rnn.checking.shapes import REGIMES, SIZES, draw, draw_gradients
from numpy_rnn.checking.target import PairTarget, Point, is_real

PAGE = Path(__file__).parents[1] / "docs" / "proof.md"
CELLS = ("elman tanh", "lstm", "gru")


def five_derivations(name: str) -> dict[str, list[Any]]:
    """Return the gradients of a cell by five derivations that share only the forward pass."""
    pair = next(pair for pair in PAIRS if pair.name == name)
    rng = np.random.default_rng(0)
    values, _ = draw(rng, pair.shapes, SIZES, REGIMES[0])
    target, arguments = PairTarget(pair.forward, pair.backward), list(values.values())
    outputs = target.run(values).outputs
    point = Point(target, values, draw_gradients(rng, outputs, SIZES["T"], REGIMES[0]))
    found = {"BPTT": list(point.claimed().values())}
    methods: tuple[Method, ...] = ("complex step", "central differences")
    for method in methods:
        found[method] = [
            gradient(point, n, method)[0] if is_real(v) else None for n, v in values.items()
        ]
    found["RTRL"] = rtrl(pair.forward, pair.backward, arguments, point.douts)
    theirs = torch_pair_gradients(torch_or_none(), pair.torch or "", arguments, point.douts)
    return found | {"PyTorch": theirs}


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
    columns = list(proof["allowed"])
    rows = [["*allowed*", *(f"{proof['allowed'][c]:.0e}" for c in columns)]]
    for row in proof["rows"]:
        errors = [row["errors"][c] for c in columns]
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
            "Worst relative error, as `numpy-rnn check` prints it.",
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
