"""Weights of rows, as users give them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import compute_sample_weight

from fastrfm.remote import RemoteTable
from fastrfm.sklearn_compat import check_weights, take_rows

__all__ = ["class_weights_of", "combined_weights", "without_weightless"]

Weights = NDArray[np.float64] | None


def combined_weights(
    sample_weight: Any, class_weight: Any, X: Any, y: NDArray[Any]
) -> tuple[Weights, Weights]:
    """Return the weight of each row, and that of one copy of it; None where all are 1.

    A sample weight counts copies of a row; a class weight says how much each matters.

    Parameters
    ----------
    sample_weight : array-like of shape (n,), float or None
    class_weight : dict, "balanced" or None
        Of the classes `y`; multiplies.
    X : array-like of shape (n, d)
        Tells n.
    y : ndarray of shape (n,) or (n, c)

    Raises
    ------
    ValueError
        For weights that are negative, not finite, or all zero, or of another shape.
    """
    if sample_weight is None and class_weight is None:
        return None, None
    weight: NDArray[np.float64] = check_weights(sample_weight, X, np.float64)
    of_class = None
    if class_weight is not None:
        # "balanced" counts rows by their weights, as if they were repeated.
        kept = weight > 0
        of_class = np.ones(len(weight))
        of_class[kept] = _class_weights(class_weight, y[kept], weight[kept])
        weight = weight * of_class
    if not weight.any():
        raise ValueError("class_weight is zero for all classes in y; at least one must count")
    return None if (weight == 1).all() else weight, of_class


def class_weights_of(labels: Any, y: NDArray[Any], unit: Weights) -> Weights:
    """Return for further labels the weights that the classes have in `y`; None for None.

    Parameters
    ----------
    labels : array-like of shape (m,) or (m, 1)
        All of them occur in `y`.
    y : ndarray of shape (n,)
    unit : ndarray of shape (n,) or None
        The class weight of each of `y`.
    """
    if unit is None:
        return None
    classes, first = np.unique(y, return_index=True)
    weights: NDArray[np.float64] = unit[first[np.searchsorted(classes, np.ravel(labels))]]
    return weights


def without_weightless(
    X: Any, y: NDArray[Any], weight: Weights, unit: Weights
) -> tuple[Any, NDArray[Any], Weights, Weights]:
    """Return the rows of positive weight, and their weights."""
    if weight is None or weight.all():
        return X, y, weight, unit
    kept = np.flatnonzero(weight)
    X = X.keep(kept) if isinstance(X, RemoteTable) else take_rows(X, kept)
    return X, y[kept], weight[kept], None if unit is None else unit[kept]


def _class_weights(
    class_weight: Any, y: NDArray[Any], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    if class_weight != "balanced":
        of_class: NDArray[np.float64] = compute_sample_weight(class_weight, y)
        return of_class
    classes, codes = np.unique(y, return_inverse=True)
    of_codes = np.bincount(codes, weight)
    balanced: NDArray[np.float64] = weight.sum() / (len(classes) * of_codes[codes])
    return balanced
