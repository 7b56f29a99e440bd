"""The spread of importances: against fresh data, and who is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fastrfm
from cases import plain_classifier, plain_regressor
from fastrfm.importance_spread import ImportanceSpread, importance_spread

FITTED: list[dict[str, Any]] = []


class Means(BaseEstimator):
    """Its importances are the columns' means, whose standard errors are known."""

    def __init__(
        self, random_state: Any = None, verbose: int = 1, callbacks: Any = (print,)
    ) -> None:
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Means:
        FITTED.append({"X": X, "y": y, "weight": sample_weight} | self.get_params())
        self.feature_importances_ = np.asarray(X, dtype=float).mean(axis=0)
        return self


class MeansClassifier(ClassifierMixin, Means):
    pass


class MeansRegressor(RegressorMixin, Means):
    pass


@pytest.fixture(autouse=True)
def _no_record() -> None:
    FITTED.clear()


@pytest.mark.parametrize("max_rows", [2_000, 100, 40])
def test_standard_errors_of_a_mean_are_the_known_ones(max_rows: int) -> None:
    """For a mean the factor m / (n - m) is exact, whatever m."""
    X = np.random.default_rng(0).normal(size=(301, 3)) * [1.0, 2.0, 5.0]
    spread = importance_spread(
        MeansRegressor(), X, X[:, 0], n_resamples=1_000, max_rows=max_rows, random_state=0
    )
    assert (spread.n_rows, spread.n_total) == (min(150, max_rows), 301)
    assert spread.samples.shape == (1_000, 3)
    known = X.std(axis=0, ddof=1) / np.sqrt(301)
    np.testing.assert_allclose(spread.standard_errors, known, rtol=0.08)  # 1 / sqrt(2000) = 0.022


def test_spread_is_that_over_fresh_data() -> None:
    """Against truth: fits to many data sets of the same size.

    What hardly matters (the last two features) settles faster than in proportion to 1 / sqrt(n), so
    that halves make more of it.
    """
    rng = np.random.default_rng(0)

    def data() -> tuple[Any, Any]:
        X = rng.normal(size=(200, 5)).astype(np.float32)
        return X, 2 * np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + 0.5 * rng.normal(size=200)

    model = plain_regressor(n_iter=2, alpha=1.0, random_state=0)
    truth = np.array([model.fit(*data()).feature_importances_ for _ in range(60)])
    errors = [
        importance_spread(model, *data(), n_resamples=20, random_state=i).standard_errors
        for i in range(5)
    ]
    ratio = np.mean(errors, axis=0) / truth.std(axis=0, ddof=1)
    assert ratio.min() > 1 / 1.5
    assert ratio[:3].max() < 1.5
    assert ratio.max() < 2.5


def test_rows_are_halves_without_repetition() -> None:
    X = np.arange(41.0)[:, None]
    importance_spread(MeansRegressor(), X, X[:, 0], n_resamples=5, random_state=0)
    drawn = [set(fit["X"][:, 0]) for fit in FITTED]
    assert [len(rows) for rows in drawn] == [20] * 5
    assert all(len(fit["X"]) == 20 for fit in FITTED)
    assert len(set(map(frozenset, drawn))) == 5
    assert all((fit["X"][:, 0] == fit["y"]).all() for fit in FITTED)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.integers(0, 99))
