"""Every exercise: its solution passes, and wrong answers fail with a hint that fits."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

import pytest

from numpy_rnn.apps.learn import LANGUAGES, judge, load
from numpy_rnn.apps.learn.exercise import FOLDER, Exercise, messages

EXERCISES = load()
WRITTEN = [exercise for exercise in EXERCISES if "_bug_" not in exercise.name]
BUGS = [exercise for exercise in EXERCISES if "_bug_" in exercise.name]
TABLE = Path(__file__).with_name("answers.txt").read_text("utf-8")
ANSWERS = re.findall(r"^\[(\w+)\] (\D+?)(?: (\d))?\n((?:[^\[#\n].*\n)+)", TABLE, re.MULTILINE)


def code_with(exercise: Exercise, gap: int, code: str) -> str:
    """Return the solution with the code of one gap replaced."""
    lines = exercise.start.splitlines()
    gaps = [i for i, line in enumerate(lines) if line.strip().startswith("...")]
    parts = exercise.shown.split("\n\n") if len(gaps) > 1 else [exercise.shown]
    assert len(parts) == len(gaps)
    for number, (i, part) in enumerate(zip(gaps, parts, strict=True), 1):
        space = lines[i][: len(lines[i]) - len(lines[i].lstrip())]
        lines[i] = indent(code, space) if number == gap else part
    return "\n".join(lines)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_the_solution_passes(exercise: Exercise) -> None:
    assert judge(exercise, exercise.solution).kind == "passed"


@pytest.mark.parametrize("exercise", WRITTEN, ids=lambda exercise: exercise.name)
def test_the_start_has_gaps_and_no_mistake_passes(exercise: Exercise) -> None:
    assert judge(exercise, exercise.start).kind == "gap"
    for mistake in exercise.mistakes[:-1]:
        verdict = judge(exercise, mistake.code)
        assert verdict.kind in ("wrong", "error")
        assert verdict.mistake == mistake.name


@pytest.mark.parametrize(("name", "mistake", "gap", "code"), ANSWERS)
def test_a_wrong_answer_gets_the_hint_that_fits(
    name: str, mistake: str, gap: str, code: str
) -> None:
    exercise = next(exercise for exercise in WRITTEN if exercise.name == f"ex{name}")
    verdict = judge(exercise, code_with(exercise, int(gap or 1), code))
    assert verdict.kind in ("wrong", "error"), verdict
    assert verdict.mistake == mistake.strip("-")
    assert verdict.place


def test_every_exercise_has_five_wrong_answers_that_are_recognised() -> None:
    assert len(ANSWERS) == TABLE.count("\n[")
    for exercise in WRITTEN:
        known = [m for name, m, _, _ in ANSWERS if f"ex{name}" == exercise.name and m != "-"]
        assert len(known) >= 5, exercise.name
        assert set(known) <= {mistake.name for mistake in exercise.mistakes}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_same_code(language: str) -> None:
    """A translated exercise has text and hints of its own for everything that has them."""
    own = FOLDER / "texts" / language
    assert messages(language).keys() == messages("en").keys()
    for exercise, english in zip(load(language), EXERCISES, strict=True):
        assert (exercise.name, exercise.solution) == (english.name, english.solution)
        assert [m[:2] for m in exercise.mistakes] == [m[:2] for m in english.mistakes]
        if language != "en" and (own / f"{exercise.name[2:]}.md").is_file():
            assert exercise.title != english.title
            assert exercise.text != english.text
            pairs = zip(exercise.mistakes, english.mistakes, strict=True)
            assert all(a.question != b.question and a.hint != b.hint for a, b in pairs)


def test_the_course_fits_into_80_kilobytes() -> None:
    folder = Path(str(FOLDER))
    files = [*folder.rglob("*.py"), *folder.rglob("*.md"), *folder.rglob("*.t*")]
    files.append(folder.parents[1] / "cli" / "learn.py")
    assert sum(file.stat().st_size for file in files) < 80_000
