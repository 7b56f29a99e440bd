"""CG ends when rows that are given as validation data no longer gain; no other rows end it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases import Array, plain_classifier, plain_regressor
from fastrfm.kernels import Kernel
from fastrfm.ridge import early_stop, fit_ridge
from fastrfm.ridge.early_stop import CHECK_STEPS, HeldOutRows, no_longer_improves
from oracle import kernel_matrix

RNG = np.random.default_rng(0)
X = RNG.standard_normal((1_500, 5))
Y = np.stack([np.sin(2 * X[:, 0]) * X[:, 1], X[:, 2] * X[:, 3]], axis=1)
Y += 0.3 * RNG.standard_normal(Y.shape)
# Many steps: a small ridge, a smooth kernel.
PARAMETERS: dict[str, Any] = {
    "solver": "pcg",
    "alpha": 1e-5,
    "bandwidth": 4.0,
    "exponent": 1.5,
    "n_iter": 1,
    "tol": 1e-6,
    "random_state": 0,
}
FITTED, JUDGING, TEST = slice(0, 900), slice(900, 1_200), slice(1_200, None)


def _fit(**options: Any) -> Any:
    return plain_regressor(**(PARAMETERS | options)).fit(
        X[FITTED], Y[FITTED], X_val=X[JUDGING], y_val=Y[JUDGING]
    )


def _error(model: Any) -> float:
    return float(np.sqrt(np.mean((model.predict(X[TEST]) - Y[TEST]) ** 2)))


def test_given_rows_end_the_last_solve() -> None:
    model = _fit()
    assert [entry["stopped_early"] for entry in model.history_] == [False] * 2 + [True]
    assert model.history_[-1]["residual"] > 1e-6
    exact = _fit(early_stopping=False)
    assert not any(entry["stopped_early"] for entry in exact.history_)
    assert abs(_error(model) / _error(exact) - 1) < 0.005


def test_rows_that_are_fitted_in_the_end_do_not() -> None:
    model = plain_regressor(**PARAMETERS, validation_fraction=0.2).fit(X[FITTED], Y[FITTED])
    assert not any(entry["stopped_early"] for entry in model.history_)
    assert model.history_[-1]["residual"] <= 1e-6


def test_classes_are_judged_by_the_squared_error() -> None:
    labels = Y[:, 0] > 0
    model = plain_classifier(**PARAMETERS).fit(
        X[FITTED], labels[FITTED], X_val=X[JUDGING], y_val=labels[JUDGING]
    )
    assert model.history_[-1]["stopped_early"]


def test_the_error_is_that_of_the_rows(dtype: type) -> None:
    weight = RNG.uniform(0, 1, 300)
    rows = HeldOutRows.few(X[JUDGING].astype(dtype), Y[JUDGING], weight)
    coef: Array = RNG.standard_normal((900, 2)).astype(dtype)
    error = rows.error(X[FITTED].astype(dtype), coef, Kernel(2.0, 1.0, 3.0), None)
    K = kernel_matrix(X[JUDGING], X[FITTED], bandwidth=3.0)
    expected = np.average(np.mean((K @ coef - Y[JUDGING]) ** 2, axis=1), weights=weight)
    assert abs(error / expected - 1) < 1e-4


def test_few_rows_stand_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_stop, "MOST_ROWS", 100)
    numbers = np.arange(len(X))
    rows = HeldOutRows.few(X, Y, numbers.astype(np.float64))
    assert rows.sample_weight is not None
    taken = rows.sample_weight.astype(int)
    assert len(np.unique(taken)) == 100
    assert np.array_equal(rows.X, X[taken])
    assert np.array_equal(rows.Y, Y[taken])
    for period in (2, 3, 15):  # whatever the order of the rows, all kinds are there
        assert len(np.unique(taken % period)) == period
    assert np.array_equal(HeldOutRows.few(X, Y).X, rows.X)
    assert len(HeldOutRows.few(X[:100], Y[:100]).X) == 100


@pytest.mark.parametrize(
    ("errors", "ends"),
    [
        ([], False),
        ([1.0, 1.0, 1.0, 1.0], False),  # nothing before them
        ([1.0, 1.0, 1.0, 1.0, 1.0], True),
        ([1.0, 1.0, 1.0, 1.0, 0.99], False),
        ([1.0, 1.0, 1.0, 1.0, 0.999], True),
        ([2.0, 1.0, 1.5, 1.4, 1.2, 0.9], False),  # a swing
        ([2.0, 1.0, 1.5, 1.4, 1.2, 1.1], True),
    ],
)
def test_when_errors_no_longer_improve(errors: list[float], ends: bool) -> None:
    assert no_longer_improves(errors) is ends


def test_a_solve_says_so_and_does_not_warn() -> None:
    held_out = HeldOutRows.few(X[JUDGING], Y[JUDGING])
    arguments: dict[str, Any] = {"alpha": 1e-5, "solver": "pcg", "tol": 1e-6}
    kernel = Kernel(2.0, 1.5, 4.0)
    fit = fit_ridge(X[FITTED], Y[FITTED], kernel, None, held_out=held_out, **arguments)
    assert fit.stopped_early
    assert fit.info["iterations"] % CHECK_STEPS == 0
    assert fit.residual > 1e-5


def test_a_fit_that_goes_on_ends_at_the_same_step(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    from fastrfm.checkpoints.file_keeper import FileKeeper

    write = FileKeeper._write
    whole = _fit()
    path = tmp_path / "state"
    with pytest.MonkeyPatch.context() as patch:

        def kill_late(self: Any, unfinished: Any) -> None:
            write(self, unfinished)
            if unfinished is not None and unfinished.name.startswith("refit"):
                if len(unfinished.cg.errors) == 3:
                    raise Killed

        patch.setattr(FileKeeper, "_write", kill_late)
        with pytest.raises(Killed):
            plain_regressor(**PARAMETERS).fit(
                X[FITTED],
                Y[FITTED],
                X_val=X[JUDGING],
                y_val=Y[JUDGING],
                checkpoint=path,
                checkpoint_steps=1,
            )
    model = plain_regressor(**PARAMETERS).fit(
        X[FITTED], Y[FITTED], X_val=X[JUDGING], y_val=Y[JUDGING], resume_from=path
    )
    assert np.array_equal(model.dual_coef_, whole.dual_coef_)
    assert model.history_[-1]["residual"] == whole.history_[-1]["residual"]
