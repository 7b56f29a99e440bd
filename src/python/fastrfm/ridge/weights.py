"""What sample weights make of the system: ``(K + alpha W^-1) coef = Y``, W their diagonal matrix.

Its solution minimises ``sum_i w_i |y_i - f(x_i)|^2 + alpha ||f||^2``: a row of weight w counts as w
equal rows, and its coefficient is the sum of theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["bounded_weights", "row_ridges", "system_name"]

# Weights count in units of alpha. One below this has no influence beyond rounding in any precision,
# and is taken as this, so that alpha / w and its square overflow neither in float32 nor in float64.
LIGHTEST_WEIGHT = 1e-18


def bounded_weights(alpha: float, sample_weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights, none of them too light for ``alpha / w``."""
    return np.maximum(sample_weight, alpha * LIGHTEST_WEIGHT)


def row_ridges(
    n: int, alpha: float, sample_weight: NDArray[np.float64] | None, dtype: DTypeLike
) -> NDArray[Any]:
    """Return what is added to the diagonal of K, (n,): alpha, or ``alpha / w``."""
    if sample_weight is None:
        return np.full(n, alpha, dtype)
    return (alpha / bounded_weights(alpha, sample_weight)).astype(dtype)


def system_name(sample_weight: NDArray[np.float64] | None) -> str:
    """Return what messages call the matrix of the system."""
    return "K + alpha I" if sample_weight is None else "K + alpha W^-1"
