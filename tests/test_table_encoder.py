"""TableEncoder: against scikit-learn's scaler and encoder, and by the messages of wrong input."""

from __future__ import annotations

import datetime
import pickle
import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from cases import Array, plain_regressor
from fastrfm.preprocessing import Columns, TableEncoder
from fastrfm.preprocessing.categories import (
    CODE_WIDTH,
    MANY_LEVELS,
    SHARED_COLUMNS,
    many_level_codes,
)

polars = pytest.importorskip("polars", reason="the frames of polars")

NAN = float("nan")
SCALINGS: list[Columns | None] = [None, "standard", "compressed", "ranked"]


def table() -> dict[str, list[Any]]:
    """Return columns of every kind."""
    return {
        "age": [31.0, None, 54.0, 22.0],
        "rooms": [3, 1, 2, 2],
        "colour": ["red", None, "blue", "red"],
        "member": [True, False, True, True],
        "country": ["no", "no", "no", "no"],
    }


def encode(X: Any, weight: Array | None = None, **parameters: Any) -> Array:
    encoder = TableEncoder(**parameters).fit(X, weight)
    return encoder.transform(X)


@pytest.mark.parametrize("frame", [pd.DataFrame, polars.DataFrame])
def test_a_frame_of_every_kind_of_column(frame: Callable[..., Any]) -> None:
    X = frame(table())
    encoder = TableEncoder().fit(X)
    Z = encoder.transform(X)
    assert encoder.encoded_feature_names_ == [
        "age", "age is missing", "rooms", "colour=blue", "colour=red", "colour is missing",
        "member=True", "country=no",
    ]  # fmt: skip
    assert encoder.source_.tolist() == [0, 0, 1, 2, 2, 2, 3, 4]
    assert encoder.source_.dtype == np.intp
    assert encoder.is_categorical_.tolist() == [False, False, True, True, True]
    assert encoder.feature_names_in_.tolist() == list(table())
    assert encoder.n_features_in_ == 5
    assert encoder.dtype_ is np.float64
    age, rooms = np.array([31, NAN, 54, 22]), np.array(table()["rooms"])
    half = np.sqrt(0.5)
    expected = np.column_stack([
        np.nan_to_num((age - np.nanmean(age)) / np.nanstd(age)),
        [0, 1, 0, 0],
        (rooms - rooms.mean()) / rooms.std(),
        [0, 0, 1, 0], [1, 0, 0, 1], [0, 1, 0, 0],
        [half, -half, half, half],
        [0, 0, 0, 0],
    ])  # fmt: skip
    np.testing.assert_allclose(Z, expected, atol=1e-14)
    assert Z.dtype == np.float64
    assert Z.flags.c_contiguous
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(encoder)).transform(X), Z)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_numbers_are_standardised_as_by_scikit_learn(dtype: type, weighted: bool) -> None:
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((400, 5)) * [1, 1e-30, 1e25, 3, 1] + [0, 0, 0, 1000, 1]).astype(dtype)
    X[::7, 3] = np.nan
    X[:, 4] = 0.1
    weight = rng.uniform(0.1, 9, 400) if weighted else None
    varying = X[:, :4].astype(np.float64)
    oracle = StandardScaler().fit(varying, sample_weight=weight)
    expected = np.nan_to_num(oracle.transform(varying))
    Z = encode(X, weight)
    assert Z.dtype == dtype
    tolerance = 1e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(Z[:, :4], expected, atol=tolerance)
    np.testing.assert_array_equal(Z[:, 4], np.isnan(X[:, 3]))
    np.testing.assert_array_equal(Z[:, 5], 0)


@pytest.mark.parametrize(
    ("X", "dtype"),
    [
        (np.zeros((3, 1), np.float16), np.float32),
        (np.zeros((3, 1), np.int64), np.float32),
        (np.zeros((3, 1), bool), np.float32),
        (np.zeros((3, 1), object), np.float64),
        ([[1], [2]], np.float32),
        ([[1.0], [2]], np.float64),
        (pd.DataFrame({"a": np.ones(2, np.float32), "b": [1, 2]}), np.float32),
        (pd.DataFrame({"a": np.ones(2, np.float32), "b": [1.0, 2]}), np.float64),
        (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), np.float32),
        (pd.DataFrame({"a": ["x", "y"]}), np.float32),
        (polars.DataFrame({"a": [1, None]}), np.float32),
    ],
)
def test_the_dtype_of_the_result(X: Any, dtype: type) -> None:
    assert TableEncoder().fit(X).dtype_ is dtype
    assert encode(X).dtype == dtype


