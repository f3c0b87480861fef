"""The search finds the border in few runs, and its record is read as it was written."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn.apps.memory import (
    Run,
    TrainingConfig,
    read_record,
    search_max_length,
    write_record,
)
from numpy_rnn.apps.memory.search import record_data
from numpy_rnn.safetensors import write
from tests.mutations import file_of, parts_of

CONFIG = TrainingConfig(task="copy", cell="lru", hidden_size=4, lr=0.01)
RUNS = [
    Run(25, 0, True, 0.995, 0.125, 0.46, 50, 300, 1.5),
    Run(50, 0, False, None, None, 0.3, 7, 300, 0.25),
]


@given(border=st.integers(0, 3000), start=st.integers(1, 100), limit=st.integers(100, 2000))
def test_it_finds_the_border_exactly(border: int, start: int, limit: int) -> None:
    asked: list[int] = []

    def solves(length: int) -> bool:
        assert length <= limit
        assert length not in asked  # a run takes minutes
        asked.append(length)
        return length <= border

    expected = min(border, limit) if border >= start else 0
    assert search_max_length(solves, start, limit, resolution=0) == expected
    assert len(asked) <= 2 * limit.bit_length() + 2


@given(border=st.integers(25, 10_000))
def test_the_resolution_is_kept(border: int) -> None:
    tried: dict[int, bool] = {}

    def solves(length: int) -> bool:
        tried[length] = length <= border
        return tried[length]

    found = search_max_length(solves, 25, 100_000, resolution=0.1)
    assert tried[found]
    nearest = min(length for length, solved in tried.items() if not solved)
    assert nearest - found <= max(1, 0.1 * found)
    assert len(tried) <= 15


@pytest.mark.parametrize(
    ("border", "asked"),
    [
        (0, [25]),
        (30, [25, 50, 37, 31, 28, 29, 30]),
        (100, [25, 50, 100]),
        (60, [25, 50, 100, 75, 62, 56, 59, 60, 61]),
    ],
)
def test_it_doubles_then_bisects(border: int, asked: list[int]) -> None:
    tried: list[int] = []

    def solves(length: int) -> bool:
        tried.append(length)
        return length <= border

    search_max_length(solves, 25, 100, resolution=0)
    assert tried == asked


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_record(path, CONFIG, RUNS)
    config, runs = read_record(path)
    assert config == CONFIG
    assert runs == RUNS
    assert [run.seconds for run in runs] == [1.5, 0.25]
    text = parts_of(path.read_bytes())[0]["__metadata__"]["memory"]
    json.loads(text, parse_constant=pytest.fail)  # plain JSON, without NaN


@pytest.mark.parametrize("extend", [True, False])
def test_another_version_s_record_is_read_and_not_extended(tmp_path: Path, extend: bool) -> None:
    path = tmp_path / "a.safetensors"
    older = record_data(CONFIG, RUNS) | {"numpy_rnn": "0.0.9"}
    newer = {
        "unknown": older | {"momentum": 1},
        "unknown setting": older | {"config": older["config"] | {"momentum": 1}},
    }
    for name, data in {"older": older, **newer}.items():
        write(path, {"memory": data}, {})
        if name == "older" and not extend:
            assert read_record(path) == (CONFIG, RUNS)
            continue
        reason = "version is '0.0.9'" if extend else "momentum"
        with pytest.raises(ValueError, match=reason):
            read_record(path, extend=extend)
    write(path, {"memory": record_data(CONFIG, RUNS) | {"momentum": 1}}, {})
    with pytest.raises(ValueError, match=r"its entries are .*, momentum: of .0"):
        read_record(path, extend=extend)


def damaged(**changes: Any) -> str:
    data = record_data(CONFIG, RUNS)
    for name, value in changes.items():
        if name in data:
            data[name] = value
        else:
            data["runs"][0][name] = value
    return json.dumps(data)


def write_text(path: Path, text: str) -> None:
    """Write a record that contains this text, with the right checksum."""
    write(path, {"memory": {}}, {})
    header, body = parts_of(path.read_bytes())
    header["__metadata__"]["memory"] = text
    path.write_bytes(file_of(header, body))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("[1]", "is not a JSON object"),
        ("[" * 100_000, ""),
        ("{}", "'config'"),
        (damaged(config={"task": "sorting"}), "task is 'sorting', expected one of"),
        (damaged(config={"tasks": 1}), "unexpected keyword argument 'tasks'"),
        (damaged(config={"hidden_size": "3"}), "hidden_size is '3', expected a whole number"),
        (damaged(runs=3), "not iterable"),
        (damaged(runs=[{}]), "missing"),
        (damaged(runs=[3]), "must be a mapping"),
        (damaged(length="25"), "length is '25', expected a whole number"),
        (damaged(length=True), "length is True, expected a whole number"),
        (damaged(solved=1), "solved is 1, expected True or False"),
        (damaged(score="x"), "score is 'x', expected a number"),
        (damaged(baseline=None), "baseline is None, expected a number"),
        (damaged(score=float("nan")), "score is nan, expected a finite number"),
        (damaged(loss=float("inf")), "loss is inf, expected a finite number"),
        (damaged(seconds=10**400), "seconds is an int, expected a finite number"),
    ],
)
def test_a_file_that_is_no_record_is_a_one_line_error(
    text: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    write_text(path, text)
    with pytest.raises(ValueError, match="is not a record of a memory search: ") as caught:
        read_record(path)
    message = str(caught.value)
    assert reason in message
    assert "a.safetensors" in message
    assert "\n" not in message


@given(cut=st.integers(0, 10_000), other=st.text(max_size=4))
def test_damage_is_found_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, cut: int, other: str
) -> None:
    text = damaged()
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    cut %= len(text)
    write_text(path, text[:cut] + other + text[cut + len(other) :])
    with contextlib.suppress(ValueError):  # no other error is raised
        config, runs = read_record(path)
        assert isinstance(config, TrainingConfig)
        assert all(isinstance(run, Run) for run in runs)
