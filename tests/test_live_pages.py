"""What the book's pages with Python compute. ``python -m benchmarks.browser`` opens them."""

from __future__ import annotations

import base64
import io
import json
import runpy
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from docs import conf
from numpy_rnn.apps.learn import load

PAGES = Path(conf.__file__).parent / "browser" / "pages.py"
EXERCISES = {exercise.number: exercise for exercise in load()}


@pytest.fixture(scope="module")
def pages() -> dict[str, Any]:
    return runpy.run_path(str(PAGES))


def checked(pages: dict[str, Any], number: int, code: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(pages["check"](number, code))
    return result


def wrong(rows: list[tuple[str, Any]]) -> set[str]:
    """Return the names of the rows, with the timestep where there is one, that are wrong."""
    steps = [
        (f"{n} {t}", ok) for n, row in rows if isinstance(row, list) for t, ok in enumerate(row)
    ]
    return {name for name, ok in [*rows, *steps] if ok is False}


@pytest.mark.parametrize("number", conf.LIVE_EXERCISES)
def test_a_solution_is_green(pages: dict[str, Any], number: int) -> None:
    result = checked(pages, number, EXERCISES[number].solution)
    assert result["kind"] == "passed"
    assert len(result["steps"]) == 1 + max(1, len(EXERCISES[number].options.get("gates", "")))
    assert wrong(result["steps"]) == wrong(result["whole"]) == set()


@pytest.mark.parametrize(
    ("number", "right", "mistake", "steps", "whole"),
    [
        (4, "dh[t] + dh_next", "dh[t]", {"dz 0", "dz 1", "dz 2", "dx 0", "dx 1", "dx 2"}, "all"),
        (4, "dW_hh += dz.T @ h[t]", "dW_hh += dz.T @ h[t + 1]", set(), {"dW_hh"}),
        (4, "dx[t] = dz @ W_ih", "dx[0] = dz @ W_ih", {"dx 1", "dx 2", "dx 3"}, set()),
        (4, "dx = np.zeros_like(x)", "dx = None", None, None),
        (11, "dz_o = dh_t *", "dz_o = dh[t] *", {"dz, gate o 2", "dx 2"}, "all"),
    ],
)
def test_a_mistake_is_red_where_it_is(
    pages: dict[str, Any], number: int, right: str, mistake: str, steps: Any, whole: Any
) -> None:
    code = EXERCISES[number].solution
    assert code.count(right) == 1
    result = checked(pages, number, code.replace(right, mistake))
    found = wrong(result["steps"])
    if steps is None:
        assert (result["kind"], result["steps"]) == ("error", [])
        return
    assert result["kind"] == "wrong"
    assert found == steps if number == 4 else found >= steps
    assert wrong(result["whole"]) == ({n for n, _ in result["whole"]} if whole == "all" else whole)


def test_the_same_mistake_gets_more_help_and_another_one_begins_anew(pages: dict[str, Any]) -> None:
    pages["failures"].clear()
    first, second = (mistake.code for mistake in EXERCISES[4].mistakes[:2])
    texts = [checked(pages, 4, code)["text"] for code in (first, first, second)]
    assert ["Hint:" in text for text in texts] == [False, True, False]


def test_training_shows_the_matrix_until_the_sentence_is_learned(pages: dict[str, Any]) -> None:
    shown: list[dict[str, Any]] = []
    pages["train"]("an rnn", 0, lambda text: shown.append(json.loads(text)), 250)
    assert [s["epoch"] for s in shown] == [0, 250, 500, 750, 1000]
    assert shown[-1]["written"] == "an rnn1"
    assert shown[0]["matrix"] != shown[-1]["matrix"]
    for s in shown:
        assert all(s["matrix"][t][t] == 0 for t in range(7))
        assert all(s["matrix"][t][k] == -99 for t in range(7) for k in range(t + 1, 7))


def test_the_archive_holds_the_package_and_the_pages() -> None:
    script = conf.package_script()
    archive = ZipFile(io.BytesIO(base64.b64decode(script.split('"')[1])))
    assert archive.read("pages.py") == PAGES.read_bytes()
    package = PAGES.parents[2]
    for name in ("numpy_rnn/checking/check.py", "numpy_rnn/apps/learn/texts/en/04_bptt.md"):
        assert archive.read(name) == (package / name).read_bytes()
