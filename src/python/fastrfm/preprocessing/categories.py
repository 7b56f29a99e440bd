"""Categories: their levels, and the numbers that stand for a level."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from math import comb
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.intp]

# A category has at most this many columns: up to so many levels it is one-hot. Every code of at
# most 128 columns that was measured (random signs, pairs of columns, rare levels merged) costs
# accuracy where the levels tell much: 0.4% to 6% on California's grid cells, up to 46% on the
# kings' squares of chess. One-hot columns cost less than one would think: 7.0 s for a fit with 762
# columns, 3.8 s with 140, since the factorisation does not see them. So a code is narrowed only
# where one category would outweigh all else in the n x d rows (2 KB each at 512) and in the d^3 of
# the metric, and then only rare levels share columns: with 512 columns for 750 levels the error is
# within 0.1% of one-hot's, with 256 it is 1.0% (norm 2) and 0.5% (norm 1) above.
# bench/results/many_levels.md
MANY_LEVELS = 512
CODE_WIDTH = MANY_LEVELS
# Columns that the rare levels share; pairs of them were better than random signs over all of them.
SHARED_COLUMNS = 64

UNSEEN = -1  # the last row of a table of codes, which is 0


class Category:
    """The levels of one feature and a table of codes, one row for each.

    A row of X takes its level's row of the table: a look-up, whatever the code. The code is
    one-hot up to MANY_LEVELS levels, and then that of `many_level_codes`. Levels are the values
    seen by `fit`, sorted, so that the code does not depend on the order of rows; missing values
    are a level of their own if `fit` sees one.

    Attributes
    ----------
    levels : ndarray of shape (n_levels,)
        Numbers, booleans or (objects that are) strings; missing values are not among them.
    has_missing : bool
    table : ndarray of shape (n_levels + has_missing + 1, width)
        The last row, for what `fit` has not seen, is 0.
    """

    def __init__(
        self, values: NDArray[Any], label: str, weight: NDArray[np.float64] | None = None
    ) -> None:
        self.levels, self.has_missing = _levels_of(values, label)
        count = len(self.levels) + self.has_missing
        self.table = np.zeros((count + 1, 1))
        if self.levels.dtype == np.bool_ and count == 2 and not self.has_missing:
            # The line through two one-hot points: the same distance, in one column instead of two.
            self.table[:2, 0] = -np.sqrt(0.5), np.sqrt(0.5)
        elif 1 < count <= MANY_LEVELS:
            self.table = np.eye(count + 1, count)
        elif count > MANY_LEVELS:
            frequency = np.bincount(self.rows_of(values), weight, count).astype(np.float64)
            self.table = np.vstack([many_level_codes(frequency), np.zeros(CODE_WIDTH)])

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.table.shape[1]

    def column_names(self, feature: str) -> list[str]:
        """Return a name for each column: the level it stands for, where it stands for one."""
        names = [f"{feature}={_text(level)}" for level in self.levels.tolist()]
        names += [f"{feature} is missing"] * self.has_missing
        if self.width == len(names):
            return names
        if self.width == 1:  # two booleans
            return names[1:]
        own = self.table.argmax(axis=0)[:-SHARED_COLUMNS]
        shared = [f"{feature} code {column}" for column in range(SHARED_COLUMNS)]
        return [names[level] for level in own] + shared

    def rows_of(self, values: NDArray[Any]) -> Codes:
        """Return the row of `table` for each value; -1 for one that `fit` has not seen."""
        missing = len(self.levels) if self.has_missing else UNSEEN
        if self.levels.dtype.kind in "biuf" and values.dtype.kind in "biuf":
            return _search(self.levels, values, missing)
        index = {level: code for code, level in enumerate(self.levels.tolist())}

        def row_of(value: Any) -> int:
            return missing if _is_missing(value) else index.get(value, UNSEEN)

        return _map_objects(values, row_of)


def many_level_codes(
    frequency: NDArray[np.float64], width: int = CODE_WIDTH
) -> NDArray[np.float64]:
    """Return codes of length 1 for more than `width` levels: one-hot for the frequent ones.

    The last SHARED_COLUMNS columns belong to no level. A level without a column of its own has a
    set of `s` of them, drawn at random and another for each level, with the entry
    ``1 / sqrt(s)``; `s` is the smallest number, from 2, that gives sets enough (2 for up to 2,016
    levels, 3 for up to 41,664). So most levels are as far apart as one-hot codes are in norm 2,
    and up to ``sqrt(s)`` times as far in norm 1.

    Parameters
    ----------
    frequency : ndarray of shape (n_levels,)
        Sum of the weights of the rows of each level. Of equally frequent levels the first counts
        as the more frequent.
    width : int
        More than SHARED_COLUMNS.

    Returns
    -------
    ndarray of shape (n_levels, width)
    """
    # Rounded: sums of weights depend in their last bits on the order of rows.
    order = np.argsort(-np.round(frequency / frequency.sum(), 12), kind="stable")
    columns = width - SHARED_COLUMNS
    own, others = order[:columns], np.sort(order[columns:])
    size = next(s for s in range(2, SHARED_COLUMNS) if comb(SHARED_COLUMNS, s) >= len(others))
    sets = comb(SHARED_COLUMNS, size)
    drawn = np.random.default_rng(0).choice(sets, len(others), replace=False)
    table = np.zeros((len(frequency), width))
    table[own, np.arange(len(own))] = 1
    for chosen in _sets_of_columns(drawn, SHARED_COLUMNS, size):
        table[others, columns + chosen] = np.sqrt(1 / size)
    return table


def _sets_of_columns(ranks: Codes, columns: int, size: int) -> Iterator[Codes]:
    """Yield the members of the sets with these ranks among all sets of `size` columns.

    The combinatorial number system: a rank below ``comb(columns, size)`` is, in one way, a sum
    of ``comb(c_k, k)`` over k = size..1 with falling c_k, which are the members.
    """
    for k in range(size, 0, -1):
        smaller = np.array([comb(c, k) for c in range(columns)])
        chosen = np.searchsorted(smaller, ranks, side="right") - 1
        yield chosen
        ranks = ranks - smaller[chosen]


def _levels_of(values: NDArray[Any], label: str) -> tuple[NDArray[Any], bool]:
    if values.dtype.kind in "biuf":
        levels = np.unique(values)  # NaN, once, is the last
        has_missing = bool(levels.dtype.kind == "f" and len(levels) and np.isnan(levels[-1]))
        return levels[: len(levels) - has_missing], has_missing
    try:
        found = set(values.tolist())
    except TypeError as error:
        raise TypeError(f"{label} is a category, but not of strings or numbers: {error}") from None
    present = [value for value in found if not _is_missing(value)]
    types = {type(value) for value in present}
    has_missing = len(present) < len(found)
    if all(issubclass(kind, str) for kind in types):
        return np.array(sorted(present), dtype=object), has_missing
    if types <= {bool, np.bool_}:
        return np.array(sorted(present), dtype=bool), has_missing
    if all(issubclass(kind, Integral) for kind in types):
        return np.array(sorted(map(int, present))), has_missing
    if all(issubclass(kind, Real) for kind in types):
        return np.array(sorted(map(float, present))), has_missing
    names = ", ".join(sorted(kind.__name__ for kind in types))
    raise TypeError(
        f"The categories of {label} must be all strings, all numbers or all booleans; got {names}. "
        "Convert them, for example by .astype(str)"
    )


def _search(levels: NDArray[Any], values: NDArray[Any], missing: int) -> Codes:
    if levels.dtype.kind == values.dtype.kind == "f":
        # 0.1 is another number in float32: compared is in the coarser of the two.
        narrow = min(levels.dtype, values.dtype, key=lambda dtype: dtype.itemsize)
        levels, values = levels.astype(narrow), values.astype(narrow, copy=False)
    if len(levels) == 0:
        codes: Codes = np.full(len(values), UNSEEN)
    else:
        codes = np.searchsorted(levels, values).clip(max=len(levels) - 1)
        codes[levels[codes] != values] = UNSEEN
    if values.dtype.kind == "f":
        codes[np.isnan(values)] = missing
    return codes


def _map_objects(values: NDArray[Any], function: Callable[[Any], int]) -> Codes:
    """Apply `function` once to each distinct object; the rows are only looked up, in C."""
    objects = values.tolist()
    table = {value: function(value) for value in set(objects)}
    return np.fromiter(map(table.__getitem__, objects), np.intp, len(objects))


def _is_missing(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    if value is None or (pandas is not None and value is pandas.NA):
        return True
    return isinstance(value, (float, np.floating)) and value != value


def _text(level: Any) -> str:
    if isinstance(level, float) and level.is_integer():
        return str(int(level))
    return str(level)
