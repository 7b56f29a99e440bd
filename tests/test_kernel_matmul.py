"""kernel_matmul against the oracle: kernels, metrics, outputs, shapes and ``out``."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from backends import Backend
from cases import (
    apart_rows,
    assert_accurate,
    coefficients,
    grid_rows,
    make_metric,
    typical_bandwidth,
)

pytestmark = pytest.mark.core

OP = "kernel_matmul"


@pytest.mark.parametrize("c", [1, 3, 11])
def test_every_kernel_metric_and_dtype(
    backend: Backend, dtype: type, kernel: dict[str, float], metric_form: str, c: int
) -> None:
    rng = np.random.default_rng(c)
    metric = make_metric(metric_form, 5)
    rows = apart_rows(rng, 60, 5, dtype, metric, kernel["norm"])
    X, Z, V = rows[:23], rows[23:], coefficients(rng, 37, c, dtype)
    bandwidth = typical_bandwidth(X, Z, metric=metric, norm=kernel["norm"])
    options = {"metric": metric, "bandwidth": bandwidth, **kernel}
    result = backend.kernel_matmul(X, Z, V, **options)
    assert_accurate(OP, result, oracle.kernel_matmul(X, Z, V, **options), dtype)


@pytest.mark.parametrize(
    ("n", "m", "d", "c"),
    [
        (1, 1, 1, 1), (1, 700, 3, 2), (700, 1, 3, 2), (5, 6, 2, 4), (15, 17, 5, 5),
        (16, 16, 8, 8), (31, 33, 16, 16), (65, 63, 32, 17), (97, 95, 33, 33), (129, 257, 7, 1),
        (257, 513, 3, 3), (301, 1031, 6, 2), (4, 5, 1000, 2), (20, 40, 2, 130),
    ],
)  # fmt: skip
@pytest.mark.parametrize("norm", [2.0, 1.0, 1.5])
def test_sizes_around_the_tiles(
    backend: Backend, dtype: type, norm: float, n: int, m: int, d: int, c: int
) -> None:
    rng = np.random.default_rng(d)
    X, Z, V = grid_rows(rng, n, d, dtype), grid_rows(rng, m, d, dtype), rng.uniform(-1, 2, (m, c))
    V = V.astype(dtype)
    options = {"norm": norm, "bandwidth": typical_bandwidth(X, Z, metric=None, norm=norm)}
    result = backend.kernel_matmul(X, Z, V, **options)
    assert_accurate(OP, result, oracle.kernel_matmul(X, Z, V, **options), dtype)


@settings(max_examples=12)
@given(
    n=st.integers(1, 90),
    m=st.integers(1, 150),
    d=st.integers(1, 40),
    c=st.integers(1, 20),
    seed=st.integers(0, 2**20),
)
def test_drawn_shapes(
    backend: Backend, dtype: type, kernel: dict[str, float],
    n: int, m: int, d: int, c: int, seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    X, Z, V = grid_rows(rng, n, d, dtype), grid_rows(rng, m, d, dtype), rng.uniform(0, 1, (m, c))
    V = V.astype(dtype)
    metric = make_metric("vector", d, seed) if seed % 2 else None
    options = {"metric": metric, "bandwidth": rng.uniform(2.0, 20.0), **kernel}
    result = backend.kernel_matmul(X, Z, V, **options)
    assert_accurate(OP, result, oracle.kernel_matmul(X, Z, V, **options), dtype)


def test_columns_do_not_mix(backend: Backend, dtype: type) -> None:
    """Unit vectors for V pick out columns of K: each output gets its own coefficients."""
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((40, 4)).astype(dtype), rng.standard_normal((19, 4)).astype(dtype)
    result = backend.kernel_matmul(X, Z, np.eye(19, dtype=dtype))
    assert_accurate("kernel_matrix", result, oracle.kernel_matrix(X, Z), dtype)


def test_zero_metric_sums_the_columns(backend: Backend, dtype: type) -> None:
    rng = np.random.default_rng(0)
    X, V = rng.standard_normal((12, 4)).astype(dtype), coefficients(rng, 12, 3, dtype)
    for metric in (np.zeros(4), np.zeros((4, 4))):
        result = backend.kernel_matmul(X, X, V, metric=metric)
        expected = np.tile(V.astype(np.float64).sum(axis=0), (12, 1))
        assert_accurate(OP, result, expected, dtype)


def test_out_receives_the_result(backend: Backend, dtype: type) -> None:
    rng = np.random.default_rng(0)
    X, V = rng.standard_normal((33, 4)).astype(dtype), coefficients(rng, 33, 3, dtype)
    out = np.full((33, 3), np.nan, dtype)
    assert backend.kernel_matmul(X, X, V, out=out) is out
    assert_accurate(OP, out, oracle.kernel_matmul(X, X, V), dtype)


def test_defaults_are_the_laplace_kernel_of_bandwidth_10(backend: Backend) -> None:
    rng = np.random.default_rng(0)
    X, V = rng.standard_normal((7, 3)), rng.standard_normal((7, 2))
    expected = oracle.kernel_matmul(X, X, V, bandwidth=10.0, exponent=1.0, norm=2.0)
    assert_accurate(OP, backend.kernel_matmul(X, X, V), expected, np.float64)


@pytest.mark.parametrize("n", [1, 95, 96, 97, 192, 193, 500, 1100, 2500])
@pytest.mark.parametrize("c", [1, 9])
def test_x_with_itself(backend: Backend, dtype: type, n: int, c: int) -> None:
    """Z = X goes by blocks that serve rows and columns: one block, an odd and an even number."""
    rng = np.random.default_rng(n)
    X, V = rng.standard_normal((n, 7)).astype(dtype), coefficients(rng, n, c, dtype)
    X[n // 2 :: 7] = X[0]  # duplicates within blocks and between them
    result = backend.kernel_matmul(X, X, V, bandwidth=3.0)
    assert_accurate(OP, result, oracle.kernel_matmul(X, X, V, bandwidth=3.0), dtype)


def test_x_with_itself_for_every_kernel_and_metric(
    backend: Backend, dtype: type, kernel: dict[str, float], metric_form: str
) -> None:
    rng = np.random.default_rng(0)
    metric = make_metric(metric_form, 5)
    X = apart_rows(rng, 130, 5, dtype, metric, kernel["norm"], gap=0.001)
    V = coefficients(rng, 130, 3, dtype)
    bandwidth = typical_bandwidth(X, X, metric=metric, norm=kernel["norm"])
    options = {"metric": metric, "bandwidth": bandwidth, **kernel}
    result = backend.kernel_matmul(X, X, V, **options)
    assert_accurate(OP, result, oracle.kernel_matmul(X, X, V, **options), dtype)


@pytest.mark.parametrize("element", [np.int8, np.uint8])
def test_x_with_itself_from_bytes(backend: Backend, element: type) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 100, (700, 12)).astype(element)[::2, ::-1]
    V = coefficients(rng, 350, 2, np.float32)
    result = backend.kernel_matmul(X, X, V, bandwidth=100.0)
    assert_accurate(OP, result, oracle.kernel_matmul(X, X, V, bandwidth=100.0), np.float32)
