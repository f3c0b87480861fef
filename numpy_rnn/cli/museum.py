"""``numpy-rnn check --museum``: every mistake of the museum, and who catches it."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import Any

from numpy_rnn.cli.errors import RunError
from numpy_rnn.cli.progress import progress
from numpy_rnn.museum import (
    BUGS,
    INPUTS,
    Bug,
    Evaluation,
    diff,
    evaluate,
    installed,
    patched,
    usual_checkers,
)

OURS = "numpy_rnn.checking"


def run(*, as_json: bool) -> None:
    """Walk through the museum.

    Parameters
    ----------
    as_json : bool
        Whether to print data instead of text.

    Raises
    ------
    RunError
        If the library's own checker misses a mistake or does not name its place.
    """
    shown: list[dict[str, Any]] = []
    with progress(len(BUGS), "bug") as bar:
        for bug in BUGS:
            shown.append(look_at(bug))
            bar.advance(bug.reference.name)
            if not as_json:
                bar.write(label(bug, shown[-1]))
    missing = [name for name in usual_checkers() if not installed(name)]
    if as_json:
        json.dump({"bugs": shown, "caught": count(shown), "not installed": missing}, sys.stdout)
        print()
    else:
        print("\n".join(totals(shown)))
        for name in missing:
            print(f"{name}: not installed")
    missed = [
        f"{item['reference']}: {item['name']}"
        for item in shown
        if not item["located"] or not all(by[OURS] for by in item["caught"].values())
    ]
    if missed:
        raise RunError(f"{len(missed)} of {len(shown)} missed or not located: {'; '.join(missed)}")


def look_at(bug: Bug) -> dict[str, Any]:
    """Return what every checker says of a mistake.

    Parameters
    ----------
    bug : Bug
        The mistake.

    Returns
    -------
    data : dict
        ``reference``, ``name``, ``cause``, ``patch``, ``located`` and ``finding`` of the library's
        own checker, and ``caught``: for "typical" and "vanishing" inputs, by checker.
    """
    caught: dict[str, dict[str, bool]] = {}
    found: list[Evaluation] = []
    for inputs in INPUTS:
        ours = evaluate(bug, inputs)
        if ours is None:
            continue
        found.append(ours)
        caught[inputs] = {OURS: ours.caught}
        for name, checker in usual_checkers().items():
            result = checker(patched(bug), bug.reference, inputs)
            if result is not None:
                caught[inputs][name] = result
    return {
        "reference": bug.reference.name,
        "name": bug.name,
        "cause": bug.cause,
        "patch": diff(bug),
        "located": found[0].located,
        "finding": found[0].finding,
        "suggestions": found[0].suggestions,
        "caught": caught,
    }


def label(bug: Bug, data: dict[str, Any]) -> str:
    """Return the text beside a mistake.

    Parameters
    ----------
    bug : Bug
        The mistake.
    data : dict
        Of :func:`look_at`.

    Returns
    -------
    text : str
        Several lines.
    """
    lines = [str(bug)]
    lines += textwrap.indent(data["patch"], "    ").splitlines()
    lines += [f"  {bug.cause}", f"  found: {data['finding'] or 'nothing'}"]
    for regime, by in data["caught"].items():
        caught = [name for name, yes in by.items() if yes]
        missed = [name for name, yes in by.items() if not yes]
        lines.append(
            f"  {regime}: caught by {', '.join(caught) or 'none'}"
            f"{'; missed by ' if missed else ''}{', '.join(missed)}"
        )
    return "\n".join([*lines, ""])


def count(shown: list[dict[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """Return, by regime and checker, how many mistakes were caught of how many shown to it."""
    counted: dict[str, dict[str, list[int]]] = {}
    for item in shown:
        for regime, by in item["caught"].items():
            for name, yes in by.items():
                entry = counted.setdefault(regime, {}).setdefault(name, [0, 0])
                entry[0] += yes
                entry[1] += 1
    return counted


def totals(shown: list[dict[str, Any]]) -> list[str]:
    """Return the table at the end: who caught how many."""
    suggestions = sum(bool(item["suggestions"]) for item in shown)
    lines = [f"{len(shown)} bugs", f"  {OURS} suggests a cause for {suggestions}"]
    for regime, by in count(shown).items():
        for name, (caught, of) in by.items():
            lines.append(f"  {regime:10} {name:28} caught {caught:3} of {of}")
    return lines
