"""What each column of X is, and its values: of arrays and of frames, one column at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import narwhals.stable.v2 as nw
import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from fastrfm.sklearn_compat import check_array_with_missing

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Block:
    """Numeric features that lie side by side: values of shape (n, k), not yet of one dtype."""

    features: slice
    values: NDArray[Any]


class Table(Protocol):
    """The input, whatever its container."""

    shape: tuple[int, int]
    labels: list[str]

    def categories_by_dtype(self) -> Mask:
        """Which columns are categories by their dtype, of shape (d,)."""

    def has_float64(self, is_categorical: Mask) -> bool:
        """Whether a numeric column is wider than float32 (integers do not count)."""

    def numbers(self, is_categorical: Mask) -> Iterator[Block]:
        """Yield the numeric columns."""

    def category(self, feature: int) -> NDArray[Any]:
        """One column of shape (n,): numbers, or objects; missing are None, NaN or pandas.NA."""


def open_table(X: Any, *, categories_named: bool, estimator: Any) -> Table:
    """Check the container of `X` and return what reads its columns.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        A frame is anything that narwhals knows: of pandas, polars, pyarrow.
    categories_named : bool
        Whether some columns are known to be categories: only then may an array hold strings.
    estimator : object
        Named in the messages.

    Raises
    ------
    TypeError
        If `X` is sparse.
    ValueError
        If `X` is not two-dimensional, is empty, or, as an array, does not hold numbers.
    """
    if scipy.sparse.issparse(X):
        raise TypeError(
            "Sparse data was passed for X, but dense data is required. Use '.toarray()' to convert "
            "to a dense numpy array, or reduce the columns first, for example with "
            "sklearn.decomposition.TruncatedSVD."
        )
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        _check_not_empty(frame.shape, estimator)
        return FrameTable(frame)
    if categories_named and not hasattr(X, "dtype"):
        array = np.asarray(X)
        # Of numbers and strings NumPy makes strings.
        X = np.asarray(X, dtype=object) if array.dtype.kind in "USO" else array
    return ArrayTable(
        check_array_with_missing(
            estimator,
            _without_na(X) if isinstance(X, np.ndarray) else X,
            dtype=None if categories_named else "numeric",
        )
    )


class ArrayTable:
    """A two-dimensional array."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        self.shape: tuple[int, int] = array.shape
        self.labels = [f"x{feature}" for feature in range(array.shape[1])]
        if array.dtype.kind in "mM":
            raise TypeError(_not_numbers("X", array.dtype))

    def categories_by_dtype(self) -> Mask:
        """None: an array has one dtype for all columns."""
        return np.zeros(self.shape[1], dtype=bool)

    def has_float64(self, is_categorical: Mask) -> bool:
        """Whether numbers are float64, or objects, of which floats are made."""
        kind = self.array.dtype.kind
        wide = kind not in "biuf" or (kind == "f" and self.array.dtype.itemsize > 4)
        return wide and not is_categorical.all()

    def numbers(self, is_categorical: Mask) -> Iterator[Block]:
        """Yield views of `array`, where it holds numbers."""
        if self.array.dtype.kind in "biuf":
            edges = np.flatnonzero(np.diff(is_categorical, prepend=True, append=True))
            for start, stop in edges.reshape(-1, 2).tolist():
                yield Block(slice(start, stop), self.array[:, start:stop])
            return
        for feature in np.flatnonzero(~is_categorical).tolist():
            values = as_numbers(self.array[:, feature], column_label(self.labels, feature))
            yield Block(slice(feature, feature + 1), values[:, None])

    def category(self, feature: int) -> NDArray[Any]:
        """Return a view."""
        return self.array[:, feature]


