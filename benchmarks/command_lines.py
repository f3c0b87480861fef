"""Generated command lines: each ends with the right status and at most one line of errors.

    python -m benchmarks.command_lines [--inside 5000] [--processes 500] [--seed 0]

Options and values come from the argument parsers, so a new command is covered without a change
here. The first kind runs in this process. The second kind runs in processes of their own, with
closed streams, a full disk, another locale, a deleted working directory, or a signal in the first
second.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import numpy as np

from numpy_rnn.cli.main import main, make_parser
from numpy_rnn.cli.signals import Stopped

HOSTILE = (
    *("", "-", "--", "---", "-1", "-0", "0", "=", "%s", "{}", "$HOME", "'", "\\", "a b", "a\nb"),
    *("nan", "inf", "-inf", "1e308", "1e-320", "5e-324", "1e999", "0x10", "1_0", "1.5", "\u0663"),
    *("9" * 13, "9" * 30, "9" * 5000, "-" + "9" * 30, "true", "None", "x" * 300, "\ud55c"),
    *("\x1b[2J", "\u202e", "\udce9", "\ud800", "\ufeff", "a\x7f", "/", ".", "no/such", "/dev/null"),
    *("/dev/full", "/dev/zero", "/proc/self/mem", "--help=", "-h", "--version", "@text.txt"),
)
FILES = (
    "text.txt",
    "text.rnn",
    "saved.safetensors",
    "options.toml",
    "in.npy",
    "empty",
    "binary",
    "pipe",
    "folder",
    "course",
)
FLOATS = ("0.5", "1", "1e-3", "0.999")
# Options that keep a command short. A generated option comes later and so overrides them.
QUICK = {
    "recall": ["--epochs", "2", "--hidden-size", "3"],
    "train": [
        *(
            "text.txt",
            "--hidden-size",
            "3",
            "--embedding",
            "2",
            "--batch-size",
            "2",
            "--window",
            "4",
        ),
        *("--epochs", "0.1", "--threads", "1"),
    ],
    "memory": ["first-token", "--updates", "2", "--limit", "30", "--seeds", "1"],
    "sample": ["text.rnn", "--length", "5"],
    "evaluate": ["text.rnn", "text.txt"],
    "inspect": ["text.rnn"],
    "convert": ["saved.safetensors", "new.safetensors"],
    "run": ["saved.safetensors", "--input", "in.npy", "--output", "out.npy"],
    "explain": ["text.rnn", "--input", "the"],
    "learn start": ["course"],
    "learn check": ["1", "--dir", "course"],
    "learn next": ["--dir", "course"],
    "learn status": ["--dir", "course"],
}
SLOW = ("explain", "check")  # only with a value that may be wrong
LIMIT = 10  # seconds of processor; a run that takes longer, as of 10^13 updates, is stopped
ENDED = (0, 1, 2, 129, 130, 143, 142, 155)  # 128 and SIGHUP, SIGINT, SIGTERM, SIGALRM, SIGPROF
KILLED = (-1, -2, -15)  # Python itself removes its handlers before it exits
STREAMS = ("<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", "| head -c 1")
ENVIRONMENTS: tuple[dict[str, str | None], ...] = (
    {"HOME": None},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "utf-16"},
    {"PYTHONIOENCODING": "cp037"},
    {"PYTHONIOENCODING": ":ignore"},
    {"TMPDIR": "/no/such/folder"},
    {"COLUMNS": "0"},
    {"COLUMNS": "1000000"},
    {"COLUMNS": "-5"},
    {"PYTHONUNBUFFERED": "1"},
    {"PYTHONWARNINGS": "always"},
)


class Outcome(NamedTuple):
    """How a command ended."""

    status: int
    errors: str
    warned: list[str]


def lines(rng: random.Random, count: int) -> Iterator[list[str]]:
    """Yield command lines: mostly of known options, some of nothing that is known."""
    commands = dict(all_commands(make_parser()[1]))
    for _ in range(count):
        name = rng.choice(list(commands))
        words = [*name.split(), *QUICK.get(name, [])]
        is_hostile = name in SLOW or rng.random() < 0.5
        actions = [action for action in commands[name]._actions if action.dest != "help"]
        if name in QUICK:  # its positional arguments are there already
            actions = [action for action in actions if action.option_strings]
            if rng.random() < 0.2:
                words[len(name.split())] = rng.choice([*HOSTILE, *FILES])
        for action in rng.sample(actions, min(len(actions), rng.randint(is_hostile, 3))):
            words += _argument(rng, action, hostile=is_hostile)
        if name in SLOW:
            words.append(rng.choice(HOSTILE[:16]))
        if rng.random() < 0.1:
            rng.shuffle(words)
        if rng.random() < 0.05:
            words.insert(rng.randrange(len(words)), rng.choice(HOSTILE))
        yield words


def all_commands(
    parsers: Mapping[str, argparse.ArgumentParser], before: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield each command, and the actions of one that has some, with its parser."""
    for name, parser in parsers.items():
        inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        if not inner:
            yield f"{before}{name}", parser
        for action in inner:
            yield from all_commands(action.choices, f"{before}{name} ")


