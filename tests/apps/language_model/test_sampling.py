"""Sampling: the distribution of the next token, and generation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn.apps.language_model import distribution, generate
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.validate import NotFiniteError
from tests.training import small

LOGITS = st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=12).map(np.array)


@given(LOGITS, st.floats(0.05, 5), st.integers(1, 15), st.floats(0.01, 1))
def test_the_distribution_is_the_definition_with_sum_one(
    y: Array, temperature: float, k: int, p: float
) -> None:
    got = distribution(y, temperature, k, p)
    assert got.sum() == pytest.approx(1, abs=1e-12)
    weight = np.exp((y - y.max()) / temperature)
    likeliest = sorted(range(len(y)), key=lambda v: (-y[v], v))[:k]
    drawn = [v for v in likeliest if got[v]]
    assert set(drawn) == set(np.flatnonzero(got))
    assert drawn == likeliest[: len(drawn)]  # the most likely ones, without a gap
    share = weight / weight[likeliest].sum()
    assert share[drawn[:-1]].sum() < p * (
        1 + 1e-9
    )  # the set is the smallest: without its last token, p is not reached
    assert share[drawn].sum() > min(p, 1) * (1 - 1e-9)
    np.testing.assert_allclose(got[drawn], weight[drawn] / weight[drawn].sum(), rtol=1e-9)


@given(LOGITS)
def test_temperature_zero_is_the_most_likely_token(y: Array) -> None:
    assert distribution(y, 0).argmax() == y.argmax()
    assert sorted(distribution(y, 0))[-1] == 1
    assert distribution(y, 1, top_k=1)[y.argmax()] == 1
    assert distribution(y, 1, top_p=1e-9)[y.argmax()] == 1


def test_top_p_and_top_k_by_hand() -> None:
    y = np.log([0.5, 0.1, 0.3, 0.1])
    np.testing.assert_allclose(distribution(y, top_p=0.7), [0.625, 0, 0.375, 0])
    np.testing.assert_allclose(distribution(y, top_p=0.5 - 1e-9), [1, 0, 0, 0])
    np.testing.assert_allclose(distribution(y, top_k=3), [5 / 9, 1 / 9, 3 / 9, 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((-1,), "temperature is -1"),
        ((float("nan"),), "temperature is nan"),
        ((float("inf"),), "temperature is inf"),
        ((1, 0), "top_k is 0"),
        ((1, None, 0), "top_p is 0"),
        ((1, None, 1.1), r"top_p is 1\.1"),
    ],
)
def test_an_option_out_of_range_is_refused(options: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        distribution(np.zeros(3), *options)  # type: ignore[arg-type]  # as a user might


def test_generation_is_the_definition_and_a_seed_repeats_it() -> None:
    net = small.model(dropout=0.5)
    prompt = np.array([1, 2, 3])
    made = list(itertools.islice(generate(net, prompt, temperature=0), 5))
    tokens = list(prompt)
    for _ in range(5):
        y, _ = net.predict(np.array(tokens)[:, None])
        tokens.append(int(y[-1, 0].argmax()))
    assert made == tokens[3:]
    assert net.training  # generation does not change the mode
    runs = [list(itertools.islice(generate(net, prompt, rng=4), 30)) for _ in range(2)]
    assert runs[0] == runs[1]
    with pytest.raises(ValueError, match="prompt is empty"):
        next(generate(net, np.zeros(0, int)))


def test_generation_does_not_change_the_models_generators() -> None:
    net = small.model(dropout=0.5)
    before = [rng.bit_generator.state for rng in net.rngs()]
    list(itertools.islice(generate(net, np.array([0]), rng=1), 10))
    assert [rng.bit_generator.state for rng in net.rngs()] == before


@pytest.mark.parametrize("temperature", [5e-324, 1e-310, 1e-300])
def test_a_temperature_near_zero_is_the_limit_without_a_warning(temperature: float) -> None:
    assert distribution(np.array([1.0, 2.0, -3.0]), temperature).tolist() == [0, 1, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(NotFiniteError, match="output has a NaN or an infinity"):
        distribution(np.array([1.0, bad]))
