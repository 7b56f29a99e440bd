"""Which solver for how many rows, and the bytes that it takes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastrfm.ridge.cholesky import cholesky_bytes, packing_bytes
from fastrfm.ridge.nystrom import FEWEST_LANDMARKS, largest_rank, preconditioner_bytes

__all__ = [
    "SOLVERS",
    "Plan",
    "check_solver",
    "make_plan",
    "make_remote_plan",
    "physical_memory",
    "rows_packed_at_a_time",
]

SOLVERS = ("auto", "cholesky", "pcg")
# Up to this many rows a Cholesky factorisation is about as quick as the iterations that reach its
# residual, and gives leave-one-out besides. Seconds by Cholesky / by pcg to 1e-4, float32, 2 cores
# of an AMD EPYC (Zen 4), Laplace kernel: elevators 3,000 rows .084 / .099, 4,000 .16 / .13, 6,000
# .52 / .24; pol 4,000 .18 / .18, 6,000 .52 / .40; product Laplace kernel: elevators 4,000
# .17 / .18, 6,000 .50 / .38; pol 4,000 .18 / .34, 8,000 1.06 / 1.07 (bench/solvers.py).
CHOLESKY_ROWS = 5_000
# Vectors of n x c float64 that CG holds at a time, and copies in the working dtype.
_CG_VECTORS = 9
# Blocks that threads compute in, and what BLAS keeps: a part of all else, up to this; seen with two
# threads.
_MOST_SCRATCH_BYTES = 4 << 20
_SCRATCH_PART = 3
# Parts of a product with the stored triangle that are summed apart.
_PRODUCT_STRIPS = 64
# What a product without K and an AGOP pack at a time: bytes of one form, the fewest rows, and rows
# for each feature; rounded up to a block (src/cpp/tile/parts.hpp).
_PART_BYTES = 64 << 20
_FEWEST_PART_ROWS = 6_912
_PART_ROWS_A_FEATURE = 4
_BLOCK_ROWS = 288
# Without a memory_limit, K is stored while it takes less than this part of the machine's memory.
_PART_OF_MEMORY = 0.5


@dataclass(frozen=True)
class Plan:
    """A solve that is affordable.

    Attributes
    ----------
    solver : {"cholesky", "pcg"}
    stored : bool
        Whether one triangle of K is kept.
    max_rank : int
        Most landmarks for the preconditioner.
    bytes : int
        Peak of what is allocated.
    """

    solver: str
    stored: bool
    max_rank: int
    bytes: int


def check_solver(solver: Any) -> None:
    """Raise `ValueError` unless `solver` is the name of one."""
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {', '.join(SOLVERS)}; got {solver!r}")


def make_plan(
    n: int,
    d: int,
    c: int,
    dtype: DTypeLike,
    solver: str,
    memory_limit: int | None,
    reserved: int = 0,
) -> Plan:
    """Choose a solver for `n` rows, `d` features and `c` outputs within `memory_limit` bytes.

    `reserved` bytes of the limit are for others than the solver.

    "auto" takes Cholesky up to `CHOLESKY_ROWS` rows, else pcg. pcg keeps one triangle of K where
    that fits, else recomputes K in every product; its preconditioner shrinks to fit.

    Raises
    ------
    MemoryError
        If nothing that `solver` allows fits.
    """
    check_solver(solver)
    limit = int(_PART_OF_MEMORY * physical_memory()) if memory_limit is None else memory_limit
    limit -= reserved
    cholesky = Plan("cholesky", True, 0, cholesky_bytes(n, d, c, dtype))
    if solver == "cholesky" or (solver == "auto" and n <= CHOLESKY_ROWS):
        if memory_limit is None or cholesky.bytes <= limit:
            return cholesky
        if solver == "cholesky":
            needed = cholesky.bytes + reserved
            raise _too_much(n, "cholesky", needed, memory_limit, 'take solver="pcg", ')
    rank = largest_rank(n)
    stored = Plan("pcg", True, rank, _pcg_bytes(n, d, c, dtype, rank, stored=True))
    if stored.bytes <= limit:
        return stored
    while rank > FEWEST_LANDMARKS and _pcg_bytes(n, d, c, dtype, rank, stored=False) > limit:
        rank = max(FEWEST_LANDMARKS, rank * 9 // 10)
    free = Plan("pcg", False, rank, _pcg_bytes(n, d, c, dtype, rank, stored=False))
    if memory_limit is not None and free.bytes > limit:
        raise _too_much(n, "pcg without storing K", free.bytes + reserved, memory_limit)
    return free


def make_remote_plan(
    n: int, c: int, dtype: DTypeLike, column_bytes: int | None, memory_limit: int | None
) -> Plan:
    """Plan the solve for rows that lie in other processes: by pcg, and without storing K.

    Here are CG's vectors, and what is as large as the landmarks' kernel. There are the landmarks'
    columns, which may take `column_bytes`.

    Raises
    ------
    MemoryError
        If what is here does not fit `memory_limit`.
    """
    rank = largest_rank(n)
    if column_bytes is not None:
        rank = min(rank, max(FEWEST_LANDMARKS, column_bytes // (n * np.dtype(dtype).itemsize)))
    vectors = _CG_VECTORS * n * c * 8
    while memory_limit is not None and vectors + 16 * rank * rank > memory_limit:
        if rank <= FEWEST_LANDMARKS:
            raise _too_much(n, "pcg", vectors + 16 * rank * rank, memory_limit)
        rank = max(FEWEST_LANDMARKS, rank * 9 // 10)
    return Plan("pcg", False, rank, vectors + 16 * rank * rank)


def rows_packed_at_a_time(n: int, d: int, dtype: DTypeLike) -> int:
    """Rows of `n`, of `d` features, that a pass over them has packed at a time, at most."""
    by_bytes = _PART_BYTES // (d * np.dtype(dtype).itemsize)
    part = max(_FEWEST_PART_ROWS, _PART_ROWS_A_FEATURE * d, by_bytes)
    return min(n, part + _BLOCK_ROWS)


def _pcg_bytes(n: int, d: int, c: int, dtype: DTypeLike, rank: int, *, stored: bool) -> int:
    itemsize = np.dtype(dtype).itemsize
    preconditioner = preconditioner_bytes(n, rank, itemsize)
    preconditioner += min(_MOST_SCRATCH_BYTES, preconditioner // _SCRATCH_PART)
    vectors = _CG_VECTORS * n * c * 8
    if stored:
        # K is filled from packed rows, then multiplied strip by strip (src/cpp/packed_matmul.cpp).
        strips = (_PRODUCT_STRIPS + 1) * n * min(c, 16) * itemsize
        filling = max(packing_bytes(n, d, dtype), strips)
        return preconditioner + vectors + n * (n + 1) // 2 * itemsize + filling
    packed_rows = packing_bytes(rows_packed_at_a_time(n, d, dtype), d, dtype)
    return preconditioner + vectors + packed_rows + n * c * (8 + 2 * itemsize)


def _too_much(n: int, how: str, needed: int, memory_limit: int, remedy: str = "") -> MemoryError:
    return MemoryError(
        f"solving for {n:,} rows by {how} needs {needed:,} bytes, more than "
        f"memory_limit={memory_limit:,}; raise memory_limit, {remedy}use fewer rows, or "
        "pass float32"
    )


def physical_memory() -> int:
    """Return the bytes of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
