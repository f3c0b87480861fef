"""``numpy-rnn learn``: a course. Status of ``check``: 0 passed, 1 not passed, 2 wrong usage."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from numpy_rnn.apps.learn import LANGUAGES, Course, start
from numpy_rnn.apps.learn.course import PROGRESS, fold
from numpy_rnn.apps.learn.exercise import Exercise
from numpy_rnn.cli.errors import RunError, UsageError, errors_as
from numpy_rnn.cli.options import add_command, add_option
from numpy_rnn.locks import hold

SUMMARY = "learn by writing backward passes that are checked"
DESCRIPTION = "Write the forward and backward passes of recurrent networks, and have them checked."
START = "Write the exercises to a folder. A file that exists is left as it is."
CHECK = """Check an answer, in a separate process. A wrong answer gets its first wrong place and a
question, next time a hint, then the solution. Exit status: 0 passed, 1 not, 2 wrong usage."""


def add_to(commands: Any) -> None:
    """Add the command and its actions to the parser's subcommands."""
    parser = add_command(commands, "learn", run_show, SUMMARY, DESCRIPTION)
    actions = parser.add_subparsers(required=True, parser_class=type(parser))
    first = add_command(actions, "start", run_start, "write the exercises", START)
    first.add_argument("folder", metavar="DIR", help="folder for the exercises")
    add_option(first, "--language", LANGUAGES, "en", "language of the texts")
    check = add_command(actions, "check", run_check, "check an answer", CHECK)
    number = "number or file of the exercise (default: the first one that is not passed)"
    check.add_argument("number", nargs="?", metavar="N", help=number)
    texts = {"next": "show the next exercise", "status": "show which exercises are passed"}
    others = [add_command(actions, name, run_show, text, text) for name, text in texts.items()]
    others[0].add_argument("number", nargs="?", metavar="N", help="number of another exercise")
    for action in (check, *others):
        add_option(action, "--dir", "DIR", ".", "folder of the course (default: this one)")


def run_start(options: argparse.Namespace) -> None:
    """Write the exercises to a folder."""
    with errors_as(RunError, options.folder):
        course = start(Path(options.folder), options.language)
    facts = {"count": len(course.exercises), "folder": options.folder}
    here = Path(options.folder).resolve() == Path.cwd()
    print(fold(course.messages["started_here" if here else "started"].format(**facts)))
    if course.language != options.language:
        print(fold(course.messages["kept"].format(**facts, language=options.language)))


def run_check(options: argparse.Namespace) -> None:
    """Check an answer and print what was found. Exit with status 1 if it is not right."""
    course = _course(options)
    with errors_as(RunError, options.dir, "--dir"):
        hold(course.folder / PROGRESS, "--dir")
    course = _course(options)  # another check may have ended in between
    first = course.next_exercise() or course.exercises[-1]
    exercise = first if options.number is None else _exercise(course, options.number)
    file = course.file(exercise)
    if not file.exists():
        again = f"numpy-rnn learn start {shlex.quote(options.dir)} writes it anew"
        raise RunError(f"{str(file)!r}: No such file or directory; {again}")
    if sys.stderr.isatty():
        print("checking ...", file=sys.stderr, flush=True)
    with errors_as(RunError, str(file)):
        verdict, text = course.check(exercise)
    print(text)
    if verdict.kind != "passed":
        sys.exit(1)  # the text says why
    print(fold(_next(course, course.next_exercise())))


def run_show(options: argparse.Namespace) -> None:
    """Show the next exercise, or for ``status`` all exercises and which of them are passed."""
    course = _course(options)
    number = getattr(options, "number", None)  # which status does not take
    shown = _exercise(course, number) if number else course.next_exercise()
    if options.prog.endswith("status"):
        passed = [exercise.name in course.passed for exercise in course.exercises]
        for exercise, done in zip(course.exercises, passed, strict=True):
            print(f"[{'x' if done else ' '}] {exercise.number:2} {exercise.title}")
        print(course.messages["status"].format(passed=sum(passed), count=len(passed)))
    elif shown:
        file = f"    (the report is in {course.file(shown).name})"
        print(fold(shown.text.replace("{report}", file)), end="\n\n")
    print(fold(_next(course, shown)))


def _course(options: argparse.Namespace) -> Course:
    with errors_as(UsageError, options.dir, "--dir"):
        return Course(Path(options.dir))


def _exercise(course: Course, name: str) -> Exercise:
    """Return the exercise with this number, or with this file."""
    for exercise in course.exercises:
        if name == str(exercise.number) or Path(name).name == course.file(exercise).name:
            return exercise
    count = len(course.exercises)
    raise UsageError(f"there is no exercise {name}, expected 1 to {count} or one of its files")


def _next(course: Course, exercise: Exercise | None) -> str:
    """Return a line that names the next exercise and its file."""
    if exercise is None:
        return course.messages["finished"].format(count=len(course.exercises))
    facts = {"number": exercise.number, "title": exercise.title, "file": course.file(exercise)}
    return course.messages["next"].format(**facts)
