"""Several predictors as one: a weighted sum.

The weights are the non-negative least-squares fit of the targets by predictions of rows that the
predictors have not been fitted to (stacking: Breiman 1996, doi:10.1007/BF00117832, with
leave-one-out in place of folds). They need not sum to 1: predictors that promise more than they
keep are shrunk, and where none is better than the mean all weights are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

__all__ = ["combine", "stacking_weights"]

Array = NDArray[np.floating[Any]]


def stacking_weights(
    predictions: Sequence[Array],
    Y: Array,
    sample_weight: NDArray[np.float64] | None = None,
    *,
    shrinkage: float = 0.0,
) -> NDArray[np.float64]:
    """Return the weights of the predictors.

    Parameters
    ----------
    predictions : sequence of ndarray of shape (m, c)
        Those of each predictor.
    Y : ndarray of shape (m, c)
        Targets of the same rows.
    sample_weight : ndarray of shape (m,), optional
    shrinkage : float
        Part, from 0 to 1, of equal weights that is mixed in.
    """
    root = 1.0 if sample_weight is None else np.sqrt(sample_weight)[:, None]
    columns = np.stack([(P * root).ravel() for P in predictions], axis=1).astype(np.float64)
    weights, _ = nnls(columns, (Y * root).ravel().astype(np.float64))
    equal = 1.0 / len(predictions)
    result: NDArray[np.float64] = (1.0 - shrinkage) * weights + shrinkage * equal
    return result


def combine(predictions: Sequence[Array], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted sum of predictions of shape (m, c)."""
    total = np.zeros(predictions[0].shape)
    for P, weight in zip(predictions, weights, strict=True):
        total += weight * P
    return total
