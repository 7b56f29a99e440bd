"""RFMRegressor and RFMClassifier: what they learn, and how they behave."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_wine
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.utils import shuffle

import fastrfm
from cases import plain_classifier, plain_regressor
from fastrfm.estimators import base

pytestmark = pytest.mark.core


def test_feature_learning_beats_the_same_kernel_without() -> None:
    """On the low-rank target of test_low_rank.py, at an eighth of its rows."""
    rng = np.random.default_rng(0)
    X = 0.5 * rng.standard_normal((1500, 20))
    y = X[:, 0] * X[:, 1] * (X[:, 5] > 0)
    train, test = slice(500), slice(500, None)
    learned = plain_regressor(standardize=False).fit(X[train], y[train])
    plain = plain_regressor(standardize=False, n_iter=0).fit(X[train], y[train])
    error, plain_error = (np.mean((m.predict(X[test]) - y[test]) ** 2) for m in (learned, plain))
    assert error < 0.7 * plain_error
    assert set(np.argsort(learned.feature_importances_)[-3:]) == {0, 1, 5}
    assert learned.best_iter_ > 0


@pytest.mark.parametrize("diagonal", [False, True])
def test_fitted_attributes_describe_the_predictor(diagonal: bool) -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = plain_regressor(diagonal=diagonal, n_iter=2, alpha=0.3).fit(X, y)
    Z = (X - X.mean()) / X.std(ddof=0)
    np.testing.assert_allclose(model.X_fit_, Z, atol=1e-9)
    np.testing.assert_array_equal(model.feature_names_in_, X.columns)
    kernel = {"metric": model.metric_, "bandwidth": model.bandwidth_}
    agop = fastrfm.agop(model.X_fit_, model.X_fit_, model.dual_coef_, diagonal=diagonal, **kernel)
    np.testing.assert_allclose(model.agop_, agop, rtol=1e-5, atol=1e-9)
    shares = agop if diagonal else np.diag(agop)
    np.testing.assert_allclose(model.feature_importances_, shares / shares.sum(), rtol=1e-5)
    f = fastrfm.kernel_matmul(model.X_fit_, model.X_fit_, model.dual_coef_, **kernel)
    np.testing.assert_allclose(model.predict(X), y.mean() + y.std(ddof=0) * f[:, 0], rtol=1e-6)
    assert (model.norm_, model.exponent_, model.bandwidth_, model.alpha_) == (2.0, 1.0, 10.0, 0.3)
    assert model.n_iter_ == 2
    assert model.metric_.shape == ((10,) if diagonal else (10, 10))


@pytest.mark.parametrize("diagonal", [False, True])
def test_without_updates_the_metric_is_the_identity(diagonal: bool) -> None:
    X, y = load_diabetes(return_X_y=True)
    model = plain_regressor(n_iter=0, diagonal=diagonal).fit(X, y)
    np.testing.assert_array_equal(model.metric_, np.ones(10) if diagonal else np.eye(10))
    assert (model.n_iter_, model.best_iter_, len(model.history_)) == (0, 0, 1)
    assert model.feature_importances_.sum() == pytest.approx(1.0)


def test_a_planted_feature_is_found() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 8)).astype(np.float32)
    regressor = plain_regressor().fit(X, np.sin(3 * X[:, 4]))
    classifier = plain_classifier().fit(X, np.abs(X[:, 6]) > 0.7)
    assert regressor.feature_importances_[4] > 0.9
    assert classifier.feature_importances_[6] > 0.8


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint8", "int64", "bool"])
def test_dtypes(dtype: str) -> None:
    X, y = load_digits(return_X_y=True)
    X = (X[:200] > 7 if dtype == "bool" else X[:200]).astype(dtype)
    model = plain_classifier(n_iter=1, alpha=0.1).fit(X, y[:200])
    expected = np.float64 if dtype == "float64" else np.float32
    assert model.dual_coef_.dtype == expected
    assert model.X_fit_.dtype == (dtype if dtype in ("int8", "uint8") else expected)
    other = plain_classifier(n_iter=1, alpha=0.1).fit(X.astype(np.float64), y[:200])
    np.testing.assert_allclose(model.decision_function(X), other.decision_function(X), atol=2e-4)


def test_large_integers_keep_their_differences() -> None:
    """Seconds since 1970 are further apart in float32 than an hour of them."""
    seconds = 1_700_000_000 + np.arange(0, 3600, 30)
    y = np.sin(seconds / 300.0)
    model = plain_regressor(bandwidth=1.0).fit(seconds[::2, None], y[::2])
    assert model.score(seconds[1::2, None], y[1::2]) > 0.99


def test_constant_columns_and_constant_targets() -> None:
    X, y = load_diabetes(return_X_y=True)
    X = np.hstack([X[:100], np.full((100, 1), 7.0)])
    model = plain_regressor(alpha=0.1).fit(X, y[:100])
    assert model.feature_importances_[-1] == 0.0
    constant = plain_regressor().fit(X, np.full(100, 3.0))
    np.testing.assert_array_equal(constant.predict(X), np.full(100, 3.0))
    np.testing.assert_array_equal(constant.feature_importances_, np.zeros(11))
    assert constant.n_iter_ == 0


def test_each_output_is_standardised_on_its_own() -> None:
    X, y = load_diabetes(return_X_y=True)
    Y = np.stack([y, 1e6 * X[:, 0], np.full(len(y), 5.0)], axis=1)
    model = plain_regressor(n_iter=1, alpha=0.1).fit(X, Y)
    predicted = model.predict(X)
    assert predicted.shape == Y.shape
    np.testing.assert_array_equal(predicted[:, 2], 5.0)
    scaled = plain_regressor(n_iter=1, alpha=0.1).fit(X, Y * [1.0, 1e-6, 1.0] + [0.0, 3.0, 0.0])
    np.testing.assert_allclose(scaled.predict(X)[:, 0], predicted[:, 0], rtol=1e-6)
    np.testing.assert_allclose(scaled.predict(X)[:, 1], predicted[:, 1] * 1e-6 + 3.0, rtol=1e-6)
    column = plain_regressor(n_iter=1).fit(X, y[:, None])
    assert column.predict(X).shape == (len(y), 1)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_scores_and_string_labels_agree(n_classes: int) -> None:
    X, codes = load_wine(return_X_y=True)
    keep = codes < n_classes
    X, y = X[keep], np.array(["red", "amber", "blue"])[codes[keep]]
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    model = plain_classifier(n_iter=2).fit(X_train, y_train)
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    assert model.dual_coef_.shape == (len(y_train), 1 if n_classes == 2 else 3)
    assert model.score(X_test, y_test) > 0.9
    probabilities = model.predict_proba(X_test)
    assert probabilities.shape == (len(X_test), n_classes)
    assert probabilities.min() > 0.0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-12)
    predicted = model.predict(X_test)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], predicted)
    scores = model.decision_function(X_test)
    if n_classes == 2:
        np.testing.assert_array_equal(model.classes_[(scores > 0).astype(int)], predicted)
    else:
        np.testing.assert_array_equal(model.classes_[scores.argmax(axis=1)], predicted)
    assert log_loss(y_test, probabilities) < 0.35


@pytest.mark.parametrize("n_classes", [2, 3])
def test_far_from_the_data_the_prior_returns(n_classes: int) -> None:
    X, y = load_iris(return_X_y=True)
    keep = np.flatnonzero(y < n_classes)[20:]
    model = plain_classifier(bandwidth=1.0, n_iter=1).fit(X[keep], y[keep])
    prior = np.bincount(y[keep]) / len(keep)
    np.testing.assert_allclose(model.predict_proba(np.full((1, 4), 1e6))[0], prior, atol=1e-6)


def test_prediction_in_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = load_diabetes(return_X_y=True)
    model = plain_regressor(n_iter=1, alpha=0.1).fit(X, y)
    whole = model.predict(X)
    monkeypatch.setattr(base, "PREDICT_ROWS", 37)
    np.testing.assert_allclose(model.predict(X), whole, rtol=1e-12)


def test_default_is_good_on_digits() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = shuffle(X.astype(np.float32), y, n_samples=800, random_state=0)
    assert cross_val_score(plain_classifier(n_iter=2), X, y, cv=3).mean() > 0.95


def test_refitting_forgets_the_first_fit() -> None:
    frame, y = load_diabetes(return_X_y=True, as_frame=True)
    model = plain_regressor(n_iter=1, alpha=0.1).fit(frame, y)
    X = frame.to_numpy()[:, :4]
    model.fit(X, y)
    assert not hasattr(model, "feature_names_in_")
    fresh = plain_regressor(n_iter=1, alpha=0.1).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), fresh.predict(X))


def test_callbacks_see_each_iteration() -> None:
    X, y = load_iris(return_X_y=True)
    first: list[dict[str, Any]] = []
    second: list[int] = []
    callbacks = (first.append, lambda entry: second.append(entry["iteration"]))
    model = plain_classifier(n_iter=3, early_stopping=False, callbacks=callbacks).fit(X, y)
    assert first == model.history_
    assert second == [0, 1, 2, 3]


@pytest.mark.parametrize("fitted_before", [False, True])
def test_an_interrupted_fit_changes_nothing(fitted_before: bool) -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)

    def interrupt(entry: dict[str, Any]) -> None:
        if entry["iteration"] == 1:
            raise KeyboardInterrupt

    model = plain_classifier()
    if fitted_before:
        model.fit(X, y)
    model.set_params(callbacks=[interrupt])
    before = dict(vars(model))
    other = pd.DataFrame({"a": [0.0, 1.0, 0.2, 0.9] * 5, "b": range(20)})
    with pytest.raises(KeyboardInterrupt):
        model.fit(other, ["no", "yes"] * 10)
    assert vars(model) == before
    assert hasattr(model, "classes_") == fitted_before
    if fitted_before:
        assert model.score(X, y) > 0.9


def test_verbose_shows_a_bar_and_logs(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    X, y = load_iris(return_X_y=True)
    with caplog.at_level(logging.INFO, logger="fastrfm"):
        plain_classifier(n_iter=1, verbose=1).fit(X, y)
        assert not caplog.records
        shown = capsys.readouterr()
        assert "fastrfm: " in shown.err
        assert "100%" in shown.err
        assert "residual" in shown.err
        assert shown.out == ""
        plain_classifier(n_iter=1, verbose=2).fit(X, y)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in lines] == [
        f"norm 2, exponent 1, 150 rows, iteration {i}" for i in (0, 1)
    ]
    assert "solve" in lines[1]
    caplog.clear()
    capsys.readouterr()
    plain_classifier(n_iter=1).fit(X, y)
    assert not caplog.records
    assert capsys.readouterr() == ("", "")
