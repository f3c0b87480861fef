"""Sentences of the pages are short: the median below 20 words, none above 40."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MEDIAN, LONGEST = 20, 40
# A block that is no prose: code, an equation, a table's row, indented code.
NO_PROSE = re.compile(
    r"^ *```.*?^ *```$|^\$\$$.*?^\$\$$|^\$\$.*?\$\$$|^\|.*?$|^    .*?$", re.MULTILINE | re.DOTALL
)
NEW_PARAGRAPH = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )|\n(?=#)|(?<=\n)#.*\n|^#.*\n")
CLOSE, OPEN = r"""["')*_\u201d]*""", r"""["'(*_`$\[]*"""
BEGIN = r"(?:[A-Z0-9`$\[]|numpy_rnn|nanoGPT|minGRU)"
END = re.compile(rf"(?<=[.!?]){CLOSE}\s+(?={OPEN}{BEGIN})|(?<=[.!?])\s*$")
ABBREVIATIONS = re.compile(r"\b(e\.g|i\.e|etc|cf|vs|Fig|al)\.")


def sentences(text: str) -> list[str]:
    """Return the sentences of a page's prose, without headings, tables and code."""
    text = NO_PROSE.sub("\n\n", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)  # a link is its text
    text = re.sub(r"`[^`]*`|\$[^$]*\$", "CODE", text)  # one word each
    text = ABBREVIATIONS.sub(r"\1", text)
    found: list[str] = []
    for paragraph in NEW_PARAGRAPH.split(text):
        paragraph = re.sub(r"^\s*(?:[-*]|\d+\.) ", "", paragraph)  # noqa: PLW2901 (a list's mark)
        found += [" ".join(part.split()) for part in END.split(paragraph) if part and part.strip()]
    return [sentence for sentence in found if not sentence.startswith("#")]


def words(sentence: str) -> int:
    return len(re.findall(r"\w[\w'’-]*", sentence))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_short(page: Path) -> None:
    lengths = {s: words(s) for s in sentences(page.read_text(encoding="utf-8"))}
    assert [f"{n} words: {s}" for s, n in lengths.items() if n > LONGEST] == []
    assert statistics.median([0, *lengths.values()]) < MEDIAN


def test_the_counting() -> None:
    page = "# A title\n\nOne two `a b`. Three,\nfour: [five](x.md) six?\n\n- Seven.\n\n"
    page += "```text\nno.\n```\n"
    assert sentences(page) == ["One two CODE.", "Three, four: five six?", "Seven."]
    assert [words(s) for s in sentences(page)] == [3, 4, 1]
    assert sentences("$$\na. B c.\n$$\n\n| d. E. |\n") == []
