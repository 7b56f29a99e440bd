"""Numeric columns: mean 0, standard deviation 1, missing values at the mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import gen_batches

from fastrfm.preprocessing.columns import Block, column_label
from fastrfm.preprocessing.outliers import compress
from fastrfm.preprocessing.ranks import Ranks

Columns = Literal["standard", "compressed", "ranked"]
Vector = NDArray[np.float64]

# Numbers converted to float64 at a time: 2 MB, which stay in a core's cache between the steps of
# a chunk, and are the only copy of the input beside the result.
CHUNK = 2**18


class NumericScaler:
    """Statistics of each feature, all in float64, and what they make of a column.

    scikit-learn's StandardScaler, which this follows in ignoring NaN and in weights, makes
    several copies of X in float64. This takes one chunk of rows at a time. The columns are
    first mapped to [-1, 1] by their extremes: nothing overflows, equal values have a spread of
    exactly 0, and integers in the billions keep their differences.

    Parameters
    ----------
    n_features : int
        Entries of categories remain unused.
    scaling : {"standard", "compressed", "ranked"} or None
        None leaves numbers as they are; "compressed" draws in what is beyond 3 standard
        deviations (`outliers`), "ranked" replaces numbers by their ranks (`ranks`).
    labels : list of str
        What messages call the features.
    """

    def __init__(self, n_features: int, scaling: Columns | None, labels: list[str]) -> None:
        self.scaling = scaling
        self.ranks: dict[int, Ranks] = {}
        self.labels = labels
        self.middle = np.zeros(n_features)
        self.scale = np.zeros(n_features)  # 0: a constant column
        self.offset = np.zeros(n_features)
        self.mean = np.zeros(n_features)
        self.has_missing = np.zeros(n_features, dtype=bool)

    def fit(self, block: Block, weight: Vector | None) -> None:
        """Learn the statistics of the block's features.

        Raises
        ------
        ValueError
            If a value is infinite.
        """
        features, values = block.features, block.values
        low, high, self.has_missing[features] = _extremes(values)
        if not np.isfinite([low, high]).all():
            _refuse_infinity(block, 0, self.labels)
        middle, half = low / 2 + high / 2, high / 2 - low / 2
        unit = np.where(half > 0, half, 1.0)

        missing = bool(self.has_missing[features].any())
        total, mean, variance = np.zeros(low.shape), np.zeros(low.shape), np.zeros(low.shape)
        for rows, x in _chunks(values):
            u = (x - middle) / unit
            total += _weighted_sum(np.ones_like(u), u, weight, rows, missing)
            mean += _weighted_sum(u, u, weight, rows, missing)
        total[total == 0] = 1.0
        mean /= total
        for rows, x in _chunks(values):
            u = (x - middle) / unit - mean
            variance += _weighted_sum(u * u, u, weight, rows, missing)
        deviation = np.sqrt(variance / total)

        self.middle[features] = middle
        self.scale[features] = half * deviation
        self.offset[features] = mean / np.where(deviation > 0, deviation, 1.0)
        self.mean[features] = middle + half * mean
        if self.scaling == "ranked":
            numbers = range(len(self.scale))[features]
            self.ranks |= {
                j: Ranks(values[:, i], weight, self.scale[j]) for i, j in enumerate(numbers)
            }

    def levels(self, feature: int) -> Vector:
        """Return the values of a feature that have a column each besides."""
        ranks = self.ranks.get(feature)
        return np.empty(0) if ranks is None else ranks.levels

    def transform(
        self, block: Block, out: NDArray[np.floating[Any]], positions: NDArray[np.intp]
    ) -> None:
        """Write the block's columns into the columns `positions` of `out`.

        An indicator follows the column of each feature that had missing values at fit, then one for
        each of its `levels`.

        Raises
        ------
        ValueError
            If a value is infinite.
        """
        features = block.features
        middle, scale, offset = self.middle[features], self.scale[features], self.offset[features]
        varies = scale > 0
        scale = np.where(varies, scale, 1.0)
        indicated = np.flatnonzero(self.has_missing[features])
        together = len(positions) == 1 or positions[-1] - positions[0] == len(positions) - 1
        columns = slice(positions[0], positions[-1] + 1) if together else positions
        largest = np.finfo(out.dtype).max
        for rows, x in _chunks(block.values):
            if self.scaling == "ranked":
                numbers = range(len(self.scale))[features]
                z = np.stack([self.ranks[j](x[:, i]) for i, j in enumerate(numbers)], axis=1)
            elif self.scaling is not None:
                z = (x - middle) / scale - offset
                z[:, ~varies] = 0
                if self.scaling == "compressed":
                    compress(z)
            else:
                z = x.copy()
            if not np.isfinite(x).all():
                if np.isinf(x).any():
                    _refuse_infinity(block, rows.start, self.labels)
                fill = self.mean[features] if self.scaling is None else np.zeros_like(middle)
                missing = np.isnan(x)
                np.copyto(z, fill, where=missing)
                if len(indicated):
                    out[rows, positions[indicated] + 1] = missing[:, indicated]
            elif len(indicated):
                out[rows, positions[indicated] + 1] = 0
            for i, j in enumerate(range(len(self.scale))[features]):
                if len(levels := self.levels(j)):
                    start = positions[i] + 1 + self.has_missing[j]
                    # 0.1 is another number in float32: compared is in the coarser of the two.
                    dtype = block.values.dtype if block.values.dtype.kind == "f" else x.dtype
                    dtype = min(levels.dtype, dtype, key=lambda dtype: dtype.itemsize)
                    same = x[:, i, None].astype(dtype) == levels.astype(dtype)
                    out[rows, start : start + len(levels)] = same
            # A value of another order of magnitude than any at fit: far away, but finite.
            out[rows, columns] = np.clip(z, -largest, largest)


def _chunks(values: NDArray[Any]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    n, k = values.shape
    for rows in gen_batches(n, max(1, CHUNK // k)):
        yield rows, np.asarray(values[rows], dtype=np.float64)


def _weighted_sum(
    terms: Vector, u: Vector, weight: Vector | None, rows: slice, missing: bool
) -> Vector:
    """Sum each column's terms, weighted, without those of the rows where `u` is NaN."""
    if weight is not None:
        terms = terms * weight[rows, None]
    total: Vector = terms.sum(axis=0, where=~np.isnan(u)) if missing else terms.sum(axis=0)
    return total


def _extremes(values: NDArray[Any]) -> tuple[Vector, Vector, NDArray[np.bool_]]:
    """Minimum and maximum of each column, NaN apart, and whether it has NaN; 0 if it is all NaN."""
    k = values.shape[1]
    low, high = np.full(k, np.nan), np.full(k, np.nan)
    has_missing = np.zeros(k, dtype=bool)
    for _, x in _chunks(values):
        low, high = np.fmin(low, np.fmin.reduce(x)), np.fmax(high, np.fmax.reduce(x))
        has_missing |= np.isnan(x).any(axis=0)
    empty = np.isnan(low)
    low[empty] = high[empty] = 0
    return low, high, has_missing


def _refuse_infinity(block: Block, start: int, labels: list[str]) -> None:
    values = block.values[start:]
    infinite = np.isinf(np.asarray(values, dtype=np.float64))
    row, column = np.argwhere(infinite)[0]
    label = column_label(labels, range(len(labels))[block.features][column])
    raise ValueError(
        f"Input X contains infinity in {label}, first in row {start + row} (rows count from 0); "
        "replace it by a finite number, or by NaN to mark it as missing"
    )
