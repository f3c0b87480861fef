"""Pictures can be read on a narrow screen, whatever characters are in them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from matplotlib.figure import Figure

from numpy_rnn.apps.explain import (
    of_recall,
    pictures,
    train,
)
from numpy_rnn.apps.explain.report import render
from numpy_rnn.apps.recall import Experiment
from tests.apps.explain.conftest import Redrawn
from tests.apps.explain.small import SAMPLE

BOX = "\u25a1"


def test_legends_are_readable_on_a_narrow_screen(redrawn: Redrawn) -> None:
    width = 390 - 2 * 16  # pixels, without the page's margins
    legends = [legend for figure in redrawn.figures for legend in figure.legends]
    assert len(legends) == 4
    for legend in legends:
        scale = width / (72 * legend.figure.get_size_inches()[0])
        assert all(text.get_fontsize() * scale >= 12 for text in legend.get_texts())
        extent = legend.get_window_extent()
        assert extent.x0 >= 0
        assert extent.x1 <= legend.figure.bbox.x1


def test_an_axis_says_which_characters_it_leaves_out() -> None:
    figure = Figure()
    axes = figure.subplots()
    pictures._label_steps(axes, SAMPLE, "input")
    assert axes.get_xlabel() == "input"
    long = SAMPLE._replace(tokens=np.tile(SAMPLE.tokens, 9)[:61])
    pictures._label_steps(axes, long, "input")
    assert (len(axes.get_xticks()), axes.get_xlabel()) == (20, "input, 1 character of 3 shown")


def test_the_texts_of_the_unrolled_graph_do_not_overlap(redrawn: Redrawn) -> None:
    (axes,) = redrawn.figures[redrawn.names.index("unrolled")].axes
    texts = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(texts) == 16
    assert not any(a.overlaps(b) for a, b in combinations(texts, 2))


def test_characters_that_cannot_be_drawn_are_boxes_and_change_no_direction() -> None:
    text = "a\u202eb\u6f22 $\u200b"
    experiment = Experiment(text, f"{text}01", hidden_size=4, epochs=1)
    sample = of_recall(experiment)
    assert [pictures.shown(c) for c in text] == ["a", BOX, "b", BOX, "\u2423", r"\$", BOX]
    assert f"\u201ca{BOX}b\u6f22 ${BOX}\u201d" in sample.about
    assert "The start token before it is 0, the end token after it is 1." in sample.about
    with pictures.style():  # a missing glyph is a warning, and a warning here an error
        assert len(list(render(sample, [train(experiment)]))) == 7
