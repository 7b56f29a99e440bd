"""The linear algebra that fastrfm needs of CuPy: the stand-in's, and on a GPU the original's."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from test_cupy_semantics import matrix


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_eigh(cupy: ModuleType, dtype: str, order: Any) -> None:
    a = matrix(dtype, (5, 5))
    a = np.asarray(a + a.T, order=order)
    values, vectors = cupy.linalg.eigh(cupy.asarray(a))
    assert vectors.flags.f_contiguous
    assert values.dtype == vectors.dtype == a.dtype
    np.testing.assert_allclose(a @ vectors.get(), vectors.get() * values.get(), atol=1e-4)


@pytest.mark.parametrize("trans", [0, 1, "N", "T", "C"])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_solve_triangular(cupy: ModuleType, order: Any, lower: bool, trans: Any) -> None:
    solve = importlib.import_module("cupyx.scipy.linalg").solve_triangular
    a = np.asarray(matrix(shape=(4, 4)) + 9 * np.eye(4), order=order)
    triangle = np.tril(a) if lower else np.triu(a)
    for b in (matrix(), matrix()[:, 0], np.asfortranarray(matrix())):
        x = solve(cupy.asarray(a), cupy.asarray(b), trans, lower)
        system = triangle if trans in (0, "N") else triangle.T
        np.testing.assert_allclose(system @ x.get(), b, rtol=1e-10)
        assert x.flags.f_contiguous
    in_place = cupy.asarray(np.asfortranarray(b))
    assert cupy.shares_memory(solve(cupy.asarray(a), in_place, overwrite_b=True), in_place)


class Libraries:
    """The raw cuSOLVER and cuBLAS of one dtype."""

    def __init__(self, cupy: ModuleType, dtype: str) -> None:
        self.cupy, self.prefix = cupy, {"float32": "s", "float64": "d"}[dtype]
        libraries = "cupy_backends.cuda.libs"
        self.cublas = importlib.import_module(f"{libraries}.cublas")
        self.cusolver = importlib.import_module(f"{libraries}.cusolver")
        self.device = importlib.import_module("cupy.cuda.device")

    def factor(self, a: Any, uplo: int) -> int:
        """Factorise the column-major a (n, n), which may be a part of a larger one; return info."""
        n, lda = len(a), a.strides[1] // a.itemsize
        handle = self.device.get_cusolver_handle()
        ask = getattr(self.cusolver, f"{self.prefix}potrf_bufferSize")
        size = ask(handle, uplo, n, a.data.ptr, lda)
        work, info = self.cupy.empty(size, a.dtype), self.cupy.empty(1, self.cupy.int32)
        getattr(self.cusolver, f"{self.prefix}potrf")(
            handle, uplo, n, a.data.ptr, lda, work.data.ptr, size, info.data.ptr
        )
        return int(info[0])

    def solve(self, a: Any, b: Any, uplo: int) -> int:
        """Solve into b, after `factor`."""
        info = self.cupy.empty(1, self.cupy.int32)
        getattr(self.cusolver, f"{self.prefix}potrs")(
            self.device.get_cusolver_handle(), uplo, len(a), b.shape[1], a.data.ptr,
            a.strides[1] // a.itemsize, b.data.ptr, b.strides[1] // b.itemsize, info.data.ptr,
        )  # fmt: skip
        return int(info[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("uplo", [0, 1], ids=["lower", "upper"])
def test_factorisation(cupy: ModuleType, uplo: int, dtype: str) -> None:
    """In place in a part of a larger matrix, of which one triangle is read and written."""
    libraries = Libraries(cupy, dtype)
    assert (libraries.cublas.CUBLAS_FILL_MODE_LOWER, libraries.cublas.CUBLAS_FILL_MODE_UPPER) == (
        0,
        1,
    )
    x = matrix(dtype, (6, 9))
    a = (x @ x.T + np.eye(6, dtype=dtype)).astype(dtype)
    keep = np.triu(np.ones((6, 6), bool), 1) if uplo == 0 else np.tril(np.ones((6, 6), bool), -1)
    whole = cupy.asarray(np.full((8, 7), 5, dtype, order="F"))
    part = whole[1:7, :6]
    part[...] = cupy.asarray(np.where(keep, np.nan, a).astype(dtype))
    assert libraries.factor(part, uplo) == 0
    host = part.get()
    assert np.isnan(host[keep]).all()
    factor = np.where(keep, 0, host)
    product = factor @ factor.T if uplo == 0 else factor.T @ factor
    np.testing.assert_allclose(product, a, rtol=1e-4)
    assert (whole.get()[[0, 7]] == 5).all()
    b = matrix(dtype, (6, 2))
    solution = cupy.asarray(np.asfortranarray(b))
    assert libraries.solve(part, solution, uplo) == 0
    np.testing.assert_allclose(a @ solution.get(), b, rtol=1e-2 if dtype == "float32" else 1e-8)


def test_an_indefinite_matrix_is_told_by_info(cupy: ModuleType) -> None:
    a = cupy.asarray(np.diag([1.0, 2, -1, 3]))
    assert Libraries(cupy, "float64").factor(a.T, 0) == 3


def test_trsm(cupy: ModuleType) -> None:
    """B is overwritten by the solution of X A^T = alpha B."""
    libraries = Libraries(cupy, "float64")
    a, b = np.tril(matrix(shape=(3, 3)) + 9 * np.eye(3)), matrix(shape=(4, 3))
    on_device, x = (cupy.asarray(np.asfortranarray(m)) for m in (a, b))
    alpha, cublas = np.array(2.0), libraries.cublas
    cublas.dtrsm(
        libraries.device.get_cublas_handle(), cublas.CUBLAS_SIDE_RIGHT,
        cublas.CUBLAS_FILL_MODE_LOWER, cublas.CUBLAS_OP_T, cublas.CUBLAS_DIAG_NON_UNIT, 4, 3,
        alpha.ctypes.data, on_device.data.ptr, 3, x.data.ptr, 4,
    )  # fmt: skip
    np.testing.assert_allclose(x.get() @ a.T, 2 * b, rtol=1e-10)
