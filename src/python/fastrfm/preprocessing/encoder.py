"""A table as the user has it, encoded as rows between which distances are taken."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import gen_batches

from fastrfm.preprocessing.categories import Category
from fastrfm.preprocessing.chosen import chosen_categories
from fastrfm.preprocessing.columns import (
    ArrayTable,
    FrameTable,
    Table,
    column_label,
    open_table,
    refuse_repeated_names,
)
from fastrfm.preprocessing.scaling import CHUNK, Columns, NumericScaler
from fastrfm.sklearn_compat import check_feature_names, check_n_features

Array = NDArray[Any]
# Numbers that stay raw: float32 would take four times the memory.
_SMALL = (np.dtype(np.int8), np.dtype(np.uint8))


class TableEncoder:
    """Numbers for a table: numeric columns standardised, categories by a code for each level.

    Numeric columns get mean 0 and standard deviation 1, computed in float64; a constant one
    becomes 0. A missing number becomes the mean, and a column that had missing numbers at fit
    is followed by an indicator of 0 and 1. Categories become blocks of one-hot columns of scale 1
    (a code of fixed width where there are many levels, see `categories`); missing is a level,
    and a level unseen at fit is a block of zeros. A category of one level is constant, so 0.
    Booleans of a frame are categories in a single column, as far apart as one-hot ones.

    Nothing depends on the order of the rows, and repeated rows count as integer weights do.

    Parameters
    ----------
    categorical_features : "from_dtype", array-like of bool, int or str, or None
        Which features are categories. With "from_dtype" the columns of a frame that are
        Categorical, Enum, strings or booleans. A mask, indices or names choose others.
    scaling : {"standard", "compressed", "ranked"} or None
        "compressed" replaces what is beyond 3 standard deviations by
        what `outliers.compress` says, "ranked" numbers by their ranks, with mean 0 and standard
        deviation 1, and adds indicators of the values of a column that has few. None: numeric
        columns stay as they are.

    Attributes
    ----------
    dtype_ : type
        np.float64 if a numeric column is; otherwise np.float32. Of raw numbers, their own.
    is_raw_ : bool
    units_ : ndarray of shape (n_features_in_,), float64, or None
        What raw columns are to be multiplied by; None: nothing.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Only where `X` has feature names that are all strings.
    is_categorical_ : ndarray of shape (n_features_in_,), bool
    source_ : ndarray of shape (d_encoded,), intp
        The feature that each encoded column comes from.
    encoded_feature_names_ : list of str
        "age", "age is missing", "colour=red", "colour is missing"; "colour code 0" for a code of
        many levels.
    """

    def __init__(
        self,
        *,
        categorical_features: Any = "from_dtype",
        scaling: Columns | None = "standard",
    ) -> None:
        self.categorical_features = categorical_features
        self.scaling = scaling

    def fit(
        self,
        X: Any,
        sample_weight: NDArray[np.float64] | None = None,
        *,
        estimator: Any = None,
        allow_raw: bool = False,
    ) -> TableEncoder:
        """Learn what each column is, its statistics or its levels.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            Lists, NumPy arrays, frames of pandas, polars or pyarrow.
        sample_weight : ndarray of shape (n_samples,), float64, or None
            Positive.
        estimator : object, default=None
            Gets `n_features_in_` and `feature_names_in_` too, and is named in messages.
        allow_raw : bool
            An array of int8 or uint8, or a memory-mapped one of float32 without missing numbers,
            that would be standardised and nothing else, stays as it is, uncopied: distances do not
            see a mean, and `units_` is for their metric.

        Raises
        ------
        TypeError
            For sparse data, for columns of dates or of anything else that is neither numbers
            nor categories, for categories of mixed types.
        ValueError
            For infinity, for entries that are not numbers in a numeric column, for an `X` that
            is empty or not two-dimensional, for an unsuitable `categorical_features`.
        """
        owner = self if estimator is None else estimator
        by_dtype = (
            isinstance(self.categorical_features, str) and self.categorical_features == "from_dtype"
        )
        refuse_repeated_names(X)
        check_feature_names(owner, X, reset=True)
        named = self.categorical_features is not None and not by_dtype
        mapped = isinstance(X, np.memmap)
        table = open_table(X, categories_named=named, estimator=owner)
        check_n_features(owner, X, reset=True)
        self.n_features_in_: int = table.shape[1]
        if owner is not self:
            self.__dict__.pop("feature_names_in_", None)
            if hasattr(owner, "feature_names_in_"):
                self.feature_names_in_: NDArray[np.object_] = owner.feature_names_in_
        if by_dtype:
            self.is_categorical_ = table.categories_by_dtype()
        else:
            names = table.labels if isinstance(table, FrameTable) else None
            self.is_categorical_ = chosen_categories(
                [] if self.categorical_features is None else self.categorical_features,
                self.n_features_in_,
                names,
            )
        wide = table.has_float64(self.is_categorical_)
        self.dtype_: Any = np.float64 if wide else np.float32
        self._labels = table.labels
        self._learn_columns(table, sample_weight)
        self.is_raw_: bool = allow_raw and self._stays_raw(table, mapped=mapped)
        if self.is_raw_:
            assert isinstance(table, ArrayTable)
            self.dtype_ = table.array.dtype.type
        self._lay_out()
        return self

    def transform(self, X: Any, *, estimator: Any = None) -> Array:
        """Return `X` encoded, of shape (n_samples, d_encoded), C-contiguous, of dtype `dtype_`.

        Where `is_raw_`, arrays of int8, uint8 and finite float32 come back as they are, and others
        in float32.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            Columns as at fit; names are compared where there are names.
        estimator : object, default=None
            Named in messages.

        Raises
        ------
        TypeError, ValueError
            As `fit` does, and for other features than at fit, in scikit-learn's words.
        """
        owner = self if estimator is None else estimator
        check_feature_names(owner, X, reset=False)
        named = bool(self.is_categorical_.any())
        table = open_table(X, categories_named=named, estimator=owner)
        check_n_features(owner, X, reset=False)
        if self.is_raw_:
            return self._raw(table)
        out: Array = np.empty((table.shape[0], len(self.source_)), dtype=self.dtype_)
        for block in table.numbers(self.is_categorical_):
            self._scaler.transform(block, out, self._starts[block.features])
        for feature, category in self._categories.items():
            codes = category.rows_of(table.category(feature))
            start = self._starts[feature]
            columns = slice(start, start + category.width)
            rows_table = category.table.astype(self.dtype_)
            for rows in gen_batches(len(codes), max(1, CHUNK // category.width)):
                out[rows, columns] = rows_table[codes[rows]]
        return out

    @property
    def units_(self) -> NDArray[np.float64] | None:
        """What raw columns are to be multiplied by, 0 for a constant one; None: nothing."""
        if not self.is_raw_ or self.scaling is None:
            return None
        scale = self._scaler.scale
        units: NDArray[np.float64] = np.divide(1.0, scale, np.zeros_like(scale), where=scale > 0)
        return units

    def _stays_raw(self, table: Table, *, mapped: bool) -> bool:
        if not isinstance(table, ArrayTable) or self.scaling not in ("standard", None):
            return False
        if self.is_categorical_.any() or self._scaler.has_missing.any():
            return False
        dtype = table.array.dtype
        return dtype in _SMALL or (mapped and dtype == np.float32)

    def _raw(self, table: Table) -> Array:
        if isinstance(table, ArrayTable):
            array = table.array
            with np.errstate(over="ignore", invalid="ignore"):
                if array.dtype in _SMALL or (
                    array.dtype == np.float32 and np.isfinite(array.sum())
                ):
                    return array
        numbers = copy(self._scaler)
        numbers.scaling = None
        out: Array = np.empty(table.shape, np.float32)
        for block in table.numbers(self.is_categorical_):
            numbers.transform(block, out, self._starts[block.features])
        return out

    def _learn_columns(self, table: Table, weight: NDArray[np.float64] | None) -> None:
        d = self.n_features_in_
        self._scaler = NumericScaler(d, self.scaling, self._labels)
        for block in table.numbers(self.is_categorical_):
            self._scaler.fit(block, weight)
        self._categories = {
            feature: Category(table.category(feature), column_label(self._labels, feature), weight)
            for feature in np.flatnonzero(self.is_categorical_).tolist()
        }

    def _lay_out(self) -> None:
        """Give each feature its columns: beside each other, in the order of the features."""
        widths = 1 + self._scaler.has_missing.astype(np.intp)
        names: list[str] = []
        for feature, label in enumerate(self._labels):
            if feature in self._categories:
                category = self._categories[feature]
                widths[feature] = category.width
                names += category.column_names(label)
            else:
                names += [label, f"{label} is missing"][: widths[feature]]
                levels = [f"{label}={level:g}" for level in self._scaler.levels(feature)]
                widths[feature] += len(levels)
                names += levels
        self.encoded_feature_names_ = names
        self.source_: NDArray[np.intp] = np.repeat(np.arange(self.n_features_in_), widths)
        self._starts: NDArray[np.intp] = np.cumsum(widths) - widths
