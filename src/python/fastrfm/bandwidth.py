"""The bandwidth rule: a fixed length, or a multiple of the median distance."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from fastrfm.metric import Root
from fastrfm.threads import one_blas_thread

# 1,000 rows give half a million distances: their median is within about 2 % of that of all
# pairs, for 0.1 s at 100 features (xRFM takes 5,000 rows, 25 times the work).
MEDIAN_ROWS = 1_000

_MULTIPLE_OF_MEDIAN = re.compile(r"\s*(?:(?P<factor>[0-9.eE+-]+)\s*\*\s*)?median\s*")


@dataclass(frozen=True)
class BandwidthRule:
    """How a fit finds its bandwidth.

    Attributes
    ----------
    value : float
        The bandwidth itself, or, with `times_median`, the factor.
    times_median : bool
        Whether `value` multiplies the median positive distance between rows. That
        distance is measured in the transformed space, so it follows the metric.
    """

    value: float
    times_median: bool = False

    @classmethod
    def parse(cls, bandwidth: float | str) -> BandwidthRule:
        """Read a number, or a string such as ``"4*median"``.

        Raises
        ------
        ValueError
            If `bandwidth` is neither, or not positive and finite.
        """
        if isinstance(bandwidth, str):
            match = _MULTIPLE_OF_MEDIAN.fullmatch(bandwidth)
            value = _number(match.group("factor")) if match else float("nan")
            rule = cls(value, times_median=True)
        else:
            rule = cls(float(bandwidth))
        if not (np.isfinite(rule.value) and rule.value > 0):
            raise ValueError(
                "bandwidth must be a positive number, or a positive multiple of the median "
                f"distance such as '4*median'; got {bandwidth!r}"
            )
        return rule

    def bandwidth(
        self,
        sample: NDArray[np.floating],
        root: Root,
        norm: float,
        sample_weight: NDArray[np.float64] | None = None,
    ) -> float:
        """Return the bandwidth for the metric whose root is given.

        Parameters
        ----------
        sample : ndarray of shape (m, d)
            The rows to measure, not yet transformed; unused for a fixed bandwidth.
        root : None or ndarray of shape (d,) or (d, k)
            The transform `A`.
        norm : float
            The `p` of the distance.
        sample_weight : ndarray of shape (m,), optional
            Weights of the rows, at least 0; for `median_distance`.
        """
        if not self.times_median:
            return self.value
        return self.value * median_distance(sample, root, norm, sample_weight)


def _number(text: str | None) -> float:
    if text is None:
        return 1.0
    try:
        return float(text)
    except ValueError:
        return float("nan")


def median_distance(
    sample: NDArray[np.floating],
    root: Root,
    norm: float,
    sample_weight: NDArray[np.float64] | None = None,
) -> float:
    """Median of the positive p-norm distances between the rows of ``sample @ root``.

    One (every bandwidth serves equally well) where no two rows differ. With weights, at least 0, a
    pair has the product of those of its rows: whole weights give the median over repeated rows.
    """
    points = sample.astype(np.float64)
    if root is not None:
        # On one BLAS thread, so that the bits do not depend on their number.
        with one_blas_thread():
            points = points * root if root.ndim == 1 else points @ root
    if norm == 2.0:
        distances = pdist(points)
    elif norm == 1.0:
        distances = pdist(points, "cityblock")
    else:
        distances = pdist(points, "minkowski", p=norm)
    apart = distances > 0
    if sample_weight is None:
        positive = distances[apart]
        return float(np.median(positive)) if positive.size else 1.0
    # By a power of two, which keeps whole weights exact: products then do not overflow.
    weights = np.ldexp(sample_weight, -int(np.frexp(sample_weight.max())[1]))
    first, second = np.triu_indices(len(points), 1)  # the order of pdist
    pairs = weights[first] * weights[second]
    apart &= pairs > 0
    return _weighted_median(distances[apart], pairs[apart]) if apart.any() else 1.0


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Median of values of which each counts as often as its (positive) weight says.

    Where half of the weight lies below a value and half above, the mean of that and the next one.
    """
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    half = below[-1] / 2
    low, high = (order[np.searchsorted(below, half, side)] for side in ("left", "right"))
    return float(np.mean(values[[low, high]]))
