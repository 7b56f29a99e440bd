"""Cholesky factorisation of ``K + alpha I``, in place in one triangle.

The triangle is in LAPACK's rectangular full packed format (RFP; Gustavson, Wasniewski, Dongarra,
Langou 2010, doi:10.1145/1731022.1731028): half the memory of the full matrix at the speed of
level-3 BLAS. Measured on 2 cores of an AMD EPYC (Zen 4), n = 8,000: `spftrf` 1.03 s, `spotrf`
1.80 s.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import get_lapack_funcs

from fastrfm import backend
from fastrfm.arrays import is_on_device
from fastrfm.kernels import Kernel
from fastrfm.metric import Root
from fastrfm.ridge.device_cholesky import DeviceFactor, try_factorise_on_device
from fastrfm.ridge.packed import leading_columns, packed_block, packed_diagonals
from fastrfm.ridge.weights import row_ridges, system_name
from fastrfm.watch import SILENT, Watch

__all__ = ["Factor", "OnFailure", "cholesky_bytes", "factorise", "packing_bytes"]

OnFailure = Literal["raise_alpha", "error"]

Array = NDArray[Any]

# SciPy's wrappers of the packed routines count n (n + 1) in 32 bits (1.17); a larger matrix is
# factorised in full.
MAX_PACKED_ROWS = 46_340
# A failed factorisation raises alpha by decades up to this (times the largest weight): the diagonal
# of K is 1, so a system that still fails is not one of rounding.
MAX_RAISED_ALPHA = 1.0
# Lowest alpha tried after a failure, by itemsize: near the rounding of a diagonal of ones.
_FIRST_RAISED_ALPHA = {4: 1e-6, 8: 1e-14}
# Copies of the rows that filling or multiplying K packs: for its rows and for its columns, and, in
# float32, what rounding left of each.
_PACKING_COPIES = {4: 4, 8: 2}
# What BLAS keeps of its operands during a factorisation: a tenth of the triangle, up to this; seen
# with OpenBLAS and two threads.
_MOST_LAPACK_BYTES = 16 << 20


class Factor(ABC):
    """A Cholesky factor L of ``K + alpha I``, on the host.

    Attributes
    ----------
    n : int
    dtype : dtype
    split : int
        A column such that a `block` has columns on one side of it.
    """

    n: int
    dtype: np.dtype[Any]
    split: int

    @abstractmethod
    def solve(self, B: Array) -> Array:
        """Return ``(K + alpha I)^-1 B``, (n, c), in C order."""

    @abstractmethod
    def block(self, i0: int, i1: int, j0: int, j1: int) -> Array:
        """Return a view of L's rows [i0, i1) and columns [j0, j1), j0 <= i0.

        What lies above the diagonal there is not L's.
        """


class PackedFactor(Factor):
    """L in RFP format, TRANSR = 'N', UPLO = 'L'."""

    def __init__(self, packed: Array, n: int) -> None:
        self.n = n
        self.dtype = packed.dtype
        self.split = leading_columns(n)
        self._packed = packed

    def solve(self, B: Array) -> Array:
        """Return ``(K + alpha I)^-1 B``."""
        (pftrs,) = get_lapack_funcs(("pftrs",), dtype=self.dtype)
        x, info = pftrs(self.n, self._packed, B, transr="N", uplo="L")
        _check(info, "pftrs")
        return np.ascontiguousarray(x)

    def block(self, i0: int, i1: int, j0: int, j1: int) -> Array:
        """Return a view of L's rows [i0, i1) and columns [j0, j1)."""
        return packed_block(self._packed, self.n, i0, i1, j0, j1)


class FullFactor(Factor):
    """L in the lower triangle of a full (n, n) matrix in Fortran order."""

    def __init__(self, lower: Array) -> None:
        self.n = len(lower)
        self.dtype = lower.dtype
        self.split = self.n
        self._lower = lower

    def solve(self, B: Array) -> Array:
        """Return ``(K + alpha I)^-1 B``."""
        (potrs,) = get_lapack_funcs(("potrs",), dtype=self.dtype)
        x, info = potrs(self._lower, B, lower=1)
        _check(info, "potrs")
        return np.ascontiguousarray(x)

    def block(self, i0: int, i1: int, j0: int, j1: int) -> Array:
        """Return a view of L's rows [i0, i1) and columns [j0, j1)."""
        return self._lower[i0:i1, j0:j1]


