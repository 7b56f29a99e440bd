"""Nystrom preconditioner of ``K + alpha I``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cholesky, solve_triangular

from fastrfm import backend
from fastrfm.arrays import is_on_device, namespace, take_rows_of, to_host, to_place_of
from fastrfm.cuda import linear_algebra
from fastrfm.kernels import Kernel
from fastrfm.metric import Root
from fastrfm.remote import RemoteColumns, RemoteRows
from fastrfm.threads import one_blas_thread

__all__ = [
    "NystromPreconditioner",
    "choose_rank",
    "jittered_cholesky",
    "largest_rank",
    "preconditioner_bytes",
]

Array = NDArray[Any]

# Landmarks: one row in 16, and no more than 5 sqrt(n). With r of them the set-up takes n r^2
# operations and an iteration n^2; twice r saves a quarter to a third of the iterations. So the best
# r grows with sqrt(n). Seconds to 1e-4 on 2 cores of an AMD EPYC (Zen 4): kin40k, 36,000 rows,
# learned metric, r = 450 / 900 / 1,420 / 2,250: 4.0 / 3.5 / 4.4 / 6.7 (55 to 26 iterations; to
# 1e-2: 2.8 / 2.4 / 2.6 / 5.0); pol, 13,500 rows, r = 421 / 843 / 1,350: 1.8 / 1.5 / 1.8.
ROWS_PER_LANDMARK = 16
LANDMARKS_PER_ROOT = 5.0
FEWEST_LANDMARKS = 100
MOST_LANDMARKS = 4_000
# Rows whose spectrum stands for that of all.
SPECTRUM_ROWS = 400
# Rows on which the diagonal of what the landmarks leave is measured.
RESIDUAL_ROWS = 500
# Added to the landmarks' kernel, whose smallest eigenvalues are rounding; more where that is not
# enough.
JITTER = 1e-6
# Rows that `landmark_gram` converts to float64 at a time (src/cpp/landmarks.cpp).
_GRAM_ROWS = 1_024


class NystromPreconditioner:
    """Inverse of ``C W^-1 C^T + mu I``, ``C = K(X, S)`` and ``W = K(S, S)`` for landmarks S.

    Frangella, Tropp, Udell 2021 (arXiv:2110.02820), in Woodbury's form
    ``(R - C (C^T C + mu W)^-1 C^T R) / mu``. `C` stays in the working dtype, in which K is
    evaluated; all that is done with it is summed in float64: in the directions of the largest
    eigenvalues lambda of K the difference is mu / lambda of its terms, one part in a million, which
    float32 cannot hold (CG then diverges: elevators, 14,940 rows, second iteration). `mu` is
    `alpha` plus the mean of the diagonal that the landmarks leave of K, so that the rest of the
    spectrum is scaled to about 1 too. The same bits for every number of threads.

    With `row_roots`, the diagonal of S, it is that of ``S K S + alpha I``: C becomes S C, and rows
    become landmarks with a probability that grows with their weight.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    kernel, root
        Of K.
    alpha : float
    rank : int
        Number of landmarks, drawn with a fixed seed; without `row_roots` uniformly.
    dtype : dtype
        Working precision.
    row_roots : ndarray of shape (n,), optional
        Roots of the sample weights; NumPy's.
    xp : module
        Whose arrays `C` and the vectors are: NumPy, or CuPy.
    """

    def __init__(
        self,
        X: Array | RemoteRows,
        kernel: Kernel,
        root: Root,
        alpha: float,
        rank: int,
        dtype: np.dtype[Any],
        row_roots: NDArray[np.float64] | None = None,
        *,
        xp: Any = np,
    ) -> None:
        n = len(X)
        rng = np.random.default_rng(0)
        landmarks = _draw_landmarks(n, rank, row_roots, rng)
        self.rank = rank
        self._C = backend.landmark_columns(
            X, take_rows_of(X, landmarks), kernel, root, like=xp.empty(0, dtype)
        )
        # What is as large as the landmarks' kernel is dealt with by SciPy, but for each
        # application.
        W = to_host(take_rows_of(self._C, landmarks)).astype(np.float64)
        rows = np.sort(rng.choice(n, min(n, RESIDUAL_ROWS), replace=False))
        with one_blas_thread():
            L = jittered_cholesky(W)
            explained = solve_triangular(
                L,
                to_host(take_rows_of(self._C, rows)).T.astype(np.float64),
                lower=True,
                overwrite_b=True,
            )
            explained_diagonal = np.einsum("ij,ij->j", explained, explained)
            del L, explained
            if row_roots is None:
                left = max(1.0 - float(np.mean(explained_diagonal)), JITTER)
            else:
                weights = row_roots[rows] ** 2
                left = max(
                    float(np.mean(weights * (1.0 - explained_diagonal))),
                    JITTER * float(np.mean(weights)),
                )
                if isinstance(self._C, RemoteColumns):
                    self._C.scale_rows(row_roots)
                else:
                    scale = to_place_of(self._C, row_roots)[:, None]
                    xp.multiply(self._C, scale, out=self._C, casting="same_kind")
            self.mu = alpha + left
            self._factor = self._factorise(W)

    def _factorise(self, W: NDArray[np.float64]) -> Any:
        """Factorise ``C^T C + mu W``, W overwritten; raise `mu` where it is lost in rounding."""
        W *= self.mu
        W = to_place_of(self._C, W)
        while True:
            system = backend.landmark_gram(self._C)
            largest = float(system.trace())
            system += W
            try:
                return _factor_in_place(system)
            except LinAlgError:
                if not float(W.trace()) < largest:  # no rounding
                    raise
            W *= 10
            self.mu *= 10

    def __call__(self, R: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``P^-1 R`` for R of shape (n, c)."""
        projected = backend.landmark_transposed_matmul(self._C, R)
        with one_blas_thread():
            projected = _solve(self._factor, projected)
        result: NDArray[np.float64] = backend.landmark_matmul(self._C, projected)
        namespace(R).subtract(R, result, out=result)
        result /= self.mu
        return result


