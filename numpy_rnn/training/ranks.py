"""The processes of ``mpiexec -n N``, called ranks, that train one model together.

Each rank computes the shards of its rows. The sum of the gradients is

    (1) reduce-scatter   rank j receives part j of every rank's vector, and adds them in the order
                         of the shards (:class:`numpy_rnn.layers.cut.PairwiseSum`)
    (2) all-gather       every rank receives all parts of the sum

MPI only moves numbers; all additions are here, in an order that does not depend on N. So the
weights have the same bits for any N. mpi4py is the extra ``mpi``.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.layers.cut import PairwiseSum, cut
from numpy_rnn.parameters import Parameters
from numpy_rnn.text import shown

LAUNCHERS = ("PMI", "OMPI_COMM_WORLD", "MV2_COMM_WORLD")  # of MPICH and Intel, Open MPI, MVAPICH
PATIENCE = 3.0  # seconds between two processes that have the same error


class Ranks:
    """The processes of a job, as one of them sees them. :func:`world` returns it.

    Attributes
    ----------
    rank, size : int
        The number of this process, from 0, and N.
    comm : mpi4py.MPI.Comm or None
        The communicator.

    Examples
    --------
    >>> alone = world()
    >>> alone.rank, alone.size, alone.every(lambda: "result")
    (0, 1, ['result'])
    """

    def __init__(self, comm: Any = None) -> None:
        if comm is not None and not hasattr(comm, "Dup"):
            raise TypeError(f"Ranks: comm is {shown(comm)}, expected an mpi4py.MPI.Comm or None")
        self.comm = comm
        self.rank: int = 0 if comm is None else comm.rank
        self.size: int = 1 if comm is None else comm.size
        self._leaving = comm and comm.Dup()  # of its own, because others may be in the middle
        self._left = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle as the ranks of the process that reads the copy: a job has one set."""
        return (world if self.comm else Ranks), ()

    def every(self, function: Callable[[], Any]) -> list[Any]:
        """Return the function's result on every rank, in order.

        If it raises an exception on a rank, all ranks raise that of the first such rank.
        """
        if self.comm is None:
            return [function()]
        outcome: tuple[Any, Exception | None]
        try:
            outcome = function(), None
        except Exception as error:
            outcome = None, error
        outcomes = self.comm.allgather(outcome)
        for _, failed in outcomes:
            if failed is not None:
                raise failed
        return [result for result, _ in outcomes]

    def first(self, function: Callable[[], Any]) -> Any:
        """Return, on every rank, the function's result on rank 0, where alone it is called."""
        return self.every(lambda: function() if self.rank == 0 else None)[0]

    def all_leave(self) -> bool:
        """Return whether all ranks call this function within a few seconds."""
        if self.comm is None or self._left:
            return True
        waiting = self._leaving.Ibarrier()
        end = time.monotonic() + PATIENCE
        while not self._left and time.monotonic() < end:
            self._left = waiting.Test()
            time.sleep(0.01)
        return self._left

    def numbers(self, shards: int, rank: int | None = None) -> range:
        """Return the numbers of the shards that a rank computes, by default this one."""
        rank = self.rank if rank is None else rank
        return range(rank * shards // self.size, (rank + 1) * shards // self.size)

    def set_gradient(self, parameters: Parameters, own: PairwiseSum, shards: int) -> None:
        """Set the gradients to the sum over all shards. `own` has this rank's."""
        parameters.zero_grad()
        if self.comm is None:
            parameters.add(own.result())
            return
        vectors: list[Array] = []
        for _, _, part in own.parts:
            parameters.zero_grad()
            parameters.add(part)
            vectors.append(parameters.grad.copy())
        segments = cut(len(parameters.grad), self.size)
        places = [_places(self.numbers(shards, rank)) for rank in range(self.size)]
        length = segments[self.rank].stop - segments[self.rank].start
        lengths = [segment.stop - segment.start for segment in segments]
        sent = np.concatenate([vector[segment] for segment in segments for vector in vectors])
        received = np.empty(length * sum(map(len, places)), sent.dtype)
        counts = [len(there) * length for there in places]
        self.comm.Alltoallv([sent, [len(vectors) * n for n in lengths]], [received, counts])  # (1)
        rows = iter(received.reshape(-1, length) if length else [received] * sum(map(len, places)))
        total = PairwiseSum()
        for level, number in (place for there in places for place in there):
            total.add(level, number, {"": next(rows)})
        self.comm.Allgatherv(total.result()[""], [parameters.grad, lengths])  # (2)


def _places(numbers: range) -> list[tuple[int, int]]:
    """Return level and number of the sums that shards become before they are sent."""
    own = PairwiseSum()
    for number in numbers:
        own.add(0, number, {})
    return [(level, number) for level, number, _ in own.parts]


def launched_as() -> int | None:
    """Return the rank of this process, if an MPI launcher has started several, or else None."""
    for name in LAUNCHERS:
        if os.environ.get(f"{name}_SIZE", "1") != "1":
            return int(os.environ.get(f"{name}_RANK", "0"))
    return None


@cache
def world() -> Ranks:
    """Return the ranks of this job, or this process alone.

    >>> world().size
    1
    """
    if launched_as() is None:
        return Ranks()
    try:
        from mpi4py import MPI  # noqa: PLC0415 (an extra)
    except (ImportError, RuntimeError) as error:  # or there is no MPI library
        raise ImportError(f"mpiexec needs the extra mpi: pip install mpi4py ({error})") from None
    sys.excepthook = _unhandled
    return Ranks(MPI.COMM_WORLD)


def leave(status: int, line: str = "") -> None:
    """Wait until all processes leave after an error. Otherwise end this one, and thereby the job.

    An error that all have is reported by the first process alone. `line` is this one's, for an
    error that the others do not have: they would wait for this process for ever.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with suppress(ImportError):  # without mpi4py they do not wait for each other
        if not world().all_leave():
            os.write(2, line.encode())
            world().comm.Abort(status)  # a launcher may overlook a process that merely exits


def _unhandled(*error: Any) -> None:
    """Report an exception that a script does not handle."""
    if world().rank == 0:
        sys.__excepthook__(*error)
    leave(1, "".join(traceback.format_exception(*error)) if world().rank else "")
