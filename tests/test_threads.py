"""Threads: the same bits for any number of them, and no more of them than was asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import fastrfm
import fastrfm.backend
from backends import Backend
from cases import OPS, Array, call, coefficients, make_metric, plain_regressor
from fastrfm.bandwidth import median_distance
from fastrfm.kernels import Kernel
from fastrfm.metric import metric_of_root, power_root, root_of_metric
from fastrfm.threads import one_blas_thread
from fork_probe import blas_threads

PROBE = Path(__file__).with_name("thread_probe.py")

pytestmark = pytest.mark.core


def assert_same_bits(compute: Callable[[], Array], user_api: str = "openmp") -> None:
    """Hold a result to the same bits for 1, 2 and 3 threads, and when it is computed again."""
    results = []
    for threads in (1, 2, 3, 2):
        with threadpool_limits(threads, user_api=user_api):
            results.append(compute())
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_the_core_has_threads_to_limit() -> None:
    """Without an OpenMP runtime to hold back the tests below would say nothing."""
    fastrfm.kernel_matrix(np.ones((2, 2)))
    assert any(pool["user_api"] == "openmp" for pool in threadpool_info())


@pytest.mark.parametrize("metric_form", ["identity", "matrix"])
@pytest.mark.parametrize("op", OPS)
def test_same_bits_for_every_thread_count(
    cpu: Backend, dtype: type, kernel: dict[str, float], metric_form: str, op: str
) -> None:
    rng = np.random.default_rng(0)
    n, m, d = (301, 419, 9) if op == "gradients" else (701, 905, 9)
    X, Z = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((m, d)).astype(dtype)
    X[:100] = Z[:100]
    coef = coefficients(rng, m, 3, dtype)
    options = {"metric": make_metric(metric_form, d), **kernel}
    assert_same_bits(lambda: call(cpu, op, X, Z, coef, **options))


@pytest.mark.parametrize("metric_form", ["identity", "vector", "matrix"])
@pytest.mark.parametrize("mode", ["diagonal", "center", "diagonal center"])
def test_same_bits_for_the_modes_of_agop(
    cpu: Backend, dtype: type, kernel: dict[str, float], metric_form: str, mode: str
) -> None:
    rng = np.random.default_rng(0)
    X, coef = rng.standard_normal((501, 7)).astype(dtype), coefficients(rng, 501, 2, dtype)
    options = {"metric": make_metric(metric_form, 7), **kernel}
    options |= {name: True for name in mode.split()}
    assert_same_bits(lambda: cpu.agop(X, X, coef, **options))


@pytest.mark.parametrize("metric_form", ["identity", "matrix", "low_rank"])
@pytest.mark.parametrize("op", OPS)
def test_same_bits_for_many_features_and_outputs(
    cpu: Backend, dtype: type, metric_form: str, op: str
) -> None:
    """Enough of both that the transform and the sums of outer products have threads too."""
    rng = np.random.default_rng(0)
    n, d, c = 350, 260, 17
    X, Z = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((n, d)).astype(dtype)
    coef = coefficients(rng, n, c, dtype)
    metric = make_metric(metric_form, d)
    assert_same_bits(lambda: call(cpu, op, X, Z, coef, metric=metric))


def test_same_bits_for_a_kernel_matrix_with_itself(
    cpu: Backend, dtype: type, kernel: dict[str, float]
) -> None:
    rng = np.random.default_rng(0)
    X, V = rng.standard_normal((901, 7)).astype(dtype), coefficients(rng, 901, 3, dtype)
    law = Kernel(bandwidth=10.0, **kernel)
    assert_same_bits(lambda: cpu.kernel_matrix(X, **kernel))
    assert_same_bits(lambda: cpu.kernel_matmul(X, X, V, **kernel))
    assert_same_bits(lambda: fastrfm.backend.packed_kernel_matrix(X, law, None))


@pytest.mark.parametrize("c", [1, 17])
def test_same_bits_for_a_product_with_a_packed_matrix(dtype: type, c: int) -> None:
    rng = np.random.default_rng(0)
    packed = fastrfm.backend.packed_kernel_matrix(
        rng.standard_normal((2401, 5)).astype(dtype), Kernel(), None
    )
    V = coefficients(rng, 2401, c, dtype)
    assert_same_bits(lambda: fastrfm.backend.packed_matmul(packed, V))


@pytest.mark.parametrize("norm", [2.0, 1.0])
def test_same_bits_of_metrics_for_every_number_of_blas_threads(norm: float) -> None:
    d = 300  # where OpenBLAS's products differ
    M = make_metric("matrix", d)
    X = np.random.default_rng(0).standard_normal((400, d))
    assert M is not None
    root = root_of_metric(M, norm=norm, n_features=d)
    assert_same_bits(lambda: np.asarray(root_of_metric(M, norm=norm, n_features=d)), "blas")
    assert_same_bits(lambda: power_root(M, power=0.5, norm=norm, rank_tolerance=1e-7), "blas")
    assert_same_bits(lambda: np.asarray(metric_of_root(root)), "blas")
    assert_same_bits(lambda: np.array(median_distance(X, root, norm)), "blas")


# ---- BLAS on one thread


def test_blas_has_one_thread_until_the_last_context_is_left() -> None:
    with threadpool_limits(3, user_api="blas"):
        first, second = one_blas_thread(), one_blas_thread()
        for enter in (first, second):
            enter.__enter__()
            assert blas_threads() == {1}
        first.__exit__(None, None, None)  # not in the order of nested blocks: as threads may
        assert blas_threads() == {1}
        second.__exit__(None, None, None)
        assert blas_threads() == {3}


def test_blas_has_one_thread_for_a_python_thread_under_another_ones_limit() -> None:
    def inside() -> set[int]:
        with one_blas_thread():
            return blas_threads()

    with threadpool_limits(3, user_api="blas"), ThreadPoolExecutor(1) as executor:
        assert executor.submit(inside).result() == {1}
        assert blas_threads() == {3}


def test_fits_in_python_threads_give_the_bits_of_fits_in_turn() -> None:
    rng = np.random.default_rng(0)
    data = [rng.standard_normal((400, 40)) for _ in range(4)]

    def fit(X: Array) -> Array:
        model = plain_regressor(n_iter=3, norm=1.0, random_state=0)
        coef: Array = model.fit(X, X[:, 0] * X[:, 1]).dual_coef_
        return coef

    with threadpool_limits(1, user_api="blas"):  # LAPACK's factorisation is not ours
        in_turn = [fit(X) for X in data]
        with ThreadPoolExecutor(2) as executor:
            at_once = list(executor.map(fit, data))
        assert blas_threads() == {1}
    np.testing.assert_array_equal(in_turn, at_once)


# ---- no more threads than was asked for


def probe(case: str, **environment: str) -> dict[str, Any]:
    """Return what ``thread_probe.py`` saw in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    result = subprocess.run(
        [sys.executable, str(PROBE), case],
        capture_output=True,
        text=True,
        timeout=120,
        env={**kept, **environment},
    )
    assert result.returncode == 0, result.stderr
    seen: dict[str, Any] = json.loads(result.stdout)
    return seen


linux = pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")


@linux
@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_omp_num_threads_is_honoured(threads: int) -> None:
    seen = probe("environment", OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS="1")
    assert seen == {"max_threads": threads, "live": threads}


@linux
def test_threadpoolctl_is_honoured_by_ops_and_fits() -> None:
    seen = probe("limits", OMP_NUM_THREADS="3", OPENBLAS_NUM_THREADS="1")
    assert seen == {"limited_max_threads": 1, "limited_live": 1, "max_threads": 3, "live": 3}


@pytest.mark.slow
@linux
def test_a_process_on_one_core_has_one_thread() -> None:
    assert probe("one_core") == {"max_threads": 1, "live": 1}


@pytest.mark.slow
@linux
def test_joblibs_inner_limit_is_honoured() -> None:
    assert probe("joblib", OMP_NUM_THREADS="3") == {"max_threads": [1, 1], "blas": [[1], [1]]}