def _argument(rng: random.Random, action: argparse.Action, *, hostile: bool) -> list[str]:
    if action.nargs == 0:
        return [rng.choice(action.option_strings) + rng.choice(["", "", "=x"] if hostile else [""])]
    value = rng.choice(_valid(action))
    if hostile and rng.random() < 0.8:
        value = rng.choice(HOSTILE)
    if not action.option_strings:
        return [value]
    option = rng.choice(action.option_strings)
    if hostile and rng.random() < 0.1:
        option = option[: rng.randint(3, len(option))]  # an abbreviation
    return rng.choice([[option, value], [f"{option}={value}"], [option] if hostile else []])


def _valid(action: argparse.Action) -> list[str]:
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    if action.type is int:
        return ["1", "2", "3", "7"]
    if action.type is float:
        return [*FLOATS]
    if action.metavar == "TIME":
        return ["1s", "0.01m"]
    return [*FILES, "new.safetensors", "new.json", "new.png", "abc", "utf-8"]


def run_inside(arguments: list[str]) -> Outcome:
    """Run a command in this process. One that takes too long is stopped as by a signal."""
    out, errors = io.StringIO(), io.StringIO()

    def late(number: int, _frame: FrameType | None) -> NoReturn:
        raise Stopped(number)

    before = signal.signal(signal.SIGALRM, late), signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)  # whatever else the machine does
    signal.alarm(30 * LIMIT)  # of one that waits
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(errors),
        ):
            warnings.simplefilter("always")
            status = main(arguments)
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGALRM, before[0])
        signal.signal(signal.SIGPROF, before[1])
    return Outcome(status, errors.getvalue(), [str(warning.message) for warning in caught])


