"""What scikit-learn's versions, from 1.5, call or do differently."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import sklearn
from numpy.typing import DTypeLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing, check_array, validation
from sklearn.utils.fixes import parse_version
from sklearn.utils.validation import _check_sample_weight, _check_y

__all__ = [
    "check_array_with_missing",
    "check_feature_names",
    "check_n_features",
    "check_targets",
    "check_weights",
    "take_rows",
]

# Methods of BaseEstimator until 1.5 (what is not one has no use for more of it), functions since.
_HAS_FUNCTIONS = hasattr(validation, "_check_n_features")
# Whether the names of a frame that is not pandas' are read by the interchange protocol, which
# polars 2 no longer has.
_READS_PROTOCOL = parse_version(sklearn.__version__).release < (1, 9)


def check_array_with_missing(estimator: Any, X: Any, *, dtype: str | None) -> NDArray[Any]:
    """Return `X` as an array of shape (n, d), n and d at least 1; it may have NaN and infinity.

    Raises
    ------
    TypeError, ValueError
        If it is sparse, of another shape or, with the dtype "numeric", not numbers.
    """
    # Renamed in 1.6.
    name = "ensure_all_finite" if _HAS_FUNCTIONS else "force_all_finite"
    array: NDArray[Any] = check_array(
        X, dtype=dtype, estimator=estimator, input_name="X", **{name: False}
    )
    return array


def check_feature_names(estimator: Any, X: Any, *, reset: bool) -> None:
    """Set `feature_names_in_`, or warn or raise where those of `X` differ from it."""
    if _READS_PROTOCOL and not nw.dependencies.is_pandas_dataframe(X):
        frame = nw.from_native(X, pass_through=True, eager_only=True)
        if isinstance(frame, nw.DataFrame):
            X = _Names(frame.columns)
    if _HAS_FUNCTIONS:
        validation._check_feature_names(estimator, X, reset=reset)
    else:
        BaseEstimator._check_feature_names(estimator, X, reset=reset)


class _Names:
    """The names of a frame's columns, in the interchange protocol."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def __dataframe__(self) -> _Names:
        return self

    def column_names(self) -> list[str]:
        return self._names


def check_n_features(estimator: Any, X: Any, *, reset: bool) -> None:
    """Set `n_features_in_`, or raise ValueError where that of `X` differs from it."""
    if _HAS_FUNCTIONS:
        validation._check_n_features(estimator, X, reset=reset)
    else:
        BaseEstimator._check_n_features(estimator, X, reset=reset)


def check_targets(
    estimator: Any, y: Any, *, multi_output: bool = False, y_numeric: bool = False
) -> NDArray[Any]:
    """Return `y` as scikit-learn's estimators take it, of shape (n,) or, if allowed, (n, c).

    Raises
    ------
    ValueError
        If it is None, empty, of another shape, not finite or, with `y_numeric`, not numbers.
    """
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y "
            "is None."
        )
    checked: NDArray[Any] = _check_y(
        y, multi_output=multi_output, y_numeric=y_numeric, estimator=estimator
    )
    return checked


def check_weights(sample_weight: Any, X: Any, dtype: DTypeLike) -> NDArray[Any]:
    """Return the weights of the rows of `X`, ones for None.

    Raises
    ------
    ValueError
        If one is negative or not finite, all are 0, or there are not as many as rows.
    """
    # Renamed in 1.6.
    name = "ensure_non_negative" if _HAS_FUNCTIONS else "only_non_negative"
    weights: NDArray[Any] = _check_sample_weight(sample_weight, X, dtype=dtype, **{name: True})
    if not weights.any():  # until 1.8
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def take_rows(X: Any, rows: slice | NDArray[np.intp]) -> Any:
    """Return those rows of a frame or an array-like."""
    # scikit-learn 1.5 takes none of pyarrow's.
    frame = nw.from_native(X, pass_through=True, eager_only=True)
    if isinstance(frame, nw.DataFrame):
        return frame[rows].to_native()
    return _safe_indexing(X, rows)