def test_classes_keep_their_shares(sizes: list[int], seed: int) -> None:
    FITTED.clear()
    y = np.repeat([f"class {i}" for i in range(len(sizes))], sizes)
    n = len(y)
    if n < 4 or max(sizes) == 1:
        return
    X = np.arange(float(n))[:, None]
    spread = importance_spread(MeansClassifier(), X, y, n_resamples=2, random_state=seed)
    for fit in FITTED:
        assert len(set(fit["X"][:, 0])) == len(fit["X"]) == spread.n_rows
        counts = [np.count_nonzero(fit["y"] == label) for label in np.unique(y)]
        for size, count in zip(sizes, counts, strict=True):
            assert count >= 1
            assert count == 1 or abs(count - size * (n // 2) / n) < 1
    assert n // 2 <= spread.n_rows < n


def test_weights_go_with_their_rows_and_weightless_rows_are_no_rows() -> None:
    X = np.arange(40.0)[:, None]
    weight = np.where(np.arange(40) < 30, 1.0 + np.arange(40), 0.0)
    spread = importance_spread(
        MeansRegressor(), X, X[:, 0], sample_weight=weight, n_resamples=3, random_state=0
    )
    assert (spread.n_rows, spread.n_total) == (15, 30)
    assert all((fit["weight"] == 1.0 + fit["X"][:, 0]).all() for fit in FITTED)
    pipeline = make_pipeline(StandardScaler(with_std=False, with_mean=False), MeansRegressor())
    FITTED.clear()
    importance_spread(pipeline, X, X[:, 0], sample_weight=weight, n_resamples=2, random_state=0)
    assert all((fit["weight"] == 1.0 + fit["X"][:, 0]).all() for fit in FITTED)


def test_clones_are_silent_and_seeded() -> None:
    X = np.arange(20.0)[:, None]
    importance_spread(MeansRegressor(), X, X[:, 0], n_resamples=2, random_state=0)
    assert all(fit["verbose"] == 0 and fit["callbacks"] is None for fit in FITTED)
    assert len({fit["random_state"] for fit in FITTED}) == 2
    FITTED.clear()
    importance_spread(MeansRegressor(random_state=7), X, X[:, 0], n_resamples=2)
    assert {fit["random_state"] for fit in FITTED} == {7}


def test_the_same_for_any_number_of_jobs_and_the_estimator_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=60), "b": rng.choice(["u", "v"], 60)})
    y = np.where(X["a"] > 0, "yes", "no")
    model = plain_classifier(n_iter=1)
    one = importance_spread(model, X, y, n_resamples=2, random_state=1)
    with parallel_config("threading"):  # processes would take seconds to start
        two = importance_spread(model, X, y, n_resamples=2, random_state=1, n_jobs=2)
    np.testing.assert_array_equal(one.samples, two.samples)
    np.testing.assert_allclose(one.samples.sum(axis=1), 1)
    assert not hasattr(model, "members_")
    assert model.random_state is None


def test_pipelines() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3))
    pipeline = make_pipeline(StandardScaler(), plain_regressor(n_iter=1))
    spread = importance_spread(pipeline, X, X[:, 0], n_resamples=2, random_state=0)
    assert spread.samples.shape == (2, 3)
    levels = np.arange(50)[:, None] // 3
    ragged = make_pipeline(OneHotEncoder(sparse_output=False), plain_regressor(n_iter=0))
    with pytest.raises(ValueError, match=r"the pipeline's steps made .* which cannot be compared"):
        importance_spread(ragged, levels, X[:, 0], n_resamples=4, random_state=0)


def test_captions() -> None:
    samples = np.zeros((3, 1))
    assert ImportanceSpread(samples, 20, 41).caption == (
        "spread: 3 refits to random halves of 41 rows"
    )
    assert ImportanceSpread(samples, 2_000, 9_000).caption == (
        "spread: 3 refits to random 2,000 of 9,000 rows"
    )


def test_unsuitable_input() -> None:
    X = np.arange(20.0)[:, None]
    model = fastrfm.RFMRegressor()
    for wrong in (1, 2.5, "many"):
        with pytest.raises(ValueError, match="n_resamples must be an integer of at least 2; got "):
            importance_spread(model, X, X[:, 0], n_resamples=wrong)
    with pytest.raises(ValueError, match="max_rows must be an integer of at least 2; got 1"):
        importance_spread(model, X, X[:, 0], max_rows=1)
    for wrong, got in ((StandardScaler(), "StandardScaler"), (MeansRegressor, "the class Means")):
        with pytest.raises(TypeError, match=f"expected an RFMRegressor or .*; got {got}"):
            importance_spread(wrong, X, X[:, 0])
    with pytest.raises(ValueError, match="the spread over halves needs at least 4 rows; got 3"):
        importance_spread(model, X[:3], X[:3, 0])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        importance_spread(model, X, X[:3, 0])
    with pytest.raises(ValueError, match="needs classes of several rows; 20 rows have none"):
        importance_spread(fastrfm.RFMClassifier(), X, X[:, 0])
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        importance_spread(model, X, X[:, 0], sample_weight=-X[:, 0])
