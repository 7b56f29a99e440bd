"""A Dask cluster as passes see it: tasks go out, results come back, or an exact error does."""

from __future__ import annotations

import asyncio
import math
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any
from weakref import WeakSet

from distributed import Client, Future, get_client, wait
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from fastrfm.dask import tasks

__all__ = ["Cluster", "ClusterError"]

# Tasks of a pass over all pairs of blocks, for each thread of the workers: so many that workers of
# unequal speed end at about the same time, so few that sending them (about a millisecond each) is
# nothing beside a product.
_TASKS_A_THREAD = 16
# But no block smaller: 4,000 x 4,000 pairs take some 25 ms of a core, a task one or two to be sent.
FEWEST_BLOCK_ROWS = 4_000
# And none larger: a task has two of them.
_MOST_BLOCK_BYTES = 256 << 20


class ClusterError(RuntimeError):
    """The cluster was lost, or lost workers again and again; the fit has changed nothing."""


class Cluster:
    """The active client of `distributed`.

    Raises
    ------
    RuntimeError
        If there is none.
    """

    def __init__(self) -> None:
        try:
            self._client: Client = get_client()
        except ValueError:
            raise RuntimeError(
                "X is a Dask collection, and there is no Dask client to fit it with; start one: "
                "client = distributed.Client() for processes of this machine, or "
                'distributed.Client("tcp://scheduler:8786") for a cluster'
            ) from None
        self._address = self._client.scheduler.address if self._client.scheduler else "unknown"
        self._futures: WeakSet[Future[Any]] = WeakSet()

    def blocks(self, n: int, row_bytes: int) -> list[tuple[int, int]]:
        """Return the ranges of the blocks that `n` rows are divided into."""
        with self._errors():
            of_workers: dict[str, int] = self._client.nthreads()  # type: ignore[no-untyped-call]
        threads = max(1, sum(of_workers.values()))
        wanted = math.ceil(math.sqrt(2 * _TASKS_A_THREAD * threads))
        fewest = math.ceil(n * row_bytes / _MOST_BLOCK_BYTES)
        count = max(1, fewest, min(wanted, n // FEWEST_BLOCK_ROWS))
        edges = [n * i // count for i in range(count + 1)]
        return list(pairwise(edges))

    def memory(self) -> int | None:
        """Return the bytes that the workers may take together; None if one of them may take all."""
        with self._errors():
            try:
                workers = self._client.scheduler_info(n_workers=-1)["workers"]
            except TypeError:  # before 2025.5, which always tells of all
                workers = self._client.scheduler_info()["workers"]
        limits = [worker["memory_limit"] for worker in workers.values()]
        return sum(limits) if limits and all(limits) else None

    def put(self, value: Any) -> Future[Any]:
        """Return a future of a value of this process, which the cluster can send again."""
        return self.map(tasks.same, [value])[0]

    def map(self, task: Any, *lists: Sequence[Any], **arguments: Any) -> list[Future[Any]]:
        """Return futures of `task` for the entries of the lists; `arguments` are the same."""
        with self._errors(), warnings.catch_warnings():
            # Arrays go out in the tasks, so that they are not lost with a worker.
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            futures: list[Future[Any]] = self._client.map(
                task, *map(list, lists), pure=False, **arguments
            )
        self._futures.update(futures)
        return futures

    def compute(self, delayed: Sequence[Any]) -> list[Future[Any]]:
        """Return futures of `dask.delayed` values."""
        with self._errors(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            futures: list[Future[Any]] = self._client.compute(list(delayed))  # type: ignore[no-untyped-call]
        self._futures.update(futures)
        return futures

    def gather(self, futures: Sequence[Future[Any]]) -> list[Any]:
        """Return the results; an exception of a task is raised here."""
        with self._errors():
            results: list[Any] = self._client.gather(list(futures))  # type: ignore[no-untyped-call]
        return results

    def wait(self, future: Future[Any]) -> None:
        """Wait until a task has ended, well or not."""
        with self._errors():
            wait([future])  # type: ignore[no-untyped-call]

    def cancel(self) -> None:
        """Have the workers drop all results, and start none of the tasks that wait.

        A task that runs cannot be stopped, and ends unheard.
        """
        # Of a lost cluster there is nothing to cancel.
        with suppress(Exception):
            self._client.cancel(list(self._futures))  # type: ignore[no-untyped-call]

    def reduce(self, futures: Sequence[Future[Any]]) -> Any:
        """Return the sum of the results, added up in pairs by the workers."""
        level = list(futures)
        while len(level) > 1:
            pairs = self.map(tasks.add, level[:-1:2], level[1::2])
            level = pairs + level[2 * len(pairs) :]
        return self.gather(level)[0]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except KilledWorker as error:
            raise ClusterError(
                f"the Dask cluster at {self._address} lost the workers of a task again and again "
                f"({error}). Mostly that is too little memory: give workers more, or use more of "
                "them"
            ) from error
        except (CancelledError, asyncio.TimeoutError, OSError) as error:
            # A task's own, of a file that is not there, say, is for the caller as it is.
            of_task = isinstance(error, OSError) and not isinstance(error, CommClosedError)
            if of_task and self._client.status == "running":
                raise
            raise ClusterError(
                f"the connection to the Dask scheduler at {self._address} was lost "
                f"({type(error).__name__}: {error}). Start it again, connect a client, and fit "
                "again: with resume_from, if the fit had a checkpoint"
            ) from error
