"""Measurements match the networks, before and after training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from numpy_rnn import LSTM
from numpy_rnn.apps import recall
from numpy_rnn.apps.explain import (
    Measurements,
    measure,
    of_model,
    of_recall,
    train,
)
from numpy_rnn.apps.language_model import run
from numpy_rnn.apps.language_model.model import build
from tests.apps.explain.small import KINDS, SAMPLE, SMALL, checkpoint

ORIGIN = "was trained on the file 'text.txt'"


def test_measurements_are_from_before_and_after_training(networks: list[Measurements]) -> None:
    T, V = len(SMALL.text) + 1, len(SMALL.characters)
    for name, found in zip(KINDS, networks, strict=True):
        assert found.name == name
        assert len(found.losses) == 30
        for snapshot in (found.before, found.after):
            assert snapshot.outputs.shape == (T, V)
            assert snapshot.attribution.shape == (T, T)
            assert not np.triu(snapshot.attribution, 1).any()
            assert snapshot.by_distance[0] == 1
            assert snapshot.radii.shape == snapshot.saturated.shape == (T,)
        assert not np.array_equal(found.before.outputs, found.after.outputs)


def test_the_first_loss_is_that_of_the_outputs_before_training(
    networks: list[Measurements],
) -> None:
    targets = np.eye(len(SMALL.characters))[SAMPLE.tokens[1:]]
    for found in networks:
        loss = np.mean((found.before.outputs - targets) ** 2, axis=1).sum()
        assert found.losses[0][0] == 0
        assert found.losses[0][1] == pytest.approx(loss, rel=1e-5)


def test_attribution_comes_from_the_loss_of_each_step(networks: list[Measurements]) -> None:
    # On the diagonal it is the loss's own gradient: 2 (y - target) / V, through the weights.
    model = recall.build(SMALL)
    targets = np.eye(len(SMALL.characters))[SAMPLE.tokens[1:]]
    before = networks[0].before
    dy = 2 * (before.outputs - targets) / len(SMALL.characters)
    expected = np.linalg.norm(dy @ model.parameters.values["i2o.weight"], axis=1)
    np.testing.assert_allclose(np.diagonal(before.attribution), expected, rtol=1e-5)


def test_a_saved_network_is_measured_as_it_is(networks: list[Measurements], tmp_path: Path) -> None:
    result = recall.run(SMALL)
    path = tmp_path / "a.safetensors"
    recall.save(path, result)
    experiment, model = recall.load(path)
    found = measure(of_recall(experiment), recall.build(experiment), model)
    assert found.losses == []
    np.testing.assert_array_equal(found.after.attribution, networks[0].after.attribution)
    np.testing.assert_array_equal(found.before.attribution, networks[0].before.attribution)


@pytest.mark.parametrize(("cell", "layers"), [("gru", 1), ("lstm", 2), ("rnn", 2)])
def test_a_language_model_is_measured_on_a_text(cell: str, layers: int, tmp_path: Path) -> None:
    saved = run.read(checkpoint(tmp_path / "run", cell, layers))
    model, fresh = run.best(saved), build(saved.settings, len(saved.vocabulary))
    sample = of_model(model, saved.vocabulary, ORIGIN, "the cat sees a dog")
    assert saved.validation is not None
    found = measure(sample, fresh, model, saved.history.losses, saved.validation.history)
    assert (found.name, found.units, found.layers) == (cell.upper(), 8, layers)
    for losses in (found.losses, found.held_out):
        assert [step for step, _ in losses] == [10, 20, 30, 40, 50, 60, 67]
    assert found.losses[0][1] > found.losses[-1][1]
    assert found.held_out[0][1] > found.held_out[-1][1]
    T, after = len("the cat sees a dog") - 1, found.after
    assert (
        set(after.gates)
        == {
            "rnn": set(),
            "gru": {"reset", "update"},
            "lstm": {"input", "forget", "output"},
        }[cell]
    )
    for gate in after.gates.values():
        assert gate.shape == (T, 8)
    np.testing.assert_allclose(after.outputs.sum(axis=1), 1, rtol=1e-5)
    # On the diagonal it is the gradient of -log p, p - target, through the output's weights.
    dy = after.outputs - np.eye(len(saved.vocabulary))[sample.tokens[1:]]
    expected = np.linalg.norm(dy @ model.parameters.values["output.weight"], axis=1)
    np.testing.assert_allclose(np.diagonal(after.attribution), expected, rtol=1e-4)
    assert not np.triu(after.attribution, 1).any()
    assert np.tril(after.attribution).any(axis=0).all()


def test_without_a_text_the_model_reads_what_it_generates(tmp_path: Path) -> None:
    saved = run.read(checkpoint(tmp_path / "run"))
    samples = [of_model(saved.model, saved.vocabulary, ORIGIN) for _ in range(2)]
    assert samples[0].tokens.shape == (49,)
    assert samples[0].tokens.tolist() == samples[1].tokens.tolist()
    assert saved.vocabulary.decode(samples[0].tokens)[0] == "\n"
    assert "a text that it generated" in samples[0].about


def test_the_ledger_has_a_term_for_every_step(networks: list[Measurements]) -> None:
    for found in networks:
        for snapshot in (found.before, found.after):
            assert (snapshot.ledger > 0).all()
            assert snapshot.ledger.shape == (len(SAMPLE.x),)


def test_progress_is_reported_for_each_epoch_and_step() -> None:
    T, notes = len(SAMPLE.x), list[str]()
    train(SMALL, LSTM, notes.append)
    back = [f"LSTM: back to step {t}" for t in reversed(range(T))]
    assert notes[SMALL.epochs :] == 2 * back
    assert len(notes) == SMALL.epochs + 2 * T
    assert all(note.startswith("LSTM: loss ") for note in notes[: SMALL.epochs])
