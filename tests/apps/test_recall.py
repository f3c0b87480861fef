"""The recall experiment: its results, its settings, its files, and training that diverges."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from numpy_rnn.apps import Vocabulary
from numpy_rnn.apps.recall import (
    CHARACTERS,
    SENTENCE,
    Experiment,
    RecallResult,
    build,
    extend,
    generate,
    load,
    run,
    save,
    train,
)
from numpy_rnn.training import TrainingFailedError
from tests.apps.notebook import PRINTED

SEEDS = range(20)


@pytest.fixture(scope="module")
def twenty() -> list[RecallResult]:
    return [run(Experiment(seed=seed)) for seed in SEEDS]


def test_argmax_feedback_recalls_the_sentence_for_every_seed(twenty: list[RecallResult]) -> None:
    assert [result.argmax for result in twenty] == [SENTENCE] * len(SEEDS)


def test_raw_feedback_recalls_it_for_none(twenty: list[RecallResult]) -> None:
    assert [result for result in twenty if result.raw == SENTENCE] == []


def test_the_losses_the_notebook_printed_lie_in_the_range_of_the_seeds(
    twenty: list[RecallResult],
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


def test_token_ids_give_the_outputs_of_one_hot_rows() -> None:
    model = build(Experiment(dtype="float64"))
    tokens = np.array([[33], [7], [4]])
    dense, _ = model.forward(np.eye(35)[tokens])
    looked_up, _ = model.forward(tokens)
    np.testing.assert_allclose(looked_up, dense, rtol=1e-14)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": ""}, "text is empty, expected at least one character"),
        ({"text": "hello World"}, "text has 'W' at position 6, expected one of"),
        ({"text": "a\udce9"}, "text is not valid text at position 1, expected UTF-8"),
        ({"characters": "abca"}, "vocabulary has 'a' twice, at positions 0 and 3"),
        ({"characters": "ab"}, "vocabulary has 2 characters, expected at least 3"),
        ({"hidden_size": 0}, "hidden_size is 0, expected at least 1"),
        ({"epochs": 0}, "epochs is 0, expected at least 1"),
        ({"nonlinearity": "sine"}, "nonlinearity is 'sine', expected one of 'tanh', 'relu'"),
        ({"loss": "l1"}, "loss is 'l1', expected one of 'mse', 'cross-entropy'"),
        ({"lr": 0.0}, "lr is 0.0, expected a finite number above 0"),
        ({"lr": math.nan}, "lr is nan, expected"),
        ({"seed": -1}, "seed is -1, expected"),
        ({"nonlinearity": ["tanh"]}, "nonlinearity is .*, expected one of 'tanh', 'relu'"),
        ({"loss": None}, "loss is None, expected one of 'mse', 'cross-entropy'"),
        ({"dtype": np.float32}, "dtype is .*, expected one of 'float32', 'float64'"),
        ({"dtype": "float16"}, "dtype is 'float16', expected one of 'float32', 'float64'"),
        ({"dtype": "flaot32"}, "dtype is 'flaot32', expected one of 'float32', 'float64'"),
        ({"lr": 10**400}, "lr is an int, expected a finite number above 0"),
        ({"hidden_size": 2**31}, "hidden_size is 2147483648, expected at most 100000000"),
        ({"hidden_size": 10**18}, "hidden_size is 1000000000000000000, expected at most 100000000"),
        ({"hidden_size": np.int64(0)}, "hidden_size is 0, expected at least 1"),
    ],
)
def test_a_setting_out_of_range_is_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Experiment(**options)  # type: ignore[arg-type]  # wrong on purpose
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": b"abc"}, "text is b'abc', expected a str"),
        ({"characters": ["a", "b", "c"]}, "characters is .*, expected a str"),
        ({"seed": 1.5}, "seed is 1.5, expected a whole number"),
        ({"seed": math.nan}, "seed is nan, expected a whole number"),
        ({"epochs": "3"}, "epochs is '3', expected a whole number"),
        ({"hidden_size": True}, "hidden_size is True, expected a whole number"),
        ({"hidden_size": np.True_}, "hidden_size is np.True_, expected a whole number"),
        ({"lr": True}, "lr is True, expected a number"),
        ({"lr": "1"}, "lr is '1', expected a number"),
        ({"lr": 1j}, "lr is 1j, expected a number"),
    ],
)
def test_a_setting_of_another_type_is_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError, match=message) as caught:
        Experiment(**options)  # type: ignore[arg-type]  # wrong on purpose
    assert "\n" not in str(caught.value)


def test_numpy_scalars_become_python_numbers_and_can_be_saved(tmp_path: Path) -> None:
    experiment = Experiment(
        hidden_size=np.int64(3),  # type: ignore[arg-type]  # the type of an array's element
        lr=np.float32(0.5),  # type: ignore[arg-type]
        epochs=np.int8(1),  # type: ignore[arg-type]
        seed=np.uint32(7),  # type: ignore[arg-type]
    )
    values = (experiment.hidden_size, experiment.lr, experiment.epochs, experiment.seed)
    assert [type(value) for value in values] == [int, float, int, int]
    save(tmp_path / "a.safetensors", run(experiment))
    assert load(tmp_path / "a.safetensors")[0] == experiment


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_training_that_diverges_names_the_epoch(nonlinearity: str) -> None:
    experiment = Experiment(lr=1e30, nonlinearity=nonlinearity)
    with pytest.raises(
        TrainingFailedError, match=r"epoch [12] .*(inf|nan).* try a lr below 1e\+30"
    ) as caught:
        run(experiment)
    assert "expected" not in str(caught.value)


def test_weights_that_overflow_in_the_last_update_are_noticed() -> None:
    with pytest.raises(
        TrainingFailedError, match=r"epoch 0 .parameter 'rnn.weight_ih_l0' is not finite"
    ):
        train(build(Experiment()), Experiment(lr=1e39, epochs=1))


def test_raw_feedback_that_overflows_ends_the_text() -> None:
    experiment = Experiment(nonlinearity="relu")
    model = build(experiment)
    model.parameters.data *= 1e6
    text = generate(model, experiment.vocabulary, 48, raw=True)
    assert 0 < len(text) < 48
    result = RecallResult(experiment, model, [], text, text)
    assert set(range(len(text), 48)) <= set(result.wrong(text))


def test_a_vocabulary_is_extended_before_its_start_and_end_tokens() -> None:
    extended = Vocabulary(extend(CHARACTERS, "Zebra #Z"))
    assert extended.characters == CHARACTERS[:-2] + "Z#" + CHARACTERS[-2:]
    assert (extended.start, extended.end) == (35, 36)
    assert extended.decode(extended.encode("Zebra #Z")) == "Zebra #Z"


def test_a_text_that_is_not_unicode_is_not_blamed_on_the_vocabulary() -> None:
    with pytest.raises(ValueError, match="text is not valid text at position 1, expected UTF-8"):
        extend(CHARACTERS, "a\udce9")


def test_a_saved_result_loads_with_the_same_bits(tmp_path: Path) -> None:
    result = run(Experiment(epochs=30))
    save(tmp_path / "a.safetensors", result)
    experiment, model = load(tmp_path / "a.safetensors")
    assert experiment == result.experiment
    assert model.parameters.data.tobytes() == result.model.parameters.data.tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_defaults_are_those_of_the_notebook() -> None:
    assert (len(CHARACTERS), len(SENTENCE)) == (35, 48)
    default = Experiment()
    assert (default.hidden_size, default.lr, default.epochs) == (35, 0.001, 1000)
