"""The file of 80 lines: its gradient, its loss, and the page that goes through it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from examples.min_rnn import LETTERS, backward, encode, forward
from numpy_rnn.checking import assert_gradients
from tests.cli.command import ROOT
from tests.examples.program import run_example

CODE = Path(ROOT, "examples", "min_rnn.py").read_text("utf-8")


def test_every_gradient_is_right() -> None:
    names = encode(["ada", "grace", "joan"])
    shapes = ("V H", "H H", "H", "H V", "V")
    assert_gradients((forward, backward), names, *shapes, sizes={"V": 27})


def test_padding_does_not_change_the_loss() -> None:
    """A short name has the same loss alone and beside a longer one."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=s) for s in ((27, 4), (4, 4), 4, (4, 27), 27)]
    groups = (["bo"], ["annie"], ["bo", "annie"])
    short, long, both = (forward(encode(names), *weights)[0] for names in groups)
    assert np.isclose(both, (3 * short + 6 * long) / 9)


def test_it_has_80_lines_and_reaches_a_loss_of_2_35() -> None:
    assert len(CODE.splitlines()) <= 80
    *_, loss, names = run_example("min_rnn").splitlines()
    assert float(loss.rpartition(" ")[2]) <= 2.35
    assert len(names.split()) > 15
    assert set(names) <= set(LETTERS + " ")


def test_the_page_shows_the_whole_file_in_its_order() -> None:
    page = Path(ROOT, "docs", "min_rnn.md").read_text("utf-8")
    blocks = re.findall(r"^```python(?: continued)?\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    without_blanks = CODE.replace("\n\n", "\n").replace("\n\n", "\n")
    shown = "".join(block for block in blocks if "assert_gradients" not in block)
    assert shown.replace("\n\n", "\n").replace("\n\n", "\n") == without_blanks
