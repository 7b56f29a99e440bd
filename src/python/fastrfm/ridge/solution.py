"""A kernel ridge regression that has been solved, and what it knows of rows left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.arrays import take_rows_of, to_host
from fastrfm.ridge.cholesky import Factor
from fastrfm.ridge.device_cholesky import DeviceFactor
from fastrfm.ridge.leave_one_out import inverse_diagonal, leave_one_out

__all__ = ["RidgeFit"]

Array = NDArray[Any]


@dataclass
class RidgeFit:
    """A kernel ridge regression that has been solved.

    Attributes
    ----------
    coef : ndarray of shape (n, c)
        On the device, if that has a memory of its own.
    alpha : float
        The ridge really used.
    residual : float
        ``||(K + alpha I) coef - Y|| / ||Y||``, measured; with sample weights
        ``||(K + alpha W^-1) coef - Y|| / ||Y||``, in which every row counts the same.
    solver : str
    bytes : int
        What the solve allocated at its peak.
    info : dict
        All of the above but `coef`; for cholesky the number of refinements, for pcg of iterations,
        the preconditioner's rank and whether K was stored.
    stopped_early : bool
        Whether rows held out ended pcg before its tolerance.
    """

    coef: Array
    alpha: float
    residual: float
    solver: str
    bytes: int
    info: dict[str, Any]
    _factor: Factor | DeviceFactor | None = field(repr=False)
    _sample_weight: NDArray[np.float64] | None = field(default=None, repr=False)
    stopped_early: bool = False

    def leave_one_out(
        self,
        rows: NDArray[np.intp] | None = None,
        unit_weight: NDArray[np.float64] | None = None,
    ) -> Array:
        """Residuals ``y_i - f_{-i}(x_i)`` of the predictors fitted without row i, in closed form.

        A row of weight w counts as w / u equal rows of weight u, and one of them is left out: the
        row keeps the weight ``max(w - u, 0)``.

        Parameters
        ----------
        rows : ndarray of int, optional
            The rows i; None takes all. Each costs n^2 / 3 operations.
        unit_weight : ndarray of shape (len(rows),), optional
            The u of each of them; None: 1.

        Returns
        -------
        residuals : ndarray of shape (len(rows), c)
            NumPy's.

        Raises
        ------
        RuntimeError
            After `release`, and after a solve by pcg.
        """
        if self._factor is None:
            raise RuntimeError(
                "leave_one_out needs a Cholesky factorisation that has not been released; this fit "
                f"is by {self.solver}"
            )
        chosen = np.arange(len(self.coef)) if rows is None else rows
        weights = None if self._sample_weight is None else self._sample_weight[chosen]
        diagonal = inverse_diagonal(self._factor, chosen)
        coef = to_host(take_rows_of(self.coef, chosen))
        return leave_one_out(diagonal, coef, self.alpha, weights, unit_weight)

    def release(self) -> None:
        """Free the factorisation (n^2 / 2 words); the coefficients stay."""
        self._factor = None
