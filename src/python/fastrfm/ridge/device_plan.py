"""Which solver for how many rows on a CUDA device, and the bytes that it takes there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import DTypeLike

from fastrfm.cuda.linear_algebra import MOST_ROWS
from fastrfm.cuda.memory import Memory
from fastrfm.cuda.plan import Shapes, kernel_matmul_needs, kernel_matrix_needs
from fastrfm.ridge.device_cholesky import leave_one_out_bytes
from fastrfm.ridge.nystrom import FEWEST_LANDMARKS, largest_rank
from fastrfm.ridge.plan import Plan, check_solver

__all__ = ["make_device_plan"]

# Up to this many rows "auto" factorises: n^3 / 3 operations at 40 TFLOP/s of float32 are 8 ms
# there, as much as pcg's thirty products with a stored K. Counted, not measured.
CHOLESKY_ROWS = 10_000
# What of the free memory is planned with: the pool's blocks do not fit each other exactly.
_USABLE = 0.9
# Vectors of n x c float64 that CG holds at a time, temporaries of CuPy's among them.
_CG_VECTORS = 14
# Of a factorisation: coefficients, residuals, and their copies in cuSOLVER's order.
_CHOLESKY_VECTORS = 8
# Workspace of cuSOLVER's potrf, in columns, and what a chunk of `cuda.landmarks` takes.
_WORK_COLUMNS = 64
_CHUNK_BYTES = 3 * (64 << 20)


def make_device_plan(
    n: int,
    d: int,
    c: int,
    dtype: DTypeLike,
    solver: str,
    memory_limit: int | None,
    memory: Memory,
    *,
    host_itemsize: int = 0,
) -> Plan:
    """Choose a solver for `n` rows, `d` features and `c` outputs within the device's free memory.

    `memory_limit` bounds it further. "auto" takes Cholesky up to `CHOLESKY_ROWS` rows where that
    fits, else pcg, which stores K (all of it, for cuBLAS) where that fits. `host_itemsize` is that
    of rows which stay on the host, of which each product has a copy as centres.

    Raises
    ------
    MemoryError
        If nothing that `solver` allows fits.
    ValueError
        If "cholesky" is asked for more rows than cuSOLVER takes.
    """
    check_solver(solver)
    free = int(_USABLE * memory.free_bytes())
    limit = free if memory_limit is None else min(free, memory_limit)
    if solver == "cholesky" and n > MOST_ROWS:
        raise ValueError(
            f'solver="cholesky" takes up to {MOST_ROWS:,} rows on a CUDA device, where cuSOLVER '
            f'counts in 32 bits; got {n:,}. Take solver="pcg", or device="cpu"'
        )
    shapes = replace(_shapes(n, d, c, dtype), z_bytes=d * host_itemsize)
    square = n * n * shapes.itemsize
    if solver == "cholesky" or (solver == "auto" and n <= CHOLESKY_ROWS):
        filling = kernel_matrix_needs(_shapes(n, d, 0, dtype)).whole
        solving = n * (_CHOLESKY_VECTORS * c + _WORK_COLUMNS) * shapes.itemsize
        solving += kernel_matmul_needs(shapes).least()
        judging = leave_one_out_bytes(n, shapes.itemsize)
        cholesky = Plan("cholesky", True, 0, square + max(filling, solving, judging))
        if cholesky.bytes <= limit:
            return cholesky
        if solver == "cholesky":
            raise _too_much(n, "cholesky", cholesky.bytes, limit, memory, 'take solver="pcg", ')
    rank = largest_rank(n)
    stored = Plan("pcg", True, rank, square + _pcg_bytes(shapes, rank))
    if stored.bytes <= limit:
        return stored
    while rank > FEWEST_LANDMARKS and _pcg_bytes(shapes, rank) > limit:
        rank = max(FEWEST_LANDMARKS, rank * 9 // 10)
    bytes_ = _pcg_bytes(shapes, rank)
    if bytes_ > limit:
        raise _too_much(n, "pcg without storing K", bytes_, limit, memory)
    return Plan("pcg", False, rank, bytes_)


def _pcg_bytes(shapes: Shapes, rank: int) -> int:
    n, c = shapes.n, shapes.c
    preconditioner = n * rank * shapes.itemsize + 3 * rank * rank * 8 + _CHUNK_BYTES
    product = kernel_matmul_needs(shapes).least()
    return preconditioner + _CG_VECTORS * n * c * 8 + product


def _shapes(n: int, d: int, c: int, dtype: DTypeLike) -> Shapes:
    return Shapes(n, n, d, d, c, np.dtype(dtype).itemsize, symmetric=True)


def _too_much(
    n: int, how: str, needed: int, limit: int, memory: Memory, remedy: str = ""
) -> MemoryError:
    return MemoryError(
        f"solving for {n:,} rows by {how} needs {needed:,} bytes on {memory.device}, of which "
        f"{limit:,} can be used; {remedy}free what else lies there, use fewer rows, float32, or "
        'device="cpu"'
    )