def run_process(rng: random.Random, arguments: list[str], folder: Path) -> tuple[str, Outcome]:
    """Run a command in an environment of its own, and return the environment and the outcome."""
    variables = rng.choice([{}, *ENVIRONMENTS])
    streams = rng.choice(["", "", *STREAMS])
    number = rng.choice([None, None, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    is_gone = rng.random() < 0.1
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    for name, value in variables.items():
        environment.pop(name, None)
        environment |= {} if value is None else {name: value}
    words = [os.fsencode(a) if _is_encodable(a) else b"?" for a in arguments]
    gone = 'mkdir "$0" && cd "$0" && rmdir "../$0" && ' if is_gone else ""
    script = f'{gone}exec {sys.executable} -m numpy_rnn "$@" {streams}'
    if "|" in streams:  # the command's own status counts
        script = f"set -o pipefail; {script.replace('exec ', '')}"
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [b"bash", b"-c", script.encode(), str(rng.randrange(10**9)).encode(), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=folder,
            env=environment,
            restore_signals=True,
        )
        delay = rng.uniform(0.2, 1)
        status = None
        if number is not None and "|" not in streams:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(delay)
            process.send_signal(number)
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.terminate()
            status = process.wait()
        errors.seek(0)
        encoding = (variables.get("PYTHONIOENCODING") or "utf-8").split(":")[0]
        data = errors.read()
        if data.startswith(b"numpy-rnn"):  # of a signal before there are streams
            encoding = "utf-8"
        shown = data.decode(encoding or "utf-8", "replace")
    where = f"{variables} {streams} {number and number.name} {'no folder' * is_gone}"
    return where, Outcome(status, shown, [])


def _is_encodable(word: str) -> bool:
    try:
        return b"\0" not in os.fsencode(word)
    except UnicodeEncodeError:
        return False


def fault(outcome: Outcome, *, quiet: bool = False) -> str:
    """Return what is wrong with an outcome, or "". `quiet`: the error line may be missing."""
    status, errors, warned = outcome
    # What a format does not hold is said first, also if standard output cannot be written to.
    errors = re.sub("^numpy-rnn: warning: .*\n", "", errors, flags=re.MULTILINE)
    if warned:
        return f"warned: {warned[0]}"
    if status not in (*ENDED, *KILLED):
        return f"status {status}"
    if errors.count("\n") > 1 or "Traceback" in errors or "Warning" in errors:
        return "more than one line"
    if status == 0 and errors:
        return "a line, but status 0"
    if status > 0 and not quiet and ": error: " not in errors:
        return "no line"
    return ""


def words_of_a_verdict(arguments: list[str]) -> bool:
    """Whether the command prints what is wrong with an answer, and no line of an error."""
    return {"learn", "check"} <= set(arguments)


@contextlib.contextmanager
def fixtures(folder: Path) -> Iterator[None]:
    """Work in a folder that has the files of FILES."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        Path("text.txt").write_text("the cat sat on the mat. " * 20, encoding="utf-8")
        for arguments in (
            ["train", *QUICK["train"]],
            ["recall", *QUICK["recall"], "--save", "saved.safetensors"],
            ["learn", "start", "course"],
        ):
            outcome = run_inside(arguments)
            if outcome.status:
                raise RuntimeError(outcome.errors)
        Path("options.toml").write_text("lr = 0.5\n", encoding="utf-8")
        np.save("in.npy", np.eye(4, 35))
        Path("empty").touch()
        Path("binary").write_bytes(bytes(range(256)))
        os.mkfifo("pipe")
        Path("folder").mkdir()
        yield
    finally:
        os.chdir(before)


def campaign(inside: int, processes: int, seed: int) -> tuple[Counter[int], list[str]]:
    """Run command lines of both kinds, and return their statuses and what is wrong."""
    statuses: Counter[int] = Counter()
    faults: list[str] = []
    rng = random.Random(seed)  # noqa: S311 (not a secret)
    with tempfile.TemporaryDirectory() as folder, fixtures(Path(folder)):
        for k, arguments in enumerate([*lines(rng, inside), *lines(rng, processes)]):
            where, found = "", ""
            try:
                if k < inside:
                    outcome = run_inside(arguments)
                    found = fault(outcome, quiet=words_of_a_verdict(arguments))
                else:
                    where, outcome = run_process(rng, arguments, Path(folder))
                    hidden = ">" in where or "|" in where or words_of_a_verdict(arguments)
                    found = fault(outcome, quiet=hidden)
                statuses[outcome.status] += 1
            except Exception as error:
                outcome, found = Outcome(-1, "", []), f"{type(error).__name__}: {error}"
            if found:
                shown = [word if len(word) < 40 else f"{word[:9]}..." for word in arguments]
                faults.append(f"{found}: {shown} {where} {outcome.errors[-600:]}")
                print(faults[-1], flush=True)
    return statuses, faults


def run(argv: list[str] | None = None) -> Any:
    """Run the campaign of the command line and return its exit status."""
    parser = argparse.ArgumentParser(description="Run generated command lines.")
    parser.add_argument("--inside", type=int, default=5000, help="lines in this process")
    parser.add_argument("--processes", type=int, default=500, help="lines in other processes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    statuses, faults = campaign(options.inside, options.processes, options.seed)
    print(f"{statuses.total()} command lines, by status: {dict(sorted(statuses.items()))}")
    print(f"{len(faults)} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(run())
