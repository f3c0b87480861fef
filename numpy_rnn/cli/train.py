"""``numpy-rnn train``: train a character language model on a text file."""

from __future__ import annotations

import argparse
import math
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from numpy_rnn.apps.language_model import measure, run, seconds
from numpy_rnn.cli import train_options
from numpy_rnn.cli.display import ConsoleCallback, bits, plot_losses
from numpy_rnn.cli.errors import (
    RunError,
    UsageError,
    check_output,
    check_plot,
    check_text,
    errors_as,
)
from numpy_rnn.cli.options import add_command, add_option
from numpy_rnn.cli.terminal import format_duration, progress
from numpy_rnn.files import check_writable, naming
from numpy_rnn.layers.validate import NotFiniteError
from numpy_rnn.layers.workers import one_blas_thread
from numpy_rnn.locks import hold, release
from numpy_rnn.training import TimeBudget, TrainingFailedError
from numpy_rnn.training.callbacks.json_lines import read_log
from numpy_rnn.training.ranks import world

SAVE_EVERY = "60s"


def add_to(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    summary = "train a character language model on a text file"
    text = f"T{summary[1:]}. Training can be resumed from its checkpoints."
    parser = add_command(commands, "train", run_command, summary, text)
    parser.add_argument("file", metavar="FILE", help="text file; line ends are kept")
    train_options.add_to(parser)
    save_every = f"time between two checkpoints (default: {SAVE_EVERY})"
    for option, kind, help_text in (
        ("--checkpoint", "DIR", "checkpoint folder (default: FILE's name with the ending .rnn)"),
        ("--resume", bool, "continuation of the run in the checkpoint"),
        ("--save-every", "TIME", save_every),
        ("--threads", int, "worker threads (default: number of cores, at most 4)"),
        ("--log", "FILE.jsonl", "log file, one JSON object a line"),
        ("--plot", "FILE.png", "plot of the losses (.png, .svg, .pdf)"),
    ):
        add_option(parser, option, kind, None, help_text)


def run_command(options: argparse.Namespace) -> None:
    """Run the command. Raise UsageError or RunError for one line about a failure."""
    started = time.monotonic()
    given = train_options.merged(options)
    text = Path(options.file)
    folder = Path(given.get("checkpoint", f"{text.stem or 'text'}.rnn"))
    save_every = train_options.seconds("save_every", given.get("save_every", SAVE_EVERY))
    inputs = [options.file, *([options.config] if options.config else [])]
    if "plot" in given:
        world().first(lambda: check_plot(given["plot"], inputs))
    if "log" in given:
        world().first(lambda: check_output("--log", given["log"], inputs=inputs))
    with errors_as(RunError, str(folder)), _removed_if_empty(folder):
        job = _prepare(_resume if options.resume else _start, given, text, folder, save_every)
        ended = job.trainer.done
        if job.budget is not None and not ended:
            _check_first_step(job, job.budget, started)
    # Print at once: if the reader leaves after one line, there is already something to keep.
    print("\n".join([*_headline(job, text), ""]), end="", flush=True)
    if ended:
        print(f"The run has already ended, at step {job.trainer.num_steps}.")
    else:
        if "log" in given:
            with errors_as(UsageError, given["log"], "--log"):
                job.log.path = Path(given["log"])
                world().first(lambda: read_log(Path(given["log"]), job.trainer.num_steps))
        with progress(job.trainer.total or 1, "steps") as bar:
            if not world().rank:
                job.add(ConsoleCallback(job, bar))
            _fit(job, text, folder)
    if world().rank:
        return
    for line in _conclusion(job, folder, ended=ended):
        print(line, flush=True)
    if "plot" in given:
        with errors_as(UsageError, given["plot"], "--plot"):
            plot_losses(Path(given["plot"]), job)


def _prepare(make: Callable[..., run.TrainingRun], *arguments: Any) -> run.TrainingRun:
    """Return a run, which the first process makes before the others: it makes the folder."""
    made = cache(partial(make, *arguments))
    for share in (world().first, world().every):
        share(lambda: bool(made()))  # the run itself stays in its process
    return made()


def _check_first_step(job: run.TrainingRun, budget: TimeBudget, started: float) -> None:
    """Raise UsageError if a time budget is over before one step ends."""
    estimate = world().first(lambda: seconds.seconds_per_step(job))
    budget.setup = world().first(lambda: time.monotonic() - started)
    _check_budget(job.settings.time_budget or 0, job.trainer.seconds + budget.setup, estimate)


def _start(given: dict[str, Any], text: Path, folder: Path, save_every: float) -> run.TrainingRun:
    path, option = folder / run.FILE, f"--checkpoint {str(folder)!r}"
    settings, threads = train_options.settings_from(given), train_options.threads_from(given)
    if settings.time_budget is not None and not world().rank:  # building may take longer than that
        workers = seconds.workers_of(settings.shards, threads)
        _check_budget(settings.time_budget, 0, seconds.least_seconds_per_step(settings, workers))
    check_text(str(text))
    with errors_as(UsageError, str(folder), "--checkpoint"):
        folder.mkdir(exist_ok=True)
    _hold(path)
    if path.exists():
        raise UsageError(f"{option} already has a checkpoint, expected --resume or another folder")
    return run.start(text, settings, folder, save_every=save_every, threads=threads)


@contextmanager
def _removed_if_empty(folder: Path) -> Iterator[None]:
    """Remove a folder that is made in this block if the block fails."""
    existed = folder.exists()
    try:
        yield
    except BaseException:
        if not existed:
            release(folder / run.FILE)  # its lock file is in the folder
            with suppress(OSError):
                folder.rmdir()
        raise


def _resume(given: dict[str, Any], text: Path, folder: Path, save_every: float) -> run.TrainingRun:
    path = folder / run.FILE
    if not path.exists():
        raise UsageError(
            f"--checkpoint {str(folder)!r} has no {run.FILE}, expected one to resume from"
        )
    check_text(str(text))
    _hold(path)
    threads = train_options.threads_from(given)
    job = run.resume(text, folder, save_every=save_every, threads=threads)
    train_options.check_unchanged(given, job.settings)
    return job


def _hold(path: Path) -> None:
    """Raise an error if the checkpoint cannot be written, or another process writes it."""
    if world().rank:
        return
    with naming(path):
        check_writable(path)
    with errors_as(UsageError, str(path), "--checkpoint"):
        hold(path, "--checkpoint")


def _check_budget(budget: float, spent: float, estimate: float) -> None:
    """Raise UsageError if a time budget is over before one step ends."""
    if spent + estimate > budget:
        raise UsageError(
            f"--time-budget is {budget:g}s, {spent:.0f}s are over and one step takes about "
            f"{math.ceil(estimate)}s: expected at least {math.ceil(2 * (spent + estimate))}s, "
            "or a smaller --hidden-size, --layers, --batch-size or --window"
        )


def _fit(job: run.TrainingRun, text: Path, folder: Path) -> None:
    trainer = job.trainer
    try:
        trainer.fit()
    except (TrainingFailedError, NotFiniteError) as error:
        failed = error
        if isinstance(error, NotFiniteError):  # in a validation or a sample
            failed = trainer.failed(trainer.num_steps, str(error))
        raise RunError(f"{failed}; {_saved(job)}") from None
    except OSError as error:
        if error.filename is None:  # standard output failed, between two steps
            job.files.save(trainer)
            raise
        what = f"{error.filename!r}: {error.strerror or error}"
        other_wrote = isinstance(error, FileExistsError)  # another process, the checkpoint
        raise RunError(what if other_wrote else f"{what}; {_saved(job)}") from None
    except KeyboardInterrupt as error:
        again = shlex.join(["numpy-rnn", "train", str(text), "--checkpoint", str(folder)])
        how = f"to resume: {again} --resume" if job.files.saved else "nothing was saved"
        what = str(error) or "interrupted"
        error.args = (f"{what} at step {trainer.num_steps}; {_saved(job)}; {how}",)
        raise


def _saved(job: run.TrainingRun) -> str:
    if not job.files.saved:
        return "there is no checkpoint yet"
    path = job.files.path
    happened = "holds" if path.exists() else "has vanished since"
    return f"{str(path)!r} {happened} step {job.files.saved}"


def _headline(job: run.TrainingRun, text: Path) -> list[str]:
    settings, trainer = job.settings, job.trainer
    held_out = f"the last {settings.validation_fraction:.0%} held out"
    layers = f"{settings.layers} x {settings.hidden_size} {settings.cell}"
    workers = f"shards {settings.shards}, threads {trainer.threads}"
    if trainer.ranks.size > 1:
        workers += f", processes {trainer.ranks.size}"
    size = f"{trainer.model.parameters.data.size:,} parameters, {settings.dtype}"
    characters = f"{job.text.characters:,} characters, {len(job.vocabulary)} distinct"
    lines = [
        f"{str(text)!r}: {characters}; {held_out}",
        f"{layers}, {size}, {workers}",
        f"Checkpoint: {str(job.files.path)!r}",
    ]
    if trainer.num_steps:
        lines.append(
            f"Resuming from step {trainer.num_steps}, after {format_duration(trainer.seconds)}"
        )
    return lines


def _conclusion(job: run.TrainingRun, folder: Path, *, ended: bool) -> list[str]:
    trainer, left = job.trainer, math.inf
    if job.settings.time_budget is not None and job.budget is not None:
        left = job.settings.time_budget - trainer.seconds - job.budget.setup
        left = job.settings.time_budget * run.REMAINDER if ended else max(left, 0)
    characters = trainer.num_steps * job.settings.batch_size * job.settings.window
    lines = [
        f"Done: {trainer.num_steps} steps in {format_duration(trainer.seconds)}, "
        f"{characters / max(trainer.seconds, 1e-9):,.0f} characters a second"
        + (f" ({trainer.stopped})" if trainer.stopped else "")
    ]
    if job.validation is not None:
        step = next(s for s, loss in job.validation.history if loss == job.validation.best)
        trainer.show(job.validation.best_parameters)
        with one_blas_thread():
            nats, count = measure(trainer.model, job.held_out, seconds=left)
        total = len(job.held_out) - 1
        part = f"all {total:,} characters"
        if count < total:
            part = f"the first {count:,} of {total:,} characters: --time-budget allows no more"
        lines.append(
            f"Held out, the best model (step {step}):\n  {nats:.4f} nats, {bits(nats):.4f} bits "
            f"per character, mean over {part}"
        )
    again = shlex.join(["numpy-rnn", "sample", str(folder)])
    return [*lines, f"To generate text: {again}"]
