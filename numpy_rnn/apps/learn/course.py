"""A course in a folder: the exercises as files to complete, and how far the learner is."""

from __future__ import annotations

import json
import re
import textwrap
from functools import partial
from hashlib import sha256
from pathlib import Path
from textwrap import indent
from unicodedata import east_asian_width

from numpy_rnn.apps.learn.exercise import LANGUAGES, Exercise, load, messages
from numpy_rnn.apps.learn.judge import Verdict, judge
from numpy_rnn.apps.learn.process import run_judge
from numpy_rnn.files import read_whole, write_atomically

PROGRESS = "progress.json"  # in the course's folder
MAX_BYTES = 1_000_000  # of that file and of an answer
MAX_FAILURES = 100  # that are remembered
ERRORS = {  # the exceptions with a question of their own in messages.toml
    "error_syntax": ["SyntaxError", "IndentationError", "TabError"],
    "error_name": ["NameError", "UnboundLocalError", "ModuleNotFoundError", "ImportError"],
    "error_shapes": ["ValueError"],
    "error_index": ["IndexError"],
    "error_endless": ["RecursionError", "MemoryError"],
    "error_input": ["EOFError"],
    "error_exit": ["SystemExit", "KeyboardInterrupt"],
}
PRINTABLE = ("error_question", "error_shapes", "error_index")  # printing what a line has may help


def start(folder: Path, language: str = "en") -> Course:
    """Write the exercises that a folder does not have, and return the course.

    A file that exists is left as it is, so nothing that a learner wrote is lost. The language of a
    course that exists stays too.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     course = start(Path(folder, "course"))
    ...     course.file(course.exercises[0]).name
    'ex01_one_hot.py'
    """
    folder.mkdir(parents=True, exist_ok=True)
    is_new = not (folder / PROGRESS).exists()
    language = language if is_new else Course(folder).language
    exercises, say = load(language), messages(language)
    for exercise in exercises:
        file = folder / f"{exercise.name}.py"
        if not file.exists():
            _write(file, _page(exercise, len(exercises), say))
    if is_new:
        _write(folder / PROGRESS, json.dumps({"language": language, "passed": [], "failures": {}}))
    return Course(folder)


class Course:
    """The course in a folder that :func:`start` has written. Any other is a ValueError."""

    def __init__(self, folder: Path) -> None:
        self.folder, file = folder, folder / PROGRESS
        try:
            state = json.loads(read_whole(file, MAX_BYTES))
            self.language = LANGUAGES[LANGUAGES.index(state["language"])]
            self.passed = [str(name) for name in state["passed"]]
            self.failures = {str(name): int(count) for name, count in state["failures"].items()}
            answers = state.get("answers", {}).items()
            self.answers = {str(name): str(digest) for name, digest in answers}  # last failed
            self.messages, self.exercises = messages(self.language), load(self.language)
        except FileNotFoundError:
            what = f"{str(folder)!r} holds no course: change to the course's folder or use --dir; "
            what += f"if {PROGRESS} was deleted, repeat learn start"
            raise ValueError(what) from None
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            what = f"{str(file)!r} is damaged: delete it and repeat learn start, it keeps your "
            what += "answers; check them again to get the marks back"
            raise ValueError(what) from None

    def next_exercise(self) -> Exercise | None:
        """Return the first exercise that is not passed, or None after the last one."""
        return next((e for e in self.exercises if e.name not in self.passed), None)

    def file(self, exercise: Exercise) -> Path:
        """Return the file of the learner's answer."""
        return self.folder / f"{exercise.name}.py"

    def check(self, exercise: Exercise) -> tuple[Verdict, str]:
        """Judge the learner's answer, note the result, and return the verdict and what to print.

        The first time that a mistake is seen, the text ends with a question, the second time with a
        hint, and from the third time on with the solution. The solution of a file that has changed
        since its last failed check is not shown yet.
        """
        digest = sha256(read_whole(self.file(exercise), MAX_BYTES)).hexdigest()
        needs = exercise.options.get("needs", [])
        missing = [str(n) for n in needs if self.exercises[n - 1].name not in self.passed]
        verdict = Verdict("needs", ", ".join(missing))
        if not missing:
            verdict = run_judge(exercise, self.file(exercise))
        key = f"{exercise.name}: {verdict.mistake or verdict.place}"
        changed = self.answers.get(exercise.name) != digest
        if verdict.kind in ("wrong", "error"):
            count = self.failures.pop(key, 0) + 1
            self.failures = dict([*self.failures.items(), (key, count)][-MAX_FAILURES:])
            self.answers[exercise.name] = digest
        elif verdict.kind == "passed" and exercise.name not in self.passed:
            self.passed.append(exercise.name)
        state = {n: getattr(self, n) for n in ("language", "passed", "failures", "answers")}
        _write(self.folder / PROGRESS, json.dumps(state, indent=1))
        count = min(self.failures.get(key, 0), 2 if changed else 3)
        return verdict, fold(render(exercise, verdict, count, self.messages))


