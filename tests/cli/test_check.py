"""numpy-rnn check: the table, its data, and what happens when a gradient is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn import textbook
from numpy_rnn.cli.check import NAME_WIDTH
from numpy_rnn.cli.main import main
from numpy_rnn.museum import proof, registry


def few(monkeypatch: pytest.MonkeyPatch, *pairs: registry.RegisteredPair) -> None:
    monkeypatch.setattr(proof, "PAIRS", list(pairs))
    monkeypatch.setattr(proof, "TEXTBOOK_PAIRS", [])
    monkeypatch.setattr(proof, "MODELS", [])


def test_everything_that_is_shipped_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["right"]
    rows = {row["name"]: row for row in table["rows"]}
    tables = (registry.PAIRS, registry.TEXTBOOK_PAIRS, registry.MODELS)
    assert len(rows) == sum(len(table) for table in tables)
    for row in rows.values():
        for column, error in row["errors"].items():
            assert error is None or error <= table["allowed"][column]
    for cell in ("elman tanh", "lstm", "gru"):
        assert None not in rows[cell]["errors"].values()


def test_every_pair_of_the_mathematics_has_a_row() -> None:
    for module, pairs in ((F, registry.PAIRS), (textbook, registry.TEXTBOOK_PAIRS)):
        names = [name for name in module.__all__ if name.endswith("_forward")]
        named = {getattr(module, name).__name__ for name in names}  # some have two
        rows = {getattr(pair.forward, "func", pair.forward).__name__ for pair in pairs}
        assert rows == named


def test_every_name_fits_in_its_column() -> None:
    names = [pair.name for pair in (*registry.PAIRS, *registry.TEXTBOOK_PAIRS)]
    assert max(map(len, [*names, *(model.name for model in registry.MODELS)])) <= NAME_WIDTH


def test_the_table_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few(monkeypatch, registry.PAIRS[0])
    assert main(["check"]) == 0
    heading, allowed, row, end = capsys.readouterr().out.splitlines()
    assert heading.split() == [
        *("worst", "relative", "error"),
        *("complex", "central", "RTRL", "linear", "split"),
    ]
    assert allowed.split()[1:] == ["1e-08", "1e-05", "1e-12", "1e-12", "1e-12"]
    assert row.startswith("elman tanh")
    assert end == (
        "1 of 1: every gradient is right, by complex step, central differences, RTRL, linearity, "
        "split = whole."
    )


def test_a_wrong_gradient_is_told_and_the_status_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong(dy: Any, cache: Any, keep: Any = "") -> Any:
        dx, dW, db = F.linear_backward(dy, cache, keep)
        return dx, dW, db * 1.0001

    linear = next(pair for pair in registry.PAIRS if pair.name == "linear")
    few(monkeypatch, linear._replace(backward=wrong))
    assert main(["check"]) == 1
    out, err = capsys.readouterr()
    assert "WRONG" in out
    assert "first wrong place: b, unit" in out
    assert "off by a constant factor 1.0001" in out
    assert err.splitlines() == ["numpy-rnn check: error: 1 of 1 are wrong: linear"]
