"""Every exercise: its solution passes, and wrong answers fail with a hint that fits."""

from __future__ import annotations

import inspect
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest

from numpy_rnn.apps.learn import LANGUAGES, judge, load
from numpy_rnn.apps.learn.exercise import FOLDER, Exercise, messages
from numpy_rnn.museum import BUGS

EXERCISES = load()
WRITTEN = [exercise for exercise in EXERCISES if "_bug_" not in exercise.name]
FIND_BUG = [exercise for exercise in EXERCISES if "_bug_" in exercise.name]
PAGES = list({exercise.title: exercise for exercise in FIND_BUG}.values())  # one for each page
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


@pytest.fixture(scope="module", autouse=True)
def earlier_answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Exercise 7 imports the answers to earlier ones. It trains for a part of its epochs here."""
    folder = tmp_path_factory.mktemp("course")
    for exercise in WRITTEN[:6]:
        (folder / f"{exercise.name}.py").write_text(exercise.solution, "utf-8")
    sys.path.append(str(folder))
    yield
    sys.path.remove(str(folder))


def quick(code: str) -> str:
    return code.replace("epochs=250", "epochs=30")


@pytest.mark.parametrize("exercise", [*WRITTEN, *PAGES], ids=lambda exercise: exercise.name)
def test_the_solution_passes(exercise: Exercise) -> None:
    assert judge(exercise, exercise.solution).kind == "passed"


@pytest.mark.parametrize("exercise", FIND_BUG, ids=lambda exercise: exercise.name)
def test_a_page_with_a_bug_fails_and_the_hint_is_its_cause(exercise: Exercise) -> None:
    verdict = judge(exercise, exercise.start)
    bug = exercise.mistakes[0]
    assert (verdict.kind, verdict.mistake) == ("wrong", bug.name)
    assert verdict.place
    (cause,) = (
        b.cause for b in BUGS if (b.reference.name, b.name) == (page_of(exercise), bug.name)
    )
    assert cause in bug.hint
    for line in exercise.shown.splitlines():  # the mended lines are those with a plus
        right, wrong = line[2:].strip() in exercise.solution, line[2:].strip() in exercise.start
        assert right if line.startswith("+") else wrong


def page_of(exercise: Exercise) -> str:
    return exercise.name.partition("_bug_")[2]


@pytest.mark.parametrize("exercise", PAGES, ids=lambda exercise: exercise.name)
def test_another_bug_in_the_page_is_not_taken_for_the_one_to_find(exercise: Exercise) -> None:
    own = [m.name for e in FIND_BUG if page_of(e) == page_of(exercise) for m in e.mistakes]
    others = [b for b in BUGS if b.reference.name == page_of(exercise) and b.name not in own]
    for bug in [b for b in others if b.steps == 11 and "fifth" not in b.name][:4]:
        right, wrong = bug.reference.checked()[-1], bug.patched()[-1]
        code = exercise.solution.replace(inspect.getsource(right), inspect.getsource(wrong))
        verdict = judge(exercise, code)
        assert (verdict.kind, verdict.mistake) == ("wrong", ""), bug
        assert verdict.place


@pytest.mark.parametrize("exercise", WRITTEN, ids=lambda exercise: exercise.name)
def test_the_start_has_gaps_and_no_mistake_passes(exercise: Exercise) -> None:
    assert judge(exercise, exercise.start).kind == "gap"
    tested_below = {mistake for name, mistake, _, _ in ANSWERS if f"ex{name}" == exercise.name}
    for mistake in exercise.mistakes[:-1]:
        if mistake.name in tested_below:
            continue
        verdict = judge(exercise, quick(mistake.code))
        assert verdict.kind in ("wrong", "error")
        assert verdict.mistake == mistake.name


@pytest.mark.parametrize(("name", "mistake", "gap", "code"), ANSWERS)
def test_a_wrong_answer_gets_the_hint_that_fits(
    name: str, mistake: str, gap: str, code: str
) -> None:
    exercise = next(exercise for exercise in WRITTEN if exercise.name == f"ex{name}")
    verdict = judge(exercise, quick(code_with(exercise, int(gap or 1), code)))
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


def test_the_course_adds_less_than_80_kilobytes_to_a_wheel() -> None:
    folder = Path(str(FOLDER))
    files = [*folder.rglob("*.py"), *folder.rglob("*.md"), *folder.rglob("*.t*")]
    files.append(folder.parents[1] / "cli" / "learn.py")
    assert sum(len(zlib.compress(file.read_bytes())) for file in files) < 80_000
