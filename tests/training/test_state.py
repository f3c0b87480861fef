"""Every value of a checkpoint's settings and state: it is validated when the file is read."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from numpy_rnn.apps.language_model import run
from numpy_rnn.reading import DamagedFileError
from numpy_rnn.training.state import STATE, by_step, check_entries, count, finite, seconds
from tests.fuzzing import FORMATS
from tests.mutations import settings_in, with_settings

JUNK: tuple[Any, ...] = (None, True, -1, 0.5, float("nan"), 10**400, "x", [], {}, [[1]], {"a": 1})
# Values of another kind than the one in the file that make sense there.
NONE = {
    ("state", "total"),
    ("state", "callbacks", "history", "average"),  # before the first step
    ("about", "settings", "epochs"),
    ("about", "settings", "time_budget"),
}
UNLIMITED = "warmup", "validate_every", "patience", "seed"
ANY_TEXT = {("state", "stopped"), ("about", "text", "name"), ("about", "text", "sha256")}


def paths(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every key and every element."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    for key in keys:
        yield (*path, key)
        if isinstance(tree[key], dict | list):
            yield from paths(tree[key], (*path, key))


def kind_of(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def refused(path: Path, data: bytes, tree: Any) -> bool:
    path.write_bytes(with_settings(data, "training", tree))
    try:
        run.read(path)
    except DamagedFileError:
        return True
    return False


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return FORMATS["checkpoint"].seeds(tmp_path_factory.mktemp("seeds"))


@pytest.mark.parametrize("number", [0, 1])
def test_every_value_is_validated(tmp_path: Path, checkpoints: list[bytes], number: int) -> None:
    data = checkpoints[number]
    good = settings_in(data, "training")
    path, accepted = tmp_path / "a.safetensors", []
    assert not refused(path, data, good)
    for keys in paths(good):
        *outer, last = keys
        for junk in ("remove", *JUNK):
            place = tree = copy.copy(good)
            for key in outer:  # only what is changed is copied, which is faster than all
                place[key] = copy.copy(place[key])
                place = place[key]
            value = place[last]
            if junk == "remove" and isinstance(place, list):
                continue  # a history may be shorter
            if junk == "remove":
                del place[last]
            elif kind_of(junk) == kind_of(value) == "number" and junk in (-1, 0.5):
                continue  # perhaps another good number
            elif junk == value or (junk == [] and last in ("losses", "history", "plans")):
                continue
            else:
                place[last] = junk
            if not refused(path, data, tree):
                accepted.append((keys, junk))
    assert [
        (keys, junk)
        for keys, junk in accepted
        if not (junk is None and keys in NONE)
        and not (junk == "x" and keys in ANY_TEXT)
        and not (junk is True and ("rngs" in keys or keys[-1] == "nesterov"))
        and not (junk == 10**400 and keys[-1] in UNLIMITED)
    ] == []


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("step",), 4),  # the optimiser's is 5
        (("total",), 3),
        (("seconds",), -1),
        (("seconds",), float("inf")),
        (("source", "position"), 10**6),
        (("optimizer", "step"), 6),
        (("optimizer", "lr"), -1),
        (("callbacks", "history", "losses"), [[6, 0.5]]),
        (("callbacks", "history", "losses"), [[4, 0.5], [3, 0.5]]),
        (("callbacks", "history", "count"), 0.5),
    ],
)
def test_a_number_out_of_its_range_is_refused(
    tmp_path: Path, checkpoints: list[bytes], keys: tuple[str, ...], value: Any
) -> None:
    data = checkpoints[0]
    tree = settings_in(data, "training")
    place = tree["state"]
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    assert refused(tmp_path / "a.safetensors", data, tree)


def test_the_messages_name_the_place_and_the_value() -> None:
    for check, value, message in (
        (count, 1.5, "1.5, expected a whole number"),
        (finite, "x", "'x', expected a number"),
        (seconds, -1, "state: x is -1, expected a finite number >= 0"),
        (by_step(finite), [[1, 2.0], [1, 3.0]], "x has step 1 after 1, expected a later one"),
        (by_step(finite), [[1]], r"\[1\], expected a step and a value"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            check("state", "x", value)
    with pytest.raises(ValueError, match="state: 'step' is missing; 'shards' is missing"):
        check_entries("state", {}, STATE)