def test_large_integers_keep_their_differences() -> None:
    seconds = 1_700_000_000 + np.arange(100)[:, None]
    expected = (np.arange(100) - 49.5) / np.arange(100).std()
    np.testing.assert_allclose(encode(seconds)[:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(encode(pd.DataFrame(seconds))[:, 0], expected, rtol=1e-6)


def test_columns_near_the_largest_and_the_smallest_number() -> None:
    u = np.random.default_rng(0).uniform(-1, 1, 50)
    X = np.column_stack([1.7e308 * u, 1e-300 * u, u])
    Z = encode(X)
    np.testing.assert_allclose(Z, Z[:, [2, 2, 2]], rtol=1e-12)
    far = TableEncoder().fit(X[:, 2:].astype(np.float32)).transform([[1e300]])
    assert far[0, 0] == np.finfo(np.float32).max


def test_outliers_are_drawn_in() -> None:
    X = np.random.default_rng(0).standard_t(2, (500, 1))
    z = encode(X)
    assert np.abs(z).max() > 6
    beyond = np.abs(z) > 3
    a = np.maximum(np.abs(z) - 3, 0)
    expected = np.where(beyond, np.sign(z) * (3 + np.log1p(a) + a / 100), z)
    np.testing.assert_allclose(encode(X, scaling="compressed"), expected, rtol=1e-14)


def test_without_standardisation() -> None:
    X = np.array([[1.0, 5, NAN], [4.0, 5, NAN], [NAN, 5, NAN]])
    Z = encode(X, np.array([3.0, 1, 7]), scaling=None)
    expected = [[1, 0, 5, 0, 1], [4, 0, 5, 0, 1], [1.75, 1, 5, 0, 1]]
    np.testing.assert_allclose(Z, expected, rtol=1e-15)


def test_the_input_is_neither_changed_nor_shared() -> None:
    X = np.array([[1.0, NAN], [4.0, 5]])
    before = X.copy()
    for scaling in SCALINGS:
        assert not np.shares_memory(encode(X, scaling=scaling), X)
    np.testing.assert_array_equal(X, before)


def test_missing_numbers_and_constant_columns() -> None:
    X = np.array([[1.0, NAN, 7], [3.0, NAN, 7]])
    encoder = TableEncoder().fit(X)
    names = ["x0", "x1", "x1 is missing", "x2"]
    assert encoder.encoded_feature_names_ == names
    np.testing.assert_array_equal(encoder.transform(X), [[-1, 0, 1, 0], [1, 0, 1, 0]])
    # Missing where none was at fit, a number where none was, and another constant.
    np.testing.assert_array_equal(encoder.transform([[NAN, 8, 9]]), [[0, 0, 0, 0]])


@pytest.mark.parametrize("missing", [None, NAN, np.float32(NAN), pd.NA])
def test_missing_values_of_every_kind(missing: Any) -> None:
    X = pd.DataFrame({
        "a": pd.Series(["u", missing, "v", missing], dtype=object),
        "b": pd.Series([True, missing, False, True], dtype=object),
        "c": pd.Series([1.5, missing, 2, 3], dtype=object),
    })  # fmt: skip
    encoder = TableEncoder().fit(X)
    assert encoder.encoded_feature_names_ == [
        "a=u", "a=v", "a is missing", "b=False", "b=True", "b is missing", "c", "c is missing",
    ]  # fmt: skip
    np.testing.assert_array_equal(encoder.transform(X)[1], [0, 0, 1, 0, 0, 1, 0, 1])
    numbers = X[["c"]].to_numpy()
    np.testing.assert_array_equal(encode(numbers), encoder.transform(X)[:, 6:])


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["b", None, "a", "b"], dtype="category"),
        pd.Series(["b", None, "a", "b"], dtype="string"),
        pd.Series(["b", None, "a", "b"], dtype="str"),
        pd.Series(["b", None, "a", "b"], dtype="string[pyarrow]"),
        polars.Series(["b", None, "a", "b"], dtype=polars.Categorical),
        polars.Series(["b", None, "a", "b"], dtype=polars.Enum(["z", "b", "a"])),
    ],
    ids=lambda column: str(column.dtype),
)
def test_dtypes_of_categories(column: Any) -> None:
    frame = pd.DataFrame if isinstance(column, pd.Series) else polars.DataFrame
    X = frame({"c": column})
    encoder = TableEncoder().fit(X)
    assert encoder.encoded_feature_names_ == ["c=a", "c=b", "c is missing"]
    np.testing.assert_array_equal(
        encoder.transform(X), [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]]
    )
    np.testing.assert_array_equal(encoder.transform(frame({"c": ["q", "b"]})), [[0] * 3, [0, 1, 0]])


