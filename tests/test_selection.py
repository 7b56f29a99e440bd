"""The choice of the iteration: leave-one-out, given validation data, a held-out fraction."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

import fastrfm
from cases import plain_regressor
from fastrfm.losses import ClassificationError
from fastrfm.selection import hold_out

pytestmark = pytest.mark.core


def test_selection_equals_leaving_out_each_row() -> None:
    """The scores are what refitting without each of 30 rows gives, and the smallest is kept."""
    X, y = load_diabetes(return_X_y=True)
    X, y = StandardScaler().fit_transform(X[:30]), y[:30]
    Y = ((y - y.mean()) / y.std())[:, None]
    metric, scores = None, []
    for _ in range(4):
        options = {"metric": metric, "bandwidth": 10.0}
        residuals = []
        for i in range(30):
            rest = np.delete(np.arange(30), i)
            coef = fastrfm.solve_ridge(X[rest], Y[rest], alpha=0.5, **options)
            predicted = fastrfm.kernel_matmul(X[i : i + 1], X[rest], coef, **options)
            residuals.append(Y[i, 0] - predicted[0, 0])
        scores.append(np.mean(np.square(residuals)))
        coef = fastrfm.solve_ridge(X, Y, alpha=0.5, **options)
        metric = fastrfm.agop(X, X, coef, **options)
        metric /= metric.max()
    model = plain_regressor(alpha=0.5, standardize=False, n_iter=3, early_stopping=False).fit(X, y)
    np.testing.assert_allclose([entry["score"] for entry in model.history_], scores, rtol=1e-5)
    assert model.best_iter_ == np.argmin(scores)


def test_given_validation_data_choose_and_all_rows_are_fitted() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = plain_regressor(alpha=0.1, early_stopping=False)
    model.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    assert len(model.X_fit_) == 300
    scores = [entry["score"] for entry in model.history_]
    assert model.best_iter_ == np.argmin(scores)
    error = np.mean((model.predict(X[300:]) - y[300:]) ** 2)
    np.testing.assert_allclose(min(scores) * np.var(y[:300]), error, rtol=1e-6)


def test_a_validation_fraction_chooses_and_all_rows_are_refitted() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = plain_regressor(alpha=0.1, validation_fraction=0.25, random_state=3).fit(X, y)
    assert model.X_fit_.shape == X.shape
    Y = ((y - y.mean()) / y.std())[:, None]
    coef = fastrfm.solve_ridge(model.X_fit_, Y, alpha=0.1, metric=model.metric_)
    np.testing.assert_allclose(model.dual_coef_, coef, rtol=1e-5, atol=1e-6)
    again = clone(model).fit(X, y)
    assert again.history_[-2]["score"] == model.history_[-2]["score"]
    other = clone(model).set_params(random_state=4).fit(X, y)
    assert other.history_[-2]["score"] != model.history_[-2]["score"]


def test_many_rows_are_scored_on_a_fixed_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred of 442 rows, the same in each iteration, and near the score of all."""
    X, y = load_diabetes(return_X_y=True)
    model = plain_regressor(alpha=1.0, random_state=0, early_stopping=False)
    full = [entry["score"] for entry in model.fit(X, y).history_]
    monkeypatch.setattr("fastrfm.selection.LEAVE_ONE_OUT_ROWS", 200)
    part = [entry["score"] for entry in model.fit(X, y).history_]
    assert part != full
    np.testing.assert_allclose(part, full, rtol=0.2)
    # the same rows: the differences between iterations are far smaller than between samples
    np.testing.assert_allclose(np.diff(part), np.diff(full), atol=0.02)


def test_hold_out_keeps_the_classes_shares() -> None:
    labels = np.repeat([0, 1], [80, 20])
    train, held_out = hold_out(100, 0.25, labels, np.random.RandomState(0))
    assert np.bincount(labels[held_out]).tolist() == [20, 5]
    np.testing.assert_array_equal(np.sort(np.r_[train, held_out]), np.arange(100))
    labels[0] = 7  # a class of one row cannot be split
    assert len(hold_out(100, 0.25, labels, np.random.RandomState(0))[1]) == 25


def test_classification_error_breaks_ties_by_squared_error() -> None:
    loss = ClassificationError(np.array([0.5]))
    Y = np.array([[0.5], [-0.5], [0.5]])
    near, far = np.array([[0.4], [-0.4], [-0.1]]), np.array([[0.1], [-0.1], [-0.4]])
    two_wrong = np.array([[0.5], [0.01], [-0.01]])
    assert loss.error(Y, near) < loss.error(Y, far) < loss.error(Y, two_wrong)
    assert loss.error(Y, near) == pytest.approx(1 / 3, abs=1e-3)
    assert not loss.is_hopeless(0.02, 0.01)
    assert loss.is_hopeless(0.2, 0.1)


@pytest.mark.slow
def test_low_rank_experiment() -> None:
    """test_low_rank.py's experiment and thresholds, through the estimator."""
    errors = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = (0.5 * rng.standard_normal((8000, 20))).astype(np.float32)
        y = X[:, 0] * X[:, 1] * (X[:, 5] > 0)
        model = plain_regressor(standardize=False, tol=1e-3, early_stopping=False)
        model.fit(X[:4000], y[:4000], X_val=X[4000:], y_val=y[4000:])
        errors.append([entry["score"] * np.var(y[:4000]) for entry in model.history_])
        predicted = model.predict(X[4000:])
        np.testing.assert_allclose(np.mean((predicted - y[4000:]) ** 2), min(errors[-1]), rtol=1e-3)
    mean = np.mean(errors, axis=0)
    assert mean[3] < 0.0030
    assert mean[5] < 0.0024
