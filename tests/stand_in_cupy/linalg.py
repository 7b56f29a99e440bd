"""Products, `cupy.linalg` and `cupyx.scipy.linalg`, with the copies and layouts of CuPy's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from . import elementwise as ew
from . import libraries, transfer
from .cuda import get_cublas_handle, get_cusolver_handle

if TYPE_CHECKING:
    from .array import ndarray


def matmul(
    x1: Any, x2: Any, /, out: Any = None, *, casting: str = "same_kind", dtype: Any = None
) -> ndarray:
    """Return the product of matrices or vectors, C-contiguous."""
    host = np.matmul(ew.require_array(x1), ew.require_array(x2, "b"), dtype=dtype)
    return ew.stored(host, out, casting)


def dot(a: Any, b: Any, out: Any = None) -> ndarray:
    """Return the product of matrices or vectors."""
    ew.require_array(a)
    result: ndarray = a.dot(b, out)
    return result


def einsum(*operands: Any, dtype: DTypeLike | None = None, optimize: Any = False) -> ndarray:
    """Return a sum over products, as its subscripts say."""
    subscripts, *arrays = operands
    if not isinstance(subscripts, str):
        raise NotImplementedError("the stand-in's einsum takes its subscripts as a string")
    hosts = [ew.require_array(a) for a in arrays]
    return ew.new(np.einsum(subscripts, *hosts, dtype=dtype, optimize=bool(optimize)))


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> ndarray:
    """Return norms of vectors or matrices."""
    return ew.reduced(np.linalg.norm, x, ord=ord, axis=axis, keepdims=keepdims)


def qr(a: Any, mode: str = "reduced") -> Any:
    """Return the upper factor, in mode "r"; the stand-in has no other."""
    if mode != "r":
        raise NotImplementedError("the stand-in's qr gives R only")
    if not ew.is_array(a) or a.ndim != 2:
        raise np.linalg.LinAlgError("cupy.linalg only supports matrices of cupy.ndarray")
    copy: ndarray = a.astype(_floating(a), order="F", copy=True)
    return ew.new(np.linalg.qr(copy._host, mode="r"))


def eigh(a: Any, UPLO: str = "L") -> tuple[ndarray, ndarray]:
    """Return eigenvalues, and eigenvectors in columns, F-contiguous."""
    vectors = _eigen_input(a, UPLO)
    values, host = np.linalg.eigh(vectors._host, UPLO)
    vectors._host[...] = host
    return ew.new(values), vectors


def eigvalsh(a: Any, UPLO: str = "L") -> ndarray:
    """Return eigenvalues."""
    return ew.new(np.linalg.eigvalsh(_eigen_input(a, UPLO)._host, UPLO))


def _eigen_input(a: Any, uplo: str) -> ndarray:
    """Return the copy in which syevd works, after taking and freeing the memory that it needs."""
    _require_square(a)
    if uplo not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    copy: ndarray = a.astype(_floating(a), order="F", copy=True)
    n = len(a)
    ew.array_type()(1 + 6 * n + 2 * n * n, copy.dtype)  # LAPACK's; cuSOLVER's is not documented
    return copy


def cholesky(a: Any) -> ndarray:
    """Return the lower factor, C-contiguous.

    CuPy does not say that a matrix is indefinite, unless `cupyx.errstate` asks it to: its factor
    is then no factor.
    """
    _require_square(a)
    x: ndarray = a.astype(_floating(a), order="C", copy=True)
    n, prefix = len(a), "s" if x.dtype == np.float32 else "d"
    handle, uplo = get_cusolver_handle(), libraries.CUBLAS_FILL_MODE_UPPER
    info = ew.array_type()(1, np.int32)
    size = getattr(libraries, f"{prefix}potrf_bufferSize")(handle, uplo, n, x.data.ptr, n)
    work = ew.array_type()(size, x.dtype)
    getattr(libraries, f"{prefix}potrf")(
        handle, uplo, n, x.data.ptr, n, work.data.ptr, size, info.data.ptr
    )
    x._host[...] = np.tril(x._host)
    return x


def solve_triangular(
    a: Any,
    b: Any,
    trans: Any = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = False,
) -> ndarray:
    """Return x of a x = b, F-contiguous: in b's memory if that may be and is so already.

    An `a` of another order or dtype is copied on the device first.
    """
    for x in (a, b):
        if not ew.is_array(x):
            raise np.linalg.LinAlgError("cupy.linalg only supports cupy.ndarray")
    if a.ndim != 2:
        raise NotImplementedError("the stand-in solves no batches")
    if a.shape[0] != a.shape[1]:
        raise ValueError("expected square matrix")
    if len(a) != len(b):
        raise ValueError("incompatible dimensions")
    if check_finite and not (
        np.isfinite(ew.require_array(a)).all() and np.isfinite(ew.require_array(b)).all()
    ):
        raise ValueError("array must not contain infs or NaNs")
    dtype = a.dtype if a.dtype.char in "fd" else np.promote_types(a.dtype, np.float32)
    a = transfer.array(a, dtype, order="F", copy=None)
    b = transfer.array(b, dtype, order="F", copy=None if overwrite_b else True)
    m, n = (b.size, 1) if b.ndim == 1 else b.shape
    one = np.array(1, dtype)
    solve = libraries.strsm if dtype == np.float32 else libraries.dtrsm
    solve(
        get_cublas_handle(),
        libraries.CUBLAS_SIDE_LEFT,
        libraries.CUBLAS_FILL_MODE_LOWER if lower else libraries.CUBLAS_FILL_MODE_UPPER,
        {"N": 0, "T": 1, "C": 2}.get(trans, trans),
        libraries.CUBLAS_DIAG_UNIT if unit_diagonal else libraries.CUBLAS_DIAG_NON_UNIT,
        m,
        n,
        one.ctypes.data,
        a.data.ptr,
        m,
        b.data.ptr,
        m,
    )
    return b


def _require_square(a: Any) -> None:
    if not ew.is_array(a):
        raise np.linalg.LinAlgError("cupy.linalg only supports cupy.ndarray")
    if a.ndim != 2:
        raise np.linalg.LinAlgError(
            f"{a.ndim}-dimensional array given. Array must be at least two-dimensional"
        )
    if a.shape[0] != a.shape[1]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")


def _floating(a: Any) -> np.dtype[Any]:
    return np.dtype(a.dtype if a.dtype.kind == "f" else np.float64)
