"""One page of HTML that explains the pictures in order: one file, no script, no network."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from typing import NamedTuple

STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --ground: #fff; --soft: #555; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --ground: #161616; --soft: #aaa; }
}
body { margin: 0 auto; padding: 1rem; max-width: 48rem; color: var(--text);
  background: var(--ground); font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
figure { margin: 1rem 0; } figure div { overflow-x: auto; }
img { width: 100%; min-width: 42rem; height: auto; } figcaption, .soft { color: var(--soft); }
"""


class Section(NamedTuple):
    """A heading, text, and a picture with what it shows."""

    name: str  # of the picture
    heading: str
    text: str  # paragraphs with an empty line between them
    picture: bytes  # SVG
    caption: str


def page(title: str, lead: str, sections: Iterable[Section]) -> bytes:
    """Return the page.

    Parameters
    ----------
    title : str
        Its heading.
    lead : str
        Text before the first section.
    sections : iterable of Section
        In the order of reading.

    Returns
    -------
    data : bytes
        HTML in UTF-8, the pictures inside.
    """
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
        f"<h1>{html.escape(title)}</h1>",
        *_paragraphs(lead),
    ]
    for number, section in enumerate(sections, 1):
        data = base64.b64encode(section.picture).decode("ascii")
        caption = html.escape(section.caption)
        parts += [
            f"<h2>{number}. {html.escape(section.heading)}</h2>",
            *_paragraphs(section.text),
            '<figure><div tabindex="0">',  # scrolls sideways on a phone, also by keys
            f'<img src="data:image/svg+xml;base64,{data}" alt="{caption}"></div>',
            f"<figcaption>{caption}</figcaption></figure>",
        ]
    parts.append('<p class="soft">Every number of every picture is in numbers.json.</p>')
    parts.append("</body>\n</html>\n")
    return "\n".join(parts).encode()


def _paragraphs(text: str) -> list[str]:
    return [f"<p>{html.escape(' '.join(part.split()))}</p>" for part in text.split("\n\n")]
