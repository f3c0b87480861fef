"""``numpy-rnn check``: verify every gradient of the library, or show the museum of bugs."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Mapping
from typing import Any

from numpy_rnn.checking.repair import MENDED
from numpy_rnn.cli.errors import RunError
from numpy_rnn.cli.options import add_command, add_option
from numpy_rnn.cli.terminal import progress
from numpy_rnn.museum import BUGS, INPUTS, Bug, OptimizerReference, evaluate, usual_counts
from numpy_rnn.museum.proof import TOLERANCES, Proof, prove

NAME_WIDTH = 40  # columns
HEADINGS = {  # as wide as their columns
    "complex step": "complex",
    "central differences": "central",
    "RTRL": " RTRL",
    "linearity": "linear",
    "split = whole": "split",
}
OURS = "numpy_rnn.checking"


def add_to(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    text = (
        "Verify the gradient of every function pair and layer by complex step, central "
        "differences, real-time recurrent learning, linearity, and split sequence = whole "
        "sequence. Each entry of the table is the worst relative error. The exit status is 1 if "
        "any error exceeds its tolerance. For a gradient of your own: python -m numpy_rnn.checking."
    )
    parser = add_command(commands, "check", run, "verify every gradient of the library", text)
    museum = "gradient bugs instead, with the checkers that catch each (a few minutes)"
    add_option(parser, "--json", bool, False, "table as JSON")
    add_option(parser, "--museum", bool, False, museum)


def run(options: argparse.Namespace) -> None:
    """Run the command. Raise RunError if a gradient is wrong or a bug is not caught."""
    if options.museum:
        run_museum(as_json=options.json)
        return
    proofs = list(prove()) if options.json else print_table()
    if options.json:
        data = {
            "right": all(proof.right for proof in proofs),
            "allowed": TOLERANCES,
            "rows": [{"name": p.name, "right": p.right, "errors": p.errors} for p in proofs],
        }
        print(json.dumps(data, indent=2))
    wrong = [proof.name for proof in proofs if not proof.right]
    if wrong:
        raise RunError(f"{len(wrong)} of {len(proofs)} are wrong: {', '.join(wrong)}")


def print_table() -> list[Proof]:
    """Print the table row by row, then the report of each wrong row. Return the rows."""
    proofs = []
    print(f"{'worst relative error':{NAME_WIDTH}} {' '.join(HEADINGS.values())}")
    print(_row("tolerance", TOLERANCES))
    for proof in prove():
        proofs.append(proof)
        print(_row(proof.name, proof.errors) + "  WRONG" * (not proof.right), flush=True)
    wrong = [proof for proof in proofs if not proof.right]
    for proof in wrong:
        print(f"\n{proof.name}: {proof.report}")
    if not wrong:
        derivations = ", ".join(TOLERANCES)
        print(f"{len(proofs)} of {len(proofs)}: every gradient is right, by {derivations}.")
    return proofs


def _row(name: str, errors: Mapping[str, float | None]) -> str:
    entries = (
        f" {'-' if error is None else format(error, '.0e'):>{len(HEADINGS[column])}}"
        for column, error in errors.items()
    )
    return f"{name:{NAME_WIDTH}}{''.join(entries)}"


def run_museum(*, as_json: bool) -> None:
    """Print every bug of the museum, and what the checker finds.

    Raise RunError if the checker misses a bug or does not locate it.
    """
    shown: list[dict[str, Any]] = []
    with progress(len(BUGS), "bug") as bar:
        for bug in BUGS:
            shown.append(bug_data(bug))
            bar.advance(bug.reference.name)
            if not as_json:
                bar.write(label(shown[-1]))
    if as_json:
        print(json.dumps({"bugs": shown, "caught": count(shown), "usual checkers": usual_counts()}))
    else:
        print("\n".join(totals(shown)))
    failed = (item for item in shown if not (item["located"] and all(item["caught"].values())))
    missed = [f"{item['reference']}: {item['name']}" for item in failed]
    if missed:
        raise RunError(f"{len(missed)} of {len(shown)} missed or not located: {'; '.join(missed)}")


def bug_data(bug: Bug) -> dict[str, Any]:
    """Return a bug as plain data, with what the checker finds and whether it catches it."""
    evaluations = {inputs: evaluate(bug, inputs) for inputs in INPUTS}
    done = {inputs: found for inputs, found in evaluations.items() if found is not None}
    return {
        "reference": bug.reference.name,
        "name": bug.name,
        "cause": bug.cause,
        "patch": bug.diff(),
        "located": done["typical"].located,
        "finding": done["typical"].finding,
        "causes": done["typical"].causes,
        "of_layer": not isinstance(bug.reference, OptimizerReference),
        "caught": {inputs: found.caught for inputs, found in done.items()},
    }


def label(data: dict[str, Any]) -> str:
    """Return the lines about a bug, from the result of :func:`bug_data`."""
    found = data["caught"].items()
    caught = (f"{inputs}: {'caught' if yes else 'MISSED'}" for inputs, yes in found)
    lines = [
        f"{data['reference']}: {data['name']}",
        textwrap.indent(data["patch"], "    "),
        f"  {data['cause']}",
        f"  found: {data['finding'] or 'nothing'}",
        f"  {'; '.join(caught)}",
    ]
    return "\n".join([*lines, ""])


def count(shown: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Return by inputs how many bugs were caught of how many were checked."""
    caught = {
        inputs: [item["caught"][inputs] for item in shown if inputs in item["caught"]]
        for inputs in INPUTS
    }
    return {inputs: [sum(found), len(found)] for inputs, found in caught.items() if found}


def totals(shown: list[dict[str, Any]]) -> list[str]:
    """Return the lines at the end: how many bugs each checker caught."""
    layers = sum(item["of_layer"] for item in shown)
    caused = sum(bool(item["causes"]) for item in shown)
    mended = sum(any(MENDED in text for text in item["causes"]) for item in shown)
    lines = [
        f"{len(shown)} bugs, {layers} of them in layers. Of these {layers}, {OURS}",
        f"  suggests a cause for {caused}",
        f"  names the line and a change that mends it for {mended}",
    ]
    lines += [_total(inputs, OURS, found) for inputs, found in count(shown).items()]
    lines.append("The usual checkers, as recorded (to measure: python -m benchmarks.proof)")
    for inputs, by in usual_counts().items():
        lines += [_total(inputs, name, found) for name, found in by.items()]
    return lines


def _total(inputs: str, name: str, found: list[int]) -> str:
    return f"  {inputs:10} {name:28} caught {found[0]:3} of {found[1]}"
