"""Cholesky factorisation of ``K + alpha I`` on a CUDA device, in place in the lower triangle."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm import backend
from fastrfm.arrays import namespace, to_host, to_place_of
from fastrfm.cuda import linear_algebra
from fastrfm.kernels import Kernel
from fastrfm.metric import Root
from fastrfm.watch import Watch

__all__ = ["DeviceFactor", "leave_one_out_bytes", "try_factorise_on_device"]

Array = NDArray[Any]

# Of the columns of the inverse factor so many bytes, or this part of the factor's, are found at a
# time: enough columns for trsm to run at the speed of its products. Counted, not measured.
_COLUMN_BYTES = 256 << 20
_PART_OF_FACTOR = 8
_FEWEST_COLUMNS = 32


class DeviceFactor:
    """L in the lower triangle of a full (n, n) matrix of the device, in C order.

    Attributes
    ----------
    n : int
    dtype : dtype
    """

    def __init__(self, lower: Any) -> None:
        self.n = len(lower)
        self.dtype = lower.dtype
        self._lower = lower

    def solve(self, B: Array) -> Array:
        """Return ``(K + alpha I)^-1 B``, (n, c), on the device."""
        result: Array = linear_algebra.cholesky_solve(self._lower, B)
        return result

    def inverse_diagonal(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the entries `rows` of the diagonal of ``(K + alpha I)^-1``: ``|L^-1 e_i|^2``.

        A column of the inverse factor begins at its row, so sorted rows are solved by parts with
        what is left of L: n^3 / 3 operations for all.
        """
        xp = namespace(self._lower)
        order = np.argsort(rows, kind="stable")
        entries = np.empty(len(rows))
        at_once = _columns(self.n, self.dtype.itemsize)
        for begin in range(0, len(rows), at_once):
            chunk = order[begin : begin + at_once]
            first = int(rows[chunk[0]])
            columns = xp.zeros((len(chunk), self.n - first), self.dtype)
            columns[xp.arange(len(chunk)), xp.asarray(rows[chunk] - first)] = 1
            linear_algebra.solve_lower_in_place(self._lower, first, columns)
            entries[chunk] = to_host(xp.multiply(columns, columns, dtype=np.float64).sum(axis=1))
        return entries


def leave_one_out_bytes(n: int, itemsize: int) -> int:
    """Return the bytes of the device that leave-one-out takes beside the factor."""
    return _columns(n, itemsize) * _bytes_of_column(n, itemsize)


def _columns(n: int, itemsize: int) -> int:
    most = min(_COLUMN_BYTES, n * n * itemsize // _PART_OF_FACTOR)
    return min(n, max(_FEWEST_COLUMNS, most // _bytes_of_column(n, itemsize)))


def _bytes_of_column(n: int, itemsize: int) -> int:
    """Of a column, and of its squares in float64."""
    return n * (itemsize + 8)


def try_factorise_on_device(
    X: Array, kernel: Kernel, root: Root, ridges: Array, watch: Watch
) -> DeviceFactor | None:
    """Return the factor of ``K + diag(ridges)``, or None if that is not positive definite.

    Numerically so, in the dtype of `ridges`.
    """
    watch.phase("kernel")
    K: Any = backend.kernel_triangle(X, kernel, root)
    watch.phase("solve")
    K.reshape(-1)[:: len(K) + 1] += to_place_of(K, ridges)
    return DeviceFactor(K) if linear_algebra.cholesky_in_place(K) else None
