"""What is measured: points, each a piece of work at a size, along six axes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fastrfm.bench.machine import available_cores

__all__ = ["AXES", "BASE_C", "BASE_D", "KINDS", "Point", "grid_of_rows", "points_of"]

AXES = ("n", "d", "c", "threads", "workers")
KINDS = {
    "product": "one product K V, symmetric, K not stored",
    "agop": "an AGOP of 4,000 rows",
    "landmarks": "making the preconditioner of a solve",
    "fit": "a fit of one update, K not stored",
    "stored": "the same fit, K stored",
    "tree": "a tree, leaves of at most 5,000 rows",
    "dask": "the same fit, of a Dask array",
}
BASE_D, BASE_C = 32, 1
FIRST_ROWS = 10_000
# Rows where something else than their number varies: all of it takes minutes, not hours.
ROWS_OF_D = ROWS_OF_C = 10_000
ROWS_OF_THREADS = 20_000
ROWS_OF_WORKERS = 20_000
# Enough rows that tasks, milliseconds each to be sent, are not what is measured.
ROWS_OF_DASK = 57_000
DIMS = (8, 16, 32, 64, 128, 256, 512)
OUTPUTS = (1, 2, 4, 8, 16, 32, 64)
# The stored triangle may take this part of the machine's memory, which others use too.
PART_OF_MEMORY = 0.2


@dataclass(frozen=True)
class Point:
    """A piece of work.

    Attributes
    ----------
    kind : str
        A key of `KINDS`.
    n, d, c : int
        Rows, columns, outputs.
    threads : int
        Of each process.
    workers : int
        Processes beside the one that asks; 0: that one does the work.
    """

    kind: str
    n: int
    d: int = BASE_D
    c: int = BASE_C
    threads: int = 1
    workers: int = 0

    @property
    def label(self) -> str:
        """The point in words."""
        who = f", {self.workers} workers" if self.workers else ""
        return f"{self.kind} n={self.n:,} d={self.d} c={self.c}, {self.threads} threads{who}"

    def fields(self) -> dict[str, Any]:
        """Return what identifies it in the results."""
        return asdict(self)

    def work(self) -> float:
        """Return how long it takes beside the others, for their order only."""
        weight = {"product": 5.0, "agop": 4.0, "landmarks": 30.0, "stored": 30.0}
        rows = 5_000.0 if self.kind == "tree" else float(self.n)
        return weight.get(self.kind, 60.0) * self.n * rows * (self.d + 2 * self.c + 60)


def grid_of_rows(largest: int) -> list[int]:
    """Return 10,000, 14,000, 20,000, ... up to `largest`: sqrt(2) apart, in thousands."""
    grid: list[int] = []
    while True:
        n = round(FIRST_ROWS / 1000 * 2 ** (len(grid) / 2)) * 1000
        if n > largest:
            return grid
        grid.append(n)


def points_of(axes: Sequence[str], largest: int) -> list[Point]:
    """Return the points of some axes, each once, the quickest first.

    Parameters
    ----------
    axes : sequence of str
        Of `AXES`.
    largest : int
        Rows that none exceeds; those that belong to axes other than "n" are cut to it.
    """
    cores = available_cores()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found: list[Point] = []
    if "n" in axes:
        grid = grid_of_rows(largest) or [largest]
        for n in grid:
            kinds = ["product", "agop", "landmarks", "fit"]
            if 2 * n * n <= PART_OF_MEMORY * memory:
                kinds.append("stored")
            found += [Point(kind, n, threads=cores) for kind in kinds]
        # Only n a power of two apart have leaves of about one size. One thread, as
        # leaves are factorised, by a BLAS whose threads spin while they wait.
        found += [Point("tree", n) for n in grid[::2]]
    three = ("product", "agop", "fit")
    if "d" in axes:
        n = min(ROWS_OF_D, largest)
        found += [Point(kind, n, d=d, threads=cores) for kind in three for d in DIMS]
    if "c" in axes:
        n = min(ROWS_OF_C, largest)
        found += [Point(kind, n, c=c, threads=cores) for kind in three for c in OUTPUTS]
    if "threads" in axes:
        n = min(ROWS_OF_THREADS, largest)
        counts = sorted({1, cores})
        found += [Point(kind, n, threads=count) for kind in three for count in counts]
    if "workers" in axes:
        n = min(ROWS_OF_WORKERS, largest)
        counts = sorted({1, cores})
        found += [Point("tree", n, workers=count) for count in counts]
        found += [Point("dask", min(ROWS_OF_DASK, largest), workers=count) for count in counts]
    return sorted(dict.fromkeys(found), key=Point.work)
