"""Estimates of how long a training step takes, before a run with a time budget begins."""

from __future__ import annotations

import math
import time

import numpy as np

from numpy_rnn.apps.language_model.model import Settings, parameter_count
from numpy_rnn.apps.language_model.run import TrainingRun
from numpy_rnn.layers.workers import one_blas_thread
from numpy_rnn.training import Batch, gradient, world


def least_seconds_per_step(settings: Settings, workers: int) -> float:
    """Return a lower bound of the time of a training step, without building the model.

    `workers` are threads times processes. Each weight takes part in three products, a tenth of
    which is assumed to be free.
    """
    n, seconds = 256, math.inf
    square = np.ones((n, n), settings.dtype)
    with one_blas_thread():
        for _ in range(5):
            start = time.perf_counter()
            square @ square
            seconds = min(seconds, time.perf_counter() - start)
    steps = settings.batch_size * settings.window / workers
    return 0.9 * 3 * parameter_count(settings, 1) * steps / n**3 * seconds


def seconds_per_step(run: TrainingRun) -> float:
    """Estimate the time of a training step, from gradients over one and over three time steps."""
    seconds, model, B = {}, run.trainer.model, run.settings.batch_size
    model.eval()  # no dropout mask is drawn, so the run stays the same
    with one_blas_thread():
        for T in (1, 1, 3):  # the first call takes longer than later ones
            start, tokens = time.monotonic(), np.zeros((T, B), int)
            gradient(model, run.trainer.criterion, Batch(tokens, tokens))
            seconds[T] = time.monotonic() - start
    each = max(0.0, seconds[3] - seconds[1]) / 2
    workers = workers_of(run.trainer.shards, run.trainer.threads)
    return (seconds[1] + each * (run.settings.window - 1)) / workers


def workers_of(shards: int | None, threads: int) -> int:
    """Return how many shards are computed at once, by threads and processes together."""
    return min(shards or 1, threads * world().size)
