"""Display of a training run: lines and a progress bar on the console, losses as a plot."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path

import numpy as np

from numpy_rnn.apps.language_model import generate
from numpy_rnn.apps.language_model.run import TrainingRun
from numpy_rnn.apps.plotting import require_matplotlib
from numpy_rnn.cli.terminal import Progress, format_duration
from numpy_rnn.files import write_atomically
from numpy_rnn.text import strip_control_characters
from numpy_rnn.training import Callback, StepInfo, Trainer

LINE_EVERY = 500  # steps between two lines if there is no validation
SAMPLE_LENGTH = 160  # characters


class ConsoleCallback(Callback):
    """Show the speed and the losses of training, and samples of generated text.

    The training loss is the moving average of the history.
    """

    def __init__(self, job: TrainingRun, bar: Progress) -> None:
        self.job, self.bar = job, bar

    def begin(self, trainer: Trainer) -> None:
        """Start the clock of this session."""
        validation = self.job.validation
        self._shown = len(validation.history) if validation else 0  # validation losses
        self._first, self._start = trainer.num_steps, time.monotonic()

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:
        """Update the bar, and print a line if there is a new validation loss."""
        average, settings = self.job.history.average, self.job.settings
        loss = step.loss if average is None else average
        speed = (step.number - self._first) / max(time.monotonic() - self._start, 1e-9)
        characters = settings.batch_size * settings.window * speed
        total = trainer.total or step.number
        note = f"loss {loss:.3f} {bits(loss):.2f} bits {characters:,.0f}/s"
        if trainer.total:
            note += f" {format_duration((total - step.number) / speed)} left"
        self.bar.reach(step.number, total, note)
        validation = self.job.validation
        if validation is None:
            if step.number % LINE_EVERY == 0 or trainer.done:
                self.bar.write(f"step {step.number:6d}  loss {loss:.4f}")
        elif len(validation.history) > self._shown:
            self._shown = len(validation.history)
            held_out = validation.history[-1][1]
            best = "  best" if held_out == validation.best else ""
            self.bar.write(
                f"step {step.number:6d}  loss {loss:.4f}  validation {held_out:.4f} nats, "
                f"{bits(held_out):.3f} bits per character{best}"
            )
            for line in self._sample(step.number).splitlines():
                self.bar.write(f"  | {line}")

    def _sample(self, step: int) -> str:
        """Return text that the model generates now, drawn from a generator of the step."""
        job = self.job
        prompt = np.zeros(1, int)  # the first character: in most texts the end of a line
        rng = np.random.default_rng([job.settings.seed, step])
        tokens = generate(job.trainer.model, prompt, temperature=0.8, rng=rng)
        end = time.monotonic() + (job.settings.time_budget or math.inf) / 100
        tokens = itertools.takewhile(lambda _: time.monotonic() < end, tokens)
        text = job.vocabulary.decode(itertools.islice(tokens, SAMPLE_LENGTH))
        return strip_control_characters(text)


def bits(nats: float) -> float:
    """Return a number of nats in bits."""
    return nats / math.log(2)


def plot_losses(path: Path, run: TrainingRun) -> None:
    """Plot the training and validation losses to a .png, .svg or .pdf file."""
    figure = require_matplotlib().figure.Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="nats per character")
    axes.plot(*zip(*run.history.losses, strict=True), label="training")
    if run.validation is not None and run.validation.history:
        axes.plot(*zip(*run.validation.history, strict=True), "o-", label="validation")
    axes.legend()
    axes.grid(alpha=0.3)
    write_atomically(path, lambda file: figure.savefig(file, format=path.suffix[1:], dpi=120))
