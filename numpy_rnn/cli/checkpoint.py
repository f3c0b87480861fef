"""``numpy-rnn sample``, ``evaluate`` and ``inspect``: the commands that read a checkpoint."""

from __future__ import annotations

import argparse
import itertools
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn import interchange
from numpy_rnn.apps.language_model import cross_entropy, generate, run
from numpy_rnn.apps.vocabulary import check_encoding, read_tokens
from numpy_rnn.cli.display import bits
from numpy_rnn.cli.errors import RunError, UsageError, check_text, errors_as
from numpy_rnn.cli.options import add_command, add_option, naming_options, spelled
from numpy_rnn.cli.terminal import format_duration, write_generated
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.formats import build
from numpy_rnn.layers.workers import one_blas_thread
from numpy_rnn.text import strip_control_characters

MAX_LINES = 20  # lines of the history that inspect prints


def add_to(commands: Any) -> None:
    """Add the three commands to the parser's subcommands."""
    text = "Generate text with a trained model, one character at a time."
    sample = add_command(commands, "sample", run_sample, "generate text with a trained model", text)
    text = (
        "Print the mean of -log p(character | all characters before it) over a text. The first "
        "character is given and does not count."
    )
    summary = "measure a trained model's cross-entropy on a text"
    evaluate = add_command(commands, "evaluate", run_evaluate, summary, text)
    text = (
        "Show a checkpoint's settings, layers, parameters and loss history, or a model file's "
        "format, layers, parameters and what is unusual about them."
    )
    summary = "show the contents of a checkpoint or a model file"
    inspect = add_command(commands, "inspect", run_inspect, summary, text)
    add_option(inspect, "--json", bool, False, "contents as JSON")
    for parser in (sample, evaluate, inspect):
        parser.add_argument(
            "checkpoint",
            metavar="CHECKPOINT" if parser is not inspect else "FILE",
            help="folder or file written by numpy-rnn train, or a model file",
        )
    for parser in (sample, evaluate):
        add_option(parser, "--last", bool, False, "last parameters instead of the best")
    prompt = "text to continue (default: the vocabulary's first character, often a line end)"
    for option, kind, default, text in (
        ("--prompt", "TEXT", None, prompt),
        ("--length", int, 500, "number of characters"),
        ("--temperature", float, 1.0, "softmax temperature, 0 = always the likeliest character"),
        ("--top-k", int, None, "number of likeliest characters to choose from"),
        ("--top-p", float, 1.0, "probability mass of the likeliest characters to choose from"),
        ("--seed", int, None, "seed of the random draws"),
    ):
        add_option(sample, option, kind, default, text)
    evaluate.add_argument("file", metavar="FILE", help="text file; line ends are kept")
    encoding = "encoding of the text (default: as in training)"
    add_option(evaluate, "--encoding", "NAME", None, encoding)
    parallel = "segments read in parallel, each from a zero state: faster, a little too high"
    add_option(evaluate, "--batch-size", int, 1, parallel)


def load_model(options: argparse.Namespace) -> run.LoadedModel:
    """Return the model of a checkpoint or of a model file."""
    with errors_as(RunError, options.checkpoint):
        return run.load_model(Path(options.checkpoint), last=options.last)


def run_sample(options: argparse.Namespace) -> None:
    """Generate text."""
    model, vocabulary, _ = load_model(options)
    for name in ("length", "seed"):
        if (value := getattr(options, name)) is not None and value < 0:
            raise UsageError(f"--{name} is {value}, expected at least 0")
    prompt = vocabulary.characters[0] if options.prompt is None else options.prompt
    with naming_options("temperature", "top_k", "top_p", "prompt"):
        tokens = generate(
            model,
            vocabulary.encode(prompt, "--prompt"),
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            rng=options.seed,
        )
        write_generated(options.prompt or "")
        with one_blas_thread():
            for token in itertools.islice(tokens, options.length):
                write_generated(vocabulary.characters[token])
    print()


def run_evaluate(options: argparse.Namespace) -> None:
    """Print the cross-entropy of a text."""
    if options.batch_size < 1:
        raise UsageError(f"--batch-size is {options.batch_size}, expected at least 1")
    model, vocabulary, encoding = load_model(options)
    check_text(options.file)
    if options.encoding is not None:
        with naming_options("encoding"):
            encoding = check_encoding("evaluate", "encoding", options.encoding)
    with errors_as(RunError, options.file):
        path = Path(options.file)
        tokens = read_tokens(path, vocabulary, encoding=encoding).tokens
        with one_blas_thread():
            nats = cross_entropy(model, tokens, options.batch_size)
    print(
        f"{nats:.4f} nats, {bits(nats):.4f} bits per character, "
        f"mean over {len(tokens) - 1:,} characters"
    )


