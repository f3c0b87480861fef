"""A checkpoint is a model file, with the state of the training beside the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.random import MT19937, PCG64, SFC64, Generator, Philox
from safetensors.numpy import load_file

import numpy_rnn
from numpy_rnn import SGD, Adam, Dropout, Linear, MSELoss, Sequential
from numpy_rnn.layers import Layer
from numpy_rnn.training import (
    Checkpoints,
    DamagedFileError,
    Examples,
    History,
    Trainer,
    Validation,
    load,
    save,
)
from numpy_rnn.training.state import MAX_ENTRIES
from tests.training import small


def states(tree: Any) -> Any:
    """Return a state with bytes for its arrays, which can be compared."""
    if isinstance(tree, dict):
        return {name: states(value) for name, value in tree.items() if name != "seconds"}
    return tree.tobytes() if isinstance(tree, np.ndarray) else tree


@pytest.mark.parametrize("losses", [[], [2.0, 1.0, 3.0]])
def test_its_model_is_the_best_one_or_the_last(tmp_path: Path, losses: list[float]) -> None:
    path, values = tmp_path / "run", iter(losses)
    validation = Validation(lambda: next(values), every=2) if losses else None
    trainer = small.trainer(callbacks=[c for c in (validation, Checkpoints(path)) if c is not None])
    trainer.model.vocabulary = "abcdefg"
    trainer.fit(6)
    last = trainer.state_dict()["model"]
    model = numpy_rnn.load(path)
    expected = np.concatenate([last[name].ravel() for name in trainer.model.parameters.shapes])
    if validation is not None:
        assert not np.array_equal(validation.best_parameters, expected)
        expected = validation.best_parameters
    np.testing.assert_array_equal(model.parameters.data, expected)
    assert (model.vocabulary, model.training) == ("abcdefg", False)
    library = load_file(path)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(library[name], value)
    values = iter(losses)
    other = small.trainer(callbacks=[Validation(lambda: 0.0, every=2)] if losses else [])
    load(path, other)
    assert states(other.state_dict()) == states(trainer.state_dict())


def test_a_model_file_has_no_state_of_a_training(tmp_path: Path) -> None:
    trainer = small.trainer()
    trainer.model.save(tmp_path / "m")
    with pytest.raises(DamagedFileError, match="it has no state of a training") as caught:
        load(tmp_path / "m", trainer)
    assert str(caught.value).startswith(f"{str(tmp_path / 'm')!r} is not a checkpoint: ")


@pytest.mark.parametrize("kind", [MT19937, PCG64, Philox, SFC64])
def test_every_generator_is_restored(tmp_path: Path, kind: Any) -> None:
    def trainer(seed: int) -> Trainer:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((3, 8, 2))
        model = Sequential(Linear(2, 2, rng=0), Dropout(0.5, rng=Generator(kind(seed))))
        data = Examples(x, x, 3, per_step=True, rng=Generator(kind(seed + 1)))
        return Trainer(model, MSELoss(), Adam(model.parameters), data)

    one, other = trainer(1), trainer(5)
    one.fit(4)
    save(tmp_path / "run", one)
    load(tmp_path / "run", other)
    for each in (one, other):
        each.fit(9)
    assert one.model.parameters.data.tobytes() == other.model.parameters.data.tobytes()


def test_the_longest_history_can_be_read(tmp_path: Path) -> None:
    def trainer() -> tuple[Trainer, History, Validation]:
        history, validation = History(), Validation(lambda: 1.0, every=1)
        return small.trainer(callbacks=[history, validation]), history, validation

    one, history, validation = trainer()
    one.num_steps = 10**9
    entries = [(10**8 + step, 1 / (step + 3)) for step in range(MAX_ENTRIES)]
    history.losses, validation.history = entries, entries.copy()
    save(tmp_path / "run", one)
    other, history, validation = trainer()
    load(tmp_path / "run", other)
    assert history.losses == validation.history == entries


def test_a_layer_that_cannot_be_described_is_saved_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def described(_: Layer) -> dict[str, Any]:
        raise TypeError("Linear: no attribute, expected one")

    monkeypatch.setattr(Linear, "describe", described)
    model, x = Linear(1, 1, rng=0), np.ones((2, 4, 1))
    trainer = Trainer(model, MSELoss(), SGD(model.parameters), Examples(x, x, 2, per_step=True))
    trainer.fit(2)
    save(tmp_path / "run", trainer, {"seed": 3})
    assert load(tmp_path / "run", trainer) == {"seed": 3}
    with pytest.raises(DamagedFileError, match="'numpy_rnn' is missing"):
        numpy_rnn.load(tmp_path / "run")
