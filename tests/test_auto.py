"""The estimators untouched: members, their choice on all rows or on a part, validation, limits."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

import fastrfm
from cases import Array
from fastrfm import RFMClassifier, RFMRegressor, ensemble
from fastrfm.members import AUTO_ALPHAS, AUTO_KINDS, AUTO_N_ITER
from fastrfm.problem import Ensemble


def friedman(n: int, seed: int = 0, dtype: type = np.float32) -> tuple[Array, Array]:
    """Return Friedman's first problem with five features that do not matter."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, 10)).astype(dtype)
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2
    return X, y + 10 * X[:, 3] + 5 * X[:, 4] + rng.standard_normal(n)


def test_a_fit_is_the_weighted_sum_of_its_members() -> None:
    X, y = friedman(200, dtype=np.float64)
    model = RFMRegressor().fit(X, y)
    total = np.zeros(50)
    X_new, _ = friedman(50, seed=1, dtype=np.float64)
    for member, weight in zip(model.members_, model.member_weights_, strict=True):
        Z = model._encoders[member.columns_].transform(X_new)
        total += weight * fastrfm.kernel_matmul(
            Z, member.X_fit_, member.dual_coef_,
            metric=member.metric_, bandwidth=member.bandwidth_,
            exponent=member.exponent_, norm=member.norm_,
        )[:, 0]  # fmt: skip
    np.testing.assert_allclose(model.predict(X_new), y.mean() + y.std() * total, rtol=1e-5)
    assert (model.member_weights_ > 0).all()
    first = model.members_[model.member_weights_.argmax()]
    for name in ("metric_", "dual_coef_", "X_fit_", "bandwidth_", "alpha_", "norm_", "history_"):
        assert getattr(model, name) is getattr(first, name)
    assert model.feature_importances_.sum() == pytest.approx(1.0)
    assert model.feature_importances_[:5].sum() > 0.9


def test_each_member_keeps_its_best_iteration_and_ridge() -> None:
    X, y = friedman(150)
    model = RFMRegressor(early_stopping=False).fit(X, y)
    seen = set()
    for member in model.members_:
        scores = [entry["score"] for entry in member.history_]
        assert len(scores) == AUTO_N_ITER + 1
        assert member.best_iter_ == np.argmin(scores)
        best = member.history_[member.best_iter_]
        # The largest ridge that is nearly the best.
        nearly = [a for a, s in best["alphas"].items() if s <= 1.002 * min(best["alphas"].values())]
        assert member.alpha_ == max(nearly)
        assert best["alphas"][best["alpha"]] == min(scores)
        assert member.alpha_ == best["alpha"]
        assert set(member.history_[0]["alphas"]) <= set(AUTO_ALPHAS)
        assert set(member.history_[0]["alphas"]) == set(AUTO_ALPHAS)
        for entry in member.history_[1 : AUTO_N_ITER + 1]:
            # No better ridge lies beside those tried.
            a = entry["alpha"]
            beside = AUTO_ALPHAS[max(0, AUTO_ALPHAS.index(a) - 1) : AUTO_ALPHAS.index(a) + 2]
            assert set(beside) <= set(entry["alphas"])
        seen.add((member.norm_, member.exponent_, member.columns_))
    assert seen <= {(kind.norm, kind.exponent, kind.columns) for kind in AUTO_KINDS}


def test_untouched_beats_the_papers_parameters() -> None:
    X, y = friedman(400)
    X_test, y_test = friedman(1000, seed=1)
    untouched = RFMRegressor().fit(X, y).score(X_test, y_test)
    papers = RFMRegressor(
        norm=2, exponent=1, bandwidth=10, alpha=1e-3, diagonal=False, agop_power=0.5, n_iter=5
    )
    assert untouched > papers.fit(X, y).score(X_test, y_test) + 0.01


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine, load_iris])
def test_probabilities_are_calibrated(load: Any) -> None:
    X, y = load(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X.astype(np.float32), y, stratify=y, random_state=0
    )
    model = RFMClassifier(random_state=0).fit(X_train, y_train)
    p = model.predict_proba(X_test)
    assert log_loss(y_test, p) < 0.15
    np.testing.assert_array_equal(model.classes_[p.argmax(axis=1)], model.predict(X_test))


def test_noise_predicts_the_mean() -> None:
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((300, 5)).astype(np.float32), rng.standard_normal(300)
    model = RFMRegressor().fit(X, y)
    assert np.std(model.predict(X + 1.0)) < 0.25
    assert abs(model.score(*(rng.standard_normal((300, 5)), rng.standard_normal(300)))) < 0.1


