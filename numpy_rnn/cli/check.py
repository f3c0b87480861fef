"""``numpy-rnn check``: prove every gradient that the library ships, in one table."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from numpy_rnn.checking.proof import TOLERANCES, Proof, prove, torch_or_none
from numpy_rnn.cli import museum
from numpy_rnn.cli.errors import RunError

NAME = 40  # columns of the terminal that a row's name takes
SHORT = {  # headings, as wide as their columns
    "complex step": "complex",
    "central differences": "central",
    "RTRL": "RTRL",
    "linearity": "linear",
    "split = whole": "split",
    "PyTorch": "PyTorch",
}


def add_to(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    parser = commands.add_parser(
        "check",
        help="prove the gradient of everything the library ships",
        description="Prove the gradient of every pair and layer: complex step, central "
        "differences, real-time recurrent learning, linearity, split sequence = whole, and "
        "PyTorch's autograd where it is installed. Each entry is the worst relative error. "
        "The exit status is 1 if any gradient falls short.",
    )
    parser.add_argument("--json", action="store_true", help="print the table as JSON instead")
    parser.add_argument(
        "--museum",
        action="store_true",
        help="show the museum of wrong gradients instead: each mistake, and which checkers "
        "catch it (takes a few minutes)",
    )
    parser.set_defaults(run=run, prog=parser.prog)


def run(options: argparse.Namespace) -> None:
    """Run the command.

    Parameters
    ----------
    options : argparse.Namespace
        As parsed.

    Raises
    ------
    RunError
        If a gradient falls short, or a mistake is not caught.
    """
    if options.museum:
        museum.run(as_json=options.json)
        return
    proofs = show(as_json=options.json)
    wrong = [proof.name for proof in proofs if not proof.right]
    if wrong:
        raise RunError(f"{len(wrong)} of {len(proofs)} fall short: {', '.join(wrong)}")


def show(*, as_json: bool) -> list[Proof]:
    """Print the table, row by row, and the report of each row that is wrong.

    Parameters
    ----------
    as_json : bool
        Whether to print data instead.

    Returns
    -------
    proofs : list of Proof
        The rows.
    """
    torch = torch_or_none()
    if as_json:
        proofs = list(prove(torch))
        json.dump(as_data(proofs), sys.stdout, indent=2)
        print()
        return proofs
    print(heading())
    proofs = []
    for proof in prove(torch):
        proofs.append(proof)
        print(line(proof), flush=True)
    if torch is None:
        print("PyTorch is not installed: pip install numpy-rnn[test] adds its column.")
    for proof in proofs:
        if not proof.right:
            print(f"\n{proof.name}: {proof.report}")
    if all(proof.right for proof in proofs):
        print(f"{len(proofs)} of {len(proofs)}: every gradient is right.")
    return proofs


def heading() -> str:
    """Return the line above the table, and what each column allows."""
    names = "".join(f"{SHORT[column]:>9}" for column in TOLERANCES)
    allowed = "".join(f"{tolerance:>9.0e}" for tolerance in TOLERANCES.values())
    return f"{'worst relative error':{NAME}}{names}\n{'allowed':{NAME}}{allowed}"


def line(proof: Proof) -> str:
    """Return a row of the table."""
    entries = "".join(
        f"{'-' if error is None else format(error, '.0e'):>9}" for error in proof.errors.values()
    )
    return f"{proof.name:{NAME}}{entries}{'' if proof.right else '  WRONG'}"


def as_data(proofs: list[Proof]) -> dict[str, Any]:
    """Return the table as plain data.

    Parameters
    ----------
    proofs : list of Proof
        Its rows.

    Returns
    -------
    data : dict
        ``right``, ``allowed`` by column, and ``rows`` with ``name``, ``right`` and ``errors``.
    """
    return {
        "right": all(proof.right for proof in proofs),
        "allowed": TOLERANCES,
        "rows": [{"name": p.name, "right": p.right, "errors": p.errors} for p in proofs],
    }
