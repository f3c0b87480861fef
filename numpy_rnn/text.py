"""Text for a terminal: from a file, made safe, or of a value, made short."""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np

LONGEST = 80  # characters of a value in a message
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


def shown(value: object) -> str:
    """Return a value for a message: on one line, and only its type if it is long."""
    text = repr(value)
    if len(text) <= LONGEST and "\n" not in text:
        return text
    shape = f" of shape {value.shape}" if isinstance(value, np.ndarray) else ""
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}{shape}"


def wrong_names(found: Collection[str], expected: Collection[str]) -> list[str]:
    """Return what is wrong with names that should be the expected ones, a text for each.

    >>> wrong_names(["step", "sped"], ["step", "seed"])
    ["'seed' is missing", "'sped' is unexpected"]
    """
    missing = [f"{name!r} is missing" for name in expected if name not in found]
    return missing + [f"{name!r} is unexpected" for name in found if name not in expected]