def test_many_rows_are_searched_on_a_part_and_fitted_on_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ensemble, "SEARCH_ROWS", 150)
    X, y = friedman(600)
    model = RFMRegressor(random_state=0, early_stopping=False).fit(X, y)
    for member in model.members_:
        assert member.dual_coef_.shape == (600, 1)
        searched = [entry for entry in member.history_ if entry["rows"] == 150]
        fitted = [entry for entry in member.history_ if entry["rows"] == 600]
        assert len(searched) == AUTO_N_ITER + 1
        assert member.best_iter_ == np.argmin([entry["score"] for entry in searched])
        assert len(fitted) == member.best_iter_ + 1
        # Once, with what was found.
        assert {tuple(entry["alphas"]) for entry in fitted} == {(member.alpha_,)}
    X_test, y_test = friedman(1000, seed=1)
    part = RFMRegressor(random_state=0).fit(X[:150], y[:150])
    assert model.score(X_test, y_test) > part.score(X_test, y_test)
    again = clone(model).fit(X, y)
    np.testing.assert_array_equal(again.predict(X_test), model.predict(X_test))


@pytest.mark.parametrize("others", [50, 450])
def test_rows_beyond_the_search_judge_it_where_they_are_enough(
    monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    monkeypatch.setattr(ensemble, "SEARCH_ROWS", 150)
    monkeypatch.setattr(ensemble, "FEWEST_JUDGING_ROWS", 400)
    judged = []
    fit = ensemble.fit_ensemble

    def spy(*arguments: Any, **options: Any) -> Ensemble:
        judged.append(fit(*arguments, **options))
        return judged[-1]

    monkeypatch.setattr("fastrfm.estimators.base.fit_ensemble", spy)
    X, y = friedman(150 + others)
    RFMRegressor(random_state=0).fit(X, y)
    assert judged[0].by_leave_one_out == (others < 400)
    assert len(judged[0].predictions) == (150 if others < 400 else others)


@pytest.mark.parametrize("solver", ["pcg", "cholesky"])
def test_the_solver_is_the_one_asked_for(solver: str) -> None:
    X, y = friedman(150, dtype=np.float64)
    model = RFMRegressor(solver=solver, tol=1e-8).fit(X, y)
    other = RFMRegressor(solver="auto", tol=1e-8).fit(X, y)
    np.testing.assert_allclose(model.predict(X), other.predict(X), rtol=1e-4)


def test_given_validation_data_choose_and_weight() -> None:
    X, y = friedman(150)
    X_val, y_val = friedman(200, seed=1)
    model = RFMRegressor(early_stopping=False).fit(X, y, X_val=X_val, y_val=y_val)
    assert all(member.dual_coef_.shape == (150, 1) for member in model.members_)
    Y_val = (y_val - y.mean()) / y.std()
    for member in model.members_:
        Z = model._encoders[member.columns_].transform(X_val)
        error = np.mean((member.decide(Z)[:, 0] - Y_val) ** 2)
        assert min(entry["score"] for entry in member.history_) == pytest.approx(error, rel=1e-3)
    # No other weights do better on the validation rows.
    mine = np.mean((model.predict(X_val) - y_val) ** 2)
    for i in range(len(model.members_)):
        for factor in (0.9, 1.1):
            other = clone(model).fit(X, y, X_val=X_val, y_val=y_val)
            other.member_weights_ = model.member_weights_.copy()
            other.member_weights_[i] *= factor
            assert np.mean((other.predict(X_val) - y_val) ** 2) > mine * (1 - 1e-6)


def test_a_validation_fraction_chooses_and_all_rows_are_fitted() -> None:
    X, y = friedman(200)
    model = RFMRegressor(validation_fraction=0.3, random_state=0).fit(X, y)
    for member in model.members_:
        assert member.dual_coef_.shape == (200, 1)
        assert {entry["rows"] for entry in member.history_[:-1]} == {140}
        assert member.history_[-1]["rows"] == 200


def test_a_given_parameter_holds_for_all_members() -> None:
    X, y = friedman(100)
    model = RFMRegressor(alpha=0.25, n_iter=1).fit(X, y)
    assert {member.alpha_ for member in model.members_} == {0.25}
    assert max(member.n_iter_ for member in model.members_) <= 1
    plain = RFMRegressor(norm=1.0).fit(X, y)
    assert len(plain.members_) == 1
    assert (plain.norm_, plain.metric_.ndim) == (1.0, 1)
    assert len(plain.history_[0]["alphas"]) > 1


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_very_few_rows(n: int) -> None:
    X, y = friedman(n)
    assert np.isfinite(RFMRegressor().fit(X, y).predict(X)).all()
    if n > 1:
        model = RFMClassifier().fit(X, np.arange(n) % 2)
        np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)


def test_a_callback_that_returns_true_ends_the_fit() -> None:
    X, y = friedman(100)
    seen: list[dict[str, Any]] = []

    def stop(entry: dict[str, Any]) -> bool:
        seen.append(entry)
        return len(seen) == 2

    model = RFMRegressor(callbacks=[stop]).fit(X, y)
    assert len(seen) == 2
    assert len(model.members_) == 1
    assert model.history_ == seen
    assert np.isfinite(model.predict(X)).all()