def _factor_in_place(A: Array) -> Any:
    """Return what `_solve` takes for a positive definite A, which is overwritten."""
    if not is_on_device(A):
        return cho_factor(A, lower=True, overwrite_a=True)
    if not linear_algebra.cholesky_in_place(A):
        raise LinAlgError("the matrix is not positive definite")
    return A


def _solve(factor: Any, B: Array) -> Array:
    """Return ``A^-1 B``, B overwritten."""
    if is_on_device(B):
        solved: Array = linear_algebra.cholesky_solve(factor, B)
    else:
        solved = cho_solve(factor, B, overwrite_b=True)
    return solved


def jittered_cholesky(W: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lower Cholesky factor of W plus a jitter, which is added to W in place.

    By default `JITTER`; more where rounding in the working precision makes W indefinite by more:
    with a smooth kernel of a long bandwidth rows of float32 are nearly all the same.
    """
    diagonal = np.diag_indices(len(W))
    added, jitter = 0.0, JITTER
    while True:
        W[diagonal] += jitter - added
        added = jitter
        try:
            factor: NDArray[np.float64] = cholesky(W, lower=True)
        except LinAlgError:
            if jitter >= 1.0:  # no rounding: the kernel itself is not positive
                raise
            jitter *= 10
        else:
            return factor


def _draw_landmarks(
    n: int, rank: int, row_roots: NDArray[np.float64] | None, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return sorted rows, without replacement; with `row_roots` one after the other by weight.

    Heavy rows span the largest eigenvalues of ``S K S``. Iterations to 1e-4 by uniform landmarks /
    by these, 4,000 rows, 250 landmarks, alpha 0.1: a fiftieth of the rows of weight 100 43 / 23, a
    two hundredth of 10,000 114 / 17, weights of 0.5 to 2 19 / 19, of 1e-6 to 1 11 / 10.
    """
    if row_roots is None:
        return np.sort(rng.choice(n, rank, replace=False))
    # The smallest of exponential variables over the weights (Efraimidis, Spirakis 2006,
    # doi:10.1016/j.ipl.2005.11.003), as logarithms, which no weight overflows.
    keys = np.log(rng.standard_exponential(n)) - 2.0 * np.log(row_roots)
    return np.sort(np.argpartition(keys, rank - 1)[:rank])


def preconditioner_bytes(n: int, rank: int, itemsize: int) -> int:
    """Return the bytes that a preconditioner allocates at its peak."""
    rank = min(rank, n)
    columns = n * rank * itemsize
    # W beside its factor and the part of C solved with it, or beside the Gram matrix and the rows
    # that this takes at a time.
    squares = 2 * rank * rank * 8 + max(RESIDUAL_ROWS, _GRAM_ROWS) * rank * 8
    return columns + squares


def largest_rank(n: int) -> int:
    """Return the most landmarks that `choose_rank` takes: one row in 16, at most 5 sqrt(n)."""
    balanced = min(n // ROWS_PER_LANDMARK, int(LANDMARKS_PER_ROOT * math.sqrt(n)))
    return min(n, MOST_LANDMARKS, max(balanced, FEWEST_LANDMARKS))


def choose_rank(
    X: Array | RemoteRows,
    kernel: Kernel,
    root: Root,
    alpha: float,
    row_roots: NDArray[np.float64] | None = None,
) -> int:
    """Choose the number of landmarks: as `largest_rank`, fewer where the spectrum decays fast.

    The eigenvalues of K are estimated from those of 400 rows, times n / 400. Landmarks beyond the
    number of eigenvalues above `alpha` have nothing left to capture; twice that number is taken,
    as uniform landmarks are not the best ones. With `row_roots`, of ``S K S``, S their diagonal
    matrix.
    """
    n = len(X)
    most = largest_rank(n)
    if n <= SPECTRUM_ROWS:
        return most
    rows = np.sort(np.random.default_rng(0).choice(n, SPECTRUM_ROWS, replace=False))
    K = to_host(backend.kernel_matrix(take_rows_of(X, rows), None, kernel, root), np.float64)
    if row_roots is not None:
        K *= row_roots[rows, None] * row_roots[rows]
    try:
        with one_blas_thread():
            eigenvalues = np.linalg.eigvalsh(K) * (n / SPECTRUM_ROWS)
    except LinAlgError:
        return most
    above = int(np.count_nonzero(eigenvalues > alpha))
    if above == SPECTRUM_ROWS:
        return most
    return min(most, max(FEWEST_LANDMARKS, 2 * above))