@pytest.mark.parametrize("chosen", [[True, False, True], [0, 2], np.array([2, 0])])
def test_categories_of_an_array(chosen: Any) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 5, (60, 3)).astype(np.float32)
    X[3, 2] = np.nan
    encoder = TableEncoder(categorical_features=chosen).fit(X)
    oracle = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    oracle.fit(X[:, [0, 2]])
    new = np.r_[X, [[9, 1, 2.5]]].astype(np.float32)
    Z = encoder.transform(new)
    np.testing.assert_array_equal(Z[:, encoder.source_ != 1], oracle.transform(new[:, [0, 2]]))
    assert encoder.dtype_ is np.float32
    assert encoder.encoded_feature_names_[-2:] == ["x2=4", "x2 is missing"]


def test_categories_by_name_and_numbers_that_become_float() -> None:
    X = pd.DataFrame({"zip": [5, 7, 5], "size": [1.0, 2, 3]})
    encoder = TableEncoder(categorical_features=["zip"]).fit(X)
    later = pd.DataFrame({"zip": [7, None], "size": [1.0, 2]})
    np.testing.assert_array_equal(encoder.transform(later)[:, :2], [[0, 1], [0, 0]])
    assert encoder.encoded_feature_names_ == ["zip=5", "zip=7", "size"]


@pytest.mark.parametrize("X", [[["a", 1], ["b", 4]], np.array([["a", 1], ["b", 4]], object),
                               np.array([["a", "1"], ["b", "4"]])])  # fmt: skip
def test_strings_in_an_array(X: Any) -> None:
    np.testing.assert_array_equal(encode(X, categorical_features=[0]), [[1, 0, -1], [0, 1, 1]])
    with pytest.raises(ValueError, match=r"could not convert string to float|strings"):
        encode(X)
    with pytest.raises(ValueError, match="column 'x0': could not convert string to float: 'a'; a"):
        encode(X, categorical_features=[1])


def test_no_categories() -> None:
    X = pd.DataFrame({"a": pd.Series([1, 2], dtype="category"), "b": [True, False]})
    np.testing.assert_array_equal(encode(X, categorical_features=None), [[-1, 1], [1, -1]])
    np.testing.assert_array_equal(encode(X.to_numpy(), categorical_features=[]), [[-1, 1], [1, -1]])


def test_many_levels_have_a_code_of_fixed_width() -> None:
    levels = np.arange(MANY_LEVELS + 1)
    encoder = TableEncoder(categorical_features=[0]).fit(levels[:, None])
    Z = encoder.transform(levels[:, None])
    assert encoder.encoded_feature_names_[447:449] == ["x0=447", "x0 code 0"]
    assert len(encoder.source_) == Z.shape[1] == CODE_WIDTH == 512
    assert len(np.unique(Z, axis=0)) == len(levels)
    np.testing.assert_array_equal(encoder.transform([[MANY_LEVELS + 5]]), 0)
    shuffled = TableEncoder(categorical_features=[0]).fit(levels[::-1, None])
    np.testing.assert_array_equal(shuffled.transform(levels[:, None]), Z)


