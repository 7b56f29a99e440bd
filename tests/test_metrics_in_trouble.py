"""Metrics that make trouble: mixed units, cancelling features, nearly rank one, many features."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import fastrfm
import oracle
from backends import Backend
from cases import OPS, Array, assert_accurate, call, coefficients, plain_regressor

pytestmark = pytest.mark.core


@pytest.mark.parametrize("unit", [1e-8, 1e4, 1e8])
def test_features_in_very_different_units(backend: Backend, unit: float) -> None:
    """The inverse covariance: eigenvalues of M itself differ by more than float64 holds.

    The truth is the quadratic form, without a root.
    """
    X = np.random.default_rng(0).standard_normal((40, 5))
    X[:, 0] *= unit
    M = np.linalg.inv(np.cov(X, rowvar=False))
    M = (M + M.T) / 2
    U = X[:, None] - X
    D = np.sqrt(np.clip(np.einsum("ijk,kl,ijl->ij", U, M, U), 0, None))
    K = backend.kernel_matrix(X, X.copy(), metric=M, bandwidth=3.0)
    assert np.abs(K - np.exp(-D / 3)).max() <= 1e-10


@pytest.mark.parametrize("common", [1e2, 1e3])
@pytest.mark.parametrize("op", OPS)
def test_a_common_part_that_the_metric_takes_out(
    backend: Backend, dtype: type, op: str, common: float
) -> None:
    """Strongly correlated features and a metric orthogonal to what they share."""
    rng = np.random.default_rng(0)
    d = 6
    X = (common * rng.standard_normal((60, 1)) + rng.standard_normal((60, d))).astype(dtype)
    coef = coefficients(rng, 60, 2, dtype)
    options = {"metric": np.eye(d) - np.ones((d, d)) / d, "bandwidth": 2.0}
    result = call(backend, op, X[:25], X, coef, **options)
    expected = call(oracle, op, X[:25], X, coef, **options)
    if dtype == np.float32:
        assert_accurate(op, result, expected, dtype)
    else:  # the oracle's own root has rounding errors of about eps times the common part
        assert np.abs(result - expected).max() <= 1e-9 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("op", OPS)
def test_two_classes_on_a_line(backend: Backend, dtype: type, op: str) -> None:
    """What an RFM learns from a binary feature: within a class all pairs are near."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 12))
    X[:, 0] = rng.random(200) < 0.5
    X = X.astype(dtype)
    direction = np.full(12, 1e-3)
    direction[0] = 1.0
    options = {"metric": np.outer(direction, direction), "bandwidth": 0.5}
    coef = coefficients(rng, 200, 2, dtype)
    result = call(backend, op, X[:70], X, coef, **options)
    truth = call(oracle, op, X[:70], X, coef, **options)
    if dtype == np.float32:
        assert_accurate(op, result, truth, dtype)
    else:
        assert np.abs(result - truth).max() <= 1e-9 * max(1.0, np.abs(truth).max())


@pytest.mark.parametrize("op", OPS)
def test_same_bits_for_every_number_of_blas_threads(backend: Backend, dtype: type, op: str) -> None:
    """A metric so large that LAPACK would divide its eigendecomposition."""
    rng = np.random.default_rng(0)
    d = 256
    factor = rng.standard_normal((d, d))
    X, coef = rng.standard_normal((50, d)).astype(dtype), coefficients(rng, 50, 2, dtype)
    options = {"metric": factor @ factor.T / d}
    results: list[Array] = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            results.append(call(backend, op, X, X, coef, **options))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_constant_target_has_no_importances() -> None:
    """3.3 minus the mean of many 3.3 is not zero, but it is no signal either."""
    X = np.random.default_rng(0).standard_normal((200, 5))
    model = plain_regressor().fit(X, np.full(200, 3.3))
    np.testing.assert_array_equal(model.feature_importances_, np.zeros(5))
    np.testing.assert_allclose(model.predict(X[:3]), 3.3)


@pytest.mark.parametrize("name", ["V", "coef", "Y"])
def test_a_vector_for_a_column_is_told_so(name: str) -> None:
    X = np.ones((4, 2))
    functions = {"V": fastrfm.kernel_matmul, "coef": fastrfm.agop, "Y": fastrfm.solve_ridge}
    arguments = (X, X[:, 0]) if name == "Y" else (X, X, X[:, 0])
    with pytest.raises(ValueError, match=rf"{name} must be a 2-D .*{name}\.reshape\(-1, 1\)"):
        functions[name](*arguments)
