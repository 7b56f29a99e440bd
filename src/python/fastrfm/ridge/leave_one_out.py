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


def leave_one_out(
    factor: Factor,
    coef: Array,
    rows: NDArray[np.intp] | None = None,
    alpha: float = 0.0,
    sample_weight: NDArray[np.float64] | None = None,
) -> Array:
    """Residuals ``y_i - f_{-i}(x_i) = coef_i / C_ii``, ``C = (K + alpha I)^-1``.

    The diagonal of the inverse is ``||L^-1 e_i||^2``, L the Cholesky factor. Rasmussen and
    Williams, "Gaussian Processes for Machine Learning", 2006, equation 5.12.

    With weights, ``C = (K + alpha W^-1)^-1``, a row of weight w counts as w equal rows of which one
    is left out. The leverage of the row is ``H_ii = 1 - (alpha / w_i) C_ii``, its residual
    ``r_i = (alpha / w_i) coef_i``, and taking the weight m from it makes that ``r_i / (1 - H_ii m /
    w_i)``. For ``w_i <= 1``, m is all of it and the residual again ``coef_i / C_ii``; else m is 1.

    Parameters
    ----------
    factor : Factor
        Of ``K + alpha I``, or ``K + alpha W^-1``.
    coef : ndarray of shape (n, c)
    rows : ndarray of int, optional
        The rows i; None takes all.
    alpha : float
        Used with weights only.
    sample_weight : ndarray of shape (n,), optional

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
    if sample_weight is None:
        return result
    weights = sample_weight[rows]
    heavy = weights > 1
    w, C = weights[heavy], inverse_diagonal[heavy]
    result[heavy] = coef[rows[heavy]] * (alpha / (w - 1 + alpha / w * C))[:, None]
    return result
