"""Leave-one-out residuals in closed form."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs

from fastrfm import backend
from fastrfm.ridge.cholesky import Factor
from fastrfm.ridge.device_cholesky import DeviceFactor
from fastrfm.threads import one_blas_thread

__all__ = ["inverse_diagonal", "leave_one_out", "leave_one_out_bytes"]

Array = NDArray[Any]

# Columns of the inverse factor that a thread holds, and rows of it that are found at once. CPU
# seconds for all of 500 / 1,500 / 4,000 rows, float32, one core of an AMD EPYC (Zen 4): 128 and 128
# .0016 / .0200 / .304, 256 and 128 .0017 / .0205 / .295, 128 and 64 .0012 / .0198 / .311.
_COLUMNS = 128
_ROWS = 128
# The threads' columns may take this part of n^2 words, half of a packed factor.
_PART_OF_SQUARE = 0.25


def inverse_diagonal(factor: Factor | DeviceFactor, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the entries `rows` of the diagonal of ``(K + alpha I)^-1``: ``|L^-1 e_i|^2``.

    A column of the inverse factor begins at its row i, so that all of them take n^3 / 3 operations
    where n solves would take n^3; a part of them takes that part. Forward substitution by blocks,
    in which the rows of a block follow from all before by a product, and the inverse of its
    triangle: ``X_b = L_bb^-1 (E_b - L_b: X)``. Threads take columns, each with BLAS on one thread:
    BLAS's own threads would wait for each other at every block. So the bits do not depend on their
    number.
    """
    if isinstance(factor, DeviceFactor):
        return factor.inverse_diagonal(rows)
    n = factor.n
    starts = [*range(0, factor.split, _ROWS), *range(factor.split, n, _ROWS)]
    blocks = list(zip(starts, [*starts[1:], n], strict=True))
    order = np.argsort(rows, kind="stable")
    first_of_all = rows[order[0]] if len(rows) else n
    (trtri,) = get_lapack_funcs(("trtri",), dtype=factor.dtype)
    with one_blas_thread():
        inverses = {
            begin: np.tril(trtri(factor.block(begin, end, begin, end), lower=1)[0])
            for begin, end in blocks
            if end > first_of_all
        }
    chunks = [order[start : start + _COLUMNS] for start in range(0, len(rows), _COLUMNS)]
    entries = np.empty(len(rows))

    def fill(chunk: NDArray[np.intp]) -> None:
        with one_blas_thread():
            entries[chunk] = _column_squares(factor, blocks, inverses, rows[chunk])

    threads = min(_threads(n), len(chunks))
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, chunks))
    else:
        for chunk in chunks:
            fill(chunk)
    return entries


def _threads(n: int) -> int:
    return max(1, min(backend.max_threads(), int(_PART_OF_SQUARE * n / _COLUMNS)))


def _column_squares(
    factor: Factor, blocks: list[tuple[int, int]], inverses: dict[int, Array], rows: Array
) -> NDArray[np.float64]:
    """Return ``|L^-1 e_i|^2`` for sorted rows i."""
    top = next(begin for begin, end in blocks if end > rows[0])
    X = np.zeros((factor.n - top, len(rows)), factor.dtype)
    X[rows - top, np.arange(len(rows))] = 1
    squares = np.zeros(len(rows))
    for begin, end in blocks:
        if begin < top:
            continue
        part = X[begin - top : end - top]
        # A block of L has its columns on one side of the split.
        middle = min(max(factor.split, top), begin)
        for j0, j1 in ((top, middle), (middle, begin)):
            if j0 < j1:
                part -= factor.block(begin, end, j0, j1) @ X[j0 - top : j1 - top]
        part[...] = inverses[begin] @ part
        squares += np.einsum("ij,ij->j", part, part)
    return squares


def leave_one_out_bytes(n: int, itemsize: int) -> int:
    """Return the bytes that leave-one-out takes beside the factor."""
    return n * (_threads(n) * _COLUMNS + _ROWS) * itemsize


def leave_one_out(
    inverse_diagonal: Array,
    coef: Array,
    alpha: float,
    sample_weight: NDArray[np.float64] | None = None,
    unit_weight: NDArray[np.float64] | None = None,
) -> Array:
    """Residuals ``y_i - f_{-i}(x_i) = coef_i / C_ii``, ``C = (K + alpha I)^-1``.

    Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, equation 5.12.

    With weights, ``C = (K + alpha W^-1)^-1``, a row of weight w counts as w / u equal rows of
    weight u, of which one is left out. The leverage of the row is ``H_ii = 1 - (alpha / w_i)
    C_ii``, its residual ``r_i = (alpha / w_i) coef_i``, and taking the weight m from it makes that
    ``r_i / (1 - H_ii m / w_i)``. For ``w_i <= u_i``, m is all of it and the residual again
    ``coef_i / C_ii``; else m is u.

    Parameters
    ----------
    inverse_diagonal : ndarray of shape (n,)
        ``C_ii`` of the rows wanted.
    coef : ndarray of shape (n, c)
        Their coefficients.
    alpha : float
        Used with weights only.
    sample_weight : ndarray of shape (n,), optional
        Their weights.
    unit_weight : ndarray of shape (n,), optional
        The u; None: 1.

    Returns
    -------
    residuals : ndarray of shape (n, c), dtype of `coef`
    """
    C = inverse_diagonal.astype(coef.dtype, copy=False)
    result: Array = coef / C[:, None]
    if sample_weight is not None:
        unit = np.ones(len(C)) if unit_weight is None else unit_weight
        heavy = sample_weight > unit
        w, u = sample_weight[heavy], unit[heavy]
        result[heavy] = coef[heavy] * (alpha / (w - u + alpha * u / w * C[heavy]))[:, None]
    return result
