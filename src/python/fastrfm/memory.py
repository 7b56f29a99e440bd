"""What a fit allocates beside its solves, so that `memory_limit` can speak for all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastrfm import backend
from fastrfm.ridge import make_plan
from fastrfm.ridge.cholesky import cholesky_bytes
from fastrfm.ridge.leave_one_out import leave_one_out_bytes
from fastrfm.ridge.plan import rows_packed_at_a_time
from fastrfm.selection import STAND_IN_ROWS
from fastrfm.settings import RecursionSettings

__all__ = ["bytes_in_memory", "check_tables_fit", "within_memory_limit"]

# Gradients that wait for their outer products, and copies of a part of the centres that the AGOP
# packs: by rows, by columns, and what rounding left (src/cpp/gradient_sums.cpp, tile/panels.hpp).
_GRADIENT_BYTES = 64 << 20
_AGOP_COPIES = 3
# (d, d) float64 arrays alive while a metric is made: the AGOP of the best iteration and the new
# one, the metric, its eigenvectors, LAPACK's work, the root.
_SQUARES = 8


def bytes_in_memory(X: NDArray[Any]) -> int:
    """Return the bytes of an array; none if it lies on the disk, mapped."""
    base: Any = X
    while base is not None:
        if isinstance(base, np.memmap):
            return 0
        base = getattr(base, "base", None)
    return X.nbytes


def check_tables_fit(
    n: int, widths: Iterable[tuple[int, DTypeLike]], memory_limit: int | None
) -> None:
    """Check that the encoded rows are within the limit, before there are any.

    Parameters
    ----------
    n : int
        Rows.
    widths : iterable of (int, dtype)
        Columns of each table, and their dtype.
    memory_limit : int or None
        Bytes.

    Raises
    ------
    MemoryError
        If the tables alone exceed the limit.
    """
    needed = sum(n * width * np.dtype(dtype).itemsize for width, dtype in widths)
    if memory_limit is not None and needed > memory_limit:
        raise MemoryError(
            f"the encoded rows need {needed:,} bytes, more than memory_limit={memory_limit:,}; "
            "raise memory_limit, use fewer rows, or pass float32"
        )


def within_memory_limit(
    settings: RecursionSettings,
    n: int,
    d: int,
    c: int,
    dtype: DTypeLike,
    *,
    tables: int,
    judged: bool = True,
) -> RecursionSettings:
    """Return the settings with the part of their memory limit that solves must leave.

    Parameters
    ----------
    settings : RecursionSettings
    n, d, c : int
        Rows, features, outputs of the fit.
    dtype : dtype
        Working precision.
    tables : int
        Bytes of all tables that are in memory, the one that is fitted included.
    judged : bool
        Whether leave-one-out judges each iteration.

    Raises
    ------
    MemoryError
        If the fit would need more than the limit, whatever the solver.
    """
    # On a device it bounds each solve there; what the host holds is the encoded rows.
    if settings.memory_limit is None or backend.device_memory() is not None:
        return settings
    rows = min(n, settings.agop_samples)
    held = tables + _held_bytes(n, d, c, dtype, diagonal=settings.diagonal)
    agop = held + _agop_bytes(n, rows, d, c, dtype)
    if agop > settings.memory_limit:
        raise MemoryError(
            f"a fit of {n:,} rows needs {agop:,} bytes for its AGOP alone, more than "
            f"memory_limit={settings.memory_limit:,}; raise memory_limit, lower agop_samples, use "
            "fewer rows, or pass float32"
        )
    columns = leave_one_out_bytes(n, np.dtype(dtype).itemsize) if judged else 0
    # Closed-form leave-one-out has its columns beside the factor ...
    plan = make_plan(
        n, d, c, dtype, settings.solver, settings.memory_limit, reserved=held + columns
    )
    if plan.solver == "cholesky":
        return replace(settings, reserved_bytes=held + columns)
    if not judged:
        return replace(settings, reserved_bytes=held)
    # ... and without a factor a smaller regression stands in, when the solve's own memory is free.
    small = min(n, STAND_IN_ROWS)
    stand_in = held + cholesky_bytes(small, d, c, dtype)
    stand_in += leave_one_out_bytes(small, np.dtype(dtype).itemsize)
    if stand_in > settings.memory_limit:
        raise MemoryError(
            f"choosing the iteration by leave-one-out of {small:,} rows needs {stand_in:,} bytes, "
            f"more than memory_limit={settings.memory_limit:,}; raise memory_limit"
        )
    return replace(settings, reserved_bytes=held)


def _agop_bytes(n: int, rows: int, d: int, c: int, dtype: DTypeLike) -> int:
    """Bytes that the AGOP of `c` outputs over `rows` rows with `n` centres takes."""
    itemsize = np.dtype(dtype).itemsize
    gradients = min(_GRADIENT_BYTES, rows * c * d * itemsize)
    sampled = rows * d * itemsize if rows < n else 0
    packed = _AGOP_COPIES * rows_packed_at_a_time(n, d, dtype) * d * itemsize
    return gradients + sampled + packed


def _held_bytes(n: int, d: int, c: int, dtype: DTypeLike, *, diagonal: bool) -> int:
    """Bytes held for the whole fit beside the rows: targets, coefficients, metrics."""
    return n * 3 * c * np.dtype(dtype).itemsize + _SQUARES * d * (1 if diagonal else d) * 8
