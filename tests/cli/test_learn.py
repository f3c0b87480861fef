"""``numpy-rnn learn`` as a learner runs it: folders, progress, hints, a terminal, Ctrl-C."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from numpy_rnn.apps.learn import course, judge, load, start
from numpy_rnn.apps.learn.exercise import Exercise
from numpy_rnn.apps.learn.judge import Verdict
from numpy_rnn.cli.main import main
from tests.cli.command import COMMAND, ENVIRONMENT, run_command, run_shell
from tests.terminal import open_terminal, read_all

ONE_HOT = load()[0]


@pytest.fixture(scope="module")
def new_course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:  # the reports in its files take two seconds
        patch.setattr(course, "judge", lambda *_: Verdict("wrong", "dx", "WRONG: dx"))
        return start(tmp_path_factory.mktemp("new") / "a folder" / "course").folder


@pytest.fixture
def judged_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge answers in this process, which saves the imports of another."""

    def judge_file(exercise: Exercise, answer: Path) -> Verdict:
        return judge(exercise, answer.read_text("utf-8"), str(answer))

    monkeypatch.setattr(course, "run_judge", judge_file)


@pytest.fixture
def folder(new_course: Path, tmp_path: Path) -> Path:
    return shutil.copytree(new_course, tmp_path / "course")


def learn(folder: Path, *arguments: str) -> int:
    return main(["learn", *arguments, "--dir", str(folder)])


