"""History: means of the loss, and how many entries are kept."""

from __future__ import annotations

import numpy as np
import pytest

from numpy_rnn.training import Callback, History, StepInfo, Trainer, Validation
from numpy_rnn.training.callbacks import history as of_training
from numpy_rnn.training.callbacks import validation as of_validation
from tests.training import small


def test_history_keeps_means() -> None:
    losses: list[float] = []

    class Note(Callback):
        def after_step(self, trainer: Trainer, step: StepInfo) -> None:  # noqa: ARG002
            losses.append(step.loss)

    history = History(every=3)
    small.trainer(callbacks=[history, Note()]).fit(7)
    assert [step for step, _ in history.losses] == [3, 6, 7]
    assert history.losses[1][1] == pytest.approx(np.mean(losses[3:6]))


def test_a_history_keeps_its_latest_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (of_training, of_validation):
        monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    losses = iter([1.0, 5.0, 4.0, 3.0, 2.0])
    history = History(every=1)
    validation = Validation(lambda: next(losses), every=1)
    small.trainer(callbacks=[history, validation]).fit(5)
    assert [step for step, _ in history.losses] == [3, 4, 5]
    assert validation.history == [(1, 1.0), (4, 3.0), (5, 2.0)]  # and the best one
    assert validation.best == 1.0
