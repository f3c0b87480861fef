"""Small networks before and after training, and the page about them, written twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from numpy_rnn.apps.explain import (
    Measurements,
    pictures,
    train,
    write,
)
from tests.apps.explain.small import KINDS, SAMPLE, SMALL

svg = pictures._svg


@pytest.fixture(scope="session")
def networks() -> list[Measurements]:
    return [train(SMALL, kind) for kind in KINDS.values()]


@pytest.fixture(scope="session")
def page_folder(networks: list[Measurements], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explained") / "new"
    files = write(path, SAMPLE, networks)
    assert sorted(files) == sorted(file.name for file in path.iterdir())
    return path


class Redrawn(NamedTuple):
    """The page of the same measurements, once more."""

    folder: Path
    names: list[str]  # of the pictures, as they were reported
    figures: list[Any]


@pytest.fixture(scope="session")
def redrawn(networks: list[Measurements], tmp_path_factory: pytest.TempPathFactory) -> Redrawn:
    again = Redrawn(tmp_path_factory.mktemp("redrawn"), [], [])

    def kept(figure: Any) -> bytes:
        again.figures.append(figure)
        return svg(figure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "_svg", kept)
        write(again.folder, SAMPLE, networks, again.names.append)
    return again
