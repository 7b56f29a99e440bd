"""`data_separation`: how far the classes are apart after each layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d

from fastrfm.validation import check_array2d, check_same_rows

__all__ = ["DataSeparation", "data_separation"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class DataSeparation:
    """How far classes are apart, one entry for each layer.

    Parameters
    ----------
    log_ratio : ndarray of shape (n_layers,)
        ``D_l = log trace(S_within pinv(S_between))``: the smaller, the further apart.
    nc1 : ndarray of shape (n_layers,)
        ``trace(S_within) / trace(S_between)``, the first measure of neural collapse.
    nc2 : ndarray of shape (n_layers,)
        Distance of the class means from the simplex equiangular tight frame, the second.
    """

    log_ratio: Vector
    nc1: Vector
    nc2: Vector

    @property
    def loads(self) -> Vector:
        """What each layer does of the work: ``d_l = D_l - D_(l+1)``, of shape (n_layers - 1,).

        NaN between two layers that both have no spread within the classes.
        """
        with np.errstate(invalid="ignore"):
            return self.log_ratio[:-1] - self.log_ratio[1:]


def data_separation(features: Sequence[ArrayLike], y: ArrayLike) -> DataSeparation:
    """Measure how far the classes are apart after each layer.

    With classes c of n_c rows, means ``mu_c`` and the mean ``mu`` of all rows,

    ``S_within = 1/n sum_i (x_i - mu_c(i)) (x_i - mu_c(i))^T`` and
    ``S_between = 1/n sum_c n_c (mu_c - mu) (mu_c - mu)^T``.

    The data separation is ``D = log trace(S_within pinv(S_between))`` [1]_ [2]_; neural collapse
    [3]_ is ``NC1 = trace(S_within) / trace(S_between)`` and ``NC2 = ||G / ||G|| - E / ||E||||``,
    Frobenius norms, between the Gram matrix G of the class means, less their own mean, and that of
    a simplex equiangular tight frame, ``E = I - 1 1^T / n_classes``. All are 0 or -inf at full
    collapse, and none changes when the features are scaled, shifted or rotated. No matrix of
    features by features is formed.

    Parameters
    ----------
    features : sequence of array-like of shape (n, ...)
        What each layer makes of the same n rows, the input first; axes behind the first are
        flattened. Layers may differ in width.
    y : array-like of shape (n,)
        Class labels, of at least 2 classes.

    Returns
    -------
    DataSeparation
        Computed in float64.

    Raises
    ------
    TypeError
        For features that are no real numbers.
    ValueError
        For NaN, infinity, wrong shapes, a single class, no layers, or a layer that gives all
        classes the same mean.

    See Also
    --------
    pull_chain : The mechanical model of the loads.
    load_balance : How even the loads are.

    References
    ----------
    .. [1] H. He, W. J. Su. A law of data separation in deep learning. PNAS 120 (2023).
       doi:10.1073/pnas.2221704120.
    .. [2] C. Shi, L. Pan, I. Dokmanić. Spring-block theory of feature learning in deep neural
       networks. Physical Review Letters (2025), doi:10.1103/ys4n-2tj3.
    .. [3] V. Papyan, X. Y. Han, D. L. Donoho. Prevalence of neural collapse during the terminal
       phase of deep learning training. PNAS 117 (2020). doi:10.1073/pnas.2015509117.

    Examples
    --------
    The second layer halves the spread within two classes: D falls by log 4.

    >>> import numpy as np
    >>> from fastrfm.separation import data_separation
    >>> y = np.array([0, 0, 1, 1])
    >>> wide = np.array([[-2.0], [0.0], [0.0], [2.0]])
    >>> narrow = np.array([[-1.5], [-0.5], [0.5], [1.5]])
    >>> data_separation([wide, narrow], y).loads.round(3)
    array([1.386])
    """
    if len(features) == 0:
        raise ValueError("features is empty; pass the features of at least one layer")
    labels = column_or_1d(y)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y has {len(classes)} class; the separation of classes needs 2 or more")
    measured = [_separation(_rows(layer, x, labels), codes) for layer, x in enumerate(features)]
    for layer, found in enumerate(measured):
        if found is None:
            raise ValueError(
                f"features[{layer}] gives all classes the same mean; "
                "their separation is not defined"
            )
    log_ratio, nc1, nc2 = np.array(measured, dtype=np.float64).T
    return DataSeparation(log_ratio, nc1, nc2)


def _rows(layer: int, features: ArrayLike, y: NDArray[Any]) -> Vector:
    """Return the features of a layer as (n, d) float64."""
    array = np.asarray(features)
    if array.ndim > 2:
        array = array.reshape(len(array), -1)
    name = f"features[{layer}]"
    array = check_array2d(name, array)
    check_same_rows(name, array, "y", y)
    return array.astype(np.float64)


def _separation(X: Vector, codes: NDArray[np.intp]) -> tuple[float, float, float] | None:
    """Return D, NC1 and NC2, or None where all class means coincide.

    With ``B`` (n_classes, d) the rows ``sqrt(n_c / n) (mu_c - mu)`` and ``B = P s Q^T``,
    ``S_between = Q s^2 Q^T``, so ``trace(S_within pinv(S_between))`` is the sum over the rows of
    ``Q^T S_within Q / s^2``'s diagonal: the mean squares of n rows along at most n_classes - 1
    directions.
    """
    n = len(X)
    counts = np.bincount(codes)
    X = X - X.mean(axis=0)  # a shift changes nothing, and small numbers cancel less
    scale = float(np.abs(X).max())
    if scale == 0:
        return None
    X /= scale
    means = np.stack([X[codes == code].mean(axis=0) for code in range(len(counts))])
    within = X - means[codes]
    weighted = np.sqrt(counts / n)[:, None] * (means - X.mean(axis=0))
    _, s, directions = np.linalg.svd(weighted, full_matrices=False)
    # What rounding leaves of means that coincide: their entries are at most 1.
    noise = max(weighted.shape) * np.finfo(np.float64).eps
    if s[0] <= noise:
        return None
    kept = s > noise * s[0]
    along = within @ directions[kept].T
    trace = float((np.mean(along * along, axis=0) / s[kept] ** 2).sum())
    nc1 = float((within * within).sum() / n / (s * s).sum())
    centred = means - means.mean(axis=0)
    gram = centred @ centred.T
    simplex = np.eye(len(counts)) - 1 / len(counts)
    nc2 = np.linalg.norm(gram / np.linalg.norm(gram) - simplex / np.linalg.norm(simplex))
    return float(np.log(trace)) if trace > 0 else -np.inf, nc1, float(nc2)
