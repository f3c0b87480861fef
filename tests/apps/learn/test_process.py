"""Answers that loop, crash, exit, print, take memory or start processes: each gets a verdict."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from numpy_rnn.apps.learn import load
from numpy_rnn.apps.learn.process import MAX_PRINTED, run_judge

EXERCISE = load()[1]


@pytest.mark.parametrize(
    ("code", "kind", "place", "printed"),
    [
        ("\ufeff" + EXERCISE.solution, "passed", "", ""),  # as editors on Windows save it
        ("print('a')\nwhile True:\n    print('b' * 1000)", "timeout", "1 s", "a\nbbb"),
        ("try:\n    while True: pass\nexcept BaseException: pass", "timeout", "1 s", ""),
        ("import os; os._exit(3)", "ended", "exit status 3", ""),
        ("import sys; print('x'); sys.exit('y')", "error", "line 1: SystemExit: y", "x\n"),
        ("raise KeyboardInterrupt", "error", "line 1: KeyboardInterrupt", ""),
        ("input()", "error", "line 1: EOFError", ""),
        ("def f(:\n    pass", "error", "line 1: SyntaxError", ""),
        ("x = 1\n\0", "error", "SyntaxError", ""),
        ("def forward(*a):\n    return forward(*a)", "error", "line 2: RecursionError", ""),
        ("def forward(*a):\n    a[0][:] = 1 / 0", "error", "line 2: ZeroDivisionError", ""),
        ("import sys\nsys.stdout.close()\nsys.stdout = None", "error", "AttributeError", ""),
        ("import builtins\nbuiltins.open = None", "error", "AttributeError", ""),
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=[60]).start()",
            "error",
            "AttributeError",
            "",
        ),
        pytest.param(
            "import ctypes; ctypes.string_at(0)", "ended", "signal 11", "", marks=pytest.mark.posix
        ),
        pytest.param(
            "x = [0] * 10**10", "error", "line 1: MemoryError", "", marks=pytest.mark.posix
        ),
    ],
)
def test_a_hostile_answer_gets_a_verdict(
    code: str, kind: str, place: str, printed: str, tmp_path: Path
) -> None:
    answer = tmp_path / "answer.py"
    answer.write_text(code, "utf-8")
    verdict = run_judge(EXERCISE, answer, seconds=1 if kind == "timeout" else 60)
    assert (verdict.kind, verdict.place[: len(place)]) == (kind, place)
    assert verdict.printed.startswith(printed)
    assert len(verdict.printed) <= MAX_PRINTED + 4
    assert verdict.printed.endswith("...") == (len(verdict.printed) >= MAX_PRINTED)


@pytest.mark.parametrize("slip", ["", "1 / 0", "dz = dz * 2"])
def test_what_a_pair_prints_is_shown(tmp_path: Path, slip: str) -> None:
    exercise = load()[3]  # its gradients are checked, and the checker captures what code prints
    line = "        dx[t] = dz @ W_ih\n"
    assert line in exercise.solution
    code = exercise.solution.replace(line, f"        print('step', t)\n        {slip}\n{line}")
    (tmp_path / "answer.py").write_text(code, "utf-8")
    verdict = run_judge(exercise, tmp_path / "answer.py", seconds=60)
    assert verdict.kind == {"": "passed", "1 / 0": "error"}.get(slip, "wrong")
    steps = range(3, 2 if slip == "1 / 0" else -1, -1)
    assert verdict.printed.splitlines() == [f"step {t}" for t in steps]


def test_what_known_mistakes_print_is_not_shown(tmp_path: Path) -> None:
    exercise = load()[12]
    code = exercise.solution.replace("dz @ W_hh if", "2 * dz @ W_hh if")  # all slips are compiled
    (tmp_path / "answer.py").write_text(code, "utf-8")
    verdict = run_judge(exercise, tmp_path / "answer.py", seconds=60)
    assert (verdict.kind, verdict.mistake, verdict.printed) == ("wrong", "", "")


@pytest.mark.posix
def test_processes_of_an_answer_end_with_it(tmp_path: Path) -> None:
    answer, mark = tmp_path / "answer.py", tmp_path / "mark"
    child = f"import time; time.sleep(1); open({str(mark)!r}, 'w')"
    answer.write_text(
        f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {child!r}])"
    )
    assert run_judge(EXERCISE, answer).kind == "error"
    time.sleep(1.5)
    assert not mark.exists()