def run_inspect(options: argparse.Namespace) -> None:
    """Print the contents of a checkpoint or a model file."""
    path = Path(options.checkpoint)
    with errors_as(RunError, options.checkpoint):
        contents = interchange.read(run.file_of(path))
        if options.json:
            lines = _model_json(contents, _runs_as(contents, path))
        elif contents.format == "safetensors" and run.is_run(path):
            lines = describe(run.read(path))
        else:
            lines = _model_lines(contents, _runs_as(contents, path))
    print(strip_control_characters("\n".join(lines)))


def _runs_as(contents: interchange.Contents, path: Path) -> dict[str, str | None]:
    """Return the model that a file becomes, or why it becomes none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the notes have them
            return {"runs_as": repr(build(contents, path, {})), "refused": None}
    except (UnsupportedError, ValueError) as error:
        return {"runs_as": None, "refused": spelled(str(error))}


def _model_json(contents: interchange.Contents, runs: dict[str, str | None]) -> list[str]:
    arrays = {n: {"shape": a.shape, "dtype": a.dtype.name} for n, a in contents.arrays.items()}
    data = {
        "format": contents.format,
        "architecture": contents.architecture,
        "parameters": sum(array.size for array in contents.arrays.values()),
        "notes": [*map(spelled, contents.notes)],
        "guessed": dict(contents.guessed),
        "arrays": arrays,
    }
    return [json.dumps(data | runs, indent=2)]


def _model_lines(contents: interchange.Contents, runs: dict[str, str | None]) -> list[str]:
    arrays = contents.arrays
    size = sum(array.size for array in arrays.values())
    kinds = ", ".join(dict.fromkeys(array.dtype.name for array in arrays.values()))
    return [
        f"Format: {contents.format}",
        f"Runs as {runs['runs_as']}" if runs["runs_as"] else f"Cannot run: {runs['refused']}",
        *(f"Not told: {name}, taken as {value}" for name, value in contents.guessed.items()),
        *("Unusual" for _ in contents.notes[:1]),
        *(f"  {spelled(note)}" for note in contents.notes),
        f"Model: {size:,} parameters, {kinds}".removesuffix(", "),
        *(f"  {line}" for line in contents.architecture),
        *_table(arrays),
    ]


def describe(saved: run.TrainingRun) -> list[str]:
    """Return the lines that ``inspect`` prints of a checkpoint."""
    trainer, model = saved.trainer, saved.model
    lines = [
        f"Trained on {saved.text.name!r}, {saved.text.characters} characters",
        f"Step {trainer.num_steps} of {trainer.total or '?'}, "
        f"after {format_duration(trainer.seconds)} {trainer.stopped}".rstrip(),
        "\nSettings",
        *(f"  {name:20} {value}" for name, value in asdict(saved.settings).items()),
        f"  {'vocabulary':20} {saved.vocabulary.characters!r}",
        f"\nModel: {model.parameters.data.size:,} parameters, {model.parameters.dtype}",
        *(f"  {name:20} {layer!r}" for name, layer in model.layers.items()),
        *_table(model.parameters.values),
    ]
    return lines + _loss_table(*map(dict, saved.losses))


def _table(arrays: Mapping[str, Array]) -> list[str]:
    lines = [f"\n  {'parameter':24} {'shape':>14} {'norm':>12} {'largest':>12}"]
    for name, value in arrays.items():
        largest = np.abs(value).max(initial=0)
        norm = largest * float(np.linalg.norm(value / (largest or 1)))  # squares would overflow
        lines.append(f"  {name:24} {value.shape!s:>14} {norm:12.4f} {largest:12.4f}")
    return lines


def _loss_table(training: dict[int, float], validation: dict[int, float]) -> list[str]:
    """Return a table of the losses, of at most MAX_LINES + 1 steps."""
    steps = sorted(validation or training)
    shown = steps[:: -(-len(steps) // MAX_LINES) or 1]
    if steps and shown[-1] != steps[-1]:
        shown.append(steps[-1])
    lines = [f"\n  {'step':>8} {'training':>10} {'validation':>10}   nats per character"]
    for step in shown:
        before = [at for at in training if at <= step]
        left = f"{training[max(before)]:10.4f}" if before else f"{'':10}"
        right = f"{validation[step]:10.4f}" if step in validation else ""
        lines.append(f"  {step:8} {left} {right}")
    return lines
