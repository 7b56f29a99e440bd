"""What happens to the columns of X before a distance is taken: standardisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

Array = NDArray[np.floating[Any]]


def float_dtype(dtype: np.dtype[Any]) -> type[np.float32] | type[np.float64]:
    """Dtype in which columns of `dtype` are computed: float64 stays, all else is float32."""
    wide = dtype.kind == "f" and dtype.itemsize > 4
    return np.float64 if wide else np.float32


class ColumnScaler:
    """Mean 0 and standard deviation 1 for each column, or, switched off, only the dtype.

    A constant column becomes 0. Integers are standardised in float64 and only then rounded
    to float32, so that large ones (times in seconds, say) keep their differences.

    Parameters
    ----------
    standardize : bool
    """

    def __init__(self, standardize: bool) -> None:
        self.standardize = standardize

    def fit(self, X: NDArray[Any]) -> ColumnScaler:
        """Learn the columns' means and scales, and the dtype of the results."""
        self.dtype_ = float_dtype(X.dtype)
        self.scaler_ = StandardScaler().fit(X) if self.standardize else None
        return self

    def transform(self, X: NDArray[Any]) -> Array:
        """Return `X` standardised, C-contiguous, in the dtype seen by `fit`."""
        if self.scaler_ is not None:
            X = self.scaler_.transform(X)
        return np.ascontiguousarray(X, dtype=self.dtype_)
