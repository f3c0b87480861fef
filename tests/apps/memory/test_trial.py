"""A trial repeats from its seed, stops when it is solved, and is judged on what is new."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from numpy_rnn.apps.memory import CELLS, TASKS, Adding, Batch, Budget, FirstSymbol, Task, build, run
from numpy_rnn.apps.memory import trial as trial_module
from numpy_rnn.functional.types import Array
from numpy_rnn.optim import Adam

SMALL = Budget(task="first-symbol", cell="rnn", hidden=8, updates=100, rows=8, lr=1e-2)


@pytest.mark.parametrize("task", TASKS)
def test_a_trial_repeats_from_its_seed(task: str) -> None:
    budget = replace(SMALL, task=task, updates=7)
    length = TASKS[task].shortest + 2
    first, second = run(budget, length, 3), run(budget, length, 3)
    assert first == second
    assert first.loss == second.loss
    assert run(budget, length, 4).loss != first.loss
    assert first.updates == 7
    assert first.baseline == TASKS[task](length).baseline()


def test_it_stops_when_it_is_solved() -> None:
    losses: list[tuple[int, float]] = []
    done = run(SMALL, 2, 0, lambda update, loss: losses.append((update, loss)))
    assert done.solved
    assert done.score is not None
    assert done.score >= 0.99
    assert done.updates in (50, 100)
    assert [update for update, _ in losses] == list(range(1, done.updates + 1))
    assert done.loss == pytest.approx(np.mean([loss for _, loss in losses[-50:]]))


def test_it_ends_when_the_budget_is_spent() -> None:
    done = run(replace(SMALL, updates=60), 200, 0)
    assert (done.solved, done.updates) == (False, 60)
    assert done.score is not None
    assert done.score < 0.6


def test_a_training_that_diverges_has_not_solved_anything() -> None:
    done = run(replace(SMALL, cell="irnn", lr=1e30), 200, 0)
    assert (done.solved, done.score, done.loss) == (False, None, None)
    assert done.updates < 10


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_so_has_one_that_only_the_judge_finds_to_diverge(cell: str) -> None:
    # The answers are finite, their squares are not; a record could not hold the score.
    done = run(replace(SMALL, task="adding", cell=cell, lr=1e30, updates=1), 20, 0)
    assert (done.solved, done.score, done.loss, done.updates) == (False, None, None, 1)


@pytest.mark.parametrize("kind", [Adding, FirstSymbol])
def test_it_is_never_judged_on_what_it_was_trained_on(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[Array]] = {"training": [], "judging": []}
    judging = False

    class Watched(kind):  # type: ignore[misc]  # whichever it is
        def sample(self, rows: int, rng: np.random.Generator) -> Batch:
            batch: Batch = super().sample(rows, rng)
            seen["judging" if judging else "training"].extend(batch.x.swapaxes(0, 1))
            return batch

        def judge(self, *arguments: Any) -> Any:
            nonlocal judging
            judging = True
            verdict = super().judge(*arguments)
            judging = False
            return verdict

    monkeypatch.setitem(trial_module.TASKS, "first-symbol", Watched)
    run(replace(SMALL, updates=120), 60, 0)
    assert len(seen["training"]) == 120 * 8
    assert len(seen["judging"]) == 3 * 256
    trained = {row.tobytes() for row in seen["training"]}
    assert len(trained) == 120 * 8
    assert not trained & {row.tobytes() for row in seen["judging"]}


def test_a_judgement_draws_from_a_stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    # Else what is trained on would depend on when was judged.
    losses: list[list[float]] = []
    for every in (10, 50):
        monkeypatch.setattr(trial_module, "JUDGE_EVERY", every)
        losses.append([])
        run(replace(SMALL, updates=60), 60, 0, lambda _, loss: losses[-1].append(loss))
    assert losses[0] == losses[1]


def test_gradients_are_clipped_to_the_budgets_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []

    class Watched(Adam):
        def step(self) -> None:
            norms.append(float(np.linalg.norm(self.parameters.grad)))
            super().step()

    monkeypatch.setattr(trial_module, "Adam", Watched)
    run(replace(SMALL, updates=5, clip=1e-3), 20, 0)
    np.testing.assert_allclose(norms, 1e-3, rtol=1e-4)


def start_of(cell: str, length: int = 99) -> dict[str, Array]:
    model = build(CELLS[cell], Adding(length), 200, np.random.default_rng(0))
    return model.parameters.values


def test_each_scheme_starts_as_its_source_says() -> None:
    W = start_of("rnn-orthogonal")["0.weight_hh_l0"]
    np.testing.assert_allclose(W @ W.T, np.eye(200), atol=1e-5)
    assert (start_of("irnn")["0.weight_hh_l0"] == np.eye(200)).all()
    lstm = start_of("lstm-forget")
    assert (lstm["0.bias_ih_l0"] + lstm["0.bias_hh_l0"])[200:400].tolist() == [1] * 200
    for cell, block, sign in (("lstm-chrono", 1, 1), ("gru-chrono", 1, 1), ("mingru", 0, -1)):
        bias = sign * start_of(cell)["0.bias_ih_l0"].reshape(-1, 200)[block]
        assert 0 <= bias.min() < 1.5, cell
        assert 4.4 < bias.max() <= np.log(98) + 1e-6, cell  # log U(1, T - 1)
    indrnn = start_of("indrnn")
    below, above = (indrnn[f"{k}.weight_hh_l0"] ** 99.0 for k in (0, 1))
    assert below.min() < 0.1
    for left, least in ((below, 0), (above, 0.5)):
        assert least <= left.min() * 1.0001
        assert 1.5 < left.max() <= 2.0001
    lru = start_of("lru")
    r = np.exp(-np.exp(lru["0.nu_log_l0"].astype(float)))
    assert 0.98999 < r.min() < r.max() < 0.99901  # 1 - 1/100 to 1 - 0.1/100
    assert not lru["0.gamma_log_l0"].any()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("task", [Adding(20), TASKS["copy"](5)], ids=["at the end", "every step"])
def test_every_cell_fits_every_task(cell: str, task: Task) -> None:
    model = build(CELLS[cell], task, 6, np.random.default_rng(0))
    batch = task.sample(3, np.random.default_rng(0))
    y, _ = model.forward(batch.x)
    assert y.dtype == np.float32
    loss = task.loss()
    assert np.isfinite(loss.forward(y, batch.target))
    model.backward(loss.backward())
    assert np.isfinite(model.parameters.grad).all()
    again = build(CELLS[cell], task, 6, np.random.default_rng(0))
    np.testing.assert_array_equal(model.parameters.data, again.parameters.data)


def test_what_is_held_stays_and_the_rest_moves() -> None:
    task = TASKS["copy"](5)
    before = build(CELLS["lru"], task, 4, np.random.default_rng([2, 5]).spawn(3)[0])
    models: list[Any] = []

    def watch(*arguments: Any) -> Any:
        models.append(build(*arguments))
        return models[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial_module, "build", watch)
        run(replace(SMALL, task="copy", cell="lru", hidden=4, updates=5), 5, 2)
    for name, value in models[0].parameters.values.items():
        same = np.array_equal(value, before.parameters.values[name])
        assert same is any(held in name for held in ("nu_log", "theta_log")), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "sorting"}, "task is 'sorting', expected one of recall, copy, adding"),
        ({"cell": "qrnn"}, "cell is 'qrnn', expected one of rnn, rnn-orthogonal"),
        ({"hidden": 0}, "hidden is 0, expected at least 1"),
        ({"updates": -1}, "updates is -1, expected at least 1"),
        ({"rows": 0}, "rows is 0, expected at least 1"),
        ({"lr": 0.0}, r"lr is 0\.0, expected a finite number above 0"),
        ({"clip": float("inf")}, "clip is inf, expected a finite number above 0"),
    ],
)
def test_a_budget_that_makes_no_sense_is_an_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)
