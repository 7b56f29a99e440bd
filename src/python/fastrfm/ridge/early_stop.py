"""When CG may end although its residual is above the tolerance: rows held out no longer gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm import backend
from fastrfm.arrays import to_host
from fastrfm.kernels import Kernel
from fastrfm.metric import Root

__all__ = ["CHECK_STEPS", "HeldOutRows", "no_longer_improves"]

Array = NDArray[Any]

# Steps of CG between two looks at the held-out rows, and rows that are looked at: 1,000 rows of
# 36,000 cost a ninetieth of the time of the steps, where K is not stored.
CHECK_STEPS = 5
MOST_ROWS = 1_000
# So many looks in a row must have brought less than this part of the squared error. The error
# swings with a period of about ten steps, by a third and more at the start (pol, norm 1), so that
# fewer looks would end in a swing.
PATIENCE = 4
LEAST_GAIN = 2e-3


@dataclass(frozen=True)
class HeldOutRows:
    """Rows that are not fitted.

    Attributes
    ----------
    X : ndarray of shape (m, d)
    Y : ndarray of shape (m, c)
    sample_weight : ndarray of shape (m,) or None
    """

    X: Array
    Y: Array
    sample_weight: NDArray[np.float64] | None = None

    @classmethod
    def few(
        cls, X: Array, Y: Array, sample_weight: NDArray[np.float64] | None = None
    ) -> HeldOutRows:
        """Take all rows, or `MOST_ROWS` of them, always the same.

        They are drawn: every second row may be one class alone where two classes take turns.
        """
        if len(Y) <= MOST_ROWS:
            return cls(X, Y, sample_weight)
        rows = np.random.RandomState(0).permutation(len(Y))[:MOST_ROWS]
        rows.sort()
        return cls(X[rows], Y[rows], None if sample_weight is None else sample_weight[rows])

    def error(self, X: Array, coef: Array, kernel: Kernel, root: Root) -> float:
        """Return the mean squared error of ``K(self.X, X) @ coef``."""
        difference = to_host(backend.kernel_matmul(self.X, X, coef, kernel, root), np.float64)
        difference -= self.Y
        squares = (difference * difference).mean(axis=1)
        return float(np.average(squares, weights=self.sample_weight))


def no_longer_improves(errors: list[float]) -> bool:
    """Whether the last `PATIENCE` of the errors hardly improve on the best before them."""
    before, recent = errors[:-PATIENCE], errors[-PATIENCE:]
    return bool(before) and min(recent) > min(before) * (1.0 - LEAST_GAIN)
