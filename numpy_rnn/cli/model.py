"""``numpy-rnn convert`` and ``run``: model files of any format that can be read."""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn import interchange
from numpy_rnn.apps.language_model.run import file_of
from numpy_rnn.cli.data import DATA, read_data, write_data
from numpy_rnn.cli.errors import RunError, UsageError, check_output, errors_as
from numpy_rnn.cli.options import add_command, add_option, spelled
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.formats import FORMATS, SUFFIXES, build, guessed_options
from numpy_rnn.layers import Embedding, Layer, Sequential, load_state, save_state

# Examples of what a file may leave open, in the words of an option.
OTHERS = {"batch_first": "true", "nonlinearity": "relu"}
OTHERS |= {"config": """'{"dense":{"activation":"softmax"}}'"""}
UNTOLD = ("torch", "npz", "pickle")  # formats that do not tell it either


def add_to(commands: Any) -> None:
    """Add the two commands to the parser's subcommands."""
    text = "Convert a model file. Its format is told by its content."
    convert = add_command(commands, "convert", run_convert, "convert a model file", text)
    convert.add_argument("file", metavar="IN", help="model file, or checkpoint of numpy-rnn train")
    convert.add_argument("out", metavar="OUT", help="file to write")
    written = tuple(name for name, form in FORMATS.items() if form.writer)
    add_option(convert, "--to", written, None, "format of OUT (default: by its suffix)")
    text = "Run a model on a sequence, and write its outputs. Rows of a .csv are timesteps."
    run = add_command(commands, "run", run_model, "run a model file on data", text)
    run.add_argument("file", metavar="FILE", help="model file, or checkpoint of numpy-rnn train")
    several = "; if there are several, NAME=FILE for each"
    names = f"inputs, (T, D) or as the model takes them{several}", f"outputs{several}"
    for option, help_text in zip(("--input", "--output"), names, strict=True):
        kind = "|".join(f"FILE{suffix}" for suffix in DATA)
        run.add_argument(option, metavar=kind, action="append", required=True, help=help_text)
    add_option(run, "--block", int, 0, "timesteps at a time, 0 = all")
    add_option(run, "--state-in", "FILE", None, "initial state, of --state-out")
    add_option(run, "--state-out", "FILE", None, "final state")
    text = (
        "what the file does not tell, again for each: layers=NAME,NAME, config=JSON, "
        "dtype=float32, nonlinearity=relu, batch_first=true, reset_after=false, eps=1e-5"
    )
    for parser in (convert, run):
        parser.add_argument(
            "--option", metavar="NAME=VALUE", action="append", default=[], help=text
        )


def load_model(options: argparse.Namespace) -> Any:
    """Return the model in ``options.file``, or in the folder of a checkpoint."""
    given: dict[str, Any] = {}
    for option in options.option:
        name, equals, value = option.partition("=")
        if not (name.isidentifier() and equals):
            raise UsageError(f"--option is {option!r}, expected NAME=VALUE")
        given[name] = _value(name, value)
    path = file_of(Path(options.file))
    with errors_as(RunError, options.file):
        contents = interchange.read(path)
        try:
            model = build(contents, options.file, given)
        except (TypeError, ValueError) as error:
            kind = UsageError if isinstance(error, TypeError) else RunError
            raise kind(spelled(str(error))) from None
    options.guessed = guessed_options(contents, model, given)
    return model


def _warn_of_guesses(options: argparse.Namespace, *, flat: bool = False) -> None:
    for name in [name for name in options.guessed if not flat or name != "batch_first"]:
        text = f"{options.file!r} does not tell {name}, so it takes {options.guessed[name]}"
        text += f": if its module has another, add --option {name}={OTHERS[name]}"
        print(f"numpy-rnn: warning: {text}", file=sys.stderr)


def _value(name: str, text: str) -> Any:
    """Return a number, a truth value, names of layers or Keras's settings, or else the text."""
    if name == "layers":
        return [part.strip() for part in text.split(",")]
    with suppress(ValueError):
        return json.loads(text if name == "config" else text.lower())
    return text


def run_convert(options: argparse.Namespace) -> None:
    """Convert a model file."""
    suffix = Path(options.out).suffix
    if options.to is None and suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise UsageError(f"{options.out!r}: expected --to or a name that ends in {known}")
    check_output("OUT", options.out, inputs=[str(file_of(Path(options.file)))])
    model = load_model(options)
    with errors_as(RunError, options.out), warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        interchange.save(model, options.out, options.to)
    for note in notes:
        print(f"numpy-rnn: warning: {note.message}", file=sys.stderr)
    if (options.to or SUFFIXES[suffix]) not in UNTOLD:
        _warn_of_guesses(options)
    print(f"{options.out}: {model!r}")


def run_model(options: argparse.Namespace) -> None:
    """Run a model on a file of inputs."""
    inputs, outputs = (_files(name, getattr(options, name)) for name in ("input", "output"))
    if options.block < 0:
        raise UsageError(f"--block is {options.block}, expected at least 0")
    for file in outputs.values():
        check_output("--output", file, inputs=[options.file, *inputs.values()])
    if options.state_out:
        check_output("--state-out", options.state_out)
    model = load_model(options)
    if isinstance(model, Layer):
        _run_layer(options, model, inputs, outputs)
    else:
        _run_graph(options, model, inputs, outputs)


