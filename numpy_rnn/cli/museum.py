"""``numpy-rnn check --museum``: every mistake of the museum, and who catches it."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import Any

from numpy_rnn.checking.tour import judge, judge_vanishing
from numpy_rnn.cli.errors import RunError
from numpy_rnn.cli.progress import progress
from numpy_rnn.museum import (
    EXHIBITS,
    REGIMES,
    Exhibit,
    Room,
    diff,
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
    with progress(len(EXHIBITS), "mistake") as bar:
        for exhibit in EXHIBITS:
            shown.append(look_at(exhibit))
            bar.advance(exhibit.room.name)
            if not as_json:
                bar.write(label(exhibit, shown[-1]))
    missing = [name for name in usual_checkers() if not installed(name)]
    if as_json:
        json.dump({"mistakes": shown, "caught": count(shown), "not installed": missing}, sys.stdout)
        print()
    else:
        print("\n".join(totals(shown)))
        for name in missing:
            print(f"{name}: not installed")
    missed = [
        f"{item['room']}: {item['name']}"
        for item in shown
        if not item["named"] or not all(by[OURS] for by in item["caught"].values())
    ]
    if missed:
        raise RunError(f"{len(missed)} of {len(shown)} missed or not named: {'; '.join(missed)}")


def look_at(exhibit: Exhibit) -> dict[str, Any]:
    """Return what every checker says of a mistake.

    Parameters
    ----------
    exhibit : Exhibit
        The mistake.

    Returns
    -------
    data : dict
        ``room``, ``name``, ``story``, ``patch``, ``named`` and ``finding`` of the library's own
        checker, and ``caught``: for "typical" and "vanishing" inputs, by checker.
    """
    verdict, vanishing = judge(exhibit), judge_vanishing(exhibit)
    caught: dict[str, dict[str, bool]] = {"typical": {OURS: verdict.caught}}
    if vanishing is not None:
        caught["vanishing"] = {OURS: vanishing.caught}
    if isinstance(exhibit.room, Room):
        for regime in REGIMES:
            for name, checker in usual_checkers().items():
                said = checker(patched(exhibit), exhibit.room, regime)
                if said is not None and regime in caught:
                    caught[regime][name] = said
    return {
        "room": exhibit.room.name,
        "name": exhibit.name,
        "story": exhibit.story,
        "patch": diff(exhibit),
        "named": verdict.named,
        "finding": verdict.text,
        "caught": caught,
    }


def label(exhibit: Exhibit, data: dict[str, Any]) -> str:
    """Return the text beside a mistake.

    Parameters
    ----------
    exhibit : Exhibit
        The mistake.
    data : dict
        Of :func:`look_at`.

    Returns
    -------
    text : str
        Several lines.
    """
    lines = [f"{exhibit.room.name}: {exhibit.name}"]
    lines += textwrap.indent(data["patch"], "    ").splitlines()
    lines += [f"  {exhibit.story}", f"  found: {data['finding'] or 'nothing'}"]
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
    lines = [f"{len(shown)} mistakes"]
    for regime, by in count(shown).items():
        for name, (caught, of) in by.items():
            lines.append(f"  {regime:10} {name:28} caught {caught:3} of {of}")
    return lines
