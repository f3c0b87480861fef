"""TimeBudget: plans that end a run with its time."""

from __future__ import annotations

from pathlib import Path

from numpy_rnn.training import Callback, Checkpoints, StepInfo, TimeBudget, Trainer
from tests.mutations import settings_in
from tests.training import small


class Clock(Callback):
    """Pretend that a step takes a second."""

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:
        trainer.seconds = float(step.number)


def test_a_time_budget_plans_so_that_the_schedule_ends_with_it(tmp_path: Path) -> None:
    files = Checkpoints(tmp_path / "run.safetensors", seconds=1000)
    budget = TimeBudget(100, files)
    trainer = small.trainer(callbacks=[Clock(), budget, files])
    trainer.fit()
    assert trainer.total == 100
    assert trainer.num_steps in (100, 101)  # seconds are the clock's again between the steps
    assert budget.plans[0] == (5, 100)  # a twentieth of the time
    assert {total for _, total in budget.plans} == {100}
    assert len(budget.plans) == 19


class Saved(Callback):
    """Look whether every plan is on the disk when the next step is taken."""

    def __init__(self, budget: TimeBudget, path: Path) -> None:
        self.budget, self.path, self.seen = budget, path, 0

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:  # noqa: ARG002
        if len(self.budget.plans) > self.seen and not trainer.done:
            self.seen = len(self.budget.plans)
            state = settings_in(self.path.read_bytes(), "training")["state"]
            plans = state["callbacks"]["time budget"]["plans"]
            assert [tuple(plan) for plan in plans] == self.budget.plans


def test_a_plan_is_on_the_disk_before_a_step_is_taken_by_it(tmp_path: Path) -> None:
    files = Checkpoints(tmp_path / "run.safetensors", seconds=1000)
    budget = TimeBudget(100, files)
    look = Saved(budget, files.path)
    small.trainer(callbacks=[Clock(), budget, files, look]).fit()
    assert look.seen > 5


def test_a_budget_keeps_time_for_what_comes_before_and_after(tmp_path: Path) -> None:
    files = Checkpoints(tmp_path / "run.safetensors", seconds=1000)
    budget = TimeBudget(100, files, first=3, reserve=lambda N: N / 10)
    budget.setup = 40.0
    trainer = small.trainer(callbacks=[Clock(), budget, files])
    trainer.fit()
    assert budget.plans[0] == (3, 54)  # of 60 steps
    assert trainer.num_steps in (54, 55)


def test_a_budget_that_is_over_ends_the_run() -> None:
    budget = TimeBudget(1e-6)
    trainer = small.trainer(callbacks=[budget])
    trainer.fit()
    assert trainer.num_steps == trainer.total == 1
