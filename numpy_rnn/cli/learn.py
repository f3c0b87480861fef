"""``numpy-rnn learn``: a course whose exercises are checked.

Exit status of ``check``: 0 if the answer passed, 1 if it did not, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from numpy_rnn.apps.learn import LANGUAGES, Course, start
from numpy_rnn.cli.errors import RunError, UsageError, errors_as
from numpy_rnn.cli.options import add_command, add_option

DESCRIPTIONS = {
    "learn": "Exercises in which you write the forward and backward passes of recurrent networks. "
    "Each is a small Python file with a gap. Your code runs in a separate process.",
    "start": "Write the exercises to a folder. A file that exists is left as it is.",
    "check": "Check an answer. A wrong one gets its first wrong place and a question, next "
    "time a hint, then the solution. Exit status: 0 passed, 1 not passed, 2 wrong usage.",
    "next": "Show the first exercise that is not passed, and its file.",
    "status": "Show which exercises are passed.",
}


def add_to(commands: Any) -> None:
    """Add the command and its actions to the parser's subcommands."""
    summary = "learn by writing backward passes that are checked"
    parser = add_command(commands, "learn", run_next, summary, DESCRIPTIONS["learn"])
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=type(parser))
    runs = {"start": run_start, "check": run_check, "next": run_next, "status": run_status}
    for name, run in runs.items():
        text = DESCRIPTIONS[name]
        action = add_command(actions, name, run, text.partition(".")[0].lower(), text)
        if name == "start":
            action.add_argument("folder", metavar="DIR", help="folder for the exercises")
            add_option(action, "--language", LANGUAGES, "en", "language of the texts")
        else:
            add_option(action, "--dir", "DIR", ".", "folder of the course (default: this one)")
        if name == "check":
            number = "number of the exercise (default: the first one that is not passed)"
            action.add_argument("number", nargs="?", type=int, metavar="N", help=number)
            add_option(action, "--seconds", float, 20.0, "time limit in seconds")


def run_start(options: argparse.Namespace) -> None:
    """Write the exercises to a folder."""
    with errors_as(RunError, options.folder):
        course = start(Path(options.folder), options.language)
    count = len(course.exercises)
    print(course.messages["started"].format(count=count, folder=options.folder))


def run_check(options: argparse.Namespace) -> None:
    """Check an answer and print what was found. Raise RunError if it is not right."""
    course = _course(options)
    if options.number not in (None, *range(1, len(course.exercises) + 1)):
        count = len(course.exercises)
        raise UsageError(f"there is no exercise {options.number}, expected 1 to {count}")
    if not options.seconds > 0:
        raise UsageError(f"--seconds is {options.seconds:g}, expected more than 0")
    exercise = course.next_exercise() or course.exercises[-1]
    if options.number is not None:
        exercise = course.exercises[options.number - 1]
    with errors_as(RunError, str(course.file(exercise))):
        verdict, text = course.check(exercise, options.seconds)
    print(text)
    if verdict.kind != "passed":
        raise RunError(f"exercise {exercise.number} is not passed")
    print(_next(course))


def run_next(options: argparse.Namespace) -> None:
    """Show the next exercise."""
    course = _course(options)
    exercise = course.next_exercise()
    if exercise:
        print(exercise.text.replace("{report}", "..."), end="\n\n")
    print(_next(course))


def run_status(options: argparse.Namespace) -> None:
    """Show all exercises, and which of them are passed."""
    course = _course(options)
    passed = [exercise.name in course.passed for exercise in course.exercises]
    for exercise, done in zip(course.exercises, passed, strict=True):
        print(f"[{'x' if done else ' '}] {exercise.number:2} {exercise.title}")
    print(course.messages["status"].format(passed=sum(passed), count=len(passed)))


def _course(options: argparse.Namespace) -> Course:
    with errors_as(UsageError, options.dir, "--dir"):
        return Course(Path(options.dir))


def _next(course: Course) -> str:
    """Return a line that names the next exercise and its file."""
    exercise = course.next_exercise()
    if exercise is None:
        return course.messages["finished"].format(count=len(course.exercises))
    facts = {"number": exercise.number, "title": exercise.title, "file": course.file(exercise)}
    return course.messages["next"].format(**facts)
