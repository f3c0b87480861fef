"""The recall experiment: what the notebook saw, what it did not, and what can go wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from numpy_rnn.text.recall import (
    CHARACTERS,
    SENTENCE,
    Experiment,
    Recall,
    TrainingFailedError,
    build,
    generate,
    load,
    raw_output,
    run,
    save,
    train,
)
from tests.text.notebook import PRINTED

SEEDS = range(20)


@pytest.fixture(scope="module")
def twenty() -> list[Recall]:
    return [run(Experiment(seed=seed)) for seed in SEEDS]


def test_argmax_feedback_recalls_the_sentence_for_every_seed(twenty: list[Recall]) -> None:
    assert [result.argmax for result in twenty] == [SENTENCE] * len(SEEDS)


def test_raw_feedback_recalls_it_for_none(twenty: list[Recall]) -> None:
    assert [result for result in twenty if result.raw == SENTENCE] == []


def test_the_losses_the_notebook_printed_lie_in_the_range_of_the_seeds(
    twenty: list[Recall],
) -> None:
    printed = [float(number) for number in PRINTED.split()]
    curves = np.array([result.losses[: 10 * len(printed) : 10] for result in twenty])
    assert curves.shape == (len(SEEDS), 26)
    assert (curves.min(axis=0) <= printed).all()
    assert (printed <= curves.max(axis=0)).all()


def test_the_same_seed_gives_the_same_bits() -> None:
    a, b = (run(Experiment(seed=3, epochs=20)) for _ in range(2))
    assert a.losses == b.losses
    assert a.model.parameters.data.tobytes() == b.model.parameters.data.tobytes()


def test_cross_entropy_and_relu_recall_it_too() -> None:
    assert run(Experiment(loss="cross-entropy", epochs=400)).argmax == SENTENCE
    assert run(Experiment(nonlinearity="relu")).argmax == SENTENCE


def test_integer_input_is_the_same_network() -> None:
    model = build(Experiment(dtype="float64"))
    symbols = np.array([[33], [7], [4]])
    dense, _ = model.forward(np.eye(35)[symbols])
    looked_up, _ = model.forward(symbols)
    np.testing.assert_allclose(looked_up, dense, rtol=1e-14)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": ""}, "text is empty, expected at least one character"),
        ({"text": "hello World"}, "text has 'W' at position 6, expected one of"),
        ({"text": "a\udce9"}, "text is not valid text at position 1, expected UTF-8"),
        ({"characters": "abca"}, "alphabet has 'a' twice, at positions 0 and 3"),
        ({"characters": "ab"}, "alphabet has 2 characters, expected at least 3"),
        ({"hidden_size": 0}, "hidden_size is 0, expected at least 1"),
        ({"epochs": 0}, "epochs is 0, expected at least 1"),
        ({"nonlinearity": "sine"}, "nonlinearity is 'sine', expected 'tanh' or 'relu'"),
        ({"loss": "l1"}, "loss is 'l1', expected 'mse' or 'cross-entropy'"),
        ({"lr": 0.0}, "lr is 0.0, expected a finite number above 0"),
        ({"lr": math.nan}, "lr is nan, expected"),
        ({"seed": -1}, "seed is -1, expected"),
        ({"dtype": "float16"}, "dtype is float16, expected one of float32, float64"),
        ({"dtype": "flaot32"}, "dtype is 'flaot32', expected one of float32, float64"),
    ],
)
def test_bad_settings_are_one_clear_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Experiment(**options)  # type: ignore[arg-type]  # wrong on purpose
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_a_learning_rate_that_explodes_names_the_epoch(nonlinearity: str) -> None:
    experiment = Experiment(lr=1e30, nonlinearity=nonlinearity)
    with pytest.raises(
        TrainingFailedError, match=r"epoch [12] .*(inf|nan).* try a lr below 1e\+30"
    ):
        run(experiment)


def test_weights_that_explode_in_the_last_update_are_noticed() -> None:
    with pytest.raises(TrainingFailedError, match=r"epoch 0 .'rnn.weight_ih_l0' is not finite"):
        train(build(Experiment()), Experiment(lr=1e39, epochs=1))


def test_raw_feedback_that_explodes_ends_the_text_there() -> None:
    experiment = Experiment(nonlinearity="relu")
    model = build(experiment)
    model.parameters.data *= 1e6
    text = generate(model, experiment.alphabet, 48, raw_output)
    assert 0 < len(text) < 48
    result = Recall(experiment, model, [], text, text)
    assert set(range(len(text), 48)) <= set(result.wrong(text))


def test_an_alphabet_grows_in_front_of_its_start_and_end() -> None:
    grown = Experiment(text="abc").alphabet.grown_for("Zebra #Z")
    assert grown.characters == CHARACTERS[:-2] + "Z#" + CHARACTERS[-2:]
    assert (grown.start, grown.end) == (35, 36)
    assert grown.decode(grown.encode("Zebra #Z")) == "Zebra #Z"


def test_a_saved_recall_loads_as_it_was(tmp_path: Path) -> None:
    result = run(Experiment(epochs=30))
    save(tmp_path / "a.npz", result)
    experiment, model = load(tmp_path / "a.npz")
    assert experiment == result.experiment
    assert model.parameters.data.tobytes() == result.model.parameters.data.tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_file_that_is_no_saved_recall_is_one_clear_line(tmp_path: Path) -> None:
    good = tmp_path / "good.npz"
    save(good, run(Experiment(epochs=1)))
    bad = tmp_path / "bad.npz"
    settings = {"hidden_sise": 3}
    for write in (
        lambda: bad.write_bytes(b""),
        lambda: bad.write_bytes(b"no zip"),
        lambda: bad.write_bytes(good.read_bytes()[:1000]),
        lambda: np.savez(bad, a=np.zeros(3)),
        lambda: np.savez(bad, experiment=np.array("{")),
        lambda: np.savez(bad, experiment=np.array(json.dumps(settings))),
        lambda: np.savez(bad, experiment=np.array([None])),
        lambda: np.savez(bad, experiment=np.array("{}")),
    ):
        write()
        with pytest.raises(ValueError, match=r"bad\.npz|load_state_dict"):
            load(bad)


def test_the_defaults_are_the_notebooks() -> None:
    assert (len(CHARACTERS), len(SENTENCE)) == (35, 48)
    default = Experiment()
    assert (default.hidden_size, default.lr, default.epochs) == (35, 0.001, 1000)
