"""pcg: against the oracle's direct solve, stored and matrix-free, and its manners."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import fastrfm
import oracle
from cases import Array, plain_regressor
from fastrfm import backend
from fastrfm.kernels import Kernel
from fastrfm.ridge import fit_ridge
from fastrfm.ridge.nystrom import (
    NystromPreconditioner,
    choose_rank,
    jittered_cholesky,
    largest_rank,
)
from fastrfm.ridge.pcg import pcg
from fastrfm.ridge.plan import CHOLESKY_ROWS, make_plan

pytestmark = pytest.mark.core


def sample(dtype: type, n: int = 500, c: int = 3) -> tuple[Array, Array]:
    """Return rows and targets that a kernel of bandwidth 3 can learn."""
    rng = np.random.default_rng(n)
    X = rng.standard_normal((n, 4))
    return X.astype(dtype), np.sin(X @ rng.standard_normal((4, c))).astype(dtype)


def limit_without_storing(n: int, d: int, c: int, dtype: type) -> int:
    """Return a memory limit under which K is not stored but the rest fits."""
    plan = make_plan(n, d, c, dtype, "pcg", None)
    assert plan.stored
    return plan.bytes - n * (n + 1) // 2 * np.dtype(dtype).itemsize


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "matrix_free"])
@pytest.mark.parametrize(("norm", "exponent"), [(2.0, 1.0), (2.0, 2.0), (1.0, 1.0)])
def test_solution_is_the_direct_one(
    dtype: type, stored: bool, norm: float, exponent: float
) -> None:
    X, Y = sample(dtype)
    options: dict[str, Any] = {"bandwidth": 3.0, "norm": norm, "exponent": exponent, "alpha": 0.01}
    limit = None if stored else limit_without_storing(*X.shape, Y.shape[1], dtype)
    tol = 1e-5 if dtype == np.float32 else 1e-11
    coef, info = fastrfm.solve_ridge(
        X, Y, solver="pcg", tol=tol, memory_limit=limit, return_info=True, **options
    )
    expected = oracle.solve_ridge(X, Y, **options)
    K = oracle.kernel_matrix(X, bandwidth=3.0, norm=norm, exponent=exponent)
    assert coef.dtype == np.dtype(dtype)
    assert info["solver"] == "pcg"
    assert info["stored"] is stored
    assert 0 < info["iterations"] < 150
    truth = np.linalg.norm(K @ coef + 0.01 * coef - Y, axis=0) / np.linalg.norm(Y, axis=0)
    rounding = np.finfo(dtype).eps * np.sqrt(len(X)) * np.abs(coef).sum(axis=0)
    assert (truth <= 2 * tol + rounding / np.linalg.norm(Y, axis=0)).all()
    # predictions, whose condition is that of the problem and not of K
    assert np.abs(K @ (coef - expected)).max() <= (1e-3 if dtype == np.float32 else 1e-9)


def test_a_start_that_is_worse_than_none_is_not_taken() -> None:
    X, Y = sample(np.float64, n=300, c=3)
    A = oracle.kernel_matrix(X, bandwidth=3.0) + 0.1 * np.eye(len(X))
    exact = np.linalg.solve(A, Y)

    def run(start: Array | None) -> Any:
        return pcg(lambda P: A @ P, Y, lambda R: R.copy(), tol=1e-8, start=start)

    # The second output's start is good, the others' are far off.
    start = exact * [30.0, 1.0 + 1e-6, -4.0]
    cold, warm = run(None), run(start)
    assert warm.iterations == cold.iterations
    np.testing.assert_array_equal(warm.coef[:, [0, 2]], cold.coef[:, [0, 2]])
    np.testing.assert_allclose(warm.coef[:, 1], exact[:, 1], atol=1e-6)


def test_preconditioner_pays() -> None:
    X, Y = sample(np.float64, n=800, c=1)
    kernel = Kernel(2.0, 2.0, 3.0)
    A = oracle.kernel_matrix(X, bandwidth=3.0, exponent=2.0) + 1e-3 * np.eye(len(X))

    def product(V: Array) -> Array:
        return A @ V

    precondition = NystromPreconditioner(X, kernel, None, 1e-3, 150, np.dtype(np.float64))
    with_it = pcg(product, Y, precondition, tol=1e-6)
    without = pcg(product, Y, lambda R: R.copy(), tol=1e-6)
    assert with_it.residual <= 1e-6
    assert with_it.iterations < without.iterations / 3


def test_zero_targets_and_converged_outputs() -> None:
    X, Y = sample(np.float64)
    Y[:, 1] = 0
    coef, info = fastrfm.solve_ridge(X, Y, solver="pcg", alpha=0.1, return_info=True)
    assert np.count_nonzero(coef[:, 1]) == 0
    assert info["residual"] <= 1e-4
    coef, info = fastrfm.solve_ridge(X, 0 * Y, solver="pcg", return_info=True)
    assert np.count_nonzero(coef) == 0
    assert info["iterations"] == 0


def test_warm_start_saves_the_work() -> None:
    X, Y = sample(np.float64)
    kernel = Kernel(bandwidth=3.0)
    cold = fit_ridge(X, Y, kernel, None, alpha=0.01, solver="pcg", tol=1e-6)
    warm = fit_ridge(X, Y, kernel, None, alpha=0.01, solver="pcg", tol=1e-6, start=cold.coef)
    near = fit_ridge(
        X, Y, Kernel(bandwidth=3.03), None, alpha=0.01, solver="pcg", tol=1e-6, start=cold.coef
    )
    assert warm.info["iterations"] == 0
    np.testing.assert_array_equal(warm.coef, cold.coef)
    assert near.info["iterations"] < cold.info["iterations"]


def test_what_it_cannot_reach_it_says() -> None:
    """Twins with contradicting targets and no ridge: there is no solution."""
    X, Y = sample(np.float32, n=200, c=1)
    X, Y = np.vstack([X, X]), np.vstack([Y, -Y])
    with pytest.warns(ConvergenceWarning, match=r"residual .* tol=0\.0001"):
        _, info = fastrfm.solve_ridge(X, Y, alpha=0.0, solver="pcg", return_info=True)
    assert info["residual"] > 1e-4


def test_leave_one_out_needs_a_factorisation() -> None:
    X, Y = sample(np.float64)
    fit = fit_ridge(X, Y, Kernel(), None, alpha=0.1, solver="pcg")
    with pytest.raises(RuntimeError, match=r"Cholesky.*pcg"):
        fit.leave_one_out()


def test_plan_follows_rows_and_memory() -> None:
    assert make_plan(CHOLESKY_ROWS, 10, 1, np.float32, "auto", None).solver == "cholesky"
    assert make_plan(CHOLESKY_ROWS + 1, 10, 1, np.float32, "auto", None).solver == "pcg"
    small = make_plan(20_000, 10, 1, np.float32, "auto", 300_000_000)
    assert (small.solver, small.stored) == ("pcg", False)
    assert small.bytes <= 300_000_000
    with pytest.raises(MemoryError, match=r"20,000 rows by pcg.*bytes.*memory_limit=100,000"):
        make_plan(20_000, 10, 1, np.float32, "auto", 100_000)
    with pytest.raises(MemoryError, match=r'cholesky.*solver="pcg"'):
        make_plan(4000, 10, 1, np.float32, "cholesky", 30_000_000)
    tight = make_plan(4000, 10, 1, np.float32, "auto", 30_000_000)
    assert (tight.solver, tight.stored) == ("pcg", False)
    assert make_plan(4000, 10, 1, np.float32, "auto", 60_000_000).solver == "cholesky"
    reserved = make_plan(4000, 10, 1, np.float32, "auto", 60_000_000, reserved=30_000_000)
    assert (reserved.solver, reserved.stored) == ("pcg", False)
    with pytest.raises(MemoryError, match=r"needs 2\d,\d{3},\d{3} bytes.*memory_limit=20,000,000"):
        make_plan(4000, 10, 1, np.float32, "pcg", 20_000_000, reserved=19_000_000)


def test_rank_follows_the_spectrum() -> None:
    """A smooth kernel has few eigenvalues above alpha; the Laplace kernel many."""
    X = np.random.default_rng(0).standard_normal((8000, 2))
    laplace = choose_rank(X, Kernel(bandwidth=1.0), None, 1e-3)
    gauss = choose_rank(X, Kernel(2.0, 2.0, 5.0), None, 1e-3)
    assert laplace == largest_rank(8000) == int(5 * 8000**0.5)
    assert gauss < laplace / 2


def test_estimators_recur_with_pcg() -> None:
    """The metric is found with loose solves; the kept iteration is solved to tol."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((900, 8)).astype(np.float32)
    y = X[:, 0] * X[:, 1]
    direct = plain_regressor(n_iter=2, random_state=0, solver="cholesky").fit(X, y)
    model = plain_regressor(n_iter=2, random_state=0, solver="pcg").fit(X, y)
    assert {entry["solver"] for entry in model.history_} == {"pcg"}
    assert model.best_iter_ == direct.best_iter_
    X_test = rng.standard_normal((300, 8)).astype(np.float32)
    spread = float(np.std(direct.predict(X_test)))
    assert np.abs(model.predict(X_test) - direct.predict(X_test)).max() < 0.05 * spread
    assert model.score(X_test, X_test[:, 0] * X_test[:, 1]) > 0.9


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "matrix_free"])
def test_same_bits_for_every_thread_count(dtype: type, stored: bool) -> None:
    """Of OpenMP and of BLAS: every sum of the solver and its preconditioner has one order."""
    X, Y = sample(dtype, n=1_500)
    limit = None if stored else limit_without_storing(*X.shape, Y.shape[1], dtype)
    solutions = []
    for threads in (1, 2, 3, 2):
        with threadpool_limits(threads):
            coef, info = fastrfm.solve_ridge(
                X, Y, solver="pcg", memory_limit=limit, bandwidth=3.0, return_info=True
            )
        assert info["stored"] is stored
        solutions.append(coef)
    for other in solutions[1:]:
        np.testing.assert_array_equal(solutions[0], other)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 700), r=st.integers(1, 90), c=st.integers(1, 19), seed=st.integers(0, 99))
