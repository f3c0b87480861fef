"""``numpy-rnn memory``: find the greatest length of a task that a cell learns."""

from __future__ import annotations

import argparse
import json
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from pathlib import Path
from statistics import median
from typing import Any

# Imported early for the reason given in cli/recall.py.
import numpy.random

from numpy_rnn.apps.memory import runs, search
from numpy_rnn.apps.memory.cells import CELLS
from numpy_rnn.apps.memory.runs import Run, TrainingConfig
from numpy_rnn.apps.memory.tasks import TASKS
from numpy_rnn.arguments import MAX_SIZE, check_non_negative, check_size
from numpy_rnn.cli.errors import RunError, UsageError, check_output, check_plot, errors_as
from numpy_rnn.cli.options import (
    add_command,
    add_option,
    add_options,
    described,
    naming_options,
    values,
)
from numpy_rnn.cli.terminal import progress
from numpy_rnn.training.process import cores, trial_executor
from numpy_rnn.training.ranks import launched_as

START = 25
DESCRIPTION = """\
For each seed, double the length of a task until the cell no longer learns it
within its number of updates, then bisect. Sequences that training has never
seen decide whether a length is learned."""


def add_to(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    cells = "\n".join(f"  {name:16}{spec.description}" for name, spec in CELLS.items())
    summary = "find the greatest length of a task that a cell learns"
    parser = add_command(commands, "memory", run, summary, DESCRIPTION)
    parser.epilog = f"cells:\n{cells}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    task, cell = TrainingConfig.task, TrainingConfig.cell
    text = f"task to learn (default: {task})"
    parser.add_argument("task", nargs="?", default=task, choices=TASKS, help=text)
    text = f"recurrent cell, from the list below (default: {cell})"
    parser.add_argument("--cell", default=cell, choices=CELLS, metavar="NAME", help=text)
    add_options(parser, TrainingConfig)
    start = f"first length of a search (default: {START}, or the task's minimum)"
    ends = "relative distance between success and failure that ends a search"
    record = "file for the result of every run; runs that are already in it are not repeated"
    for option, kind, default, text in (
        ("--seeds", int, 3, "number of searches, with seeds 0, 1, ..."),
        ("--jobs", int, None, "processes that search at once (default: number of cores)"),
        ("--limit", int, 10_000, "maximum length"),
        ("--start", int, None, start),
        ("--resolution", float, 0.1, ends),
        ("--record", "FILE.safetensors", None, record),
        ("--plot", "FILE.png", None, "plot of all runs (.png, .svg, .pdf)"),
        ("--json", bool, False, "result as JSON"),
    ):
        add_option(parser, option, kind, default, text)


def run(options: argparse.Namespace) -> None:
    """Run the command. Raise UsageError or RunError for one line about a failure."""
    config = _config(options)
    if launched_as():  # rank 0 of mpiexec asks this process for runs
        with trial_executor():
            return
    recorded = _resume(options.record, config)
    if options.plot is not None:
        check_plot(options.plot)
    if not options.json:
        print(_headline(config), flush=True)
        if recorded:
            print(f"{len(recorded)} runs in {options.record} are not repeated", flush=True)
    jobs = options.seeds if launched_as() is not None else min(options.jobs, options.seeds)
    if jobs == 1 and launched_as() is None:
        found = _search(options, config, recorded, OneByOne(), jobs)
    else:
        with trial_executor(jobs) as executor:
            assert executor is not None  # noqa: S101 (the other ranks have returned)
            found = _search(options, config, recorded, executor, jobs)
    recorded.sort(key=lambda run: run.seed)
    wanted = [t for t in recorded if t.seed < options.seeds]
    if options.plot is not None:
        with errors_as(RunError, options.plot, "--plot"):
            search.draw(Path(options.plot), config, wanted, found)
    if not options.json:
        print(f"median of {len(found)}: {_reached(median(found), options)}")
    else:
        asked = values(options, ("seeds", "start", "limit", "resolution"))
        data = {"search": asked, "max_lengths": found, "median": median(found)}
        print(json.dumps(search.record_data(config, wanted) | data))


class OneByOne(Executor):
    """An executor that runs a trial in this process, with a progress bar."""

    def submit(self, function: Any, /, *arguments: Any, **_: Any) -> Future[Any]:
        """Return the future of a run, which is done."""
        config, length, seed = arguments
        note = f"seed {seed}, length {length}: loss"
        done: Future[Any] = Future()
        with progress(config.updates, "update") as bar:
            advance = bar.advance
            done.set_result(function(*arguments, lambda _, loss: advance(f"{note} {loss:.4f}")))
        return done


def _search(
    options: argparse.Namespace,
    config: TrainingConfig,
    recorded: list[Run],
    executor: Executor,
    jobs: int,
) -> list[int]:
    """Return the greatest length of each seed, of which so many are searched at once.

    A search is repeated with the runs that are known, until it asks for no other. The lines are
    those of one seed after the other.
    """
    limits = options.start, options.limit, options.resolution
    found: dict[int, int] = {}
    running: dict[Future[Run], int] = {}
    lines: list[list[str]] = [[] for _ in range(options.seeds)]
    try:
        while len(found) < options.seeds:
            busy = {*found, *running.values()}
            idle = [seed for seed in range(options.seeds) if seed not in busy]
            for seed in idle[: jobs - len(running)]:
                known = {run.length: run.solved for run in recorded if run.seed == seed}
                try:
                    found[seed] = search.search_max_length(known.__getitem__, *limits)
                    lines[seed].append(f"seed {seed}: {_reached(found[seed], options)}")
                except KeyError as unknown:
                    length = unknown.args[0]
                    running[executor.submit(runs.run, config, length, seed)] = seed
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                recorded.append(future.result())
                lines[running.pop(future)].append(_line(recorded[-1]))
                if options.record is not None:
                    with errors_as(RunError, options.record, "--record"):
                        search.write_record(Path(options.record), config, recorded)
            for seed in range(0 if options.json else options.seeds):
                while lines[seed]:
                    print(lines[seed].pop(0), flush=True)
                if seed not in found:
                    break
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    return [found[seed] for seed in range(options.seeds)]


def _line(run: Run) -> str:
    outcome = "diverged"
    if run.score is not None:
        outcome = f"score {run.score:.4f}  loss {run.loss:.4f} of {run.baseline:.4f}"
    return (
        f"  length {run.length:6}  {'solved' if run.solved else 'FAILED'}  {outcome}"
        f"  {run.updates} updates  {run.seconds:.1f} s"
    )


def _config(options: argparse.Namespace) -> TrainingConfig:
    """Return the checked settings of a run, and set the default of ``--start``."""
    names = described(TrainingConfig)
    with naming_options(*names):
        config = TrainingConfig(options.task, options.cell, **values(options, names))
    shortest = TASKS[config.task].min_length
    if options.start is None:
        options.start = max(START, shortest)
    if options.jobs is None:
        options.jobs = cores()
    least_ones = {"seeds": 1, "jobs": 1, "start": shortest, "limit": options.start}
    with naming_options(*least_ones, "resolution"):
        for name, least in least_ones.items():
            check_size("memory", name, getattr(options, name), least, MAX_SIZE)
        check_non_negative("memory", "resolution", options.resolution)
    with errors_as(UsageError, config.task):  # whose extra may be missing
        TASKS[config.task](options.start).sample(1, numpy.random.default_rng(0))
    return config


def _resume(name: str | None, config: TrainingConfig) -> list[Run]:
    """Return the runs in the record, if there is one, and check that it can be written."""
    if name is not None:
        check_output("--record", name)
    if name is None or not Path(name).exists():
        return []
    with errors_as(UsageError, name, "--record"):
        found, recorded = search.read_record(Path(name), extend=True)
    if found != config:
        raise UsageError(f"--record: {name!r} is of another search, {found}, expected {config}")
    return recorded


def _headline(config: TrainingConfig) -> str:
    return (
        f"{config.task}: {config.spec.description}, {config.hidden_size} units\n"
        f"at most {config.updates} updates of Adam in a run, lr {config.lr:g}\n"
        f"solved: {TASKS[config.task].solved_when}"
    )


def _reached(length: float, options: argparse.Namespace) -> str:
    if not length:
        return f"none, not even {options.start}"
    return f"{length:g}" + (" (the limit)" if length >= options.limit else "")
