"""Every op gives the same bits for 1, 2 and 3 threads, and when it runs again."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import fastrfm
from cases import OPS, call, coefficients, make_metric
from conftest import Backend

pytestmark = pytest.mark.core


def test_the_core_has_threads_to_limit() -> None:
    """Without an OpenMP runtime to hold back the tests below would say nothing."""
    fastrfm.kernel_matrix(np.ones((2, 2)))
    assert any(pool["user_api"] == "openmp" for pool in threadpool_info())


@pytest.mark.parametrize("metric_form", ["identity", "matrix"])
@pytest.mark.parametrize("op", OPS)
def test_same_bits_for_every_thread_count(
    backend: Backend, dtype: type, kernel: dict[str, float], metric_form: str, op: str
) -> None:
    rng = np.random.default_rng(0)
    n, m, d = (301, 419, 9) if op == "gradients" else (701, 905, 9)
    X, Z = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((m, d)).astype(dtype)
    X[:100] = Z[:100]
    coef = coefficients(rng, m, 3, dtype)
    options = {"metric": make_metric(metric_form, d), **kernel}
    results = []
    for threads in (1, 2, 3, 2):
        with threadpool_limits(threads, user_api="openmp"):
            results.append(call(backend, op, X, Z, coef, **options))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize("mode", ["diagonal", "center"])
def test_same_bits_for_the_modes_of_agop(backend: Backend, dtype: type, mode: str) -> None:
    rng = np.random.default_rng(0)
    X, coef = rng.standard_normal((901, 7)).astype(dtype), coefficients(rng, 901, 2, dtype)
    results = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="openmp"):
            results.append(backend.agop(X, X, coef, **{mode: True}))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_same_bits_for_the_symmetric_kernel(
    backend: Backend, dtype: type, kernel: dict[str, float]
) -> None:
    X = np.random.default_rng(0).standard_normal((901, 7)).astype(dtype)
    results = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="openmp"):
            results.append(backend.kernel_matrix(X, **kernel))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
