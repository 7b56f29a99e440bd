"""Bad input to the estimators: an exact message, and nothing changed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from cases import Array
from fastrfm import RFMClassifier, RFMRegressor

pytestmark = pytest.mark.core

X, Y = load_iris(return_X_y=True)


def with_entry(value: Any) -> Array:
    """Return rows of which one entry is bad."""
    rows = X.astype(object if isinstance(value, str) else type(value))
    rows[3, 2] = value
    return rows


BAD_PARAMETERS = [
    ({"norm": 0.0}, "The 'norm' parameter of RFMRegressor must be a float in the range (0.0, 2.0]"),
    ({"norm": 2.5}, "The 'norm' parameter of RFMRegressor must be a float in the range (0.0, 2.0]"),
    ({"exponent": 3.0}, "The 'exponent' parameter of RFMRegressor must be a float in the range"),
    ({"norm": 1.0, "exponent": 1.5}, "exponent"),
    ({"bandwidth": 0.0}, "The 'bandwidth' parameter of RFMRegressor must be a float in the range"),
    ({"bandwidth": -1.0}, "The 'bandwidth' parameter of RFMRegressor must be a float in the range"),
    ({"bandwidth": float("inf")}, "The 'bandwidth' parameter of RFMRegressor must be a float in"),
    ({"bandwidth": "4 medians"}, "'4*median'; got '4 medians'"),
    ({"alpha": -1e-3}, "The 'alpha' parameter of RFMRegressor must be a float in the range"),
    ({"alpha": "best"}, "The 'alpha' parameter of RFMRegressor must be a float in the range"),
    (
        {"diagonal": "no"},
        "The 'diagonal' parameter of RFMRegressor must be an instance of 'bool'",
    ),
    ({"categorical_features": "all"}, "The 'categorical_features' parameter of RFMRegressor must"),
    (
        {"time_limit": 0.0},
        "The 'time_limit' parameter of RFMRegressor must be a float in the range",
    ),
    ({"agop_power": 0.0}, "The 'agop_power' parameter of RFMRegressor must be a float in the"),
    ({"n_iter": -1}, "The 'n_iter' parameter of RFMRegressor must be an int in the range"),
    ({"n_iter": 2.0}, "The 'n_iter' parameter of RFMRegressor must be an int in the range"),
    ({"rank_tolerance": 1.0}, "The 'rank_tolerance' parameter of RFMRegressor must be a float"),
    ({"solver": "lu"}, "The 'solver' parameter of RFMRegressor must be a str among"),
    ({"tol": 0.0}, "The 'tol' parameter of RFMRegressor must be a float in the range"),
    ({"validation_fraction": 1.0}, "The 'validation_fraction' parameter of RFMRegressor must be"),
    ({"agop_samples": 0}, "The 'agop_samples' parameter of RFMRegressor must be an int in the"),
    ({"agop_output_samples": 0}, "The 'agop_output_samples' parameter of RFMRegressor must be an"),
    (
        {"agop_output_samples": 2, "center_gradients": True},
        "agop_output_samples=2 does not go with center_gradients=True: random mixtures of the "
        "outputs have no mean gradient for each output; choose one of the two",
    ),
    ({"memory_limit": 0}, "The 'memory_limit' parameter of RFMRegressor must be an int in the"),
    ({"callbacks": 3}, "The 'callbacks' parameter of RFMRegressor must be an instance of"),
]


@pytest.mark.parametrize(("parameters", "message"), BAD_PARAMETERS)
def test_parameters(parameters: dict[str, Any], message: str) -> None:
    model = RFMRegressor(**parameters)
    with pytest.raises(ValueError, match=re.escape(message)):
        model.fit(X, Y)
    assert not hasattr(model, "n_features_in_")


def test_callbacks_must_be_callable() -> None:
    with pytest.raises(TypeError, match="callbacks must be an iterable of callables; got 'print'"):
        RFMRegressor(callbacks=["print"]).fit(X, Y)


BAD_DATA = [
    (with_entry(np.inf), Y, ValueError, "Input X contains infinity"),
    (with_entry(1j), Y, ValueError, "Complex data not supported"),
    (with_entry("red"), Y, ValueError, "could not convert string to float: 'red'"),
    (X, np.where(Y > 1, np.nan, Y), ValueError, "Input y contains NaN"),
    (X[:, 0], Y, ValueError, "Expected 2D array, got 1D array instead"),
    (X[:0], Y[:0], ValueError, "Found array with 0 sample(s) (shape=(0, 4))"),
    (X[:, :0], Y, ValueError, "Found array with 0 feature(s) (shape=(150, 0))"),
    (X, Y[:149], ValueError, "inconsistent numbers of samples: [150, 149]"),
    (scipy.sparse.csr_matrix(X), Y, TypeError, "Sparse data was passed"),
]


@pytest.mark.parametrize("estimator", [RFMRegressor, RFMClassifier])
@pytest.mark.parametrize(("rows", "y", "error", "message"), BAD_DATA)
def test_data(estimator: Any, rows: Any, y: Any, error: type[Exception], message: str) -> None:
    model = estimator()
    with pytest.raises(error, match=re.escape(message)):
        model.fit(rows, y)
    assert vars(model) == vars(estimator())


def test_one_class_is_named() -> None:
    message = "RFMClassifier needs at least two classes, but y contains only one class: 'rose'"
    with pytest.raises(ValueError, match=message):
        RFMClassifier().fit(X, ["rose"] * len(X))


def test_numbers_are_not_labels() -> None:
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        RFMClassifier().fit(X, Y + 0.5 * X[:, 0])


@pytest.mark.parametrize("missing", ["X_val", "y_val"])
def test_validation_data_come_in_pairs(missing: str) -> None:
    given = {"X_val": X, "y_val": Y}
    del given[missing]
    with pytest.raises(ValueError, match=f"X_val and y_val belong together; {missing} is missing"):
        RFMRegressor().fit(X, Y, **given)


@pytest.mark.parametrize(
    ("estimator", "X_val", "y_val", "message"),
    [
        (RFMRegressor, X[:, :3], Y, "X has 3 features, but RFMRegressor is expecting 4 features"),
        (RFMRegressor, X, Y[:9], "inconsistent numbers of samples: [150, 9]"),
        (RFMRegressor, X, np.c_[Y, Y], "y_val has 2 outputs, but y has 1"),
        (RFMRegressor, X, np.full(150, np.nan), "Input y_val contains NaN"),
        (RFMClassifier, X, Y + 1, "y_val contains classes that y does not: [3]"),
    ],
)
def test_validation_data(estimator: Any, X_val: Array, y_val: Array, message: str) -> None:
    model = estimator()
    with pytest.raises(ValueError, match=re.escape(message)):
        model.fit(X, Y, X_val=X_val, y_val=y_val)
    assert vars(model) == vars(estimator())


def test_a_validation_fraction_needs_rows() -> None:
    message = "validation_fraction=0.01 of n_samples=20 leaves no row for validation"
    with pytest.raises(ValueError, match=message):
        RFMRegressor(validation_fraction=0.01).fit(X[:20], Y[:20])


@pytest.mark.parametrize("estimator", [RFMRegressor, RFMClassifier])
def test_predicting_before_fitting(estimator: Any) -> None:
    with pytest.raises(NotFittedError, match=f"This {estimator.__name__} instance is not fitted"):
        estimator().predict(X)


def test_predicting_other_features() -> None:
    model = RFMRegressor(n_iter=0).fit(X, Y)
    with pytest.raises(ValueError, match="X has 3 features, but RFMRegressor is expecting 4"):
        model.predict(X[:, :3])


def test_a_fit_beyond_the_memory_limit_is_refused() -> None:
    """The least that a solver could do with is refused, before it is asked for."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((50_000, 3)).astype(np.float32)
    model = RFMRegressor(memory_limit=10**7)
    with pytest.raises(
        MemoryError, match=r"needs [\d,]+ bytes.*, more than memory_limit=10,000,000;"
    ):
        model.fit(rows, rows[:, 0])
    assert vars(model) == vars(RFMRegressor(memory_limit=10**7))
    RFMRegressor(memory_limit=10**6, n_iter=0).fit(X, Y)


@pytest.mark.parametrize("change", ["fortran", "strided", "read-only", "list"])
def test_any_layout_works(change: str) -> None:
    expected = RFMRegressor(n_iter=1, alpha=0.1).fit(X, Y).predict(X)
    rows: Any = X.copy()
    if change == "fortran":
        rows = np.asfortranarray(rows)
    elif change == "strided":
        rows = np.repeat(rows, 2, axis=0)[::2]
    elif change == "read-only":
        rows.setflags(write=False)
    else:
        rows = rows.tolist()
    model = RFMRegressor(n_iter=1, alpha=0.1).fit(rows, Y)
    np.testing.assert_allclose(model.predict(rows), expected, rtol=1e-9)
