"""A page of HTML with numbered sections and pictures: one file without scripts or links."""

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
    """A heading, text, and a picture with its caption."""

    name: str  # of the picture's file, without the suffix
    heading: str
    text: str  # paragraphs, separated by empty lines
    picture: bytes  # SVG
    caption: str


def page(title: str, lead: str, sections: Iterable[Section]) -> bytes:
    """Return the page as HTML in UTF-8, with the pictures inside.

    >>> b"<h1>Why &lt;b&gt;</h1>" in page("Why <b>", "A lead.", [])
    True
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
            '<figure><div tabindex="0">',  # so that the keyboard can scroll it on a narrow screen
            f'<img src="data:image/svg+xml;base64,{data}" alt="{caption}"></div>',
            f"<figcaption>{caption}</figcaption></figure>",
        ]
    parts.append('<p class="soft">The numbers of all pictures are in numbers.json.</p>')
    parts.append("</body>\n</html>\n")
    return "\n".join(parts).encode()


def _paragraphs(text: str) -> list[str]:
    return [f"<p>{html.escape(' '.join(part.split()))}</p>" for part in text.split("\n\n")]
