"""``numpy-rnn train``: a character language model from a text file."""

from __future__ import annotations

import argparse
import itertools
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.apps.language_model import cross_entropy, generate, run
from numpy_rnn.cli import train_options
from numpy_rnn.cli.errors import RunError, UsageError
from numpy_rnn.cli.plot import check_plot, plot
from numpy_rnn.cli.progress import progress
from numpy_rnn.cli.terminal import duration, harmless
from numpy_rnn.cli.watch import Watch, bits
from numpy_rnn.files import check_writable, naming
from numpy_rnn.training import JsonLines, TrainingFailedError
from numpy_rnn.training.process import can_limit, one_blas_thread

SAVE_EVERY = "60s"
SAMPLE = 160  # characters


def add_to(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    parser = commands.add_parser(
        "train",
        help="train a character language model on a text file",
        description="Train a character language model on a text file, and save it so that "
        "training can go on from any moment at which it was stopped.",
    )
    parser.add_argument("file", metavar="FILE", help="a text in UTF-8")
    train_options.add_to(parser)
    parser.add_argument(
        "--checkpoint", metavar="DIR", help="folder to save to (default: FILE's name, .rnn)"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the saved checkpoint")
    parser.add_argument(
        "--save-every", metavar="TIME", help=f"between two checkpoints (default: {SAVE_EVERY})"
    )
    parser.add_argument("--log", metavar="FILE.jsonl", help="write a line of JSON now and then")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the losses at the end")
    parser.set_defaults(run=run_command, prog=parser.prog)


def run_command(options: argparse.Namespace) -> None:
    """Run the command.

    Parameters
    ----------
    options : argparse.Namespace
        As parsed.

    Raises
    ------
    UsageError, RunError
        With one line for the user.
    """
    given = train_options.merged(options)
    text = Path(options.file)
    folder = Path(given.get("checkpoint", f"{text.stem or 'text'}.rnn"))
    save_every = train_options.seconds("save_every", given.get("save_every", SAVE_EVERY))
    if "plot" in given:
        check_plot(given["plot"])
    if "log" in given:
        _check(lambda: check_writable(Path(given["log"])), f"--log {given['log']!r}")
    job = _prepare(options, given, text, folder, save_every)
    # At once: a reader who leaves after a line ends a run only when there is something to keep.
    print("\n".join([*_headline(job, text, folder), ""]), end="", flush=True)
    if job.trainer.done:
        print(f"The run has ended already, at step {job.trainer.num_steps}.")
    else:
        with progress(job.trainer.total or 1, "steps") as bar:
            characters = job.settings.batch_size * job.settings.window
            job.add(Watch(bar, characters, job.validation, lambda step: _sample(job, step)))
            if "log" in given:
                job.add(JsonLines(Path(given["log"]), validation=job.validation))
            _fit(job, text, folder)
    for line in _conclusion(job, folder):
        print(line, flush=True)
    if "plot" in given:
        _check(lambda: plot(Path(given["plot"]), job), f"--plot {given['plot']!r}")


def _prepare(
    options: argparse.Namespace,
    given: dict[str, Any],
    text: Path,
    folder: Path,
    save_every: float,
) -> run.TrainingRun:
    """Return the run, new or from its checkpoint."""
    path = folder / run.FILE
    shown = f"--checkpoint {str(folder)!r}"
    try:
        if options.resume:
            if not path.exists():
                raise UsageError(f"{shown} has no {run.FILE}, expected one to go on from")
            job = run.resume(text, folder, save_every=save_every)
            train_options.check_unchanged(given, job.settings)
            _check_threads(job.settings.threads)
            with naming(path):
                check_writable(path)
            return job
        settings = train_options.settings_from(given)
        _check_threads(settings.threads)
        if path.exists():
            raise UsageError(
                f"{shown} has a checkpoint already, expected --resume to go on, or another folder"
            )
        if not text.is_file():
            text.open("rb").close()  # says why, if it can
            raise UsageError(f"{str(text)!r} is no regular file, expected one to be read twice")
        _check(lambda: folder.mkdir(exist_ok=True), shown)
        with naming(path):
            check_writable(path)
        return run.start(text, settings, folder, save_every=save_every)
    except ValueError as error:  # of the text, or of a damaged checkpoint
        raise RunError(error) from None
    except OSError as error:
        raise RunError(f"{error.filename or str(folder)!r}: {error.strerror or error}") from None


def _check_threads(threads: int) -> None:
    if threads > 1 and not can_limit():
        raise UsageError(
            f"--threads is {threads}, which needs threadpoolctl "
            "(pip install 'numpy-rnn[threads]') or OPENBLAS_NUM_THREADS=1"
        )


def _fit(job: run.TrainingRun, text: Path, folder: Path) -> None:
    trainer = job.trainer
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise RunError(f"{error}; {_saved(job, folder)}") from None
    except OSError as error:
        if error.filename is None:  # standard output's, between two steps
            job.files.save(trainer)
            raise
        what = f"{error.filename!r}: {error.strerror or error}"
        raise RunError(f"{what}; {_saved(job, folder)}") from None
    except KeyboardInterrupt as error:
        again = shlex.join(["numpy-rnn", "train", str(text), "--checkpoint", str(folder)])
        how = f"to go on: {again} --resume" if job.files.saved else "nothing was saved"
        what = str(error) or "interrupted"
        error.args = (f"{what} at step {trainer.num_steps}; {_saved(job, folder)}; {how}",)
        raise


def _saved(job: run.TrainingRun, folder: Path) -> str:
    if not job.files.saved:
        return "there is no checkpoint yet"
    return f"{str(folder / run.FILE)!r} is of step {job.files.saved}"


def _headline(job: run.TrainingRun, text: Path, folder: Path) -> list[str]:
    settings, trainer = job.settings, job.trainer
    size = f"{trainer.model.parameters.data.size:,} parameters, {settings.dtype}"
    held_out = f"the last {settings.validation_fraction:.0%} held out"
    kinds = f"{len(job.vocabulary)} different ones"
    lines = [
        f"{str(text)!r}: {job.characters:,} characters, {kinds}; {held_out}",
        (
            f"{settings.layers} x {settings.hidden_size} {settings.cell}, {size}, "
            f"threads {settings.threads}"
        ),
        f"Checkpoint: {str(folder / run.FILE)!r}",
    ]
    if trainer.num_steps:
        lines.append(f"Going on from step {trainer.num_steps}, after {duration(trainer.seconds)}")
    return lines


def _conclusion(job: run.TrainingRun, folder: Path) -> list[str]:
    trainer = job.trainer
    characters = trainer.num_steps * job.settings.batch_size * job.settings.window
    lines = [
        f"Done: {trainer.num_steps} steps in {duration(trainer.seconds)}, "
        f"{characters / max(trainer.seconds, 1e-9):,.0f} characters a second"
        + (f" ({trainer.stopped})" if trainer.stopped else "")
    ]
    if job.validation is not None:
        step = next(s for s, loss in job.validation.history if loss == job.validation.best)
        parameters = trainer.model.parameters
        last = parameters.data.copy()
        parameters.data[...] = job.validation.best_parameters
        with one_blas_thread():
            nats = cross_entropy(trainer.model, job.held_out)
        parameters.data[...] = last
        lines.append(
            f"Held out, the best model (step {step}): {nats:.4f} nats, {bits(nats):.4f} bits per "
            f"character, mean over all {len(job.held_out) - 1:,} characters"
        )
    again = shlex.join(["numpy-rnn", "sample", str(folder)])
    return [*lines, f"To let it write: {again}"]


def _sample(job: run.TrainingRun, step: int) -> str:
    """Return what the model writes now, from a generator of its own."""
    prompt = np.zeros(1, int)  # the first character: in most texts the end of a line
    rng = np.random.default_rng([job.settings.seed, step])
    made = generate(job.trainer.model, prompt, temperature=0.8, rng=rng)
    return harmless(job.vocabulary.decode(itertools.islice(made, SAMPLE)))


def _check(action: Any, shown: str) -> None:
    try:
        action()
    except OSError as error:
        raise UsageError(f"{shown}: {error.strerror or error}") from None
