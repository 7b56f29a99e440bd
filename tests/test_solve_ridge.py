"""solve_ridge and its closed-form leave-one-out, against the oracle that solves and leaves out."""

from __future__ import annotations

import re
import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest

import fastrfm
import oracle
from cases import Array, apart_rows, essentials, make_metric, number, typical_bandwidth
from fastrfm.kernels import Kernel
from fastrfm.ridge import fit_ridge

pytestmark = pytest.mark.core


def sample(
    kernel: dict[str, float], dtype: type, form: str = "identity", n: int = 40, c: int = 3
) -> tuple[Array, Array, dict[str, Any]]:
    """Return X, Y and the options of a well-posed problem."""
    rng = np.random.default_rng(n)
    metric = make_metric(form, 5)
    X = apart_rows(rng, n, 5, dtype, metric, kernel["norm"])
    bandwidth = typical_bandwidth(X, X, metric=metric, norm=kernel["norm"])
    Y = np.sin(X @ rng.standard_normal((5, c))).astype(dtype)
    return X, Y, {"metric": metric, "bandwidth": bandwidth, **kernel}


def relative_residual(X: Array, Y: Array, coef: Array, alpha: float, **options: Any) -> float:
    """Return ``||(K + alpha I) coef - Y|| / ||Y||`` with the oracle's K."""
    system = oracle.kernel_matrix(X, **options) + alpha * np.eye(len(X))
    return float(np.linalg.norm(system @ coef.astype(np.float64) - Y) / np.linalg.norm(Y))


def numbers_in(message: str) -> list[float]:
    """Return every number of a message; 1,000 and 1_000 count as 1000."""
    found = re.findall(r"\d[\d,_]*(?:\.\d+)?(?:[eE][-+]?\d+)?", message)
    return [float(text.replace(",", "").replace("_", "")) for text in found]


def test_every_kernel_metric_and_dtype(
    dtype: type, kernel: dict[str, float], metric_form: str
) -> None:
    X, Y, options = sample(kernel, dtype, metric_form)
    coef = fastrfm.solve_ridge(X, Y, alpha=0.1, **options)
    assert coef.dtype == np.dtype(dtype)
    expected = oracle.solve_ridge(X, Y, alpha=0.1, **options)
    assert coef.shape == expected.shape
    # the system's condition number is below 500
    allowed = 1e-4 if dtype == np.float32 else 1e-10
    assert np.abs(coef - expected).max() <= allowed * np.abs(expected).max()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 65, 301])
@pytest.mark.parametrize("c", [1, 4])
def test_odd_and_even_sizes(dtype: type, n: int, c: int) -> None:
    """The packed format stores odd and even orders differently."""
    X, Y, options = sample({"norm": 2.0, "exponent": 1.0}, dtype, n=n + 1, c=c)
    X, Y = X[:n], Y[:n]
    coef, info = fastrfm.solve_ridge(X, Y, alpha=0.01, return_info=True, **options)
    assert coef.shape == (n, c)
    allowed = 1e-5 if dtype == np.float32 else 1e-12
    assert relative_residual(X, Y, coef, 0.01, **options) <= allowed
    assert info["residual"] <= allowed


def test_default_alpha_and_kernel() -> None:
    X, Y, _ = sample({"norm": 2.0, "exponent": 1.0}, np.float64)
    expected = oracle.solve_ridge(X, Y, alpha=1e-3, bandwidth=10.0)
    coef = fastrfm.solve_ridge(X, Y)
    assert np.abs(coef - expected).max() <= 1e-9 * np.abs(expected).max()


@pytest.mark.parametrize("solver", ["auto", "cholesky"])
def test_info_says_what_was_done(dtype: type, solver: str) -> None:
    X, Y, options = sample({"norm": 2.0, "exponent": 1.0}, dtype)
    coef, info = fastrfm.solve_ridge(X, Y, alpha=0.1, solver=solver, return_info=True, **options)
    assert info["solver"] == "cholesky"
    assert info["alpha"] == 0.1
    assert info["bytes"] >= 40 * 41 // 2 * np.dtype(dtype).itemsize
    truth = relative_residual(X, Y, coef, 0.1, **options)
    assert abs(info["residual"] - truth) <= (1e-5 if dtype == np.float32 else 1e-12)


