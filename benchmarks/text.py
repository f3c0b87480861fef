"""Character language models on a text file: speed against PyTorch, and quality after training.

    python -m benchmarks.text speed FILE [--rounds N]
    python -m benchmarks.text race FILE [--threads 1]
    python -m benchmarks.text short FILE
    python -m benchmarks.text long FILE

``speed`` measures whole training steps, with clipping and Adam, of the same model on the same
batches. numpy_rnn and PyTorch take turns, with one thread and with two, and ratios of characters
a second are printed. With two threads, numpy_rnn either splits the batch between them ("2") or
each matrix product ("BLAS 2").

``race`` trains the same model twice, with numpy_rnn and with PyTorch, from the same initial weights
on the same batches, with two threads each. They take turns of a few steps, and each has a clock of
its own. Validation is outside the clocks: it reads the held-out tenth in 32 parts. Printed are the
seconds after which each reaches the values in QUALITY. With ``--threads 1`` the clock is processor
time, which other processes disturb less.

``short`` trains with the defaults of ``numpy-rnn train`` for three minutes, ``long`` with the
settings LONG. Both print the cross-entropy of the whole held-out tenth in nats per character, with
the state carried from its first character to its last.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks import timing

os.environ.update(timing.threads(2))

import numpy as np
from threadpoolctl import threadpool_limits

from numpy_rnn import CrossEntropyLoss
from numpy_rnn.apps.language_model import Settings, cross_entropy, run
from numpy_rnn.apps.language_model.model import build, optimizer_for, schedule_for
from numpy_rnn.apps.vocabulary import read_tokens
from numpy_rnn.layers.workers import one_blas_thread
from numpy_rnn.training import Callback, StepInfo, Trainer, Validation, Windows

Turn = Callable[[], float]
Weights = Callable[[], dict[str, Any]]
TURN = 5  # steps
THREADS = 2
SHORT = Settings(time_budget=180.0)
LONG = replace(
    SHORT,
    hidden_size=512,
    dropout=0.4,
    optimizer="adamw",
    weight_decay=0.01,
    lr=4e-3,
    validate_every=490,
    time_budget=None,
    epochs=12.0,
)
RACE = replace(SHORT, lr=4e-3, time_budget=None, epochs=5.0)
QUALITY = (1.60, 1.52)  # nats per character of the held-out tenth
VALIDATE_EVERY = 50  # steps
FASTER = 1.3  # times as fast as PyTorch is aimed at
COMPARED = (  # name, reference, and the ratio of their speeds that is the target, 0 = none
    ("numpy_rnn 1", "PyTorch 1", 1.0),
    ("numpy_rnn 2", "PyTorch 2", 0.8),
    ("numpy_rnn 2", "numpy_rnn 1", 0.0),
    ("numpy_rnn, BLAS 2", "numpy_rnn 1", 0.0),
)


def clock_for(threads: int, total: int | None) -> Callable[[], float]:
    """Return the clock of a race: processor time if there is one thread."""
    return time.process_time if total and threads == 1 else time.perf_counter


def our_turn(
    settings: Settings, tokens: Any, V: int, threads: int, total: int | None = None
) -> tuple[Turn, Weights]:
    """Return a function that takes TURN steps with numpy_rnn, and one that returns its weights.

    The first returns the seconds. `total` is the number of steps that the schedule spans.
    """
    model = build(settings, V)
    source = Windows.next_of(tokens, settings.batch_size, settings.window)
    trainer = Trainer(
        model,
        CrossEntropyLoss(),
        optimizer_for(settings, model),
        source,
        schedule=schedule_for(settings),
        clip_norm=settings.clip_norm,
        shards=settings.shards,
        threads=threads,
    )
    trainer.total, clock = total, clock_for(threads, total)

    def turn() -> float:
        start = clock()
        for _ in range(TURN):
            trainer.step()
        return clock() - start

    return turn, model.state_dict


def torch_turn(
    settings: Settings, tokens: Any, V: int, threads: int, total: int | None = None
) -> tuple[Turn, Weights]:
    """Return the same of PyTorch."""
    import torch  # noqa: PLC0415 (optional)

    kinds = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    weights = {k: torch.from_numpy(w) for k, w in build(settings, V).state_dict().items()}
    model = torch.nn.ModuleDict(
        {
            "embedding": torch.nn.Embedding(V, settings.embedding),
            "rnn": kinds[settings.cell](
                settings.embedding, settings.hidden_size, settings.layers, dropout=settings.dropout
            ),
            "dropout": torch.nn.Dropout(settings.dropout),
            "output": torch.nn.Linear(settings.hidden_size, V),
        }
    )
    model.load_state_dict(weights)
    adam = torch.optim.Adam(model.parameters(), lr=settings.lr, betas=(0.9, 0.99), fused=True)
    source = Windows.next_of(tokens, settings.batch_size, settings.window)
    factor, state, steps, clock = schedule_for(settings), None, 0, clock_for(threads, total)

    def turn() -> float:
        nonlocal state, steps
        torch.set_num_threads(threads)
        start = clock()
        for _ in range(TURN):
            batch = source.next()
            x = torch.from_numpy(batch.x.astype(np.int64))
            target = torch.from_numpy(batch.target.astype(np.int64))
            h, state = model["rnn"](model["embedding"](x), state)
            state = tuple(s.detach() for s in state) if settings.cell == "lstm" else state.detach()
            y = model["output"](model["dropout"](h))
            loss = torch.nn.functional.cross_entropy(y.flatten(0, 1), target.flatten())
            adam.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # PyTorch's hints lack it
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
            for group in adam.param_groups:
                group["lr"] = settings.lr * factor(steps, total)
            adam.step()
            steps += 1
        return clock() - start

    return turn, lambda: {name: w.numpy() for name, w in model.state_dict().items()}


def with_blas(threads: int, turn: Turn) -> Turn:
    """Return the same turn with this number of threads in each matrix product."""

    def limited() -> float:
        with threadpool_limits(threads, user_api="blas"):
            return turn()

    return limited


def speed(file: Path, rounds: int) -> None:
    """Print characters a second of both libraries, and their ratios."""
    tokens, vocabulary, _ = read_tokens(file)
    print(", ".join(f"{k} {v}" for k, v in timing.surroundings("numpy", "torch").items()))
    characters = TURN * SHORT.batch_size * SHORT.window
    for cell in ("gru", "lstm"):
        turns: dict[str, Turn] = {}
        for threads in (1, 2):
            settings = replace(SHORT, cell=cell)
            turns[f"numpy_rnn {threads}"] = with_blas(
                1, our_turn(settings, tokens, len(vocabulary), threads)[0]
            )
            turns[f"PyTorch {threads}"] = torch_turn(settings, tokens, len(vocabulary), threads)[0]
        one_worker, _ = our_turn(replace(SHORT, cell=cell), tokens, len(vocabulary), 1)
        turns["numpy_rnn, BLAS 2"] = with_blas(2, one_worker)
        timing.alternate(turns, 1)
        times = timing.alternate(turns, rounds)
        print(f"\n{cell} {SHORT.hidden_size}, batch {SHORT.batch_size}, window {SHORT.window}")
        for name, seconds in times.items():
            print(f"  {name:18} {characters / median(seconds):8,.0f} characters a second")
        for name, reference, aim in COMPARED:
            ratios = [r / n for n, r in zip(times[name], times[reference], strict=True)]
            low, middle, high = quantiles(ratios, method="inclusive")
            aimed = f", target {aim:g}x" if aim else ""
            print(f"  {name} / {reference}: {middle:.2f}x ({low:.2f} to {high:.2f}){aimed}")


def race(file: Path, settings: Settings, threads: int) -> None:
    """Train both until they reach the last value of QUALITY, and print the seconds."""
    tokens, vocabulary, _ = read_tokens(file)
    split, V = round(len(tokens) * (1 - settings.validation_fraction)), len(vocabulary)
    training, held_out = tokens[:split], tokens[split - 1 :]
    source = Windows.next_of(training, settings.batch_size, settings.window)
    total = round((settings.epochs or 0) * source.per_epoch)
    racers = {
        "numpy_rnn": our_turn(settings, training, V, threads, total),
        "PyTorch": torch_turn(settings, training, V, threads, total),
    }
    seconds = dict.fromkeys(racers, 0.0)
    reached: dict[str, dict[float, float]] = {name: {} for name in racers}
    reader = build(settings, V)
    print(settings, f"{total} steps", flush=True)
    with threadpool_limits(1, user_api="blas"):
        for step in range(TURN, total + 1, TURN):
            running = [name for name in racers if QUALITY[-1] not in reached[name]]
            for name in running:
                turn, weights = racers[name]
                seconds[name] += turn()
                if step % VALIDATE_EVERY == 0 or step + TURN > total:
                    reader.load_state_dict(weights())
                    nats = cross_entropy(reader, held_out, settings.batch_size)
                    print(f"step {step}  {name:9} {seconds[name]:6.1f} s  {nats:.4f}", flush=True)
                    reached[name] |= {
                        aim: reached[name].get(aim, seconds[name]) for aim in QUALITY if nats <= aim
                    }
    for aim in QUALITY:
        ours, theirs = (reached[name].get(aim, math.nan) for name in racers)
        print(
            f"{aim:g} nats: numpy_rnn {ours:.0f} s, PyTorch {theirs:.0f} s, "
            f"{theirs / ours:.2f}x, target {FASTER:g}x"
        )


class Lines(Callback):
    """Print a line after each validation."""

    def __init__(self, validation: Validation) -> None:
        self.history = validation.history

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:
        """Print a line if this step was followed by a validation."""
        if self.history and self.history[-1][0] == step.number:
            print(
                f"step {step.number}/{trainer.total}  {trainer.seconds:.0f} s  "
                f"loss {step.loss:.4f}  validation {self.history[-1][1]:.4f}",
                flush=True,
            )


def train(file: Path, settings: Settings, aim: float) -> None:
    """Train, and print the cross-entropy of the whole held-out part."""
    print(settings, flush=True)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        job = run.start(file, settings, Path(folder), threads=THREADS)
        if job.validation is not None:
            job.add(Lines(job.validation))
        cpu = time.process_time()
        job.trainer.fit()
        cpu = time.process_time() - cpu
        model = run.best(run.read(Path(folder)))
        with one_blas_thread():
            nats = cross_entropy(model, job.held_out)
    print(
        f"{job.trainer.num_steps} steps in {job.trainer.seconds:.0f} s "
        f"({cpu:.0f} s of processor time); "
        f"held out, all {len(job.held_out) - 1} characters: {nats:.4f} nats per character, "
        f"target {aim:g}"
    )


def main() -> None:
    """Run the chosen benchmark."""
    parser = argparse.ArgumentParser(description="Character language models.")
    parser.add_argument("what", choices=["speed", "race", "short", "long"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each library in speed")
    parser.add_argument("--threads", type=int, default=THREADS, help="threads of each in race")
    options = parser.parse_args()
    if options.what == "speed":
        speed(options.file, options.rounds)
    elif options.what == "race":
        race(options.file, RACE, options.threads)
    elif options.what == "short":
        train(options.file, SHORT, 1.60)
    else:
        train(options.file, LONG, 1.47)


if __name__ == "__main__":
    main()
