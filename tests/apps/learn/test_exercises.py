"""Every exercise: its solution passes, and wrong answers fail with a hint that fits."""

from __future__ import annotations

import inspect
import re
import sys
import zlib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from textwrap import indent
from typing import Any
from unicodedata import east_asian_width

import pytest

from numpy_rnn.apps.learn import LANGUAGES, judge, load, start
from numpy_rnn.apps.learn import course as course_module
from numpy_rnn.apps.learn.course import render
from numpy_rnn.apps.learn.exercise import FOLDER, Exercise, messages, wrong_lines
from numpy_rnn.apps.learn.judge import Verdict
from numpy_rnn.museum import BUGS

EXERCISES = load()
WRITTEN = [exercise for exercise in EXERCISES if "_bug_" not in exercise.name]
FIND_BUG = [exercise for exercise in EXERCISES if "_bug_" in exercise.name]
PAGES = list({e.title.partition(",")[0]: e for e in FIND_BUG}.values())  # one for each page
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
    """Exercise 7 imports the answers to earlier ones."""
    folder = tmp_path_factory.mktemp("course")
    for exercise in WRITTEN[:6]:
        (folder / f"{exercise.name}.py").write_text(exercise.solution, "utf-8")
    sys.path.append(str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.fixture(scope="module", autouse=True)
def mistakes_are_run_once() -> Iterator[None]:
    """An answer is compared with the results of every known mistake, which are always the same."""
    judging: Any = import_module("numpy_rnn.apps.learn.judge")  # the package has the function
    probes = {exercise.name: judging._probe(exercise) for exercise in EXERCISES}
    run, run_once = judging._run, cache(judging._run)

    def run_or_recall(probe: Any, source: str, file: str) -> Any:
        return (run_once if file == "mistake.py" else run)(probe, source, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "_probe", lambda exercise: probes[exercise.name])
        patch.setattr(judging, "_run", run_or_recall)
        yield


@cache
def verdict_on_start(name: str) -> Verdict:
    exercise = next(exercise for exercise in EXERCISES if exercise.name == name)
    return judge(exercise, exercise.start)


@pytest.mark.parametrize("exercise", [*WRITTEN, *PAGES], ids=lambda exercise: exercise.name)
def test_the_solution_passes(exercise: Exercise) -> None:
    assert judge(exercise, exercise.solution).kind == "passed"


@pytest.mark.parametrize("exercise", FIND_BUG, ids=lambda exercise: exercise.name)
def test_a_page_with_a_bug_fails_and_the_hint_is_its_cause(exercise: Exercise) -> None:
    verdict = verdict_on_start(exercise.name)
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
    for bug in [b for b in others if b.steps == 11 and "fifth" not in b.name][:2]:
        right, wrong = bug.reference.checked()[-1], bug.patched()[-1]
        code = exercise.solution.replace(inspect.getsource(right), inspect.getsource(wrong))
        verdict = judge(exercise, code)
        assert (verdict.kind, verdict.mistake) == ("wrong", ""), bug
        assert verdict.place


@pytest.mark.parametrize("exercise", WRITTEN, ids=lambda exercise: exercise.name)
def test_the_start_has_gaps_and_no_mistake_passes(exercise: Exercise) -> None:
    assert verdict_on_start(exercise.name).kind == "gap"
    tested_below = {mistake for name, mistake, _, _ in ANSWERS if f"ex{name}" == exercise.name}
    for mistake in exercise.mistakes:
        if not mistake.code or mistake.name in tested_below:
            continue
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


@pytest.mark.parametrize(
    ("number", "right", "wrong"),
    [
        (1, "y.argmax(axis=1)", "y.argmin(axis=1)"),
        (2, "x[t] @", "x[t - 1] @"),
        (4, "dh_next = dz @ W_hh", "dh_next += dz @ W_hh"),
        (4, "1 - h[t + 1] ** 2", "1 - h[t + 1]"),
        (6, "v + (1 - beta2) * g**2", "v + (1 - beta2) * g"),
        (9, "loss = -np.log(", "loss = np.log("),
        (10, " + b_hh", ""),
        (11, "dc[t] + dc_next", "dc_next"),
        (12, "dh_t * z + ds @ W_hh", "dh_t * z + da @ W_hh"),
        (13, "dz @ W_hh if", "dz @ W_hh.T if"),
        (13, ">= share", "> share"),
        (14, "z[index] += 1j * h", "z[index] = 1j * h"),
    ],
)
def test_a_slip_that_no_table_holds_gets_its_line(number: int, right: str, wrong: str) -> None:
    exercise = EXERCISES[number - 1]
    (line,) = (line.strip() for line in exercise.shown.splitlines() if right in line)
    verdict = judge(exercise, exercise.solution.replace(right, wrong))
    assert (verdict.kind, verdict.mistake, verdict.line) == (
        "wrong",
        "",
        line.replace(right, wrong),
    )
    shown = render(exercise, verdict, 2, messages("en"))
    assert verdict.line in shown
    assert exercise.mistakes[-1].hint not in shown


@pytest.mark.parametrize(
    ("number", "right", "wrong", "place"),
    [
        (3, "(e**2).mean()", "(e**2).mean() + 1", "loss: got"),
        (11, "h.append(o *", "h.append(2 * o *", "h, t = 0, batch row 0, unit 0: got"),
        (12, "(1 - z) * n +", "(1 - z) * n + 1 +", "h, t = 0, batch row 0, unit 0: got"),
        (10, "h.append(o *", "h.append(2 * o *", "h, t = 0,"),  # before c at t = 1
        (10, "f * c[t] +", "f * c[t] + t +", "c, t = 1,"),  # at that step c is computed first
        (4, "= dz @ W_ih", "= dz @ W_hh", "line 21: ValueError: values of shape"),
        (4, "dh[t] + dh_next", "dh[t]", "gradient of the pre-activation (dz), t = 2, batch row 1"),
        (2, "W_ih.T", "W_ih", "line 11: ValueError: in a matrix product, an axis of size"),
        (2, "@ W_ih.T", "* W_ih.T", "line 11: ValueError: arrays of shapes (3,2) and (2,4) do"),
        (3, "e**2", "e^2", "line 7: TypeError: ^ is no power in Python: write **"),
        (6, "beta1**t", "beta1^t", "line 8: TypeError: ^ is no power in Python: write **"),
        (
            4,
            "zeros_like(b_ih)",
            "zeros_like(b_ih, int)",
            "line 24: UFuncTypeError: an array of int",
        ),
        (3, "dy, dtarget\n", "dy\n", "FormError: the number of results of backward is 1,"),
        (4, "dW_ih += ", "dW_ih = ", "dW_ih, row 1, column 0: got"),
    ],
)
def test_the_first_wrong_place_has_plain_words(
    number: int, right: str, wrong: str, place: str
) -> None:
    exercise = EXERCISES[number - 1]
    assert exercise.solution.count(right) == 1
    verdict = judge(exercise, exercise.solution.replace(right, wrong))
    assert verdict.place.startswith(place), verdict.place


@pytest.mark.parametrize(
    ("number", "line"), [(4, "dh_next = dz @ W_hh"), (11, "dc_next = dc_t * f")]
)
def test_a_missing_line_does_not_give_away_the_answer(number: int, line: str) -> None:
    exercise = EXERCISES[number - 1]
    mistakes = tuple(m for m in exercise.mistakes if "carry dropped" not in m.name)
    verdict = Verdict("wrong", "dx", line=f"pass  # without {line}")
    shown = render(exercise._replace(mistakes=mistakes), verdict, 2, messages("en"))
    assert "without its line for " + line.split(maxsplit=1)[0] in shown
    assert line not in shown


@pytest.mark.parametrize(
    ("place", "question"),
    [
        ("line 3: SyntaxError: expected ':'", "Python cannot read that line"),
        ("line 3: UnboundLocalError: x", "has no value yet"),
        ("line 3: ModuleNotFoundError: No module named 'nump'", "has no value yet"),
        ("line 3: ValueError: shapes", "which shapes meet there?"),
        ("line 3: TypeError: x", "Read the message"),
        ("line 3: AttributeError: module 'numpy' has no attribute 'tan_h'", "Read the message"),
        ("AttributeError: module 'answer' has no attribute 'forward'", "The checker calls forward"),
        ("TypeError: forward() takes 2 positional arguments", "The checker calls your functions"),
        ("TypeError: cannot unpack non-iterable NoneType object", "function end with return"),
        ("line 3: IndexError: list index out of range", "Which index does not fit"),
        ("line 3: EOFError: EOF when reading a line", "no keyboard"),
        ("line 3: RecursionError: maximum depth", "without end"),
        ("line 3: MemoryError", "without end"),
        ("line 1: SystemExit: y", "ends the program"),
    ],
)
def test_an_exception_gets_a_question_of_its_kind(place: str, question: str) -> None:
    assert question in render(EXERCISES[1], Verdict("error", place), 1, messages("en"))


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(("kind", "helps"), [("ValueError", True), ("NameError", False)])
def test_the_hint_about_an_exception_is_to_print_what_the_line_has(
    kind: str, helps: bool, language: str
) -> None:
    verdict = Verdict("error", f"line 3: {kind}: x")
    shown = render(EXERCISES[2], verdict, 2, messages(language))
    assert ("print(name, np.shape(name))" in shown) is helps


def test_an_answer_that_returns_none_is_asked_about_return() -> None:
    verdict = Verdict("wrong", "decode: got None, expected 'bba'")
    assert "function end with return" in render(EXERCISES[0], verdict, 1, messages("en"))


def test_a_bug_without_a_wrong_gradient_has_a_question_that_fits() -> None:
    asked = []
    for exercise in FIND_BUG:
        verdict = verdict_on_start(exercise.name)
        shown = render(exercise, verdict, 1, messages("en"))
        if "do what the checker reports?" in shown:
            asked.append(exercise.number)
            assert not verdict.report
    assert asked == [32, 34]


def test_the_page_that_a_bug_page_names_is_in_the_exercise_that_its_text_names() -> None:
    assert "exercise 22 has that page" in FIND_BUG[0].text
    assert page_of(EXERCISES[21]) == "lstm"


@pytest.mark.parametrize(
    ("number", "right", "wrong", "question"),
    [
        (13, "norms_of_dx.max()", "norms_of_dx.mean()", "Which steps are large enough"),
        (3, "(e**2).mean()", "(e**2).mean(axis=0)", "Is your loss one number?"),
        (4, "= dz @ W_hh\n", "= dz\n", "returned as dh0"),
        (5, "/ norms.sum()", "/ norms.sum() * 100", "How many norms are there"),
    ],
)
def test_a_result_has_hints_of_its_own(number: int, right: str, wrong: str, question: str) -> None:
    exercise = EXERCISES[number - 1]
    code = exercise.solution.replace(right, wrong).replace("+ dh_next\n", "+ dh_next @ W_hh\n")
    shown = render(exercise, judge(exercise, code), 1, messages("en"))
    assert question in shown


@pytest.mark.parametrize(
    ("number", "right", "wrong", "place"),
    [
        (4, "dh_t = dh[t] + dh_next", "dh[t] += dh_next; dh_t = dh[t]", "backward changes dh"),
        (3, "dy = dloss * 2 * e / e.size", "e *= 2 * dloss / e.size; dy = e", "backward changes"),
        (9, "e = np.exp(y -", "y -= y.max(); e = np.exp(y -", "forward changes y"),
    ],
)
def test_an_array_that_is_changed_is_the_question(
    number: int, right: str, wrong: str, place: str
) -> None:
    exercise = EXERCISES[number - 1]
    assert right in exercise.solution
    verdict = judge(exercise, exercise.solution.replace(right, wrong))
    assert verdict.place.startswith(place)
    assert "Which of your lines writes into one?" in render(exercise, verdict, 1, messages("en"))


def test_a_wrong_line_confuses_no_name_with_a_constant() -> None:
    assert not [line for e in WRITTEN for line, _ in wrong_lines(e) if "[t, b, True]" in line]


def test_results_that_are_not_finite_fit_no_line() -> None:
    code = EXERCISES[5].solution.replace("**t)", "**(t - 1))")
    assert judge(EXERCISES[5], code)[4:] == ("", "", "")


def test_a_wrong_output_hides_the_verdict_on_its_gradients() -> None:
    code = EXERCISES[2].solution.replace("(e**2).mean()", "(e**2).mean() * 3")
    verdict = judge(EXERCISES[2], code)
    assert (verdict.place[:9], verdict.report, verdict.suggestion) == ("loss: got", "", "")


def test_a_syntax_error_names_its_line_once() -> None:
    verdict = judge(EXERCISES[1], "x = 1\ndef f(:\n", "answer.py")
    assert verdict.place == "line 2: SyntaxError: invalid syntax"


def test_each_suggestion_is_a_line() -> None:
    verdict = Verdict("wrong", "dx", suggestion="one\ntwo")
    assert "suggests:\n  one\n  two\n" in render(EXERCISES[3], verdict, 1, messages("en"))


def test_a_report_without_a_wrong_gradient_is_left_out() -> None:
    half = EXERCISES[2].solution.replace(".mean()", ".mean() / 2").replace("2 * e /", "e /")
    verdict = judge(EXERCISES[2], half)
    assert (verdict.kind, verdict.report) == ("wrong", "")
    assert verdict.place.startswith("loss: got")


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_take_80_columns(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file shows the verdict on what it begins with, which is the same in every language.
    monkeypatch.setattr(course_module, "judge", lambda exercise, _: verdict_on_start(exercise.name))
    course = start(tmp_path, language)
    for exercise in course.exercises:
        for line in course.file(exercise).read_text("utf-8").splitlines():
            if line.startswith("#") and not line.startswith("#     "):  # a report, an equation
                assert sum(1 + (east_asian_width(letter) in "WF") for letter in line) <= 80, line
    titles = [exercise.title for exercise in course.exercises]
    assert len(set(titles)) == len(titles)


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
