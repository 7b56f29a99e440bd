"""Categories: their levels, and the numbers that stand for a level."""

from __future__ import annotations

import sys
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.intp]

MANY_LEVELS = 256
CODE_WIDTH = 64

UNSEEN = -1  # the last row of a table of codes, which is 0


class Category:
    """The levels of one feature and a table of codes, one row for each.

    A row of X takes its level's row of the table: a look-up, whatever the code. Few levels are
    coded one-hot. Levels are the values seen by `fit`, sorted, so that the code does not depend
    on the order of rows; missing values are a level of their own if `fit` sees one.

    Attributes
    ----------
    levels : ndarray of shape (n_levels,)
        Numbers, booleans or (objects that are) strings; missing values are not among them.
    has_missing : bool
    table : ndarray of shape (n_levels + has_missing + 1, width)
        The last row, for what `fit` has not seen, is 0.
    """

    def __init__(self, values: NDArray[Any], label: str) -> None:
        self.levels, self.has_missing = _levels_of(values, label)
        count = len(self.levels) + self.has_missing
        self.table = np.zeros((count + 1, 1))
        if self.levels.dtype == np.bool_ and count == 2 and not self.has_missing:
            # The line through two one-hot points: the same distance, in one column instead of two.
            self.table[:2, 0] = -np.sqrt(0.5), np.sqrt(0.5)
        elif 1 < count <= MANY_LEVELS:
            self.table = np.eye(count + 1, count)
        elif count > MANY_LEVELS:
            self.table = np.vstack([many_level_codes(count), np.zeros(CODE_WIDTH)])

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
        return [f"{feature} code {column}" for column in range(self.width)]

    def rows_of(self, values: NDArray[Any]) -> Codes:
        """Return the row of `table` for each value; -1 for one that `fit` has not seen."""
        missing = len(self.levels) if self.has_missing else UNSEEN
        if self.levels.dtype.kind in "biuf" and values.dtype.kind in "biuf":
            return _search(self.levels, values, missing)
        index = {level: code for code, level in enumerate(self.levels.tolist())}

        def row_of(value: Any) -> int:
            return missing if _is_missing(value) else index.get(value, UNSEEN)

        return _map_objects(values, row_of)


def many_level_codes(count: int) -> NDArray[np.float64]:
    """Return a code for each of `count` levels: rows of length 1, nearly orthogonal.

    Returns
    -------
    ndarray of shape (count, CODE_WIDTH)
    """
    signs = np.random.default_rng(0).integers(0, 2, (count, CODE_WIDTH)) * 2.0 - 1.0
    codes: NDArray[np.float64] = signs / np.sqrt(CODE_WIDTH)
    return codes


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
        values = values.astype(levels.dtype, copy=False)  # 0.1 is another number in float32
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
    return isinstance(value, float) and value != value


def _text(level: Any) -> str:
    if isinstance(level, float) and level.is_integer():
        return str(int(level))
    return str(level)
