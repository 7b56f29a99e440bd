"""Leave-one-out residuals in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.ridge.cholesky import Factor

__all__ = ["leave_one_out"]

Array = NDArray[Any]

# Columns of the inverse factor held at a time: 256 are enough for level-3 speed and take n / 512
# of the packed triangle's memory.
_COLUMNS = 256


def leave_one_out(factor: Factor, coef: Array, rows: NDArray[np.intp] | None = None) -> Array:
    """Residuals ``y_i - f_{-i}(x_i) = coef_i / [(K + alpha I)^-1]_ii``.

    The diagonal of the inverse is ``||L^-1 e_i||^2``, L the Cholesky factor. Rasmussen and
    Williams, "Gaussian Processes for Machine Learning", 2006, equation 5.12.

    Parameters
    ----------
    factor : Factor
        Of ``K + alpha I``.
    coef : ndarray of shape (n, c)
    rows : ndarray of int, optional
        The rows i; None takes all.

    Returns
    -------
    residuals : ndarray of shape (len(rows), c), dtype of `coef`
    """
    if rows is None:
        rows = np.arange(factor.n)
    inverse_diagonal = np.empty(len(rows), coef.dtype)
    for start in range(0, len(rows), _COLUMNS):
        chunk = rows[start : start + _COLUMNS]
        unit = np.zeros((factor.n, len(chunk)), factor.dtype, order="F")
        unit[chunk, np.arange(len(chunk))] = 1
        columns = factor.forward(unit)
        inverse_diagonal[start : start + len(chunk)] = np.einsum("ij,ij->j", columns, columns)
    result: Array = coef[rows] / inverse_diagonal[:, None]
    return result
