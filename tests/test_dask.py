"""Fits of Dask arrays and frames on a cluster of processes: the results of a single process."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np
import pytest

import fastrfm

pytest.importorskip("distributed")
pytest.importorskip("dask.dataframe")

import dask.array as da
import dask.dataframe as dd
import pandas as pd
from distributed import Client

from dask_cases import (
    ALLOWED,
    LABELS,
    OPTIONS,
    QUIETLY,
    RNG,
    TEST,
    N,
    X,
    Y,
    client,
    close,
    small_blocks,
)

__all__ = ["client", "small_blocks"]  # fixtures

pytestmark = QUIETLY


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param(
            {"norm": 1, "diagonal": True, "center_gradients": True, "agop_samples": 500},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"bandwidth": "2*median", "diagonal": True, "early_stopping": False},
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
@pytest.mark.usefixtures("client")
def test_regression_as_in_one_process(options: dict[str, Any]) -> None:
    model = fastrfm.RFMRegressor(**OPTIONS | options).fit(X[:N], Y[:N])
    rows = da.from_array(X[:N], chunks=(450, 4))
    shared = fastrfm.RFMRegressor(**OPTIONS | options)
    shared.fit(rows, da.from_array(Y[:N], chunks=(600, 2)))
    assert shared.history_[-1]["solver"] == "pcg"
    close(shared.predict(X[N:]), model.predict(X[N:]))
    close(shared.metric_, model.metric_)
    close(shared.agop_, model.agop_)
    assert np.array_equal(shared.X_fit_, model.X_fit_)
    lazy = shared.predict(da.from_array(X[N:], chunks=(150, 3)))
    assert isinstance(lazy, da.Array)
    assert lazy.shape == (TEST, 2)
    close(np.asarray(lazy), model.predict(X[N:]))
    assert abs(shared.score(X[N:], Y[N:]) - model.score(X[N:], Y[N:])) < ALLOWED


@pytest.mark.slow
@pytest.mark.usefixtures("client")
def test_classification_with_weights() -> None:
    weight = RNG.uniform(0.2, 2.0, N)
    weight[::9] = 0
    options = OPTIONS | {"class_weight": "balanced", "norm": 2}
    model = fastrfm.RFMClassifier(**options).fit(X[:N], LABELS[:N], weight)
    shared = fastrfm.RFMClassifier(**options).fit(
        da.from_array(X[:N], chunks=(500, 6)), LABELS[:N], da.from_array(weight, chunks=400)
    )
    close(shared.decision_function(X[N:]), model.decision_function(X[N:]))
    rows = da.from_array(X[N:], chunks=(90, 6))
    assert (np.asarray(shared.predict(rows)) == model.predict(X[N:])).all()
    probabilities = shared.predict_proba(rows)
    assert probabilities.shape == (TEST, 3)
    close(np.asarray(probabilities), model.predict_proba(X[N:]))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(OPTIONS, marks=pytest.mark.slow, id="one machine"),
        pytest.param(
            {"n_iter": 1, "random_state": 0, "tol": 1e-8, "solver": "pcg"},
            marks=pytest.mark.slow,
            id="defaults",
        ),
    ],
)
@pytest.mark.usefixtures("client")
def test_a_frame_with_categories_and_missing_numbers(options: dict[str, Any]) -> None:
    frame = pd.DataFrame(X[:, :3], columns=["a", "b", "c"])
    frame.loc[::7, "b"] = np.nan
    frame["kind"] = pd.Categorical(np.where(X[:, 3] > 0, "x", np.where(X[:, 4] > 0, "y", "z")))
    y = Y[:, 0] + (frame["kind"] == "x")
    model = fastrfm.RFMRegressor(**options).fit(frame[:N], y[:N])
    rows = dd.from_pandas(frame[:N], npartitions=3)
    shared = fastrfm.RFMRegressor(**options).fit(rows, dd.from_pandas(y[:N], npartitions=3))
    assert list(shared.feature_names_in_) == list(frame.columns)
    close(shared.predict(frame[N:]), model.predict(frame[N:]))
    lazy = shared.predict(dd.from_pandas(frame[N:], npartitions=2))
    close(np.asarray(lazy), model.predict(frame[N:]))


@pytest.mark.slow
@pytest.mark.usefixtures("client")
def test_parts_that_differ_in_their_categories_and_empty_ones() -> None:
    parts = [
        pd.DataFrame({"a": X[:500, 0], "kind": pd.Categorical(np.arange(500) % 2 + 1)}),
        pd.DataFrame({"a": X[500:900, 0], "kind": pd.Categorical(np.arange(400) % 2 * 2 + 1)}),
        pd.DataFrame({"a": X[:0, 0], "kind": pd.Categorical([], categories=[1])}),
    ]
    here = pd.concat([part.astype({"kind": int}) for part in parts]).astype({"kind": "category"})
    rows = dd.from_map(lambda i: parts[i], range(3), meta=parts[0][:0], enforce_metadata=False)
    y = here["a"].to_numpy() + (here["kind"] == 2).to_numpy()
    model = fastrfm.RFMRegressor(**OPTIONS | {"tol": 1e-7}).fit(here, y)
    shared = fastrfm.RFMRegressor(**OPTIONS | {"tol": 1e-7}).fit(rows, y)
    assert shared.X_fit_.shape == model.X_fit_.shape == (900, 4)
    close(np.asarray(shared.predict(rows)), model.predict(here))
    assert abs(shared.score(rows, y) - model.score(here, y)) < ALLOWED


@pytest.mark.slow
@pytest.mark.usefixtures("client")
def test_held_out_rows_leave_the_others_on_the_workers() -> None:
    options = OPTIONS | {"validation_fraction": 0.2}
    model = fastrfm.RFMRegressor(**options).fit(X[:N], Y[:N])
    shared = fastrfm.RFMRegressor(**options).fit(da.from_array(X[:N], chunks=(450, 6)), Y[:N])
    assert shared.best_iter_ == model.best_iter_
    close(shared.predict(X[N:]), model.predict(X[N:]))


@pytest.mark.slow
@pytest.mark.usefixtures("client")
def test_small_integers_stay_small() -> None:
    raw = np.clip(np.rint(30 * X), -128, 127).astype(np.int8)
    options = OPTIONS | {"tol": 1e-4, "n_iter": 1}
    model = fastrfm.RFMRegressor(**options).fit(raw[:N], Y[:N])
    shared = fastrfm.RFMRegressor(**options).fit(da.from_array(raw[:N], chunks=(450, 6)), Y[:N])
    assert shared.X_fit_.dtype == np.int8
    difference = shared.predict(raw[N:]) - model.predict(raw[N:])
    assert np.abs(difference).max() < 1e-3 * Y.std()  # float32


def test_few_rows_are_fitted_here(client: Client) -> None:
    rows = da.from_array(X[:300], chunks=(100, 6))
    options = OPTIONS | {"solver": "auto"}
    shared = fastrfm.RFMRegressor(**options).fit(rows, Y[:300])
    model = fastrfm.RFMRegressor(**options).fit(X[:300], Y[:300])
    assert shared.history_[-1]["solver"] == "cholesky"
    assert np.array_equal(shared.predict(X[N:]), model.predict(X[N:]))
    assert client.status == "running"


@pytest.mark.slow
def test_leaves_are_tasks(client: Client) -> None:
    options = {"max_leaf_size": 500, "norm": 2, "n_iter": 1, "random_state": 0}
    tree = fastrfm.TreeRFMRegressor(**options).fit(X[:N], Y[:N, 0])
    before = client.cluster.scheduler.transition_counter
    with joblib.parallel_config(backend="dask", n_jobs=3):
        shared = fastrfm.TreeRFMRegressor(**options).fit(X[:N], Y[:N, 0])
    assert client.cluster.scheduler.transition_counter > before
    assert len(shared.trees_[0].leaves) == 4
    close(shared.predict(X[N:]), tree.predict(X[N:]))
    lazy = shared.predict(da.from_array(X[N:], chunks=(100, 6)))
    close(np.asarray(lazy), tree.predict(X[N:]))
    gathered = fastrfm.TreeRFMRegressor(**options)
    gathered.fit(da.from_array(X[:N], chunks=(700, 6)), Y[:N, 0])
    close(gathered.predict(X[N:]), tree.predict(X[N:]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["loky", "ray"])
def test_leaves_in_other_backends(name: str) -> None:
    if name == "ray":
        pytest.importorskip("ray")
        from ray.util.joblib import register_ray

        register_ray()
    options = {"max_leaf_size": 400, "norm": 2, "n_iter": 1, "random_state": 0}
    tree = fastrfm.TreeRFMRegressor(**options).fit(X[:700], Y[:700, 0])
    with joblib.parallel_config(backend=name, n_jobs=2):
        other = fastrfm.TreeRFMRegressor(**options).fit(X[:700], Y[:700, 0])
    close(other.predict(X[N:]), tree.predict(X[N:]))