def test_solution_does_not_depend_on_other_outputs(dtype: type) -> None:
    X, Y, options = sample({"norm": 1.0, "exponent": 1.0}, dtype, c=5)
    together = fastrfm.solve_ridge(X, Y, alpha=0.1, **options)
    alone = fastrfm.solve_ridge(X, Y[:, 2:3], alpha=0.1, **options)
    assert np.abs(together[:, 2:3] - alone).max() <= 200 * np.finfo(dtype).eps


def test_inputs_are_left_alone(dtype: type) -> None:
    X, Y, options = sample({"norm": 2.0, "exponent": 1.0}, dtype)
    before = X.tobytes(), Y.tobytes()
    fastrfm.solve_ridge(X, Y, **options)
    assert before == (X.tobytes(), Y.tobytes())


def test_zero_targets_have_zero_coefficients(dtype: type) -> None:
    X, Y, options = sample({"norm": 2.0, "exponent": 1.0}, dtype)
    coef, info = fastrfm.solve_ridge(X, 0 * Y, return_info=True, **options)
    assert np.count_nonzero(coef) == 0
    assert info["residual"] == 0


def test_singular_system_raises_alpha_and_says_so(dtype: type) -> None:
    """Every row twice and alpha = 0: K is singular, exactly."""
    X, Y, options = sample({"norm": 2.0, "exponent": 1.0}, dtype, n=20)
    X, Y = np.repeat(X, 2, axis=0), np.repeat(Y, 2, axis=0)
    with pytest.warns(RuntimeWarning, match="alpha") as caught:
        coef, info = fastrfm.solve_ridge(X, Y, alpha=0.0, return_info=True, **options)
    assert len(caught) == 1
    assert info["alpha"] > 0
    named = numbers_in(str(caught[0].message))
    assert any(np.isclose(value, info["alpha"], rtol=0.05) for value in named)
    assert np.isfinite(coef).all()
    assert relative_residual(X, Y, coef, info["alpha"], **options) <= 1e-3
    assert info["residual"] <= 1e-3


def test_well_posed_system_does_not_warn(dtype: type) -> None:
    X, Y, options = sample({"norm": 2.0, "exponent": 1.0}, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, info = fastrfm.solve_ridge(X, Y, alpha=0.0, return_info=True, **options)
    assert info["alpha"] == 0


def test_memory_limit_refuses_before_it_allocates(dtype: type) -> None:
    """The message names the bytes needed, the limit, and what to change."""
    n, limit = 4000, 1_000_000
    X, Y = np.random.default_rng(0).standard_normal((n, 3)).astype(dtype), np.ones((n, 1), dtype)
    before = X.tobytes()
    tracemalloc.start()
    try:
        with pytest.raises(MemoryError, match=essentials(number(limit), "memory_limit")) as caught:
            fastrfm.solve_ridge(X, Y, solver="cholesky", memory_limit=limit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    triangle = n * (n + 1) // 2 * np.dtype(dtype).itemsize
    assert any(triangle <= value < 4 * triangle for value in numbers_in(str(caught.value)))
    assert peak < limit
    assert X.tobytes() == before


def test_memory_limit_is_the_bytes_that_info_reports(dtype: type) -> None:
    X, Y, options = sample({"norm": 2.0, "exponent": 1.0}, dtype)
    coef, info = fastrfm.solve_ridge(X, Y, return_info=True, **options)
    limited = fastrfm.solve_ridge(X, Y, memory_limit=info["bytes"], **options)
    np.testing.assert_allclose(limited, coef, rtol=1e-3)
    with pytest.raises(MemoryError, match=essentials(number(info["bytes"]), "memory_limit")):
        fastrfm.solve_ridge(X, Y, solver="cholesky", memory_limit=info["bytes"] - 1, **options)


@pytest.mark.parametrize("rows", [None, [5], [17, 3, 3, 0]])
def test_leave_one_out_is_leaving_one_out(
    dtype: type, kernel: dict[str, float], rows: list[int] | None
) -> None:
    X, Y, options = sample(kernel, dtype)
    chosen = Kernel(bandwidth=options["bandwidth"], **kernel)
    fit = fit_ridge(X, Y, chosen, None, alpha=0.2)
    residuals = fit.leave_one_out(None if rows is None else np.array(rows))
    expected = oracle.leave_one_out(X, Y, alpha=0.2, **options)
    expected = expected if rows is None else expected[rows]
    assert residuals.shape == expected.shape
    allowed = 1e-4 if dtype == np.float32 else 1e-10
    assert np.abs(residuals - expected).max() <= allowed * np.abs(expected).max()
    fit.release()
