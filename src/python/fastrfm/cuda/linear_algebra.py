"""Cholesky factorisation and triangular solves in place on the device: cuSOLVER and cuBLAS by CuPy.

CuPy's own `cholesky` and `solve_triangular` work on copies. The libraries count in columns: a lower
triangle in C order is to them an upper one, ``A = L L^T = U^T U`` with ``U = L^T``.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from fastrfm.arrays import namespace

__all__ = ["MOST_ROWS", "cholesky_in_place", "cholesky_solve", "solve_lower_in_place"]

# cuSOLVER's potrf counts its workspace and offsets in 32 bits; its 64-bit form CuPy (14.2) has not.
MOST_ROWS = 46_340


def cholesky_in_place(A: Any) -> bool:
    """Factorise the lower triangle of A, (n, n) in C order, in place: ``A = L L^T``.

    Returns
    -------
    bool
        Whether A is positive definite, to its precision. Waits for the device.

    Raises
    ------
    MemoryError
        If there is no room for the workspace.
    """
    cusolver, handle, kind = _cusolver(A)
    xp, n = namespace(A), len(A)
    uplo = _cublas().CUBLAS_FILL_MODE_UPPER
    size = getattr(cusolver, f"{kind}potrf_bufferSize")(handle, uplo, n, A.data.ptr, n)
    work, info = xp.empty(size, A.dtype), xp.empty(1, np.int32)
    getattr(cusolver, f"{kind}potrf")(
        handle, uplo, n, A.data.ptr, n, work.data.ptr, size, info.data.ptr
    )
    found = int(info[0])
    if found < 0:
        raise np.linalg.LinAlgError(f"cuSOLVER's potrf returned {found}")
    return found == 0 and bool(xp.isfinite(xp.diagonal(A)).all())


def cholesky_solve(L: Any, B: Any) -> Any:
    """Return ``(L L^T)^-1 B``, (n, c) in C order, for L as `cholesky_in_place` leaves it."""
    cusolver, handle, kind = _cusolver(L)
    xp, n = namespace(L), len(L)
    x = xp.array(B, L.dtype, order="F")
    info = xp.empty(1, np.int32)
    uplo = _cublas().CUBLAS_FILL_MODE_UPPER
    getattr(cusolver, f"{kind}potrs")(
        handle, uplo, n, x.shape[1], L.data.ptr, n, x.data.ptr, n, info.data.ptr
    )
    return xp.ascontiguousarray(x)


def solve_lower_in_place(L: Any, first: int, columns: Any) -> None:
    """Solve with the part of L from row and column `first` on, in place.

    Parameters
    ----------
    L : ndarray of shape (n, n)
        As `cholesky_in_place` leaves it.
    first : int
    columns : ndarray of shape (k, n - first)
        The right-hand sides as rows, in C order; overwritten with the solutions.
    """
    cublas, kind = _cublas(), _kind(L)
    device = importlib.import_module("cupy.cuda.device")
    n, (count, m) = len(L), columns.shape
    one = np.ones(1, L.dtype)
    getattr(cublas, f"{kind}trsm")(
        device.get_cublas_handle(),
        cublas.CUBLAS_SIDE_LEFT,
        cublas.CUBLAS_FILL_MODE_UPPER,
        cublas.CUBLAS_OP_T,
        cublas.CUBLAS_DIAG_NON_UNIT,
        m,
        count,
        one.ctypes.data,
        L.data.ptr + first * (n + 1) * L.dtype.itemsize,
        n,
        columns.data.ptr,
        m,
    )


def _cusolver(A: Any) -> tuple[Any, int, str]:
    libraries = importlib.import_module("cupy_backends.cuda.libs.cusolver")
    device = importlib.import_module("cupy.cuda.device")
    return libraries, device.get_cusolver_handle(), _kind(A)


def _cublas() -> Any:
    return importlib.import_module("cupy_backends.cuda.libs.cublas")


def _kind(A: Any) -> str:
    return "s" if A.dtype == np.float32 else "d"