@pytest.mark.parametrize("count", [600, 3000, 50_000])
def test_codes_of_many_levels(count: int) -> None:
    """The frequent ones are one-hot, all are distinct and about as far apart as one-hot codes."""
    frequency = np.random.default_rng(0).integers(1, 100, count).astype(np.float64)
    codes = many_level_codes(frequency)
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1)
    own = codes[:, :-SHARED_COLUMNS].sum(axis=1) > 0
    assert own.sum() == CODE_WIDTH - SHARED_COLUMNS
    assert frequency[own].min() >= frequency[~own].max()
    assert len({row.tobytes() for row in np.packbits(codes > 0, axis=1)}) == count
    sample = codes[:: count // 300]
    cosine = (sample @ sample.T)[np.triu_indices(len(sample), 1)]
    assert np.median(cosine) <= 0.25
    assert cosine.max() < 0.9


def test_weights_say_which_of_many_levels_are_frequent() -> None:
    levels = np.arange(MANY_LEVELS + 1)[:, None]
    weight = np.where(levels[:, 0] % 5 == 2, 3, 1)
    chosen = TableEncoder(categorical_features=[0])
    by_weight = chosen.fit(levels, weight.astype(np.float64)).transform(levels)
    by_rows = chosen.fit(np.repeat(levels, weight, axis=0)[::-1]).transform(levels)
    np.testing.assert_array_equal(by_weight, by_rows)
    assert chosen.encoded_feature_names_[:3] == ["x0=2", "x0=7", "x0=12"]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(SCALINGS))
def test_repeated_rows_equal_integer_weights(seed: int, scaling: Columns | None) -> None:
    """Whatever the order of the rows."""
    rng = np.random.default_rng(seed)
    n = 40
    X = pd.DataFrame({
        "a": np.where(rng.uniform(size=n) < 0.2, np.nan, 1e6 + rng.standard_normal(n)),
        "b": rng.integers(0, 9, n), "c": rng.choice(["u", "v", "w"], n),
    })  # fmt: skip
    counts = rng.integers(1, 5, n)
    repeated = X.loc[rng.permutation(np.repeat(np.arange(n), counts))]
    by_weight = TableEncoder(scaling=scaling).fit(X, counts.astype(np.float64)).transform(X)
    by_rows = TableEncoder(scaling=scaling).fit(repeated).transform(X)
    # a is 1 part in a million of its offset, which costs 6 digits of a double's 16
    np.testing.assert_allclose(by_weight, by_rows, rtol=1e-12, atol=1e-12)


def test_one_copy_of_a_numeric_array() -> None:
    X = np.random.default_rng(0).standard_normal((40_000, 50)).astype(np.float32)
    tracemalloc.start()
    try:
        encoder = TableEncoder(scaling="compressed").fit(X)
        fit_peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        encoder.transform(X)
        transform_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    chunks = 12 * 2**20  # what scaling.CHUNK allows, whatever the size of X
    assert fit_peak < chunks
    assert transform_peak < X.nbytes + chunks