def _files(option: str, given: list[str]) -> dict[str, str]:
    """Return the files of an option by their names; "" is the only one."""
    pairs = [text.partition("=") for text in given]
    if len(pairs) == 1 and (not pairs[0][1] or "/" in pairs[0][0]):  # ./a=b.npy has no name
        pairs = [("", "=", given[0])]
    files = {name: file for name, _, file in pairs}
    if len(files) < len(given) or (len(given) > 1 and "" in [*files, *files.values()]):
        raise UsageError(f"--{option}: expected NAME=FILE for each, and each name once")
    if any(Path(file).suffix not in DATA for file in files.values()):
        raise UsageError(f"--{option}: expected a name that ends in {', '.join(DATA)}")
    return files


def _run_graph(
    options: argparse.Namespace, graph: Any, inputs: dict[str, str], outputs: dict[str, str]
) -> None:
    if options.block or options.state_in or options.state_out:
        raise UsageError("the model is a graph, expected no --block and no state")
    known = ("input", inputs, graph.names), ("output", outputs, [*graph.outputs])
    for option, files, names in known:
        if unknown := [name for name in files if name and name not in names]:
            raise UsageError(f"--{option}: {unknown[0]!r}, expected names out of {names}")
    given, rate = dict[str, Array](), 0
    for name, file in inputs.items():
        with errors_as(RunError, file, "--input"):
            x, rate = read_data(Path(file))
        value = next((v for v in graph.inputs if name in ("", v.name)), None)
        if value is None:
            raise UsageError("--input: the model has no inputs")
        exact = value.dtype is not None and value.dtype.kind in "biu"
        same = x.astype(value.dtype) if exact else x
        given[value.name] = same if np.array_equal(same, x) else x
    with _naming_input(", ".join(inputs.values())):
        found = graph(given)
    for name, file in outputs.items():
        y = found[name or graph.outputs[0]]
        with errors_as(RunError, file, "--output"):
            write_data(Path(file), y, rate)
        print(f"{file} has {name or graph.outputs[0]}, {y.shape}")


def _run_layer(
    options: argparse.Namespace, model: Layer, inputs: dict[str, str], outputs: dict[str, str]
) -> None:
    if [*inputs, *outputs] != ["", ""]:
        text = "the model has one input and one output, expected a file without a name for each"
        raise UsageError(text)
    (options.input,), (options.output,) = inputs.values(), outputs.values()
    with errors_as(RunError, options.input, "--input"):
        x, rate = read_data(Path(options.input))
    with _naming_input(options.input):
        x, flat = _for_model(model, x)
    axis = 1 if getattr(model, "batch_first", False) else 0
    state = _read_state(options, model, x.shape[1 - axis])
    begin = time.perf_counter()
    with _naming_input(options.input):
        y, state = _predict(model, x, state, options.block, axis)
    seconds = time.perf_counter() - begin
    y = y.squeeze(1 - axis) if flat and y.ndim > 2 else y
    with errors_as(RunError, options.output, "--output"):
        write_data(Path(options.output), y, rate)
    _warn_of_guesses(options, flat=flat)
    if options.state_out:
        with errors_as(RunError, options.state_out, "--state-out"):
            save_state(options.state_out, state)
    speed = f", {x.shape[axis] / (rate * seconds):.1f} times real time" if rate else ""
    steps = f"{x.shape[axis]:,} steps" + ("" if flat else f" of {x.shape[1 - axis]:,} sequences")
    print(f"{steps} in {seconds:.3f} s{speed}: {options.output} has {y.shape}")


@contextmanager
def _naming_input(file: str) -> Iterator[None]:
    """Turn an input that a model does not take into one line that names its file."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise RunError(f"--input {file!r}: {error}") from None


def _read_state(options: argparse.Namespace, model: Any, rows: int) -> Any:
    if (options.state_in or options.state_out) and not getattr(model, "stateful", False):
        raise UsageError("--state-in and --state-out: the model carries no state")
    if not options.state_in:
        return None
    with errors_as(RunError, options.state_in, "--state-in"):
        return load_state(options.state_in, model.zero_state(rows))


def _for_model(model: Any, x: Array) -> tuple[Array, bool]:
    """Return the input with the axes and the dtype that the model takes, and whether B is new."""
    first = model
    while isinstance(first, Sequential):
        first = next(iter(first.layers.values()))
    tokens = isinstance(first, Embedding)
    if tokens or x.dtype.kind in "iu":
        whole = x.astype(np.int64)
        if not np.array_equal(whole, x):
            raise ValueError("there are numbers that are not whole, expected token ids")
        x = whole[:, 0] if tokens and whole.ndim == 2 and whole.shape[1] == 1 else whole
    else:
        x = x.astype(model.parameters.dtype)
    least = 1 if tokens else 2
    if x.ndim < least:
        raise ValueError(f"its shape is {x.shape}, expected (T{', D' * (not tokens)}) or more axes")
    flat = x.ndim == least
    if flat:
        x = x[None] if getattr(model, "batch_first", False) else x[:, None]
    return x, flat


def _predict(model: Any, x: Array, state: Any, block: int, axis: int) -> tuple[Array, Any]:
    steps = x.shape[axis]
    block = block or max(steps, 1)
    if block < steps and not model.causal:
        raise ValueError("the model is not causal, expected no --block")
    outputs = []
    for start in range(0, max(steps, 1), block):
        part = x[start : start + block] if axis == 0 else x[:, start : start + block]
        y, state = model.predict(part, state) if model.stateful else (model.predict(part), None)
        outputs.append(y)
    return np.concatenate(outputs, axis) if len(outputs) > 1 else outputs[0], state
