"""Numbers replaced by their ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.preprocessing.outliers import growth

Vector = NDArray[np.float64]

# Between so many values of a column ranks are interpolated: enough that interpolation moves no rank
# by more than a thousandth.
KNOTS = 1_000
# A column of so few values, but more than two, may well be of codes: each value has a column
# besides. Over 30 classification and 7 regression sets with such columns: error -2.1 % (7 wins,
# 2 losses) and RMSE -0.8 % (4 and 3). The same for the members that see no ranks: 7 and 11.
FEW_VALUES = 10


class Ranks:
    """The mid-rank of a number among those of a column, standardised.

    Where the column has value v with weight w(v) in all of W, the rank of v is the weight below v
    plus half of w(v), over W; between the column's values ranks are interpolated, and beyond them
    they go on as `outliers.growth` of the distance, in standard deviations of the column, so that
    what is far away stays far. Mean 0 and standard deviation 1 follow in closed form: the
    ranks' mean is 1/2 and their variance ``(1 - sum_v (w(v) / W)^3) / 12``.

    `levels` are the values of a column that has few, ascending; otherwise there are none.

    What a monotone transformation of a column does not change, trees see and this does.

    Parameters
    ----------
    values : ndarray of shape (n,)
        The column; NaN is left out.
    weight : ndarray of shape (n,) or None
    unit : float
        The column's standard deviation.
    """

    def __init__(self, values: NDArray[Any], weight: Vector | None, unit: float) -> None:
        present = ~np.isnan(values)
        distinct, which = np.unique(values[present].astype(np.float64), return_inverse=True)
        of_value = np.bincount(which, None if weight is None else weight[present], len(distinct))
        parts = of_value / of_value.sum() if len(distinct) else of_value
        ranks = np.cumsum(parts) - parts / 2
        deviation = np.sqrt(max(0.0, 1.0 - float(np.sum(parts**3))) / 12)
        self.is_constant = len(distinct) < 2
        self.levels = distinct if 2 < len(distinct) <= FEW_VALUES else distinct[:0]
        if values.dtype.kind == "f":
            self.levels = self.levels.astype(values.dtype)
        self.unit = unit
        if len(distinct) > KNOTS:
            even = np.searchsorted(ranks, np.linspace(ranks[0], ranks[-1], KNOTS))
            knots = np.unique(np.minimum(even, len(distinct) - 1))
            distinct, ranks = distinct[knots], ranks[knots]
        self.values = distinct
        self.ranks = (ranks - 0.5) / deviation if not self.is_constant else ranks

    def __call__(self, x: Vector) -> Vector:
        """Return the standardised ranks of `x`; 0 where the column was constant, NaN for NaN."""
        if self.is_constant:
            return np.where(np.isnan(x), np.nan, 0.0)
        z: Vector = np.interp(x, self.values, self.ranks)
        with np.errstate(over="ignore"):  # what is beyond all numbers is made finite later
            z += growth(np.maximum(x - self.values[-1], 0.0) / self.unit)
            z -= growth(np.maximum(self.values[0] - x, 0.0) / self.unit)
        return z
