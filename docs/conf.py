"""Sphinx's configuration of the book: ``python -m sphinx -W docs docs/_build/html``."""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import fields, is_dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from docutils import nodes
from latex2mathml.converter import convert

import numpy_rnn
from numpy_rnn.apps.learn import load
from numpy_rnn.apps.recall import SENTENCE
from numpy_rnn.arguments import Validated
from numpy_rnn.textbook import PAGES

LINK_OUT = re.compile(r"(?<!!)\[([^\]]+)\]\((?:\.\./[^)]*|memory-results/[^)]*)\)")

project = "numpy_rnn"
author = "The numpy_rnn authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "memory-results", "**/__pycache__"]
html_theme = "furo"
html_title = "numpy_rnn"
html_static_path = ["book.css", "browser"]
html_css_files = ["book.css"]
html_math_renderer = "mathml"
html_show_sphinx = html_show_copyright = False
numpydoc_show_class_members = False
INDENTED = re.compile(r"^(\S.*)\n\n( +\S)", re.MULTILINE)
LIVE_EXERCISES = (4, 11, 12)  # those with the backward pass of a whole cell
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


def with_exercises(_app: Any, name: str, source: list[str]) -> None:
    """Write what the package holds into the pages that run Python: exercises, the sentence."""
    if name not in ("chapters/try_backward", "chapters/watch_training"):
        return
    exercises = [exercise for exercise in load() if exercise.number in LIVE_EXERCISES]
    starts = {str(exercise.number): exercise.start for exercise in exercises}
    facts = {
        "choices": "".join(
            f"<option value={e.number}>{e.number}: {html.escape(e.title)}" for e in exercises
        ),
        "code": html.escape(exercises[0].start),
        "starts": json.dumps(starts).replace("<", "\\u003c"),
        "sentence": html.escape(SENTENCE),
    }
    for key, value in facts.items():
        source[0] = source[0].replace(f"@{key}@", value)


def with_textbook(_app: Any, name: str, source: list[str]) -> None:
    """Show every page of the textbook as it is: its derivation stands above its code."""
    if name == "api/textbook":
        shown = [
            f"## {page}\n\n```{{literalinclude}} ../../numpy_rnn/textbook/{page}.py\n```"
            for page in PAGES
        ]
        source[0] += "\n" + "\n\n".join(shown) + "\n"


def with_literal_blocks(
    _app: Any, what: str, _name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    """Keep the lines of indented blocks in a module's docstring, such as equations and code."""
    if what == "module":
        text = "\n".join(lines)
        lines[:] = [*INDENTED.sub(r"\1\n\n.. code-block:: text\n\n\2", text).splitlines(), ""]


def with_settings(
    _app: Any, what: str, _name: str, obj: Any, _options: Any, lines: list[str]
) -> None:
    """Add the descriptions of the fields to the docstring of a class of settings."""
    if what == "class" and issubclass(obj, Validated) and is_dataclass(obj):
        described = [each for each in fields(obj) if each.metadata.get("text")]
        lines += ["", "Parameters", "----------"] * bool(described)
        lines += [line for e in described for line in (e.name, f"    {e.metadata['text']}")]


def without_aliases(
    _app: Any, _what: str, _name: str, obj: Any, _skip: bool, _options: Any
) -> bool | None:
    """Leave out the fields of named tuples, whose docstrings only number them."""
    return True if str(getattr(obj, "__doc__", "")).startswith("Alias for field") else None


def package_script() -> str:
    """Return a script that holds an archive of the package and of browser/pages.py.

    A page that is opened from a disk may load a script, but no other file.
    """
    package, archive = Path(numpy_rnn.__file__).parent, BytesIO()
    with ZipFile(archive, "w", ZIP_DEFLATED) as opened:
        for file in sorted(package.rglob("*.*")):
            if file.suffix in (".py", ".md", ".toml", ".txt"):
                opened.write(file, file.relative_to(package.parent))
        opened.write(Path(__file__).parent / "browser" / "pages.py", "pages.py")
    return f'window.NUMPY_RNN = "{base64.b64encode(archive.getvalue()).decode()}";\n'


def write_package(app: Any, error: Exception | None) -> None:
    """Write the package for the pages that run Python."""
    if error is None and app.builder.format == "html":
        Path(app.outdir, "_static", "numpy_rnn.js").write_text(package_script())


def setup(app: Any) -> None:
    """Register the equations, the links and the pages that run Python."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("source-read", without_links_out)
    app.connect("source-read", with_exercises)
    app.connect("source-read", with_textbook)
    app.connect("autodoc-process-docstring", with_literal_blocks, priority=100)
    app.connect("autodoc-process-docstring", with_settings, priority=100)
    app.connect("autodoc-skip-member", without_aliases)
    app.connect("build-finished", write_package)