def test_from_the_start_to_the_next_exercise(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = folder / "ex01_one_hot.py"
    begun = answer.read_text("utf-8")
    answer.unlink()
    assert main(["learn", "start", str(folder)]) == 0
    assert answer.read_text("utf-8") == begun  # what is missing is written
    assert learn(folder, "check") == 1
    captured = capsys.readouterr()
    assert "still has a gap" in captured.out
    assert captured.err == ""
    answer.write_text(ONE_HOT.solution, "utf-8")
    assert main(["learn", "start", str(folder)]) == 0
    assert answer.read_text("utf-8") == ONE_HOT.solution  # what exists is kept
    assert learn(folder, "check") == 0
    assert "Exercise 1, One-hot rows and decoding: passed." in capsys.readouterr().out
    assert learn(folder, "next") == 0
    assert "Next: exercise 2, The forward step." in capsys.readouterr().out
    assert learn(folder, "status") == 0
    assert "[x]  1 One-hot rows and decoding\n[ ]  2 The" in capsys.readouterr().out


@pytest.mark.usefixtures("judged_here")
def test_a_question_then_a_hint_then_the_solution(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mistakes = {mistake.name: mistake for mistake in ONE_HOT.mistakes}
    answer = folder / "ex01_one_hot.py"
    mistake = mistakes["index from one"]
    answer.write_text(mistake.code, "utf-8")
    shown = []
    for _ in range(3):
        assert learn(folder, "check", "1") == 1
        shown.append(capsys.readouterr().out)
    assert all(len(line) <= 80 for text in shown for line in text.splitlines())
    flat = [" ".join(text.split()) for text in shown]  # the prose is in lines of 80 columns
    assert [" ".join(mistake.question.split()) in text for text in flat] == [True, True, True]
    assert [" ".join(mistake.hint.split()) in text for text in flat] == [False, True, True]
    assert ["vocabulary.index(character)] = 1\n" in text for text in shown] == [False, False, True]
    answer.write_text(mistakes["axes swapped"].code, "utf-8")  # another mistake: from the beginning
    assert learn(folder, "check", "1") == 1
    text = " ".join(capsys.readouterr().out.split())
    assert mistakes["axes swapped"].question in text
    assert mistakes["axes swapped"].hint not in text


@pytest.mark.usefixtures("judged_here")
def test_the_solution_of_a_changed_file_waits(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mistake = next(m for m in ONE_HOT.mistakes if m.name == "index from one")
    shown = []
    for comment in ("", "", "# changed", "# changed"):
        (folder / "ex01_one_hot.py").write_text(mistake.code + comment, "utf-8")
        assert learn(folder, "check", "ex01_one_hot.py") == 1
        shown.append("Solution." in capsys.readouterr().out)
    assert shown == [False, False, False, True]


def test_the_language_of_a_course_stays(
    new_course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["learn", "start", str(new_course), "--language", "ko"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "exists in English, and its language stays. Use another folder" in shown
    assert "Change to that folder" in shown
    monkeypatch.chdir(new_course)
    assert main(["learn", "start", "."]) == 0
    shown = capsys.readouterr().out
    assert "34 exercises are in this folder." in shown
    assert "stays" not in shown


def test_next_shows_another_exercise(new_course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert learn(new_course, "next", "3") == 0
    shown = capsys.readouterr().out
    assert "mean squared error" in shown
    assert "exercise 3," in shown


@pytest.mark.usefixtures("judged_here")
def test_mistakes_without_a_name_are_counted_one_by_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for factor in (2, 3, 3, 2):
        answer = ONE_HOT.solution.replace("] = 1", f"] = 1; x *= 10 + {factor} * np.arange(4)")
        (folder / "ex01_one_hot.py").write_text(answer, "utf-8")
        assert learn(folder, "check", "1") == 1
        shown.append("Hint:" in capsys.readouterr().out)
    assert shown == [False, False, True, True]


def test_an_exercise_that_needs_earlier_answers_says_which(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learn(folder, "check", "7") == 1
    assert "First pass these exercises: 1, 4, 6." in capsys.readouterr().out
    for exercise in load()[:7]:
        (folder / f"{exercise.name}.py").write_text(exercise.solution, "utf-8")
    assert [learn(folder, "check", number) for number in "1467"] == [0, 0, 0, 0]
    (folder / "ex04_bptt.py").write_text(load()[3].start, "utf-8")
    capsys.readouterr()
    assert learn(folder, "check", "7") == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "train does not learn the sentence" in shown.replace("train: got 'does", "train does")
    assert "check 1, 4 and 6 again" in shown


@pytest.mark.parametrize(
    "state",
    [
        "",
        "[]",
        "{}",
        '{"language": "en", "passed": 1, "failures": {}}',
        '{"language": "xx", "passed": [], "failures": {}}',
        '{"language": "../en", "passed": [], "failures": {}}',
        '{"language": "en", "passed": [], "failures": {"a": "b"}}',
        "[" * 10_000,
    ],
)
def test_a_damaged_progress_file_is_one_line(folder: Path, state: str) -> None:
    (folder / "progress.json").write_text(state, "utf-8")
    done = run_command("learn", "status", "--dir", str(folder))
    assert done.returncode == 2
    assert "progress.json' is damaged" in done.stderr
    assert "check them again to get the marks back" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["status"],
            "holds no course: change to the course's folder or use --dir; if progress.json was",
        ),
        (["status", "--dir", "no"], "'no' holds no course"),
        ([], "the following arguments are required: {start,check,next,status}"),
        (["start"], "the following arguments are required: DIR"),
        (["start", "d", "--language", "xx"], "invalid choice: 'xx'"),
        (["check", "99", "--dir", "course"], "there is no exercise 99, expected 1 to "),
        (["check", "ex99.py", "--dir", "course"], "expected 1 to 34 or one of its files"),
        (["check", "0", "--dir", "course"], "there is no exercise 0, expected 1 to "),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder.parent)
    assert main(["learn", *arguments]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_a_folder_or_an_answer_that_cannot_be_used_is_one_line(folder: Path) -> None:
    (folder / "file").write_text("")
    assert_refused_by_action(run_command("learn", "start", "file", cwd=folder), "'file'")
    (folder / "ex01_one_hot.py").unlink()
    done = run_command("learn", "check", "--dir", str(folder))
    assert_refused_by_action(done, "ex01_one_hot.py': No such file or directory")
    assert f"numpy-rnn learn start {folder} writes it anew" in done.stderr
    (folder / "ex01_one_hot.py").mkdir()
    done = run_command("learn", "check", "--dir", str(folder))
    assert_refused_by_action(done, "ex01_one_hot.py': Is a directory")


@pytest.mark.posix
def test_a_full_disk_is_one_line(folder: Path) -> None:
    done = run_shell("ulimit -f 0; exec $RNN learn start new", folder)
    assert_refused_by_action(done, "File too large")
    (folder / "ex01_one_hot.py").write_text(ONE_HOT.solution, "utf-8")
    before = (folder / "progress.json").read_text("utf-8")
    done = run_shell("ulimit -f 0; exec $RNN learn check", folder)
    assert_refused_by_action(done, "No usable temporary directory")
    assert (folder / "progress.json").read_text("utf-8") == before


def assert_refused_by_action(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


@pytest.mark.posix
def test_ctrl_c_in_a_terminal_ends_a_check_in_one_line(folder: Path) -> None:
    (folder / "ex01_one_hot.py").write_text("open('running', 'w')\nwhile True: pass\n", "utf-8")
    before = json.loads((folder / "progress.json").read_text("utf-8"))
    master, terminal = open_terminal(80)
    with subprocess.Popen(
        [*COMMAND, "learn", "check"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=folder,
        env=ENVIRONMENT,
    ) as process:
        os.close(terminal)
        while not (folder / "running").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        shown = read_all(master)
    assert shown == b"checking ...\r\nnumpy-rnn learn check: error: interrupted\r\n"
    assert process.returncode == 130
    assert json.loads((folder / "progress.json").read_text("utf-8")) == before


def test_two_checks_at_once_lose_nothing(folder: Path) -> None:
    """The second is refused, so that it cannot write what it read before the first ended."""
    (folder / "ex01_one_hot.py").write_text("open('running', 'w')\nwhile True: pass\n", "utf-8")
    with subprocess.Popen([*COMMAND, "learn", "check", "1"], cwd=folder, env=ENVIRONMENT) as first:
        while not (folder / "running").exists():
            assert first.poll() is None
            time.sleep(0.01)
        done = run_command("learn", "check", "2", cwd=folder)
        first.terminate()
    assert_refused_by_action(done, f"is in use by process {first.pid} on ")
