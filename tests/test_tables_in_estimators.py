"""Data as people have it, through the estimators."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from fastrfm import RFMClassifier, RFMRegressor


def people(n: int, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Return rows of numbers, categories, strings, booleans, with some missing, and a target."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, n).astype(float)
    city = rng.choice(["Ulm", "Bonn", "Kiel", "Jena"], n)
    colour = pd.Categorical(rng.choice(["red", "green"], n), categories=["red", "green", "grey"])
    member = rng.uniform(size=n) < 0.5
    y = age / 20 + (city == "Ulm") * 2 - (city == "Kiel") + member * (colour == "red")
    frame = pd.DataFrame({"age": age, "city": city, "colour": colour, "member": member})
    frame["constant"] = 3.0
    frame.loc[rng.uniform(size=n) < 0.1, "age"] = np.nan
    frame.loc[rng.uniform(size=n) < 0.1, "city"] = None
    return frame, pd.Series(y + 0.1 * rng.standard_normal(n), name="y")


def test_a_frame_with_everything_in_it() -> None:
    X, y = people(400)
    X_test, y_test = people(400, seed=1)
    model = RFMRegressor(random_state=0).fit(X, y)
    assert model.score(X_test, y_test) > 0.8
    np.testing.assert_array_equal(model.feature_names_in_, X.columns)
    assert model.feature_importances_.shape == (5,)
    assert model.feature_importances_.sum() == pytest.approx(1.0)
    assert model.feature_importances_[4] == 0.0
    assert {"age", "age is missing", "city=Ulm"} <= set(model.encoded_feature_names_)
    assert model.metric_.shape[0] == len(model.encoded_feature_names_)
    labels = np.where(y > y.median(), "old", "young")
    classifier = RFMClassifier(random_state=0).fit(X, labels)
    assert classifier.score(X_test, np.where(y_test > y.median(), "old", "young")) > 0.8


def test_polars_and_pandas_agree() -> None:
    X, y = people(150)
    expected = RFMRegressor(random_state=0).fit(X, y).predict(X)
    frame = pl.from_pandas(X)
    model = RFMRegressor(random_state=0).fit(frame, pl.Series(y.to_numpy()))
    np.testing.assert_allclose(model.predict(frame), expected, rtol=1e-6)


def test_unseen_and_missing_levels_at_prediction() -> None:
    X, y = people(200)
    model = RFMRegressor(random_state=0).fit(X, y)
    other = X[:4].copy()
    other["city"] = ["Rome", None, "Ulm", "Ulm"]
    other["member"] = other["member"].astype("boolean")
    other.loc[3, "age"] = np.nan
    assert np.isfinite(model.predict(other)).all()


@pytest.mark.parametrize("how", ["mask", "names", "indices"])
def test_categories_are_named_as_in_histgradientboosting(how: str) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"code": rng.integers(0, 9, 300), "x": rng.standard_normal(300)})
    y = np.array([3, -1, 4, 1, -5, 9, 2, -6, 5])[X["code"]] + X["x"]
    chosen: Any = {"mask": [True, False], "names": ["code"], "indices": [0]}[how]
    model = RFMRegressor(categorical_features=chosen).fit(X, y)
    HistGradientBoostingRegressor(categorical_features=chosen).fit(X, y)
    assert model.encoded_feature_names_[:2] == ["code=0", "code=1"]
    assert model.score(X, y) > 0.99
    if how != "names":
        array = RFMRegressor(categorical_features=chosen).fit(X.to_numpy(), y)
        np.testing.assert_allclose(array.predict(X.to_numpy()), model.predict(X), rtol=1e-5)


def test_several_outputs() -> None:
    X, y = people(200)
    Y = np.column_stack([y, -2 * y + 1, np.full(200, 7.0)])
    predicted = RFMRegressor(random_state=0).fit(X, Y).predict(X)
    np.testing.assert_allclose(predicted[:, 1], -2 * predicted[:, 0] + 1, atol=1e-4)
    np.testing.assert_array_equal(predicted[:, 2], 7.0)


def test_missing_values_tell() -> None:
    """That a value is missing can be the whole of the signal."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    missing = rng.uniform(size=200) < 0.4
    X[missing, 1] = np.nan
    model = RFMClassifier(random_state=0).fit(X[:150], missing[:150])
    assert model.score(X[150:], missing[150:]) > 0.95
    assert model.feature_importances_.argmax() == 1


def test_all_categories_have_no_ranked_twin() -> None:
    X, y = people(100)
    model = RFMRegressor(alpha=0.1).fit(X[["city", "colour"]], y)
    kinds = [(m.norm_, m.exponent_) for m in model.members_]
    assert len(set(kinds)) == len(kinds)


def test_importances_and_prediction_of_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = people(120)
    model = RFMRegressor(random_state=0).fit(X, y)
    whole = model.predict(X)
    monkeypatch.setattr("fastrfm.estimators.base.PREDICT_ROWS", 17)
    np.testing.assert_allclose(model.predict(X), whole, rtol=1e-5)


def test_a_pipeline_of_frames() -> None:
    X, y = people(100)
    pipeline = make_pipeline(FunctionTransformer(lambda frame: frame), RFMRegressor(n_iter=1))
    assert pipeline.fit(X, y).score(X, y) > 0.8


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("date", TypeError, "dates"),
        ("renamed", ValueError, "The feature names should match those that were passed during fit"),
        ("infinite", ValueError, "Input X contains infinity in column 'age'"),
    ],
)
def test_unsuitable_tables(change: str, error: type[Exception], message: str) -> None:
    X, y = people(60)
    model = RFMRegressor(n_iter=0).fit(X, y)
    other: Any = X.copy()
    if change == "date":
        other["age"] = pd.Timestamp("2020-01-01")
    elif change == "renamed":
        other = other.rename(columns={"age": "years"})
    else:
        other.loc[3, "age"] = np.inf
    with pytest.raises(error, match=re.escape(message)):
        model.predict(other)
    if change in ("date", "infinite"):
        with pytest.raises(error, match=re.escape(message)):
            RFMRegressor().fit(other, y)


def test_columns_may_have_any_name() -> None:
    names = ["keep", "encoded", "chunks", "sample", "header", "compute", "dtype"]
    X = pd.DataFrame(np.random.default_rng(0).standard_normal((60, len(names))), columns=names)
    y, weight = X["keep"].to_numpy(), np.arange(60) % 3.0
    model = RFMRegressor(norm=2, n_iter=1, random_state=0).fit(X, y, weight)
    expected = RFMRegressor(norm=2, n_iter=1, random_state=0).fit(X.to_numpy(), y, weight)
    np.testing.assert_allclose(model.predict(X), expected.predict(X.to_numpy()), rtol=1e-9)