DATE = datetime.datetime(2020, 1, 1)
FEW = {"a": [1.0, 2.0], "b": [3.0, 4.0]}
BAD = [
    (scipy.sparse.csr_array(np.eye(2)), None, TypeError, "Sparse data was passed for X, but dense"),
    (scipy.sparse.coo_matrix(np.eye(2)), None, TypeError, "TruncatedSVD"),
    (pd.DataFrame({"s": pd.arrays.SparseArray([0.0, 1])}), None, TypeError, "column 's' is sparse"),
    (pd.DataFrame({"when": [DATE, DATE]}), None, TypeError,
     "column 'when' holds dates or times (datetime64["),
    (polars.DataFrame({"when": [DATE, DATE]}), None, TypeError,
     "column 'when' holds dates or times (Datetime"),
    (pd.DataFrame({"when": [DATE, DATE]}), ["when"], TypeError, "column 'when' holds dates"),
    (pd.DataFrame({"wait": [DATE - DATE]}), None, TypeError, "column 'wait' holds dates or times"),
    (polars.DataFrame({"l": [[1], [2]]}), None, TypeError,
     "column 'l' holds neither numbers nor categories (List(Int64)); convert it to numbers"),
    (np.array([[DATE]], "datetime64[s]"), None, TypeError, "X holds dates or times"),
    (pd.DataFrame({"m": pd.Series(["a", 1], dtype=object)}), None, TypeError,
     "column 'm' mixes strings and other objects (int, str)"),
    (pd.DataFrame({"m": pd.Series([{}, 1], dtype=object)}), None, TypeError,
     "column 'm': float() argument must be a string or a real number, not 'dict'"),
    (np.array([[{}], [1]], object), "from_dtype", TypeError, "argument must be a string or a real"),
    (np.array([["a"], [1]], object), [0], TypeError,
     "categories of column 'x0' must be all strings, all numbers or all booleans; got int, str"),
    (np.array([[{}], [1]], object), [0], TypeError, "column 'x0' is a category, but not of"),
    (np.array([[1, 2], [3, np.inf]]), None, ValueError,
     "Input X contains infinity in column 'x1', first in row 1 (rows count from 0); replace"),
    (pd.DataFrame({"a": [1, 2.0], "b": [-np.inf, np.inf]}), None, ValueError,
     "Input X contains infinity in column 'b', first in row 0"),
    (pd.DataFrame({"a": ["x", "y"]}), None, ValueError,
     "column 'a': could not convert string to float: 'x'"),
    ([1, 2], None, ValueError, "Expected 2D array, got 1D array instead"),
    (np.zeros((0, 2)), None, ValueError, "Found array with 0 sample(s)"),
    (pd.DataFrame(FEW)[:0], None, ValueError, "Found array with 0 sample(s) (shape=(0, 2))"),
    (pd.DataFrame(index=[1, 2]), None, ValueError, "Found array with 0 feature(s) (shape=(2, 0))"),
    (np.array([[1j]]), None, ValueError, "Complex data not supported"),
    (pd.DataFrame(FEW), ["c"], ValueError,
     "categorical_features has an item value 'c' which is not a valid feature name of the "
     "training data. Observed feature names: ['a', 'b']"),
    (np.ones((2, 2)), ["a"], ValueError,
     "categorical_features should be passed as an array of integers or as a boolean mask when the "
     "model is fitted on data without feature names."),
    (np.ones((2, 2)), [True], ValueError,
     "categorical_features set as a boolean mask must have shape (n_features,), got: (1,)"),
    (np.ones((2, 2)), [0, 2], ValueError,
     "categorical_features set as integer indices must be in [0, n_features - 1]"),
    (np.ones((2, 2)), [-1], ValueError, "must be in [0, n_features - 1]; got [-1] with n_feat"),
    (np.ones((2, 2)), [0.5], ValueError,
     "categorical_features must be an array-like of bool, int or str, got: float64."),
    (np.ones((2, 2)), np.array([0, "a"], object), ValueError, "or str, got: int, str."),
]  # fmt: skip


@pytest.mark.parametrize(("X", "chosen", "error", "message"), BAD)
def test_messages(X: Any, chosen: Any, error: type[Exception], message: str) -> None:
    chosen = "from_dtype" if chosen is None and error is TypeError else chosen
    with pytest.raises(error, match=re.escape(message)):
        TableEncoder(categorical_features=chosen).fit(X)


def test_infinity_is_found_at_prediction_and_far_down() -> None:
    X = np.zeros((300_000, 2), np.float32)
    encoder = TableEncoder().fit(X)
    X[280_123, 1] = -np.inf
    message = re.escape("infinity in column 'x1', first in row 280123")
    with pytest.raises(ValueError, match=message):
        encoder.transform(X)
    with pytest.raises(ValueError, match=message):
        TableEncoder().fit(X)


def test_other_features_than_at_fit() -> None:
    X = pd.DataFrame(FEW)
    encoder = TableEncoder().fit(X)
    with pytest.raises(ValueError, match="Feature names must be in the same order as they were"):
        encoder.transform(X[["b", "a"]])
    with pytest.raises(ValueError, match="Feature names unseen at fit time:\n- c"):
        encoder.transform(X.rename(columns={"b": "c"}))
    with pytest.warns(UserWarning, match="X does not have valid feature names, but TableEncoder"):
        encoder.transform(X.to_numpy())
    encoder.fit(X.to_numpy())
    assert not hasattr(encoder, "feature_names_in_")
    with pytest.raises(ValueError, match="X has 3 features, but TableEncoder is expecting 2"):
        encoder.transform(np.ones((2, 3)))