def test_a_time_limit_ends_the_fit_before_the_step_that_would_exceed_it() -> None:
    X, y = friedman(800)
    entries: list[dict[str, Any]] = []

    def slow(entry: dict[str, Any]) -> None:
        entries.append(entry)
        time.sleep(0.3)

    started = time.perf_counter()
    model = RFMRegressor(callbacks=[slow], time_limit=1e-6).fit(X, y)
    assert len(entries) == 1  # the first fit is made in any case
    assert model.history_ == entries
    one = time.perf_counter() - started
    entries.clear()
    started = time.perf_counter()
    RFMRegressor(callbacks=[slow], time_limit=3 * one).fit(X, y)
    assert time.perf_counter() - started < 4.5 * one
    assert 1 <= len(entries) < 16


def test_when_time_is_short_the_rows_of_the_search_must_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ensemble, "SEARCH_ROWS", 100)
    X, y = friedman(2000)
    model = RFMRegressor(time_limit=1e-6, random_state=0).fit(X, y)
    assert model.dual_coef_.shape == (100, 1)
    assert model.score(X, y) > 0.5


def test_probabilities_of_a_fit_that_ends_before_it_calibrates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y = load_iris(return_X_y=True)
    seen: list[dict[str, Any]] = []
    whole = RFMClassifier(random_state=0, callbacks=[seen.append]).fit(X, y)
    # Callbacks see the history, not what calibrates.
    assert len(seen) >= sum(len(member.history_) for member in whole.members_)
    assert {entry["rows"] for entry in seen} == {150}
    # No time for the folds.
    monkeypatch.setattr("fastrfm.out_of_fold.Work", lambda flops: ensemble.Work((1e30,)))
    model = RFMClassifier(random_state=0, time_limit=60).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), whole.predict(X))
    p = model.predict_proba(X)
    assert not np.array_equal(p, whole.predict_proba(X))
    np.testing.assert_array_equal(p.argmax(axis=1), model.predict(X))
    assert log_loss(y, p) < 0.3


@pytest.mark.parametrize("options", [{}, {"norm": 2.0}, {"norm": 2.0, "alpha": 0.03}])
@pytest.mark.parametrize("rows", [300, 150])
def test_noisy_labels_make_cautious_probabilities(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], rows: int
) -> None:
    """The metric knows the labels of the rows; calibration must not be taken in by that."""
    monkeypatch.setattr("fastrfm.estimators.classifier.OUT_OF_FOLD_ROWS", rows)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1300, 25)).astype(np.float32)
    y = np.where(rng.uniform(size=1300) < 0.25, rng.integers(0, 2, 1300), X[:, 0] > 0)
    model = RFMClassifier(random_state=0, **options).fit(X[:300], y[:300])
    assert log_loss(y[300:], model.predict_proba(X[300:])) < 0.62


@pytest.mark.parametrize("distance", [1e3, 1e5, 1e30])
def test_far_from_the_data_the_priors_return(distance: float) -> None:
    X, y = load_wine(return_X_y=True)
    model = RFMClassifier(random_state=0).fit(X, y)
    far = model.predict_proba(X[:1] + distance * X.std(axis=0))[0]
    np.testing.assert_allclose(far, np.bincount(y) / len(y), atol=0.03)
    regressor = RFMRegressor(random_state=0).fit(X, y)
    assert regressor.predict(X[:1] + distance * X.std(axis=0)) == pytest.approx(y.mean(), abs=0.02)


def test_a_full_fit_that_is_ended_on_the_way_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensemble, "SEARCH_ROWS", 150)
    X, y = friedman(600)

    def stop(entry: dict[str, Any]) -> Any:
        return np.bool_(entry["rows"] == 600)

    model = RFMRegressor(callbacks=[stop], random_state=0).fit(X, y)
    for member in model.members_:
        if member.best_iter_ > 0:
            assert len(member.X_fit_) == 150
            assert not np.array_equal(member.metric_, np.eye(10))
    assert model.score(X, y) > 0.8


def test_a_search_does_not_warn_of_ridges_that_it_tries() -> None:
    rng = np.random.default_rng(0)
    X = np.repeat(rng.standard_normal((200, 6)), 2, axis=0).astype(np.float32)
    y = rng.uniform(size=400) < 0.5
    RFMClassifier(random_state=0).fit(X, y)  # a warning is an error here


def test_targets_too_large_for_their_variance_are_refused() -> None:
    X, y = friedman(30, dtype=np.float64)
    with pytest.raises(ValueError, match="y is too large: the variance"):
        RFMRegressor().fit(X, y * 1e200)


def test_the_memory_limit_counts_all_tables() -> None:
    X = np.random.default_rng(0).standard_normal((3000, 100)).astype(np.float32)
    one = X.nbytes
    with pytest.raises(MemoryError, match="the encoded rows need"):
        RFMRegressor(memory_limit=2 * one - 1).fit(X, X[:, 0])