class FrameTable:
    """A data frame."""

    def __init__(self, frame: nw.DataFrame[Any]) -> None:
        self.columns = list(frame.iter_columns())
        self.shape: tuple[int, int] = frame.shape
        self.labels = [str(column.name) for column in self.columns]

    def categories_by_dtype(self) -> Mask:
        """Categorical, Enum, strings, objects that are all strings, booleans.

        Raises
        ------
        TypeError
            If a column is neither numbers nor a category.
        """
        return np.array([self._is_category(j) for j in range(self.shape[1])], dtype=bool)

    def has_float64(self, is_categorical: Mask) -> bool:
        """Whether a numeric column is float64, or has to be made numbers first."""
        narrow = (nw.Float32, nw.Boolean)
        return any(
            not (dtype.is_integer() or dtype in narrow or str(dtype) == "Float16")
            for dtype in (self.columns[j].dtype for j in np.flatnonzero(~is_categorical))
        )

    def numbers(self, is_categorical: Mask) -> Iterator[Block]:
        """Yield one column at a time; missing values are NaN."""
        for feature in np.flatnonzero(~is_categorical).tolist():
            values = as_numbers(self._values(feature), column_label(self.labels, feature))
            yield Block(slice(feature, feature + 1), values[:, None])

    def category(self, feature: int) -> NDArray[Any]:
        """Return numbers or objects."""
        return self._values(feature)

    def _values(self, feature: int) -> NDArray[Any]:
        column = self.columns[feature]
        self._check_dtype(feature)
        values: NDArray[Any] = column.to_numpy()
        return values

    def _check_dtype(self, feature: int) -> None:
        column = self.columns[feature]
        dtype = column.dtype
        known = (nw.String, nw.Boolean, nw.Categorical, nw.Enum, nw.Object)
        if dtype.is_numeric() or dtype in known or column.null_count() == len(column):
            return
        label = column_label(self.labels, feature)
        native = column.to_native().dtype
        if "Sparse" in str(native):
            raise TypeError(
                f"{label} is sparse ({native}), but dense data is required. Use "
                "'.sparse.to_dense()' to convert the frame"
            )
        raise TypeError(_not_numbers(label, native, dtype.is_temporal()))

    def _is_category(self, feature: int) -> bool:
        column = self.columns[feature]
        self._check_dtype(feature)
        if column.dtype != nw.Object:
            return column.dtype in (nw.Categorical, nw.Enum, nw.String, nw.Boolean)
        present = column.drop_nulls().to_numpy()
        types = set(map(type, present.tolist()))
        if all(issubclass(kind, (str, bool, np.bool_)) for kind in types):
            return True
        if any(issubclass(kind, str) for kind in types):
            raise TypeError(
                f"{column_label(self.labels, feature)} mixes strings and other objects "
                f"({_names(types)}); convert it to one of the two, for example by .astype(str)"
            )
        return False


def _labels_of(X: Any) -> list[Any]:
    names = getattr(X, "column_names", None)  # pyarrow: its `columns` are the data
    return list(getattr(X, "columns", ()) if names is None else names)


def refuse_repeated_names(X: Any) -> None:
    """Raise ValueError if two columns of a frame have one name."""
    labels = [str(label) for label in _labels_of(X)]
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ValueError(f"X has more than one column of the name {twice!r}; rename one of them")


def column_label(labels: list[str], feature: int) -> str:
    """Return what a message calls a column."""
    return f"column {labels[feature]!r}"


def as_numbers(values: NDArray[Any], label: str) -> NDArray[Any]:
    """Return numbers as they are, and objects or strings as float64.

    Raises
    ------
    TypeError, ValueError
        If an entry is no number; the message names the column.
    """
    if values.dtype.kind in "biuf":
        return values
    if values.dtype.kind in "mM":
        raise TypeError(_not_numbers(label, values.dtype))
    try:
        # objects: NumPy's messages then show the string, not its own type of it
        return np.asarray(_without_na(values.astype(object)), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"{label}: {error}; a column that is not numbers has to be one of categorical_features"
        ) from error


def _without_na(values: NDArray[Any]) -> NDArray[Any]:
    """Return objects with None, NaN and pandas.NA all as NaN."""
    pandas = sys.modules.get("pandas")  # not loaded: then there is no pandas.NA either
    if pandas is None or values.dtype != object:
        return values
    missing = pandas.isna(values)
    return np.where(missing, np.nan, values) if missing.any() else values


def _check_not_empty(shape: tuple[int, int], estimator: Any) -> None:
    """Refuse a frame without rows or columns, in scikit-learn's words for an array."""
    for count, what in zip(shape, ("sample", "feature"), strict=True):
        if count == 0:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={shape}) while a minimum of 1 is required "
                f"by {type(estimator).__name__}."
            )


def _not_numbers(label: str, dtype: Any, temporal: bool = True) -> str:
    what = "dates or times" if temporal else "neither numbers nor categories"
    example = ", for example days since a date" if temporal else ""
    return f"{label} holds {what} ({dtype}); convert it to numbers{example}"


def _names(types: set[type]) -> str:
    return ", ".join(sorted(kind.__name__ for kind in types))