def cholesky_bytes(n: int, d: int, c: int, dtype: DTypeLike) -> int:
    """Bytes that a solve allocates at its peak.

    The triangle (or, beyond `MAX_PACKED_ROWS`, the matrix), the two packed copies of the rows from
    which it is filled or multiplied, and the coefficients, residuals and their copies in LAPACK's
    order.
    """
    triangle = n * (n + 1) // 2 if n <= MAX_PACKED_ROWS else n * n
    itemsize = np.dtype(dtype).itemsize
    # A residual is a product with K, whose sums are float64.
    vectors = 6 * n * c * itemsize + n * c * 8
    lapack = min(_MOST_LAPACK_BYTES, triangle * itemsize // 10)
    return triangle * itemsize + vectors + packing_bytes(n, d, dtype) + lapack


def packing_bytes(n: int, d: int, dtype: DTypeLike) -> int:
    """Bytes of the packed rows from which K is filled or multiplied."""
    itemsize = np.dtype(dtype).itemsize
    return _PACKING_COPIES[itemsize] * n * d * itemsize


def factorise(
    X: Array,
    kernel: Kernel,
    root: Root,
    alpha: float,
    dtype: DTypeLike,
    *,
    sample_weight: NDArray[np.float64] | None = None,
    on_failure: OnFailure = "raise_alpha",
    watch: Watch = SILENT,
) -> tuple[Factor | DeviceFactor, float]:
    """Factorise ``K(X, X) + alpha I``; return the factor and the alpha that was used.

    With weights, ``K(X, X) + alpha W^-1``. Where that is not numerically positive definite, alpha
    is raised by decades, with a `RuntimeWarning`; with `on_failure` "error" it is not.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the matrix is not positive definite at the largest alpha tried.
    """
    asked = alpha
    dtype = np.dtype(dtype)
    # The smallest ridge of a row is alpha over this.
    heaviest = 1.0 if sample_weight is None else float(sample_weight.max())
    name = system_name(sample_weight)
    while True:
        ridges = row_ridges(len(X), alpha, sample_weight, dtype)
        factor = _try_factorise(X, kernel, root, ridges, watch)
        if factor is not None:
            break
        if on_failure == "error":
            raise np.linalg.LinAlgError(
                f"{name} is not positive definite in {dtype} with alpha={alpha:g}; raise alpha, or "
                "pass float64"
            )
        raised = max(10 * alpha, heaviest * _FIRST_RAISED_ALPHA[dtype.itemsize])
        if raised > heaviest * MAX_RAISED_ALPHA:
            raise np.linalg.LinAlgError(
                f"{name} is not positive definite in {dtype} with alpha from {asked:g} to "
                f"{alpha:g}; raise alpha, or pass float64"
            )
        alpha = raised
    if alpha != asked:
        warnings.warn(
            f"{name} is not positive definite in {dtype} with alpha={asked:g} (duplicated or "
            f"nearly duplicated rows?); alpha={alpha:g} was used",
            RuntimeWarning,
            stacklevel=4,
        )
    return factor, alpha


def _try_factorise(
    X: Array, kernel: Kernel, root: Root, ridges: Array, watch: Watch
) -> Factor | DeviceFactor | None:
    """Return the factor of ``K + diag(ridges)``, or None if that is not positive definite.

    Numerically so, in the dtype of `ridges`.
    """
    if is_on_device(X):
        return try_factorise_on_device(X, kernel, root, ridges, watch)
    n = len(X)
    dtype = ridges.dtype
    watch.phase("kernel")
    if n <= MAX_PACKED_ROWS:
        packed = backend.packed_kernel_matrix(X, kernel, root)
        watch.phase("solve")
        first, second = packed_diagonals(packed, n)
        first += ridges[: len(first)]
        second += ridges[len(first) :]
        (pftrf,) = get_lapack_funcs(("pftrf",), dtype=dtype)
        packed, info = pftrf(n, packed, transr="N", uplo="L", overwrite_a=1)
        failed = info > 0 or not all(np.isfinite(d).all() for d in packed_diagonals(packed, n))
        _check(min(info, 0), "pftrf")
        return None if failed else PackedFactor(packed, n)
    K = backend.kernel_matrix(X, None, kernel, root)
    watch.phase("solve")
    K.reshape(-1)[:: n + 1] += ridges
    (potrf,) = get_lapack_funcs(("potrf",), dtype=dtype)
    # K is symmetric, so its transpose is the same matrix in the order that LAPACK wants.
    lower, info = potrf(K.T, lower=1, clean=0, overwrite_a=1)
    _check(min(info, 0), "potrf")
    return None if info > 0 or not np.isfinite(np.diag(lower)).all() else FullFactor(lower)


def _check(info: int, routine: str) -> None:
    if info != 0:
        raise np.linalg.LinAlgError(f"LAPACK's {routine} returned {info}")
