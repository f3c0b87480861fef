"""Sphinx's configuration of the book: ``python -m sphinx -W docs docs/_build/html``."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

LINK_OUT = re.compile(r"(?<!!)\[([^\]]+)\]\((?:\.\./[^)]*|memory-results/[^)]*)\)")

project = "numpy_rnn"
author = "The numpy_rnn authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "memory-results"]
html_theme = "furo"
html_title = "numpy_rnn"
html_static_path = ["book.css"]
html_css_files = ["book.css"]
html_math_renderer = "mathml"
html_show_sphinx = html_show_copyright = False
numpydoc_show_class_members = False
autodoc_typehints = "none"


def visit_inline(self: Any, node: nodes.math) -> None:
    """Write an equation inside a sentence as MathML, which a browser draws by itself."""
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
    """Write an equation on lines of its own as MathML."""
    equation = node.astext().replace("{aligned}", "{align*}")  # the converter's name of it
    self.body.append(f'<div class="math">{convert(equation, display="block")}</div>')
    raise nodes.SkipNode


def without_links_out(_app: Any, _name: str, source: list[str]) -> None:
    """Keep only the text of links to files that are no pages of the book."""
    source[0] = LINK_OUT.sub(r"\1", source[0])


def setup(app: Any) -> None:
    """Register the equations and the links."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("source-read", without_links_out)
