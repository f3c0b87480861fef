"""Exercises, read from text files: one file an exercise, one folder a language.

A file has a front matter in TOML between two lines ``+++``, the text, and sections that begin with
a line ``=== NAME``:

    code            the solution. A gap is the lines between ``# gap: WHAT`` and ``# end``
    probe           a function probe(answer) that returns results by name. An answer is right if its
                    results are those of the solution
    patch: MISTAKE  lines of the solution marked - and their wrong replacement marked +
    hints: MISTAKE  a question after "? " and a stronger hint after "! ", for answers whose results
                    are those of the patched solution. Those of ``else: RESULT`` are for other
                    answers whose first wrong result has this name, those of ``else`` for all others

Instead of a probe, the front matter may hold ``pair``, the names of a forward and a backward
function, and ``shapes``, the arguments of forward. ``numpy_rnn.checking`` checks its gradients.
Another language needs the title, the text and the hints. What is missing is taken from ``en``.
The bugs of the museum in ``bugs.txt`` are exercises too, with the text of ``bug.md``.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.target import callable_name
from numpy_rnn.museum import BUGS, Bug
from numpy_rnn.museum.bug import apply_patch

FOLDER = files("numpy_rnn.apps.learn")
LANGUAGES = sorted(folder.name for folder in (FOLDER / "texts").iterdir())
_SLIPS = tomllib.loads((FOLDER / "slips.toml").read_text("utf-8"))["rules"]
_VARIABLE = re.compile(
    r"(?<![\w.])(?!(?:for|in|if|else|return|True)\b)([A-Za-z_]\w*)(?![\w(]|\.[a-z])"
)
_GAP = re.compile(r"^( *)# gap: (.*)\n((?:.*\n)*?) *# end\n", re.MULTILINE)


class Mistake(NamedTuple):
    """A wrong answer that is known, and the hints that fit."""

    name: str
    code: str  # the solution with the mistake, or nothing for an ``else``
    question: str
    hint: str


class Exercise(NamedTuple):
    """One exercise in one language."""

    number: int
    name: str  # of the learner's file, without .py
    title: str
    text: str
    start: str  # the code to begin with
    solution: str
    shown: str  # the solution as the last hint shows it
    probe: str  # code, empty for a forward/backward pair
    mistakes: tuple[Mistake, ...]  # the last one has the hints for all other answers
    options: Mapping[str, Any]  # the front matter

    def shapes(self) -> dict[str, Any]:
        """Return the arguments of a pair's forward, as check_gradients takes them."""
        given = self.options["shapes"].items()
        return {name: np.array(x) if isinstance(x, list) else x for name, x in given}


def messages(language: str) -> dict[str, str]:
    """Return what the course prints, by name."""
    return tomllib.loads((FOLDER / "texts" / language / "messages.toml").read_text("utf-8"))


@functools.cache
def load(language: str = "en") -> tuple[Exercise, ...]:
    """Return all exercises in their order.

    Examples
    --------
    >>> load()[3].title
    'Backpropagation through time'
    """
    own, english = FOLDER / "texts" / language, FOLDER / "texts" / "en"
    names = [file.name for file in english.iterdir() if file.name.endswith(".md")]
    texts = {name: _sections((english / name).read_text("utf-8")) for name in names}
    for name, sections in texts.items():
        if (own / name).is_file():
            translated = _sections((own / name).read_text("utf-8"))
            options = sections["options"] | translated["options"]
            texts[name] = sections | translated | {"options": options}
    page = texts.pop("bug.md")
    by_name = {str(bug): bug for bug in BUGS}
    bugs = [by_name[line] for line in (FOLDER / "bugs.txt").read_text("utf-8").splitlines()]
    written = (_written(i, name, texts[name]) for i, name in enumerate(sorted(texts), 1))
    return *written, *(_bug(i, bug, page, bugs) for i, bug in enumerate(bugs, len(texts) + 1))


def wrong_lines(exercise: Exercise) -> Iterator[tuple[str, str]]:
    """Yield lines of the gaps with one slip each, and the solution with that line.

    >>> "dh_t = dh[t] - dh_next" in dict(wrong_lines(load()[3]))
    True
    """
    names = "|".join(dict.fromkeys(_VARIABLE.findall(exercise.shown)))
    confused = [[rf"(?<![\w.])({names})(?![\w(])", name] for name in names.split("|")]
    for right in exercise.shown.splitlines():
        for rule, wrong in [*_SLIPS, *confused]:
            for match in re.finditer(rule, right.strip()):
                line = (
                    match.string[: match.start()]
                    + match.expand(wrong)
                    + match.string[match.end() :]
                )
                yield line, exercise.solution.replace(right.strip(), line)


def _sections(text: str) -> dict[str, Any]:
    """Return the front matter as "options", the text as "text", and each section by its name."""
    _, front, body = re.split(r"^\+\+\+\n", text, maxsplit=2, flags=re.MULTILINE)
    first, *rest = re.split(r"^=== (.*)\n", body, flags=re.MULTILINE)
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    return {"options": tomllib.loads(front), "text": first.strip(), **sections}


def _hints(body: str) -> tuple[str, str]:
    """Return the question and the stronger hint of a section."""
    _, question, hint = re.split(r"^[?!] ", body, flags=re.MULTILINE)
    return question.strip(), hint.strip()


def _written(number: int, file: str, sections: dict[str, Any]) -> Exercise:
    """Return the exercise of a text file."""
    code, options = sections["code"].strip() + "\n", sections["options"]
    solution = _GAP.sub(r"\3", code)
    mistakes = [
        Mistake(name[7:], apply_patch(body, solution, name), *_hints(sections[f"hints{name[5:]}"]))
        for name, body in sections.items()
        if name.startswith("patch: ")
    ]
    others = sorted((name for name in sections if name.startswith("else")), reverse=True)
    mistakes += [Mistake(name[6:], "", *_hints(sections[name])) for name in others]
    start, shown = _GAP.sub(r"\1...  # \2\n", code), "\n".join(gap[2] for gap in _GAP.findall(code))
    texts = options["title"], sections["text"], start, solution, shown, sections.get("probe", "")
    return Exercise(number, f"ex{file.removesuffix('.md')}", *texts, tuple(mistakes), options)


def _bug(number: int, bug: Bug, sections: dict[str, Any], bugs: list[Bug]) -> Exercise:
    """Return the exercise to find this bug in a textbook page."""
    reference: Any = bug.reference
    forward, backward = reference.checked()
    page = (
        inspect.getsource(sys.modules[backward.__module__]).partition("\n\n\nif __name__")[0] + "\n"
    )
    wrong = page.replace(inspect.getsource(backward), inspect.getsource(bug.patched()[-1]))
    question, hint = _hints(sections["bug"])
    found = Mistake(bug.name, wrong, question, hint.replace("{cause}", bug.cause))
    pair = [callable_name(forward), callable_name(backward)]
    options = {"pair": pair, "shapes": reference.shapes, "gates": reference.gates}
    nth = [b for b in bugs if b.reference.name == reference.name].index(bug) + 1
    title = sections["options"]["title"].format(page=reference.name, nth=nth)
    lines = bug.diff().splitlines()  # from right to wrong; the solution goes the other way
    mended = [f"- {line[2:]}" for line in lines if line.startswith("+")]
    mended += [f"+ {line[2:]}" for line in lines if line.startswith("-")]
    texts = title, sections["text"], wrong, page, "\n".join(mended), ""
    mistakes = found, Mistake("", "", *_hints(sections["else"]))
    return Exercise(number, f"ex{number:02d}_bug_{reference.name}", *texts, mistakes, options)
