"""docs/proof.md agrees with the code: it has every row, and every number is within bounds."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks import torch_references
from numpy_rnn.museum import BUGS, INPUTS, usual_counts
from numpy_rnn.museum.proof import TOLERANCES
from numpy_rnn.museum.registry import MODELS, PAIRS, TEXTBOOK_PAIRS

PAGE = (Path(__file__).parents[1] / "docs" / "proof.md").read_text(encoding="utf-8")


def test_every_row_is_there_and_within_what_is_allowed() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    tolerances = [*TOLERANCES.values(), torch_references.TOLERANCE]
    table = {row[0]: row[1:] for row in rows if len(row) == 1 + len(tolerances)}
    names = [pair.name for pair in (*PAIRS, *TEXTBOOK_PAIRS)] + [model.name for model in MODELS]
    for name in names:
        entries = table[name]
        for entry, allowed in zip(entries, tolerances, strict=True):
            assert entry == "-" or float(entry) <= allowed


def test_the_museum_is_counted() -> None:
    assert f"Of {len(BUGS)} bugs" in PAGE
    caught = re.search(r"\| numpy_rnn.checking \| (\d+) of (\d+) \|", PAGE)
    assert caught is not None
    assert caught[1] == caught[2] == str(len(BUGS))


def test_the_usual_checkers_are_as_recorded() -> None:
    recorded = usual_counts()
    for checker in recorded["typical"]:
        figures = ["{} of {}".format(*recorded[inputs][checker]) for inputs in INPUTS]
        assert f"| {checker} | {' | '.join(figures)} |" in PAGE
