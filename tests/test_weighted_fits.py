"""Weights of rows and of classes in the estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from cases import plain_classifier
from fastrfm import RFMClassifier, RFMRegressor


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["classes", "balanced", "numbers"]))
def test_weights_are_repeated_rows(seed: int, task: str) -> None:
    """All that is chosen too: members, ridges, iterations, weights, probabilities."""
    rng = np.random.default_rng(seed)
    classifies = task != "numbers"
    X, y = (load_iris if classifies else load_diabetes)(return_X_y=True)
    rows = rng.choice(len(X), 60, replace=False)
    X, y = X[rows], y[rows]
    counts = rng.integers(0, 4, 60)
    estimator: Any = RFMClassifier if classifies else RFMRegressor
    options: dict[str, Any] = {"random_state": 0}
    if task == "balanced":
        options["class_weight"] = "balanced"
    by_weight = estimator(**options).fit(X, y, sample_weight=counts)
    order = rng.permutation(np.repeat(np.arange(60), counts))
    by_rows = estimator(**options).fit(X[order], y[order])
    predict = "predict_proba" if classifies else "predict"
    scale = np.abs(y).max()
    np.testing.assert_allclose(
        getattr(by_weight, predict)(X), getattr(by_rows, predict)(X), atol=1e-6 * scale
    )
    np.testing.assert_allclose(by_weight.member_weights_, by_rows.member_weights_, atol=1e-6)


def test_weights_of_one_change_nothing() -> None:
    X, y = load_diabetes(return_X_y=True)
    plain = RFMRegressor().fit(X[:100], y[:100])
    ones = RFMRegressor().fit(X[:100], y[:100], sample_weight=np.ones(100))
    np.testing.assert_array_equal(plain.predict(X), ones.predict(X))


def test_rows_without_weight_are_not_seen() -> None:
    frame, y = load_diabetes(return_X_y=True, as_frame=True)
    frame, y = frame[:120], y[:120].to_numpy()
    weight = np.ones(120)
    weight[100:] = 0
    spoilt = y.copy()
    spoilt[100:] = 1e9
    model = RFMRegressor().fit(frame, spoilt, sample_weight=weight)
    assert len(model.X_fit_) == 100
    expected = RFMRegressor().fit(frame[:100], y[:100]).predict(frame)
    np.testing.assert_array_equal(model.predict(frame), expected)


@pytest.mark.slow
def test_balanced_classes_find_the_rare_one() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 4)).astype(np.float32)
    y = (X[:, 0] + 0.8 * rng.standard_normal(600) > 1.8).astype(int)
    X_test = rng.standard_normal((2000, 4)).astype(np.float32)
    y_test = X_test[:, 0] + 0.8 * rng.standard_normal(2000) > 1.8
    recall = {}
    for class_weight in (None, "balanced", {0: 1.0, 1: 1.0}):
        model = RFMClassifier(class_weight=class_weight, random_state=0).fit(X, y)
        recall[str(class_weight)] = model.predict(X_test)[y_test].mean()
    assert recall["balanced"] > recall["None"] + 0.2
    assert recall["{0: 1.0, 1: 1.0}"] == recall["None"]
    balanced = RFMClassifier(class_weight="balanced", random_state=0).fit(X, y)
    far = balanced.predict_proba(np.full((1, 4), 1e30, np.float32))
    np.testing.assert_allclose(far, [[0.5, 0.5]], atol=1e-3)


def test_class_weights_multiply_sample_weights() -> None:
    """In the solve; leave-one-out leaves out a copy of a row, whatever its class weighs."""
    X, y = load_breast_cancer(return_X_y=True)
    X, y = X[:120].astype(np.float32), y[:120]
    weight = np.where(np.arange(120) % 3 == 0, 2.0, 1.0)
    by_class = plain_classifier(class_weight={0: 1.0, 1: 3.0}, n_iter=0)
    by_class.fit(X, y, sample_weight=weight)
    by_row = plain_classifier(n_iter=0)
    by_row.fit(X, y, sample_weight=weight * np.where(y == 1, 3.0, 1.0))
    np.testing.assert_array_equal(by_class.dual_coef_, by_row.dual_coef_)
    assert by_class.history_[0]["score"] > by_row.history_[0]["score"]


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(50), "Sample weights must contain at least one non-zero number"),
        (np.full(50, -1.0), "Negative values in data passed to `sample_weight`"),
        (np.full(50, np.nan), "Input sample_weight contains NaN"),
        (np.ones(49), r"sample_weight.shape == \(49,\), expected \(50,\)"),
    ],
)
def test_bad_weights(weight: Any, message: str) -> None:
    X, y = load_diabetes(return_X_y=True)
    model = RFMRegressor()
    with pytest.raises(ValueError, match=message):
        model.fit(X[:50], y[:50], sample_weight=weight)
    assert vars(model) == vars(RFMRegressor())


def test_frames_with_weights() -> None:
    frame = pd.DataFrame({"a": list("xyz") * 20, "b": np.arange(60.0)})
    y = frame["b"] + (frame["a"] == "x") * 10
    weight = np.tile([0.0, 1.0, 2.0], 20)
    model = RFMRegressor().fit(frame, y, sample_weight=weight)
    kept = frame["a"] != "x"
    assert model.score(frame[kept], y[kept]) > 0.95


def test_weights_that_sum_to_one_change_little() -> None:
    X, y = load_diabetes(return_X_y=True)
    plain = RFMRegressor().fit(X[:300], y[:300]).score(X[300:], y[300:])
    small = RFMRegressor().fit(X[:300], y[:300], sample_weight=np.full(300, 1 / 300))
    assert small.score(X[300:], y[300:]) == pytest.approx(plain, abs=0.01)


def test_class_weights_count_in_given_validation_data() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 3)).astype(np.float32)
    y = np.where(X[:, 0] + rng.standard_normal(500) > 1.9, "rare", "usual")
    model = RFMClassifier(class_weight="balanced", random_state=0)
    within = model.fit(X[:300], y[:300]).predict_proba(X)[:, 0].mean()
    given_rows = model.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    assert given_rows.predict_proba(X)[:, 0].mean() == pytest.approx(within, abs=0.1)
