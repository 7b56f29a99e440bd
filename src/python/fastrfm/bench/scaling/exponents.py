"""Exponents: straight lines through the logarithms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from scipy import stats

__all__ = ["PowerLaw", "fit_power_law"]

CONFIDENCE = 0.95
# Two points lie on a line, and say nothing about how well.
FEWEST = 3


@dataclass(frozen=True)
class PowerLaw:
    """``y = factor * x^exponent``, by least squares of the logarithms.

    Attributes
    ----------
    exponent, low, high : float
        The 95% confidence interval of the exponent is that of independent errors of equal size of
        the logarithms: it knows nothing of a curve.
    factor : float
    points : int
    smallest, largest : float
        The x between which it was found.
    """

    exponent: float
    low: float
    high: float
    factor: float
    points: int
    smallest: float
    largest: float
    _centre: float
    _error: float
    _spread: float

    def __call__(self, x: float) -> float:
        """Return y."""
        return float(self.factor * x**self.exponent)

    def interval(self, x: float) -> tuple[float, float]:
        """Return the 95% confidence interval of the line at x, wherever that is."""
        away = log(x) - self._centre
        error = sqrt(self._spread**2 / self.points + (self._error * away) ** 2)
        width = exp(_student(self.points) * error)
        return self(x) / width, self(x) * width


def fit_power_law(x: Sequence[float], y: Sequence[float]) -> PowerLaw:
    """Fit one to at least three points.

    Raises
    ------
    ValueError
        If there are fewer, not as many y as x, not all positive, or all x the same.
    """
    if len(x) != len(y) or len(x) < FEWEST:
        raise ValueError(f"a power law needs {FEWEST} points or more, as many y as x; got {len(x)}")
    if min(*x, *y) <= 0 or min(x) == max(x):
        raise ValueError("a power law needs positive x and y, and x that differ")
    across, up = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
    line = stats.linregress(across, up)
    half = _student(len(x)) * float(line.stderr)
    left = up - line.intercept - line.slope * across
    return PowerLaw(
        exponent=float(line.slope),
        low=float(line.slope) - half,
        high=float(line.slope) + half,
        factor=exp(float(line.intercept)),
        points=len(x),
        smallest=float(min(x)),
        largest=float(max(x)),
        _centre=float(across.mean()),
        _error=float(line.stderr),
        _spread=sqrt(float(left @ left) / (len(x) - 2)),
    )


def _student(points: int) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, points - 2))
