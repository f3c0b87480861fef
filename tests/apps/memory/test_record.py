"""A record comes back as it was written, and whatever else is in the file is one line."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from numpy_rnn.apps.memory import Budget, Trial, plot, record
from numpy_rnn.apps.memory.plot import draw

BUDGET = Budget(task="copy", cell="lru", hidden=4, lr=0.01)
TRIALS = [
    Trial(25, 0, True, 0.995, 0.125, 0.46, 50, 300, 1.5),
    Trial(50, 0, False, None, None, 0.3, 7, 300, 0.25),
]


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    record.write(path, BUDGET, TRIALS)
    budget, trials = record.read(path)
    assert budget == BUDGET
    assert trials == TRIALS
    assert [t.seconds for t in trials] == [1.5, 0.25]
    json.loads(path.read_bytes(), parse_constant=pytest.fail)  # plain JSON, without NaN


def damaged(**changes: Any) -> bytes:
    data = record.as_data(BUDGET, TRIALS)
    for name, value in changes.items():
        if name in data:
            data[name] = value
        else:
            data["trials"][0][name] = value
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "Expecting value"),
        (b"[1]", "list indices must be integers"),
        (b'{"a": "\xff"}', "can't decode"),
        (b"[" * 100_000, ""),
        (b"{}", "'budget'"),
        (damaged(budget={"task": "sorting"}), "task is 'sorting', expected one of"),
        (damaged(budget={"tasks": 1}), "unexpected keyword argument 'tasks'"),
        (damaged(budget={"hidden": "3"}), "hidden is '3', expected a whole number"),
        (damaged(trials=3), "not iterable"),
        (damaged(trials=[{}]), "missing"),
        (damaged(trials=[3]), "must be a mapping"),
        (damaged(length="25"), "length is '25', expected int"),
        (damaged(length=True), "length is True, expected int"),
        (damaged(solved=1), "solved is 1, expected bool"),
        (damaged(score="x"), "score is 'x', expected float | None"),
        (damaged(baseline=None), "baseline is None, expected float"),
        (damaged(score=float("nan")), "score is nan, expected a finite number"),
        (damaged(loss=float("inf")), "loss is inf, expected a finite number"),
        (damaged(seconds=10**400), "too large"),
    ],
)
def test_what_is_no_record_is_one_line(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is not a record of a memory search: ") as caught:
        record.read(path)
    message = str(caught.value)
    assert reason in message
    assert "a.json" in message
    assert "\n" not in message


@given(cut=st.integers(0, 10_000), other=st.binary(max_size=4))
def test_any_damage_is_found_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, cut: int, other: bytes
) -> None:
    data = damaged()
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    cut %= len(data)
    path.write_bytes(data[:cut] + other + data[cut + len(other) :])
    with contextlib.suppress(ValueError):  # no other error comes of it
        budget, trials = record.read(path)
        assert isinstance(budget, Budget)
        assert all(isinstance(trial, Trial) for trial in trials)


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_a_plot_is_a_picture(suffix: str, magic: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    draw(path, BUDGET, TRIALS, [25])
    assert path.read_bytes().startswith(magic)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_plot_labels_lengths_as_they_are_and_hides_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Any] = []

    class Kept(Figure):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            figures.append(self)

    monkeypatch.setattr(plot, "require_matplotlib", lambda: Kept)
    lengths = (25, 50, 75, 62, 68)
    trials = [Trial(n, seed, n < 63, 1, 1, 1, 1, 300, 1) for n in lengths for seed in range(3)]
    for tried, longest, labels in ((trials, [62] * 3, ["25", "50"]), (trials[:1], [0], ["25"])):
        draw(tmp_path / "a.png", BUDGET, tried, longest)  # a warning would be an error
        axes = figures[-1].axes[0]
        assert [label.get_text() for label in axes.get_yticklabels(which="both")] == labels
        low, high = axes.get_ylim()
        assert low < min(trial.length for trial in tried)
        assert max(trial.length for trial in tried) < high
        assert not axes.get_window_extent().overlaps(figures[-1].legends[0].get_window_extent())
