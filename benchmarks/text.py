"""Character language models on a text file: speed against PyTorch, and quality after training.

    python -m benchmarks.text speed FILE [--rounds N]
    python -m benchmarks.text short FILE
    python -m benchmarks.text long FILE

``speed`` measures whole training steps, with clipping and Adam, of the same model on the same
batches. numpy_rnn and PyTorch take turns, with one thread and with two, and ratios of characters
a second are printed. With two threads, numpy_rnn either splits the batch between them ("2") or
each matrix product ("BLAS 2"). ``short`` trains with the defaults of ``numpy-rnn train`` for three
minutes, ``long`` with the settings LONG. Both print the cross-entropy of the whole held-out tenth
in nats per character, with the state carried from its first character to its last.
"""

from __future__ import annotations

import argparse
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
from numpy_rnn.layers.shards import one_blas_thread
from numpy_rnn.training import Callback, StepInfo, Trainer, Validation, Windows

Turn = Callable[[], float]
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
COMPARED = (  # name, reference, and the ratio of their speeds that is the target, 0 = none
    ("numpy_rnn 1", "PyTorch 1", 1.0),
    ("numpy_rnn 2", "PyTorch 2", 0.8),
    ("numpy_rnn 2", "numpy_rnn 1", 0.0),
    ("numpy_rnn, BLAS 2", "numpy_rnn 1", 0.0),
)


def our_turn(settings: Settings, tokens: Any, V: int, threads: int) -> Turn:
    """Return a function that takes TURN steps with numpy_rnn and returns the seconds."""
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

    def turn() -> float:
        start = time.perf_counter()
        for _ in range(TURN):
            trainer.step()
        return time.perf_counter() - start

    return turn


def torch_turn(settings: Settings, tokens: Any, V: int, threads: int) -> Turn:
    """Return a function that takes the same steps with PyTorch and returns the seconds."""
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
    factor, state, steps = schedule_for(settings), None, 0

    def turn() -> float:
        nonlocal state, steps
        torch.set_num_threads(threads)
        start = time.perf_counter()
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
                group["lr"] = settings.lr * factor(steps, None)
            adam.step()
            steps += 1
        return time.perf_counter() - start

    return turn


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
                1, our_turn(settings, tokens, len(vocabulary), threads)
            )
            turns[f"PyTorch {threads}"] = torch_turn(settings, tokens, len(vocabulary), threads)
        one_worker = our_turn(replace(SHORT, cell=cell), tokens, len(vocabulary), 1)
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
    parser.add_argument("what", choices=["speed", "short", "long"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each library in speed")
    options = parser.parse_args()
    if options.what == "speed":
        speed(options.file, options.rounds)
    elif options.what == "short":
        train(options.file, SHORT, 1.60)
    else:
        train(options.file, LONG, 1.47)


if __name__ == "__main__":
    main()
