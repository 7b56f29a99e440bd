"""cuBLAS and cuSOLVER as `cupy_backends.cuda.libs` has them: raw addresses, column-major matrices.

Each reads and writes no more than the library does: of a symmetric or triangular matrix one
triangle. Each address must lie in device memory, with room for all of the matrix.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from .cuda import CUBLAS_HANDLE, CUSOLVER_HANDLE
from .machine import machine
from .streams import before_work

CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C = 0, 1, 2
CUBLAS_FILL_MODE_LOWER, CUBLAS_FILL_MODE_UPPER = 0, 1
CUBLAS_DIAG_NON_UNIT, CUBLAS_DIAG_UNIT = 0, 1
CUBLAS_SIDE_LEFT, CUBLAS_SIDE_RIGHT = 0, 1
_BLOCK = 32  # columns: of the workspace that potrf asks for

Host = NDArray[Any]


class CUBLASError(RuntimeError):
    """An error of cuBLAS: an argument that it does not take."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__("CUBLAS_STATUS_INVALID_VALUE")


class CUSOLVERError(RuntimeError):
    """An error of cuSOLVER: an argument that it does not take."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__("CUSOLVER_STATUS_INVALID_VALUE")


def _require(condition: bool, error: type[CUBLASError] | type[CUSOLVERError]) -> None:
    if not condition:
        raise error(7 if error is CUBLASError else 3)


def _begin(handle: int, library: int, error: type[CUBLASError] | type[CUSOLVERError]) -> None:
    _require(handle == library + machine.current_device, error)
    before_work(machine.current_stream)


def _matrix(address: int, rows: int, columns: int, leading: int, dtype: type) -> Host:
    """Return a view (rows, columns) of the device memory of a column-major matrix."""
    item = np.dtype(dtype).itemsize
    if rows == 0 or columns == 0:
        return np.empty((rows, columns), dtype)
    size = (leading * (columns - 1) + rows) * item
    machine.require_device_memory(address, size)
    memory = (ctypes.c_uint8 * size).from_address(address)
    return np.ndarray((rows, columns), dtype, memory, strides=(item, leading * item))


def _write_info(address: int, info: int) -> None:
    _matrix(address, 1, 1, 1, np.int32)[...] = info


def _triangle(n: int, uplo: int) -> Any:
    i, j = np.ogrid[:n, :n]
    return i >= j if uplo == CUBLAS_FILL_MODE_LOWER else i <= j


def _make_cusolver(dtype: type, factor: Any, solve: Any) -> dict[str, Callable[..., Any]]:
    """Return potrf_bufferSize, potrf and potrs of a dtype."""

    def work_size(n: int) -> int:
        return n * _BLOCK + 1

    def potrf_buffer_size(handle: int, uplo: int, n: int, A: int, lda: int) -> int:
        _begin(handle, CUSOLVER_HANDLE, CUSOLVERError)
        _require(uplo in (0, 1) and n >= 0 and lda >= max(n, 1), CUSOLVERError)
        return work_size(n)

    def potrf(
        handle: int, uplo: int, n: int, A: int, lda: int, work: int, lwork: int, devInfo: int
    ) -> None:
        _begin(handle, CUSOLVER_HANDLE, CUSOLVERError)
        _require(uplo in (0, 1) and n >= 0 and lda >= max(n, 1), CUSOLVERError)
        _require(lwork >= work_size(n), CUSOLVERError)
        _matrix(work, lwork, 1, lwork, dtype)[...] = np.nan  # whatever it held is lost
        a, written = _matrix(A, n, n, lda, dtype), _triangle(n, uplo)
        factored, info = factor(np.where(written, a, np.nan), lower=uplo == 0, clean=0)
        np.copyto(a, factored, where=written)
        _write_info(devInfo, info)

    def potrs(
        handle: int, uplo: int, n: int, nrhs: int, A: int, lda: int, B: int, ldb: int, devInfo: int
    ) -> None:
        _begin(handle, CUSOLVER_HANDLE, CUSOLVERError)
        _require(uplo in (0, 1) and n >= 0 and nrhs >= 0, CUSOLVERError)
        _require(min(lda, ldb) >= max(n, 1), CUSOLVERError)
        a, b = _matrix(A, n, n, lda, dtype), _matrix(B, n, nrhs, ldb, dtype)
        if b.size:
            b[...], _ = solve(np.where(_triangle(n, uplo), a, np.nan), b, lower=uplo == 0)
        _write_info(devInfo, 0)

    return {"potrf_bufferSize": potrf_buffer_size, "potrf": potrf, "potrs": potrs}


def _make_trsm(dtype: type, solve: Any) -> Callable[..., Any]:
    def trsm(
        handle: int,
        side: int,
        uplo: int,
        trans: int,
        diag: int,
        m: int,
        n: int,
        alpha: int,
        Aarray: int,
        lda: int,
        Barray: int,
        ldb: int,
    ) -> None:
        _begin(handle, CUBLAS_HANDLE, CUBLASError)
        k = m if side == CUBLAS_SIDE_LEFT else n
        _require({side, uplo, diag} <= {0, 1} and trans in (0, 1, 2), CUBLASError)
        _require(min(m, n) >= 0 and lda >= max(k, 1) and ldb >= max(m, 1), CUBLASError)
        if machine.device_of(alpha) is not None:
            raise CUBLASError(7)  # a real one reads it on the host, and crashes
        factor = np.ctypeslib.as_array((np.ctypeslib.as_ctypes_type(dtype) * 1).from_address(alpha))
        a, b = _matrix(Aarray, k, k, lda, dtype), _matrix(Barray, m, n, ldb, dtype)
        if b.size:
            b[...] = solve(
                factor[0],
                np.where(_triangle(k, uplo), a, np.nan),
                b,
                side=side,
                lower=uplo == CUBLAS_FILL_MODE_LOWER,
                trans_a=trans,
                diag=diag,
            )

    return trsm


_single = _make_cusolver(np.float32, lapack.spotrf, lapack.spotrs)
_double = _make_cusolver(np.float64, lapack.dpotrf, lapack.dpotrs)
spotrf_bufferSize, spotrf, spotrs = _single.values()  # noqa: N816
dpotrf_bufferSize, dpotrf, dpotrs = _double.values()  # noqa: N816
strsm, dtrsm = _make_trsm(np.float32, blas.strsm), _make_trsm(np.float64, blas.dtrsm)