def test_landmark_products(dtype: type, n: int, r: int, c: int, seed: int) -> None:
    """Against NumPy in float64: summed in double, whatever the type of C."""
    rng = np.random.default_rng(seed)
    C = rng.standard_normal((n, r)).astype(dtype)
    B, R = rng.standard_normal((r, c)), rng.standard_normal((n, c))
    wide = C.astype(np.float64)
    np.testing.assert_allclose(backend.landmark_gram(C), wide.T @ wide, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(backend.landmark_matmul(C, B), wide @ B, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(
        backend.landmark_transposed_matmul(C, R), wide.T @ R, rtol=1e-12, atol=1e-11
    )


def test_few_rows_are_solved_to_the_digits_of_a_factorisation() -> None:
    """A row of weight 2 then equals two rows, whichever the landmarks' order."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((60, 3)), rng.standard_normal((60, 2))
    twice = np.r_[0:60, 0:20]
    weights = np.ones(60)
    weights[:20] = 2
    options: dict[str, Any] = {"alpha": 1e-3, "solver": "pcg", "return_info": True}
    weighted, info = fastrfm.solve_ridge(X, Y, sample_weight=weights, **options)
    repeated, other = fastrfm.solve_ridge(X[twice], Y[twice], **options)
    assert info["residual"] <= 1e-10
    assert other["residual"] <= 1e-10
    f, g = (fastrfm.kernel_matmul(X, Z, c) for Z, c in ((X, weighted), (X[twice], repeated)))
    np.testing.assert_allclose(f, g, rtol=1e-7, atol=1e-9)


def test_a_system_that_rounding_makes_indefinite_ends_with_a_warning() -> None:
    """Nearly equal rows under a smooth kernel: what factorises it fails in float64 too."""
    X = np.random.default_rng(0).standard_normal((300, 5)).astype(np.float32)
    options = {"norm": 2.0, "exponent": 2.0, "bandwidth": 50.0, "solver": "pcg"}
    with pytest.warns(ConvergenceWarning, match="Raise alpha"):
        coef = fastrfm.solve_ridge(X, X[:, :1], alpha=1e-6, **options)
    assert np.isfinite(coef).all()
    fastrfm.solve_ridge(X, X[:, :1], alpha=1e-2, **options)  # and here without one


def test_landmarks_whose_kernel_is_not_positive_for_rounding() -> None:
    W = np.ones((4, 4)) - 5e-6 * np.eye(4)
    L = jittered_cholesky(W)
    np.testing.assert_allclose(L @ L.T, W)
    np.testing.assert_allclose(W, np.ones((4, 4)) + 5e-6 * np.eye(4))
    with pytest.raises(np.linalg.LinAlgError):
        jittered_cholesky(-3.0 * np.eye(4))
