"""Write docs/proof.md and museum/usual.json: numpy-rnn check and the museum, as measured here.

Run with ``python -m benchmarks.proof``. It needs torch, jax and scipy, and takes a few minutes.
This command writes the whole page; nothing in it is typed by hand. What the usual checkers catch
is recorded in museum/usual.json too, for ``numpy-rnn check --museum``.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import torch_references
from benchmarks.usual_checkers import USUAL_CHECKERS
from numpy_rnn.checking import rtrl
from numpy_rnn.checking.derivatives import Method, gradient
from numpy_rnn.checking.repair import MENDED
from numpy_rnn.checking.target import is_real
from numpy_rnn.museum import BUGS, INPUTS
from numpy_rnn.museum.evaluate import Inputs
from numpy_rnn.museum.proof import usual_points, worst
from numpy_rnn.museum.registry import PAIRS

PAGE = Path(__file__).parents[1] / "docs" / "proof.md"
RECORD = Path(__file__).parents[1] / "numpy_rnn" / "museum" / "usual.json"
UsualResults = dict[Inputs, dict[str, bool]]
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
            gradient(point, n, method) if is_real(v) else None for n, v in point.values.items()
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


def usual_results() -> list[UsualResults]:
    """Return for each bug, by inputs, which usual checkers catch it, of those that can take it."""
    results = []
    for bug in BUGS:
        found: UsualResults = {}
        for inputs in INPUTS:
            answers = {
                name: checker(bug.patched(), bug.reference, inputs)
                for name, checker in USUAL_CHECKERS.items()
            }
            found[inputs] = {name: yes for name, yes in answers.items() if yes is not None}
        results.append(found)
    return results


def count_usual(results: list[UsualResults]) -> dict[Inputs, dict[str, list[int]]]:
    """Return, by inputs and checker, how many bugs were caught of how many were checked."""
    answers = {
        inputs: {
            name: [found[inputs][name] for found in results if name in found[inputs]]
            for name in USUAL_CHECKERS
        }
        for inputs in INPUTS
    }
    return {
        inputs: {name: [sum(yes), len(yes)] for name, yes in by.items()}
        for inputs, by in answers.items()
    }


def causes(bugs: Any) -> list[str]:
    """Return the lines that count the causes that our reports suggest."""
    of_layers = [item["causes"] for item in bugs if item["of_layer"]]
    mended = sum(any(MENDED in text for text in found) for found in of_layers)
    caused = sum(map(bool, of_layers))
    return [
        f"{len(of_layers)} of the bugs are in layers. Our report suggests a cause for {caused}.",
        f"For {mended} it names the line, and a change of it with which every gradient is right.",
    ]


def page(proof: Any, museum: Any) -> str:
    """Return the text of the page."""
    columns, torch_errors = [*proof["allowed"], "PyTorch"], torch_references.errors()
    allowed = [*proof["allowed"].values(), torch_references.TOLERANCE]
    rows = [["*allowed*", *(f"{tolerance:.0e}" for tolerance in allowed)]]
    for row in proof["rows"]:
        errors = [*row["errors"].values(), torch_errors[row["name"]]]
        rows.append([row["name"], *("-" if e is None else f"{e:.0e}" for e in errors)])
    usual = count_usual(museum["usual"])
    ours = {"numpy_rnn.checking": museum["caught"]}
    by_checker = ours | {
        name: {inputs: usual[inputs][name] for inputs in usual} for name in USUAL_CHECKERS
    }
    counted = [
        [checker, *("{} of {}".format(*caught[inputs]) for inputs in INPUTS)]
        for checker, caught in by_checker.items()
    ]
    missed = [
        f"- {item['reference']}, {item['name']}: {item['cause']}"
        for item, found in zip(museum["bugs"], museum["usual"], strict=True)
        if found["typical"] and not any(found["typical"].values())
    ]
    bugs = museum["bugs"]
    in_optimisers = sum(not item["of_layer"] for item in bugs)
    right = sum(row["right"] for row in proof["rows"])
    return "\n".join(
        [
            "# Proof",
            "",
            "This page shows which bugs [the checker](checking.md) and the usual checkers catch,",
            "and how exact the gradients of this library are.",
            (
                "Our checker catches {} of the {} bugs of".format(*museum["caught"]["typical"])
                + " [the museum](checking.md#the-museum)."
            ),
            f"{right} of {len(rows) - 1} functions and layers are within every tolerance.",
            f"`python -m benchmarks.proof` wrote the page on {dt.date.today()}, 2 cores, x86-64.",
            "",
            "## The museum",
            "",
            (
                f"Of {len(bugs)} bugs, each checker catches this many. "
                f"{in_optimisers} of them are in optimisers, which are no pairs of"
            ),
            "functions. Only our own checker takes these, and compares them with closed forms.",
            "Gradients vanish over time, so the last column has the bugs of recurrent code only.",
            "",
            table(["checker", "typical inputs", "vanishing gradients"], counted),
            "",
            *causes(bugs),
            "",
            "On typical inputs only our own checker catches these:",
            "",
            *missed,
            "",
            "## Five derivations",
            "",
            "How far each pair of them differs, relative to the largest entry of a gradient.",
            "",
            "\n\n".join(agreement(name) for name in CELLS),
            "",
            "## Everything that is shipped",
            "",
            "Worst relative error, as `numpy-rnn check` prints it. Linearity compares",
            'backward(3 u + v) with 3 backward(u) + backward(v). The column "split = whole"',
            "compares a sequence that is run in two parts with the whole. The last column compares",
            "with PyTorch's autograd (`benchmarks/torch_references.py`).",
            "",
            table(["", *columns], rows),
            "",
        ]
    )


def main() -> None:
    """Measure and write."""
    missing = [name for name, checker in USUAL_CHECKERS.items() if not checker.installed]
    if missing:
        sys.exit(f"not installed, so the page would lack its figures: {', '.join(missing)}")
    museum = {**command("--museum"), "usual": usual_results()}
    PAGE.write_text(page(command(), museum), encoding="utf-8")
    RECORD.write_text(json.dumps(count_usual(museum["usual"]), indent=2) + "\n", encoding="utf-8")
    print(f"wrote {PAGE.name} and {RECORD.name}")


if __name__ == "__main__":
    main()
