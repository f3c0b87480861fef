"""Small texts for tests."""

from __future__ import annotations

import random
from pathlib import Path


def write_text(folder: Path, characters: int = 1500) -> Path:
    """Write sentences of a few words to a file, the same ones each time."""
    rng = random.Random(1)  # noqa: S311 (not a secret)
    words = ["the", "a", "cat", "dog", "sees", "hears", "big", "small", "old", "red"]
    text = ""
    while len(text) < characters:
        text += " ".join(rng.choices(words, k=rng.randint(3, 6))) + ".\n"
    path = folder / "text.txt"
    path.write_bytes(text[:characters].encode())  # LF on every system
    return path
