"""What a table's encoder has learned, as a document, and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fastrfm.persistence.errors import ModelFileError
from fastrfm.persistence.record import Record
from fastrfm.persistence.values import ArrayStore, encode
from fastrfm.preprocessing import Columns, TableEncoder
from fastrfm.preprocessing.categories import CODE_WIDTH, MANY_LEVELS, SHARED_COLUMNS, Category
from fastrfm.preprocessing.ranks import FEW_VALUES, Ranks
from fastrfm.preprocessing.scaling import NumericScaler

__all__ = [
    "ENCODER_FIELDS",
    "RAW_ENCODER_FIELDS",
    "check_attributes",
    "encoder_of",
    "encoder_state",
]

COLUMNS: tuple[Columns, ...] = get_args(Columns)

ENCODER_FIELDS = (
    "categorical_features",
    "scaling",
    "labels",
    "dtype",
    "is_categorical",
    "scaler",
    "categories",
)
# Of an encoder of raw columns.
RAW_ENCODER_FIELDS = ("raw", *ENCODER_FIELDS)
_STATISTICS = ("middle", "scale", "offset", "mean")
_SCALER_FIELDS = (*_STATISTICS, "has_missing", "ranks")
_RANKS_FIELDS = ("values", "ranks", "levels", "unit", "is_constant")
_CATEGORY_FIELDS = ("levels", "has_missing", "width", "starts", "columns", "codes")


def check_attributes(owner: Any, kept: Sequence[str], what: str) -> None:
    """Raise TypeError if an object has attributes that would be lost."""
    unknown = sorted(set(vars(owner)) - set(kept))
    if unknown:
        raise TypeError(
            f"{what} has the attribute {unknown[0]!r}, which a model file does not keep; delete it "
            "before saving"
        )


def encoder_state(encoder: TableEncoder, name: str, store: ArrayStore) -> dict[str, Any]:
    """Return what `encoder_of` makes an equal encoder of."""
    derived = ("source_", "encoded_feature_names_", "_starts")  # by _lay_out
    shared = ("n_features_in_", "feature_names_in_")  # with the estimator
    own = ("categorical_features", "scaling", "dtype_", "is_raw_", "is_categorical_", "_labels")
    check_attributes(
        encoder, (*derived, *shared, *own, "_scaler", "_categories"), f"the encoder {name}"
    )
    # Files without raw columns are as they were before there were any.
    raw = {"raw": True} if encoder.is_raw_ else {}
    return {
        **raw,
        "categorical_features": encode(
            encoder.categorical_features, f"{name}.categorical_features", store
        ),
        "scaling": encoder.scaling,
        "labels": store.add(f"{name}.labels", np.array(encoder._labels, object)),
        "dtype": np.dtype(encoder.dtype_).name,
        "is_categorical": store.add(f"{name}.is_categorical", encoder.is_categorical_),
        "scaler": _scaler_state(encoder._scaler, f"{name}.scaler", store),
        "categories": {
            str(feature): _category_state(category, f"{name}.categories.{feature}", store)
            for feature, category in encoder._categories.items()
        },
    }


def encoder_of(
    record: Record, n_features: int, feature_names: NDArray[np.object_] | None
) -> TableEncoder:
    """Return the encoder that `encoder_state` was given.

    Parameters
    ----------
    record : Record
        With `ENCODER_FIELDS`, or `RAW_ENCODER_FIELDS`.
    n_features : int
    feature_names : ndarray of shape (n_features,) or None
        The estimator's.

    Raises
    ------
    ModelFileError
        If there can be no such encoder.
    """
    encoder = TableEncoder(
        categorical_features=record.value("categorical_features"),
        scaling=record.choice("scaling", (*COLUMNS, None)),
    )
    encoder.n_features_in_ = n_features
    if feature_names is not None:
        encoder.feature_names_in_ = feature_names
    labels = record.array("labels", dtypes=[object], shape=(n_features,)).tolist()
    if not all(isinstance(label, str) for label in labels):
        raise record.wrong("labels", "strings")
    encoder._labels = labels
    encoder.is_raw_ = "raw" in record.content and record.flag("raw")
    dtypes = ("float32", "int8", "uint8") if encoder.is_raw_ else ("float32", "float64")
    encoder.dtype_ = np.dtype(record.choice("dtype", dtypes)).type
    encoder.is_categorical_ = record.array("is_categorical", dtypes=[np.bool_], shape=(n_features,))
    scaler = record.record("scaler", _SCALER_FIELDS)
    encoder._scaler = _scaler_of(scaler, encoder)
    if encoder.is_raw_ and (
        encoder.scaling not in ("standard", None)
        or encoder.is_categorical_.any()
        or encoder._scaler.has_missing.any()
    ):
        raise record.wrong("raw", "of standardised numbers without missing ones")
    categories = record.record("categories", None)
    features = np.flatnonzero(encoder.is_categorical_).tolist()
    if list(categories.content) != list(map(str, features)):
        raise record.wrong("categories", f"of the features {features}")
    encoder._categories = {
        feature: _category_of(categories.record(str(feature), _CATEGORY_FIELDS))
        for feature in features
    }
    encoder._lay_out()
    return encoder


def _scaler_state(scaler: NumericScaler, name: str, store: ArrayStore) -> dict[str, Any]:
    own = (*_STATISTICS, "has_missing", "ranks")
    check_attributes(scaler, (*own, "scaling", "labels"), name)  # those two are the encoder's
    arrays = {
        field: store.add(f"{name}.{field}", getattr(scaler, field))
        for field in (*_STATISTICS, "has_missing")
    }
    ranks = {
        str(feature): _ranks_state(ranks, f"{name}.ranks.{feature}", store)
        for feature, ranks in scaler.ranks.items()
    }
    return {**arrays, "ranks": ranks}


def _scaler_of(record: Record, encoder: TableEncoder) -> NumericScaler:
    d = encoder.n_features_in_
    scaler = NumericScaler(d, encoder.scaling, encoder._labels)
    for field in _STATISTICS:
        low = 0.0 if field == "scale" else None
        setattr(scaler, field, record.array(field, shape=(d,), low=low))
    scaler.has_missing = record.array("has_missing", dtypes=[np.bool_], shape=(d,))
    ranks = record.record("ranks", None)
    ranked = encoder.scaling == "ranked"
    features = np.flatnonzero(~encoder.is_categorical_).tolist() if ranked else []
    if list(ranks.content) != list(map(str, features)):
        raise record.wrong("ranks", f"of the features {features}")
    scaler.ranks = {
        feature: _ranks_of(ranks.record(str(feature), _RANKS_FIELDS)) for feature in features
    }
    return scaler


def _ranks_state(ranks: Ranks, name: str, store: ArrayStore) -> dict[str, Any]:
    check_attributes(ranks, _RANKS_FIELDS, name)
    return {
        "values": store.add(f"{name}.values", ranks.values),
        "ranks": store.add(f"{name}.ranks", ranks.ranks),
        "levels": store.add(f"{name}.levels", ranks.levels),
        "unit": float(ranks.unit),
        "is_constant": bool(ranks.is_constant),
    }


def _ranks_of(record: Record) -> Ranks:
    ranks = Ranks.__new__(Ranks)
    ranks.is_constant = record.flag("is_constant")
    ranks.values = record.array("values", shape=(None,))
    ranks.ranks = record.array("ranks", shape=ranks.values.shape)
    ranks.levels = record.array(
        "levels", dtypes=[np.float16, np.float32, np.float64], shape=(None,)
    )
    ranks.unit = np.float64(record.number("unit", low_ok=ranks.is_constant))
    if not _ascend(ranks.values) or len(ranks.values) < 2 - ranks.is_constant:
        raise record.wrong("values", "ascending", "not, or too few")
    if not _ascend(ranks.ranks):
        raise record.wrong("ranks", "ascending", "not")
    if not _ascend(ranks.levels) or len(ranks.levels) > FEW_VALUES:
        raise record.wrong("levels", f"ascending and at most {FEW_VALUES}", "not")
    return ranks


def _category_state(category: Category, name: str, store: ArrayStore) -> dict[str, Any]:
    check_attributes(category, ("levels", "has_missing", "table"), name)
    table = csr_array(category.table)  # 512 columns, and hardly ever more than 3 entries in a row
    return {
        "levels": store.add(f"{name}.levels", category.levels),
        "has_missing": bool(category.has_missing),
        "width": category.width,
        "starts": store.add(f"{name}.starts", table.indptr.astype(np.int64)),
        "columns": store.add(f"{name}.columns", table.indices.astype(np.int32)),
        "codes": store.add(f"{name}.codes", table.data),
    }


def _category_of(record: Record) -> Category:
    category = Category.__new__(Category)
    category.levels = levels = record.array("levels", dtypes=None, shape=(None,))
    category.has_missing = record.flag("has_missing")
    if levels.dtype.kind not in "biufO":
        raise record.wrong("levels", "numbers, booleans or strings", f"of dtype {levels.dtype}")
    if not _ascend(levels):
        raise record.wrong("levels", "ascending", "not")
    category.table = _table_of(record, len(levels) + category.has_missing)
    return category


def _table_of(record: Record, count: int) -> NDArray[np.float64]:
    """Return a category's table of codes, (count + 1, width), whose last row is 0.

    The width is bounded before anything is allocated: that of one-hot codes, or of codes for many
    levels, or 1.
    """
    width = record.integer("width", low=1)
    one_hot = width == count <= MANY_LEVELS
    shared = SHARED_COLUMNS < width <= min(count, CODE_WIDTH)
    if not (one_hot or shared or (width == 1 and count <= 2)):
        raise record.wrong("width", f"that of codes for {count} levels")
    starts = record.array("starts", dtypes=[np.int64], shape=(count + 2,), low=0)
    columns = record.array("columns", dtypes=[np.int32], shape=(None,), low=0)
    codes = record.array("codes", shape=columns.shape)
    if starts[0] != 0 or (np.diff(starts) < 0).any() or starts[-1] != len(columns):
        raise record.wrong("starts", "where the rows of the codes start", "not")
    if len(columns) and columns.max() >= width:
        raise record.wrong("columns", f"below the width {width}", f"{columns.max()} somewhere")
    if starts[-1] != starts[-2]:
        raise record.wrong("starts", "of no codes in the last row", "not")
    table = np.zeros((count + 1, width))
    table[np.repeat(np.arange(count + 1), np.diff(starts)), columns] = codes
    return table


def _ascend(values: NDArray[Any]) -> bool:
    if values.dtype != object:
        return bool((values[1:] > values[:-1]).all())
    try:
        items = values.tolist()
        return all(a < b for a, b in pairwise(items))
    except TypeError as error:  # strings and ints
        raise ModelFileError(f"levels of a category are mixed: {error}") from error
