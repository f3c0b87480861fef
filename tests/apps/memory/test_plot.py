"""The plot of a search shows every run and labels the lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from numpy_rnn.apps.memory import Run, TrainingConfig
from numpy_rnn.apps.memory.search import draw

CONFIG = TrainingConfig(task="copy", cell="lru", hidden_size=4, lr=0.01)
RUNS = [
    Run(25, 0, True, 0.995, 0.125, 0.46, 50, 300, 1.5),
    Run(50, 0, False, None, None, 0.3, 7, 300, 0.25),
]


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_a_plot_is_a_picture(suffix: str, magic: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    draw(path, CONFIG, RUNS, [25])
    assert path.read_bytes().startswith(magic)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_plot_labels_lengths_and_hides_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 (it takes a second to import)

    figures: list[Any] = []

    class Kept(Figure):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            figures.append(self)

    monkeypatch.setattr("matplotlib.figure.Figure", Kept)
    lengths = (25, 50, 75, 62, 68)
    runs = [Run(n, seed, n < 63, 1, 1, 1, 1, 300, 1) for n in lengths for seed in range(3)]
    for tried, max_lengths, labels in ((runs, [62] * 3, ["25", "50"]), (runs[:1], [0], ["25"])):
        draw(tmp_path / "a.png", CONFIG, tried, max_lengths)  # a warning would be an error
        axes = figures[-1].axes[0]
        assert [label.get_text() for label in axes.get_yticklabels(which="both")] == labels
        low, high = axes.get_ylim()
        assert low < min(run.length for run in tried)
        assert max(run.length for run in tried) < high
        assert not axes.get_window_extent().overlaps(figures[-1].legends[0].get_window_extent())
