"""Directions of a concept in the layers of a network: a Recursive Feature Machine for each layer.

Activations of a language model have thousands of features, and a concept has some hundred examples.
Such machines need no matrix over features. The predictor's gradients at the n rows are an n x d
matrix B; the average gradient outer product is ``B^T B / n``, so ``B / sqrt(n)`` is a root of the
next metric: rows x become ``x B^T / sqrt(n)``, of n features, and no eigendecomposition is made.
The gradients of the next predictor by its own input are B' (n x n), those by the activations
``B' B / sqrt(n)``, and so on; the right singular vectors of that product are the eigenvectors of
the last average gradient outer product.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr
from sklearn.utils import check_scalar
from sklearn.utils.extmath import randomized_svd

from fastrfm.bandwidth import MEDIAN_ROWS, median_distance
from fastrfm.gradients import gradients
from fastrfm.kernels import kernel_matmul
from fastrfm.ridge import solve_ridge
from fastrfm.threads import one_blas_thread
from fastrfm.validation import check_array2d, check_flag, check_number, check_same_rows

__all__ = ["ConceptProbe", "fit_probes"]

Array = NDArray[np.float64]

# Up to here all singular vectors are found, beyond only those wanted, by randomised SVD: of 1,000
# rows of 4,096 features 1.3 s against 0.15 s, of 200 0.07 against 0.03 (one core, AMD EPYC, Zen 4).
EXACT_ROWS = 256
# Power iterations of the randomised SVD: an eigenvector whose eigenvalue is twice the next is found
# to 2^-(2 * 10 + 1).
POWER_ITERATIONS = 10


@dataclass(frozen=True)
class Machine:
    """The last predictor of a recursion, in the coordinates that its metric leaves."""

    mean: Array  # (d,), of the activations
    maps: tuple[Array, ...]  # the roots of the metrics, one after the other
    centres: Array
    coef: Array
    bandwidth: float
    offset: float


@dataclass(frozen=True)
class ConceptProbe:
    """A Recursive Feature Machine of one layer's activations, as :func:`fit_probes` makes it.

    Parameters
    ----------
    directions : ndarray of shape (k, d)
        Eigenvectors of the average gradient outer product with the largest eigenvalues first, of
        length 1. Each points to where the targets are larger: its scores correlate with them.
    eigenvalues : ndarray of shape (k,)
        As parts of the trace.
    machine : Machine
        What `predict` evaluates.
    """

    directions: Array
    eigenvalues: Array
    machine: Machine = field(repr=False)

    def predict(self, X: ArrayLike) -> Array:
        """Predict the targets of activations.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Activations of the same layer.

        Returns
        -------
        f : ndarray of shape (m,)
        """
        rows = self._own(X)
        machine = self.machine
        for B in machine.maps:
            rows = rows @ B.T
        f = kernel_matmul(rows, machine.centres, machine.coef, bandwidth=machine.bandwidth)
        return np.asarray(f[:, 0] + machine.offset)

    def project(self, X: ArrayLike) -> Array:
        """Return the scores of activations along the directions, (m, k).

        Parameters
        ----------
        X : array-like of shape (m, d)
            Activations of the same layer.

        Returns
        -------
        scores : ndarray of shape (m, k)
            Those of the mean of the activations that the probe was fitted to are 0.
        """
        return np.asarray(self._own(X) @ self.directions.T)

    def _own(self, X: ArrayLike) -> Array:
        rows = check_array2d("X", X)
        d = len(self.machine.mean)
        if rows.shape[1] != d:
            raise ValueError(f"X must have the {d} features of the layer; got {rows.shape[1]}")
        return np.asarray(rows - self.machine.mean)


def fit_probes(
    layers: Iterable[ArrayLike],
    y: ArrayLike,
    *,
    n_directions: int = 1,
    n_iter: int = 3,
    bandwidth: float = 1.0,
    alpha: float = 1e-3,
    center_gradients: bool = False,
) -> list[ConceptProbe]:
    """Fit a Recursive Feature Machine to the activations of each layer [1]_.

    Laplace kernel, metric the average gradient outer product, for which only n x n and n x d
    matrices are made: a layer takes ``O(n^2 d + n_iter n^3)`` operations, in float64.

    Parameters
    ----------
    layers : iterable of array-like of shape (n, d)
        The activations of each layer at the same n examples; d may differ. A generator is read one
        layer at a time.
    y : array-like of shape (n,)
        The concept: 0 and 1, or its degree.
    n_directions : int
        Eigenvectors to find for each layer, at most n.
    n_iter : int
        Number of metric updates; there is one fit more. With fewer rows than features closed-form
        leave-one-out tells little of how many are best: the metric has seen the row.
    bandwidth : float
        In median distances between rows, measured anew after each update.
    alpha : float
        Ridge.
    center_gradients : bool
        Subtract the mean gradient before the outer product.

    Returns
    -------
    probes : list of ConceptProbe

    Raises
    ------
    TypeError
        For arrays or parameters of another type.
    ValueError
        For NaN, infinity, wrong shapes, values out of range, or targets that are all the same.

    References
    ----------
    .. [1] Beaglehole, Radhakrishnan, Boix-Adsera, Belkin, "Toward universal steering and monitoring
       of AI models", arXiv:2502.03708.

    Examples
    --------
    A concept that activations carry along the sum of two features:

    >>> import numpy as np
    >>> from fastrfm.probes import fit_probes
    >>> activations = np.random.default_rng(0).normal(size=(200, 30))
    >>> [probe] = fit_probes([activations], activations[:, 0] + activations[:, 1] > 0)
    >>> sorted(np.abs(probe.directions[0]).argsort()[-2:].tolist())
    [0, 1]
    """
    targets = np.asarray(y)
    if targets.dtype.kind not in "fiub" or targets.ndim != 1:
        raise ValueError(
            f"y must be one number for each row; got shape {targets.shape}, dtype {targets.dtype}"
        )
    targets = check_array2d("y", targets[:, None]).astype(np.float64)
    if np.ptp(targets) == 0:
        raise ValueError("y is the same for all rows: there is no concept to find")
    check_flag("center_gradients", center_gradients)
    k = int(check_scalar(n_directions, "n_directions", Integral, min_val=1, max_val=len(targets)))
    updates = int(check_scalar(n_iter, "n_iter", Integral, min_val=0))
    times = check_number("bandwidth", bandwidth, low=0, low_ok=False)
    ridge = check_number("alpha", alpha, low=0, low_ok=True)
    probes = []
    for number, layer in enumerate(layers):
        X = check_array2d(f"layers[{number}]", layer)
        check_same_rows(f"layers[{number}]", X, "y", targets)
        # Matrices of some hundred rows: BLAS's threads would wait for each other more than they
        # work (200 x 2,048 on 2 cores, 2.1 fits a second with two of them, 11.8 with one).
        with one_blas_thread():
            probes.append(_fit_probe(X, targets, k, updates, times, ridge, bool(center_gradients)))
    return probes


def _fit_probe(
    X: NDArray[Any],
    targets: Array,
    n_directions: int,
    n_iter: int,
    bandwidth: float,
    alpha: float,
    center: bool,
) -> ConceptProbe:
    """Fit one layer's machine."""
    mean = X.mean(axis=0, dtype=np.float64)
    offset = float(targets.mean())
    Y = targets - offset
    activations = np.asarray(X - mean)
    # The rows in a basis of their span: all distances, and n features at most.
    basis, triangle = qr(activations.T, mode="economic", check_finite=False)
    rows = triangle.T
    maps: list[Array] = [basis.T]
    by_activations = basis.T  # the last predictor's gradients by activations, up to a factor
    for iteration in range(n_iter + 1):
        length = bandwidth * median_distance(rows[:MEDIAN_ROWS], None, 2.0)
        coef = solve_ridge(rows, Y, alpha=alpha, bandwidth=length, solver="cholesky")
        B = gradients(rows, rows, coef, bandwidth=length)[:, 0]
        if center:
            B = B - B.mean(axis=0)
        size = np.linalg.norm(B)
        if size == 0:
            raise ValueError("the rows of a layer are all the same: there is nothing to find")
        # As the bandwidth follows the distances, the scale of a metric does not matter.
        B /= size
        by_activations = B @ by_activations
        if iteration < n_iter:
            maps.append(B)
            rows = rows @ B.T
    directions, eigenvalues = top_eigenvectors(by_activations, n_directions)
    scores = activations @ directions.T
    signs = np.where(scores.T @ Y < 0, -1.0, 1.0)
    if n_iter == 0:  # without a metric, what is outside of the span counts in the distance
        maps, rows = [], activations
    return ConceptProbe(
        directions=directions * signs,
        eigenvalues=eigenvalues,
        machine=Machine(mean, tuple(maps), rows, coef, length, offset),
    )


def top_eigenvectors(B: Array, k: int) -> tuple[Array, Array]:
    """Return the top k eigenvectors of ``B^T B``, and their eigenvalues as parts of the trace.

    Parameters
    ----------
    B : ndarray of shape (n, d)
    k : int
        At most n and d.

    Returns
    -------
    vectors : ndarray of shape (k, d)
    eigenvalues : ndarray of shape (k,)
    """
    if len(B) > EXACT_ROWS:
        _, values, vectors = randomized_svd(B, k, n_iter=POWER_ITERATIONS, random_state=0)
        return vectors, values**2 / np.sum(B**2)
    _, values, vectors = np.linalg.svd(B, full_matrices=False)
    return vectors[:k], values[:k] ** 2 / np.sum(values**2)
