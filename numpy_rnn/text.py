"""Text from a file, made safe for a terminal."""

from __future__ import annotations

import re

# Control characters but tab and line feed, marks that reorder the text around them (Unicode's
# property Bidi_Control), line and paragraph separators, and halves of a surrogate pair.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff]"
)


def strip_control_characters(text: str) -> str:
    r"""Return a text in which U+FFFD replaces what a terminal would take for a command.

    These are control characters other than line feed and tab, line and paragraph separators,
    characters that reorder text, and lone surrogates.

    >>> strip_control_characters("a\x1b[2J") == "a\N{REPLACEMENT CHARACTER}[2J"
    True
    """
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)
