"""Each cell has the initialisation of its source and trains on every task."""

from __future__ import annotations

import numpy as np
import pytest

from numpy_rnn.apps.memory import CELLS, TASKS, Task, build
from numpy_rnn.apps.memory.tasks import AddingTask
from numpy_rnn.functional.types import Array


def initial(cell: str, length: int = 99) -> dict[str, Array]:
    model = build(CELLS[cell], AddingTask(length), 200, np.random.default_rng(0))
    return model.parameters.values


def test_each_cell_is_initialised_as_in_its_source() -> None:
    W = initial("rnn-orthogonal")["0.weight_hh_l0"]
    np.testing.assert_allclose(W @ W.T, np.eye(200), atol=1e-5)
    assert (initial("irnn")["0.weight_hh_l0"] == np.eye(200)).all()
    lstm = initial("lstm-forget")
    assert (lstm["0.bias_ih_l0"] + lstm["0.bias_hh_l0"])[200:400].tolist() == [1] * 200
    for cell, block, sign in (("lstm-chrono", 1, 1), ("gru-chrono", 1, 1), ("mingru", 0, -1)):
        bias = sign * initial(cell)["0.bias_ih_l0"].reshape(-1, 200)[block]
        assert 0 <= bias.min() < 1.5, cell
        assert 4.4 < bias.max() <= np.log(98) + 1e-6, cell  # log U(1, T - 1)
    indrnn = initial("indrnn")
    first, second = (indrnn[f"{k}.weight_hh_l0"] ** 99.0 for k in (0, 1))
    assert first.min() < 0.1
    for left, least in ((first, 0), (second, 0.5)):
        assert least <= left.min() * 1.0001
        assert 1.5 < left.max() <= 2.0001
    lru = initial("lru")
    r = np.exp(-np.exp(lru["0.nu_log_l0"].astype(float)))
    assert 0.98999 < r.min() < r.max() < 0.99901  # 1 - 1/100 to 1 - 0.1/100
    assert not lru["0.gamma_log_l0"].any()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "task", [AddingTask(20), TASKS["copy"](5)], ids=["last step", "every step"]
)
def test_every_cell_fits_every_task(cell: str, task: Task) -> None:
    model = build(CELLS[cell], task, 6, np.random.default_rng(0))
    batch = task.sample(3, np.random.default_rng(0))
    y, _ = model.forward(batch.x)
    assert y.dtype == np.float32
    criterion = task.criterion()
    assert np.isfinite(criterion.forward(y, batch.target))
    model.backward(criterion.backward())
    assert np.isfinite(model.parameters.grad).all()
    again = build(CELLS[cell], task, 6, np.random.default_rng(0))
    np.testing.assert_array_equal(model.parameters.data, again.parameters.data)