def render(exercise: Exercise, verdict: Verdict, count: int, say: dict[str, str]) -> str:
    """Return what to print about a verdict, with the hints for this many failures."""
    facts = {"number": exercise.number, "title": exercise.title, "place": verdict.place}
    parts = [say[verdict.kind].format(**facts), indent(verdict.report, "  ")]
    if verdict.suggestion and not verdict.mistake:  # the cause of a known mistake is certain
        fill = partial(textwrap.fill, width=80, initial_indent="  ", subsequent_indent="    ")
        parts.append("\n".join([say["suggestion"], *map(fill, verdict.suggestion.splitlines())]))
    if verdict.printed:
        parts.append(f"{say['printed']}\n{indent(verdict.printed.rstrip(), '  ')}")
    question, hint = _question_and_hint(exercise, verdict, say)
    hints = [f"{say['question']} {question}", f"{say['hint']} {hint}"]
    hints.append(f"{say['solution']}\n{indent(exercise.shown.rstrip(), '  ')}")
    parts += [*hints[:count], say["again"] if 0 < count < len(hints) else ""]
    return "\n\n".join(filter(None, parts))


def _question_and_hint(
    exercise: Exercise, verdict: Verdict, say: dict[str, str]
) -> tuple[str, str]:
    """Return the question that fits a verdict best, and the hint."""
    for mistake in exercise.mistakes:
        fits = mistake.name == verdict.mistake if mistake.code else not verdict.mistake
        if fits and (mistake.code or verdict.place.startswith(mistake.name)):
            break
    question, hint = mistake.question, mistake.hint
    missing = re.match(r"pass  # without (\w+)", verdict.line)
    if missing:
        question, hint = say["missing_question"], say["missing_hint"].format(name=missing[1])
    elif verdict.line:
        question, hint = say["line_question"], say["line_hint"].format(line=verdict.line)
    elif re.match("(for|back)ward changes ", verdict.place) and not verdict.mistake:
        question, hint = say["changed_question"], say["changed_hint"]
    elif verdict.kind == "error":
        key, name = _about_error(verdict.place)
        question = say[key].format(name=name)
        if key in PRINTABLE and not verdict.mistake:
            hint = say["error_hint"]
    elif "_bug_" in exercise.name and not verdict.report:  # no gradient is wrong
        question = say["report_question"]
    elif ": got None" in verdict.place and not verdict.mistake:
        question = say["none_question"]
    return question, hint


def _about_error(place: str) -> tuple[str, str]:
    """Return the message that asks about an exception, and the name that is missing.

    It depends on the kind of the exception, and on whether the learner's file has its line.
    """
    line, _, rest = place.partition(": ") if place.startswith("line ") else ("", "", place)
    kind, _, text = rest.partition(": ")
    missing = re.search(r"has no attribute '(\w+)'", text)
    if kind == "AttributeError" and missing and not line:
        return "error_missing", missing[1]
    key = next((key for key, kinds in ERRORS.items() if kind in kinds), "error_question")
    if not line and key in PRINTABLE:
        key = "none_question" if "NoneType" in text else "error_call"
    return key, ""


def fold(text: str, columns: int = 80) -> str:
    r"""Return a text with its paragraphs in lines of at most so many columns.

    Indented lines stay as they are. A Korean letter takes two columns.

    >>> print(fold("One\ntwo three.\n    code  stays", 9))
    One two
    three.
        code  stays
    """
    lines, room = list[str](), 0  # room in the last line
    for line in text.splitlines():
        prose = bool(line) and not line.startswith(" ")
        for word in line.split() if prose else [line]:
            size = 1 + sum(1 + (east_asian_width(letter) in "WF") for letter in word)
            fits = prose and size <= room
            lines[-1:] = [f"{lines[-1]} {word}"] if fits else [*lines[-1:], word]
            room = (room if fits else columns + 1) - size if prose else 0
    return "\n".join(lines)


def _page(exercise: Exercise, count: int, say: dict[str, str]) -> str:
    """Return the file that a learner begins with: the text as comments, then the code."""
    text = exercise.text
    if "{report}" in text:
        verdict = judge(exercise, exercise.start)
        report = f"{verdict.report}\nfirst wrong place: {verdict.place}"
        text = text.replace("{report}", indent(report, "    "))
    facts = {"number": exercise.number, "count": count, "title": exercise.title}
    parts = [say["head"].format(**facts), text, say["foot"].format(**facts)]
    lines = fold("\n\n".join(parts), 78).splitlines()
    return "".join(f"# {line}".rstrip() + "\n" for line in lines) + "\n" + exercise.start


def _write(file: Path, text: str) -> None:
    write_atomically(file, lambda opened: opened.writelines([text.encode()]))