def test_the_estimator_is_named() -> None:
    model = plain_regressor()
    encoder = TableEncoder().fit(pd.DataFrame(FEW), estimator=model)
    assert model.n_features_in_ == encoder.n_features_in_ == 2
    assert model.feature_names_in_.tolist() == encoder.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="minimum of 1 is required by RFMRegressor"):
        encoder.transform(pd.DataFrame(FEW)[:0], estimator=model)


def test_ranks_are_those_of_scipy() -> None:
    """Average ranks, standardised; between values interpolated, beyond them logarithms."""
    rng = np.random.default_rng(0)
    x = np.exp(rng.standard_normal(300)).round(1)
    x[:20] = NAN
    encoder = TableEncoder(scaling="ranked").fit(x[:, None])
    z = encoder.transform(x[:, None])
    ranks = stats.zscore(stats.rankdata(x[20:]))
    np.testing.assert_allclose(z[20:, 0], ranks, atol=1e-12)
    np.testing.assert_array_equal(z[:20], [[0.0, 1.0]] * 20)
    least, most, deviation = x[20:].min(), x[20:].max(), x[20:].std()
    beyond = encoder.transform([[least - 2 * deviation], [most + 2 * deviation]])[:, 0]
    growth = np.log(3) + 0.02
    np.testing.assert_allclose(beyond, [ranks.min() - growth, ranks.max() + growth])
    low, high = np.unique(x[20:])[4:6]
    of_low, middle, of_high = encoder.transform([[low], [(low + high) / 2], [high]])[:, 0]
    assert middle == pytest.approx((of_low + of_high) / 2)


def test_ranks_of_many_values_are_interpolated_closely() -> None:
    x = np.random.default_rng(0).lognormal(sigma=3.0, size=20_000)
    z = TableEncoder(scaling="ranked").fit(x[:, None]).transform(x[:, None])[:, 0]
    np.testing.assert_allclose(z, stats.zscore(stats.rankdata(x)), atol=1e-2)
    increasing = z[np.argsort(x)]
    assert (np.diff(increasing) >= 0).all()


def test_ranks_of_few_values_come_with_their_indicators() -> None:
    x = np.array([3.0, 1, 2, 2, NAN, 3, 1])
    encoder = TableEncoder(scaling="ranked").fit(np.column_stack([x, np.arange(7) % 2]))
    names = ["x0", "x0 is missing", "x0=1", "x0=2", "x0=3", "x1"]
    assert encoder.encoded_feature_names_ == names
    np.testing.assert_array_equal(encoder.source_, [0, 0, 0, 0, 0, 1])
    Z = encoder.transform([[1.0, 0], [NAN, 1], [2.5, 1], [3, 0]])
    np.testing.assert_array_equal(Z[:, 1], [0, 1, 0, 0])
    np.testing.assert_array_equal(Z[:, 2:5], [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("scaling", ["standard", "ranked"])
def test_float32_rows_have_the_levels_of_float64_ones(scaling: Columns) -> None:
    X = np.random.default_rng(0).choice([0.1, 0.2, 0.3, 0.7], (40, 2))
    encoder = TableEncoder(scaling=scaling, categorical_features=[1]).fit(X)
    narrow = encoder.transform(X.astype(np.float32))
    np.testing.assert_allclose(narrow, encoder.transform(X), atol=1e-6)
    back = TableEncoder(scaling=scaling, categorical_features=[1]).fit(X.astype(np.float32))
    np.testing.assert_allclose(back.transform(X), narrow, atol=1e-6)


def test_pyarrow_columns_by_name_sparse_frames_and_names_twice() -> None:
    table = pa.table({"a": [1.0, 2.0, 3.0], "b": [5, 6, 5]})
    encoder = TableEncoder(categorical_features=["b"]).fit(table)
    assert encoder.encoded_feature_names_ == ["a", "b=5", "b=6"]
    sparse = pd.DataFrame({"s": pd.arrays.SparseArray([0.0, 0.0, 1.0])})
    with pytest.raises(TypeError, match=r"column 's' is sparse .*\.sparse\.to_dense"):
        TableEncoder().fit(sparse)
    twice = pd.DataFrame([[1.0, 2.0]], columns=["a", "a"])
    with pytest.raises(ValueError, match="more than one column of the name 'a'"):
        TableEncoder().fit(twice)
