"""Ridge regression of weighted rows: against the oracle, repeated rows, and refits."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrfm
import oracle
from cases import Array
from fastrfm.kernels import Kernel
from fastrfm.ridge import cholesky, fit_ridge, make_plan

pytestmark = pytest.mark.core

BANDWIDTH = 3.0


def sample(dtype: Any = np.float64, n: int = 60, c: int = 2) -> tuple[Array, Array]:
    """Return rows and targets with noise."""
    rng = np.random.default_rng(n)
    X = rng.standard_normal((n, 4))
    Y = np.sin(X @ rng.standard_normal((4, c))) + 0.2 * rng.standard_normal((n, c))
    return X.astype(dtype), Y.astype(dtype)


def spread_weights(n: int, decades: float = 3.0, seed: int = 0) -> Array:
    """Return weights around 1."""
    return np.asarray(10 ** np.random.default_rng(seed).uniform(-decades / 2, decades / 2, n))


def fit(X: Array, Y: Array, **options: Any) -> Any:
    return fit_ridge(X, Y, Kernel(bandwidth=BANDWIDTH), None, **options)


@pytest.mark.parametrize("way", ["cholesky", "stored", "matrix_free"])
def test_solution_is_the_direct_one(dtype: type, way: str) -> None:
    X, Y = sample(dtype, n=300)
    weights = spread_weights(300)
    solver = "cholesky" if way == "cholesky" else "pcg"
    limit = None
    if way == "matrix_free":
        limit = make_plan(300, 4, 2, dtype, "pcg", None).bytes
        limit -= 300 * 301 // 2 * np.dtype(dtype).itemsize
    tol = 1e-5 if dtype == np.float32 else 1e-11
    coef, info = fastrfm.solve_ridge(
        X, Y, alpha=0.05, bandwidth=BANDWIDTH, solver=solver, tol=tol, memory_limit=limit,
        sample_weight=weights, return_info=True,
    )  # fmt: skip
    assert coef.dtype == np.dtype(dtype)
    assert info.get("stored", True) == (way != "matrix_free")
    expected = oracle.solve_ridge(X, Y, alpha=0.05, bandwidth=BANDWIDTH, sample_weight=weights)
    K = oracle.kernel_matrix(X, bandwidth=BANDWIDTH)
    wide = coef.astype(np.float64)
    truth = np.linalg.norm(K @ wide + 0.05 / weights[:, None] * wide - Y, axis=0)
    truth /= np.linalg.norm(Y, axis=0)
    assert (truth <= (2 * tol + (1e-5 if dtype == np.float32 else 0))).all()
    assert abs(info["residual"] - np.max(truth)) <= (3e-5 if dtype == np.float32 else 1e-11)
    allowed = 1e-4 if dtype == np.float32 else 1e-9
    assert np.abs(K @ (coef - expected)).max() <= allowed


@pytest.mark.parametrize("solver", ["cholesky", "pcg"])
def test_whole_weights_are_repeated_rows(solver: str) -> None:
    X, Y = sample(n=40)
    counts = np.random.default_rng(0).integers(1, 6, 40)
    options: dict[str, Any] = {"alpha": 0.3, "solver": solver, "tol": 1e-12}
    weighted = fit(X, Y, sample_weight=counts.astype(np.float64), **options)
    repeated = fit(np.repeat(X, counts, axis=0), np.repeat(Y, counts, axis=0), **options)
    sums = np.add.reduceat(repeated.coef, np.cumsum(counts) - counts, axis=0)
    np.testing.assert_allclose(weighted.coef, sums, rtol=0, atol=1e-9)


@pytest.mark.parametrize("solver", ["cholesky", "pcg"])
def test_weights_of_one_change_nothing(dtype: type, solver: str) -> None:
    X, Y = sample(dtype)
    plain, weighted = (
        fit(X, Y, alpha=0.1, solver=solver, tol=1e-6, sample_weight=weights)
        for weights in (None, np.ones(len(X)))
    )
    if solver == "cholesky":
        np.testing.assert_array_equal(weighted.coef, plain.coef)
        np.testing.assert_array_equal(weighted.leave_one_out(), plain.leave_one_out())
    else:  # other landmarks
        np.testing.assert_allclose(weighted.coef, plain.coef, atol=1e-4)


@pytest.mark.parametrize("solver", ["cholesky", "pcg"])
@pytest.mark.parametrize("factor", [1e-30, 1e25])
def test_alpha_counts_in_units_of_the_weights(dtype: type, solver: str, factor: float) -> None:
    X, Y = sample(dtype)
    weights = spread_weights(60)
    options: dict[str, Any] = {"solver": solver, "tol": 1e-6}
    one = fit(X, Y, alpha=0.1, sample_weight=weights, **options)
    other = fit(X, Y, alpha=factor * 0.1, sample_weight=factor * weights, **options)
    np.testing.assert_allclose(other.coef, one.coef, atol=2e-4 * np.abs(one.coef).max())
    assert other.residual <= 1e-5


@pytest.mark.parametrize("solver", ["cholesky", "pcg"])
@pytest.mark.parametrize("light", [1e-30, 5e-324])
def test_rows_that_weigh_nothing_are_as_good_as_left_out(
    dtype: type, solver: str, light: float
) -> None:
    X, Y = sample(dtype)
    weights = np.ones(60)
    weights[20:40] = light
    kept = weights == 1
    one = fit(X, Y, alpha=0.1, sample_weight=weights, solver=solver, tol=1e-6)
    other = fit(X[kept], Y[kept], alpha=0.1, solver="cholesky", tol=1e-6)
    assert one.residual <= 1e-5
    np.testing.assert_allclose(one.coef[kept], other.coef, atol=1e-4)
    assert np.abs(one.coef[~kept]).max() < 1e-15


def test_a_heavy_row_is_met() -> None:
    X, Y = sample()
    weights = np.ones(60)
    weights[7] = 1e12
    for solver in ("cholesky", "pcg"):
        coef = fit(X, Y, alpha=1.0, sample_weight=weights, solver=solver, tol=1e-10).coef
        K = oracle.kernel_matrix(X, bandwidth=BANDWIDTH)
        np.testing.assert_allclose((K @ coef)[7], Y[7], atol=1e-8)


def test_warm_start_saves_the_work() -> None:
    X, Y = sample(n=500)
    options: dict[str, Any] = {"alpha": 0.01, "solver": "pcg", "tol": 1e-6}
    options["sample_weight"] = spread_weights(500)
    cold = fit(X, Y, **options)
    warm = fit(X, Y, start=cold.coef, **options)
    near = fit(X, Y, start=1.01 * cold.coef, **options)
    assert warm.info["iterations"] == 0
    np.testing.assert_allclose(warm.coef, cold.coef, rtol=1e-12)
    assert 0 < near.info["iterations"] < cold.info["iterations"]


def test_no_ridge_leaves_weights_without_a_say() -> None:
    X, Y = sample()
    for solver in ("cholesky", "pcg"):
        options: dict[str, Any] = {"alpha": 0.0, "solver": solver, "tol": 1e-10}
        plain = fit(X, Y, **options)
        weighted = fit(X, Y, sample_weight=spread_weights(60), **options)
        np.testing.assert_array_equal(weighted.coef, plain.coef)


def test_heavy_rows_do_not_slow_the_iterations() -> None:
    """Landmarks follow the weights: uniform ones take seven times the iterations here."""
    X, Y = sample(np.float32, n=2000)
    weights = np.ones(2000)
    weights[::200] = 1e4
    plain = fit(X, Y, alpha=0.1, solver="pcg")
    weighted = fit(X, Y, alpha=0.1, solver="pcg", sample_weight=weights)
    assert weighted.info["iterations"] <= 1.5 * plain.info["iterations"]


def test_a_full_factor_has_the_weights_too(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    X, Y = sample(dtype)
    options: dict[str, Any] = {"alpha": 0.1, "sample_weight": spread_weights(60)}
    packed = fit(X, Y, **options)
    monkeypatch.setattr(cholesky, "MAX_PACKED_ROWS", 10)
    full = fit(X, Y, **options)
    allowed = 1e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(full.coef, packed.coef, atol=allowed)
    np.testing.assert_allclose(full.leave_one_out(), packed.leave_one_out(), atol=allowed)


# ---- leave-one-out


@settings(max_examples=20)
@given(
    n=st.integers(2, 25),
    alpha=st.sampled_from([1e-3, 0.1, 2.0]),
    decades=st.floats(0.0, 4.0),
    seed=st.integers(0, 2**20),
)
def test_leave_one_out_takes_one_unit_of_weight(
    n: int, alpha: float, decades: float, seed: int
) -> None:
    """Rows below one, at one and above it, against refits without one of each in turn."""
    X, Y = sample(n=n)
    weights = spread_weights(n, decades, seed)
    weights[0] = 1.0
    residuals = fit(X, Y, alpha=alpha, sample_weight=weights).leave_one_out()
    expected = oracle.leave_one_out(X, Y, alpha=alpha, bandwidth=BANDWIDTH, sample_weight=weights)
    np.testing.assert_allclose(residuals, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("rows", [None, [5], [17, 3, 3, 0]])
def test_leave_one_out_of_whole_weights_is_that_of_repeated_rows(
    dtype: type, rows: list[int] | None
) -> None:
    X, Y = sample(dtype, n=30)
    counts = np.random.default_rng(1).integers(1, 5, 30)
    chosen = None if rows is None else np.array(rows)
    weighted = fit(X, Y, alpha=0.2, sample_weight=counts.astype(np.float64))
    repeated = fit(np.repeat(X, counts, axis=0), np.repeat(Y, counts, axis=0), alpha=0.2)
    expected = repeated.leave_one_out()[np.cumsum(counts) - counts]
    residuals = weighted.leave_one_out(chosen)
    expected = expected if rows is None else expected[rows]
    allowed = 1e-4 if dtype == np.float32 else 1e-10
    assert residuals.dtype == np.dtype(dtype)
    np.testing.assert_allclose(residuals, expected, atol=allowed * np.abs(expected).max())


def test_leave_one_out_without_a_ridge() -> None:
    """A row that is there twice is met by its other copy."""
    X, Y = sample(n=20)
    weights = np.ones(20)
    weights[3] = 2.0
    residuals = fit(X, Y, alpha=0.0, sample_weight=weights).leave_one_out()
    assert (residuals[3] == 0).all()
    plain = fit(X, Y, alpha=0.0).leave_one_out()
    np.testing.assert_allclose(np.delete(residuals, 3, 0), np.delete(plain, 3, 0), rtol=1e-8)


# ---- failures and wrong input


@pytest.mark.parametrize("factor", [1.0, 1e6])
def test_a_failed_factorisation_raises_alpha(factor: float) -> None:
    """In units of the weights."""
    X, Y = sample(np.float32, n=20)
    X, Y = np.repeat(X, 2, axis=0), np.repeat(Y, 2, axis=0)
    weights = factor * np.random.default_rng(0).uniform(0.1, 1.0, 40)
    with pytest.warns(
        RuntimeWarning, match=r"K \+ alpha W\^-1 is not positive definite in float32"
    ):
        result = fit(X, Y, alpha=0.0, sample_weight=weights)
    assert 1e-7 * factor < result.alpha <= 1e-4 * factor
    assert result.residual < 1e-3


@pytest.mark.parametrize("weights", [None, np.full(40, 2.0)], ids=["plain", "weighted"])
def test_a_failed_factorisation_can_be_an_error(weights: Array | None) -> None:
    X, Y = sample(np.float32, n=20)
    X, Y = np.repeat(X, 2, axis=0), np.repeat(Y, 2, axis=0)
    name = "K + alpha I" if weights is None else "K + alpha W^-1"
    message = (
        f"{name} is not positive definite in float32 with alpha=0; raise alpha, or pass float64"
    )
    with pytest.raises(np.linalg.LinAlgError, match="^" + re.escape(message) + "$"):
        fit(X, Y, alpha=0.0, sample_weight=weights, on_failure="error")
    assert fit(X, Y, alpha=0.1, sample_weight=weights, on_failure="error").alpha == 0.1
    with pytest.raises(
        ValueError, match=r"^on_failure must be one of raise_alpha, error; got 'skip'$"
    ):
        fit(X, Y, alpha=0.1, on_failure="skip")


def changed(row: int, value: float) -> Array:
    weights = np.ones(60)
    weights[row] = value
    return weights


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (np.ones(59), ValueError,
         "sample_weight must have one weight for each row of X, shape (60,); got shape (59,)"),
        (np.ones((60, 1)), ValueError,
         "sample_weight must have one weight for each row of X, shape (60,); got shape (60, 1)"),
        (2.0, ValueError,
         "sample_weight must have one weight for each row of X, shape (60,); got shape ()"),
        (["a"] * 60, TypeError, "sample_weight has dtype <U1; expected a real number for each row"),
        (changed(7, np.nan), ValueError, "sample_weight contains NaN at entry 7"),
        (changed(8, np.inf), ValueError, "sample_weight contains inf at entry 8"),
        (changed(9, -0.5), ValueError, "sample_weight must be greater than 0; got -0.5 at row 9"),
        (changed(9, 0.0), ValueError,
         "sample_weight must be greater than 0; got 0 at row 9; leave rows of weight zero out"),
    ],
)  # fmt: skip
def test_wrong_weights_are_refused(weights: Any, error: type[Exception], message: str) -> None:
    X, Y = sample()
    with pytest.raises(error, match="^" + re.escape(message)):
        fastrfm.solve_ridge(X, Y, sample_weight=weights)


@pytest.mark.parametrize("weights", [[1, 2, 3], np.array([1, 2, 3], np.uint8), (1.0, 2.0, 3.0)])
def test_any_real_numbers_are_weights(weights: Any) -> None:
    X, Y = sample(n=3)
    coef = fastrfm.solve_ridge(X, Y, sample_weight=weights)
    expected = fastrfm.solve_ridge(X, Y, sample_weight=np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(coef, expected)
