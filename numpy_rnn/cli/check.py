"""``numpy-rnn check``: verify every gradient of the library, or tour the museum of bugs."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Mapping
from typing import Any

from numpy_rnn.checking.proof import TOLERANCES, Proof, prove
from numpy_rnn.cli.errors import RunError
from numpy_rnn.cli.options import add_command, add_option
from numpy_rnn.cli.terminal import progress
from numpy_rnn.museum import (
    BUGS,
    INPUTS,
    USUAL_CHECKERS,
    Bug,
    Evaluation,
    evaluate,
)

NAME_WIDTH = 36  # columns
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
        "any error exceeds its tolerance."
    )
    parser = add_command(commands, "check", run, "verify every gradient of the library", text)
    museum = "show which checkers catch the museum's gradient bugs instead (a few minutes)"
    add_option(parser, "--json", bool, False, "print the table as JSON")
    add_option(parser, "--museum", bool, False, museum)


def run(options: argparse.Namespace) -> None:
    """Run the command; raise RunError if a gradient is wrong or a bug is not caught."""
    if options.museum:
        run_museum(as_json=options.json)
        return
    if options.json:
        proofs = list(prove())
        print(json.dumps(as_data(proofs), indent=2))
    else:
        proofs = print_table()
    wrong = [proof.name for proof in proofs if not proof.right]
    if wrong:
        raise RunError(f"{len(wrong)} of {len(proofs)} are wrong: {', '.join(wrong)}")


def print_table() -> list[Proof]:
    """Print the table row by row, then the report of each wrong row; return the rows."""
    proofs = []
    print(heading())
    for proof in prove():
        proofs.append(proof)
        print(line(proof), flush=True)
    wrong = [proof for proof in proofs if not proof.right]
    for proof in wrong:
        print(f"\n{proof.name}: {proof.report}")
    if not wrong:
        derivations = ", ".join(TOLERANCES)
        print(f"{len(proofs)} of {len(proofs)}: every gradient is right, by {derivations}.")
    return proofs


def heading() -> str:
    """Return the two lines above the table: the methods and their tolerances."""
    names = "".join(f" {heading}" for heading in HEADINGS.values())
    return f"{'worst relative error':{NAME_WIDTH}}{names}\n{_row('tolerance', TOLERANCES)}"


def line(proof: Proof) -> str:
    """Return a row of the table."""
    return f"{_row(proof.name, proof.errors)}{'' if proof.right else '  WRONG'}"


def _row(name: str, errors: Mapping[str, float | None]) -> str:
    entries = (
        f" {'-' if error is None else format(error, '.0e'):>{len(HEADINGS[column])}}"
        for column, error in errors.items()
    )
    return f"{name:{NAME_WIDTH}}{''.join(entries)}"


def as_data(proofs: list[Proof]) -> dict[str, Any]:
    """Return the table as plain data: the verdict, the tolerances by column, and the rows."""
    return {
        "right": all(proof.right for proof in proofs),
        "allowed": TOLERANCES,
        "rows": [{"name": p.name, "right": p.right, "errors": p.errors} for p in proofs],
    }


def run_museum(*, as_json: bool) -> None:
    """Print every bug of the museum with the checkers that catch it.

    Raise RunError if the library's own checker misses a bug or does not locate it.
    """
    shown: list[dict[str, Any]] = []
    with progress(len(BUGS), "bug") as bar:
        for bug in BUGS:
            shown.append(bug_data(bug))
            bar.advance(bug.reference.name)
            if not as_json:
                bar.write(label(shown[-1]))
    missing = [name for name, checker in USUAL_CHECKERS.items() if not checker.installed]
    if as_json:
        print(json.dumps({"bugs": shown, "caught": count(shown), "not installed": missing}))
    else:
        print("\n".join([*totals(shown), *(f"{name}: not installed" for name in missing)]))
    missed = [
        f"{item['reference']}: {item['name']}"
        for item in shown
        if not item["located"] or not all(by[OURS] for by in item["caught"].values())
    ]
    if missed:
        raise RunError(f"{len(missed)} of {len(shown)} missed or not located: {'; '.join(missed)}")


def bug_data(bug: Bug) -> dict[str, Any]:
    """Return a bug as plain data, with the checkers that catch it by kind of inputs."""
    caught: dict[str, dict[str, bool]] = {}
    found: list[Evaluation] = []
    for inputs in INPUTS:
        ours = evaluate(bug, inputs)
        if ours is None:
            continue
        found.append(ours)
        caught[inputs] = {OURS: ours.caught}
        for name, checker in USUAL_CHECKERS.items():
            result = checker(bug.patched(), bug.reference, inputs)
            if result is not None:
                caught[inputs][name] = result
    return {
        "reference": bug.reference.name,
        "name": bug.name,
        "cause": bug.cause,
        "patch": bug.diff(),
        "located": found[0].located,
        "finding": found[0].finding,
        "suggestions": found[0].suggestions,
        "caught": caught,
    }


def label(data: dict[str, Any]) -> str:
    """Return the lines about a bug, from the result of :func:`bug_data`."""
    lines = [f"{data['reference']}: {data['name']}"]
    lines += textwrap.indent(data["patch"], "    ").splitlines()
    lines += [f"  {data['cause']}", f"  found: {data['finding'] or 'nothing'}"]
    for inputs, by in data["caught"].items():
        caught = [name for name, yes in by.items() if yes]
        missed = [name for name, yes in by.items() if not yes]
        lines.append(
            f"  {inputs}: caught by {', '.join(caught) or 'none'}"
            f"{'; missed by ' if missed else ''}{', '.join(missed)}"
        )
    return "\n".join([*lines, ""])


def count(shown: list[dict[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """Return, by inputs and checker, how many bugs were caught of how many were checked."""
    counted: dict[str, dict[str, list[int]]] = {}
    for item in shown:
        for inputs, by in item["caught"].items():
            for name, yes in by.items():
                entry = counted.setdefault(inputs, {}).setdefault(name, [0, 0])
                entry[0] += yes
                entry[1] += 1
    return counted


def totals(shown: list[dict[str, Any]]) -> list[str]:
    """Return the lines at the end: how many bugs each checker caught."""
    suggestions = sum(bool(item["suggestions"]) for item in shown)
    lines = [f"{len(shown)} bugs", f"  {OURS} suggests a cause for {suggestions}"]
    for inputs, by in count(shown).items():
        for name, (caught, of) in by.items():
            lines.append(f"  {inputs:10} {name:28} caught {caught:3} of {of}")
    return lines
