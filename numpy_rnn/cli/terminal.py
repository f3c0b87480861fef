"""Times, and texts that a terminal must not take for orders."""

from __future__ import annotations

import unicodedata


def duration(seconds: float) -> str:
    """Return a time as ``5s``, ``3m05s`` or ``2h03m``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def harmless(text: str) -> str:
    """Return a text without the control characters that move a cursor or ring a bell."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c
        for c in text
    )
