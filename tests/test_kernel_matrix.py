"""kernel_matrix against the oracle: kernels, metrics, shapes, symmetry and ``out``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from backends import Backend
from cases import (
    Array,
    apart_rows,
    assert_accurate,
    grid_rows,
    make_metric,
    typical_bandwidth,
)

pytestmark = pytest.mark.core

OP = "kernel_matrix"
# around the tiles: 4, 6, 8, 16, 32, 64, 96, 128 and 256 rows, less one, exactly, and one more
SIZES = [
    (1, 1, 1), (1, 300, 3), (300, 1, 3), (2, 3, 1), (5, 6, 2), (7, 9, 4), (15, 17, 5),
    (16, 16, 8), (31, 33, 16), (63, 65, 17), (64, 64, 31), (65, 63, 32), (97, 95, 33),
    (129, 127, 7), (257, 255, 3), (301, 517, 6), (4, 5, 1000), (33, 31, 257),
]  # fmt: skip


def sample(form: str, kernel: dict[str, float], dtype: type, n: int, m: int, d: int) -> Any:
    """Return X, Z and the options of a case whose K spreads over (0, 1)."""
    rng = np.random.default_rng(n + 1000 * m)
    metric = make_metric(form, d)
    rows = apart_rows(rng, n + m, d, dtype, metric, kernel["norm"])
    X, Z = rows[:n], rows[n:]
    bandwidth = typical_bandwidth(X, Z, metric=metric, norm=kernel["norm"])
    return X, Z, {"metric": metric, "bandwidth": bandwidth, **kernel}


def test_every_kernel_metric_and_dtype(
    backend: Backend, dtype: type, kernel: dict[str, float], metric_form: str
) -> None:
    X, Z, options = sample(metric_form, kernel, dtype, 23, 37, 5)
    K = backend.kernel_matrix(X, Z, **options)
    assert_accurate(OP, K, oracle.kernel_matrix(X, Z, **options), dtype)


def test_symmetric_for_every_kernel_metric_and_dtype(
    backend: Backend, dtype: type, kernel: dict[str, float], metric_form: str
) -> None:
    X, _, options = sample(metric_form, kernel, dtype, 37, 1, 5)
    K = backend.kernel_matrix(X, **options)
    assert_accurate(OP, K, oracle.kernel_matrix(X, **options), dtype)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_array_equal(np.diagonal(K), 1)


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
@pytest.mark.parametrize("norm", [2.0, 1.0, 1.5])
def test_sizes_around_the_tiles(
    backend: Backend, dtype: type, norm: float, n: int, m: int, d: int
) -> None:
    rng = np.random.default_rng(d)
    X, Z = grid_rows(rng, n, d, dtype), grid_rows(rng, m, d, dtype)
    options = {"norm": norm, "bandwidth": typical_bandwidth(X, Z, metric=None, norm=norm)}
    assert_accurate(
        OP, backend.kernel_matrix(X, Z, **options), oracle.kernel_matrix(X, Z, **options), dtype
    )
    assert_accurate(
        OP, backend.kernel_matrix(X, **options), oracle.kernel_matrix(X, **options), dtype
    )


@settings(max_examples=12)
@given(
    n=st.integers(1, 90), m=st.integers(1, 150), d=st.integers(1, 40), seed=st.integers(0, 2**20)
)
def test_drawn_shapes(
    backend: Backend, dtype: type, kernel: dict[str, float], n: int, m: int, d: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    X, Z = grid_rows(rng, n, d, dtype), grid_rows(rng, m, d, dtype)
    metric = make_metric("vector", d, seed) if seed % 2 else None
    options = {"metric": metric, "bandwidth": rng.uniform(0.5, 20.0), **kernel}
    K = backend.kernel_matrix(X, Z, **options)
    assert_accurate(OP, K, oracle.kernel_matrix(X, Z, **options), dtype)


@pytest.mark.parametrize("n", [1, 2, 31, 64, 129, 700])
def test_exactly_symmetric_with_unit_diagonal(
    backend: Backend, dtype: type, kernel: dict[str, float], n: int
) -> None:
    X = (50 + np.random.default_rng(n).standard_normal((n, 6))).astype(dtype)
    for metric in (None, make_metric("matrix", 6)):
        K = backend.kernel_matrix(X, metric=metric, **kernel)
        np.testing.assert_array_equal(K, K.T)
        np.testing.assert_array_equal(np.diagonal(K), 1)


@pytest.mark.parametrize("d", [2, 11, pytest.param(300, marks=pytest.mark.slow)])
def test_wide_matrix_metric(backend: Backend, dtype: type, d: int) -> None:
    for norm in (2.0, 1.0):
        X, Z, options = sample("matrix", {"norm": norm, "exponent": 1.0}, dtype, 20, 31, d)
        K = backend.kernel_matrix(X, Z, **options)
        assert_accurate(OP, K, oracle.kernel_matrix(X, Z, **options), dtype)


@pytest.mark.parametrize("bandwidth", [0.03, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_few_features_and_a_short_bandwidth(
    backend: Backend, dtype: type, d: int, bandwidth: float
) -> None:
    """Many pairs are nearer than their norms say: the expansion of |x - z|^2 is not enough."""
    X = np.random.default_rng(d).standard_normal((300, d)).astype(dtype)
    for exponent in (1.0, 2.0):
        options = {"bandwidth": bandwidth, "exponent": exponent}
        K = backend.kernel_matrix(X[:100], X, **options)
        assert_accurate(OP, K, oracle.kernel_matrix(X[:100], X, **options), dtype)


@pytest.mark.parametrize("metric", [np.zeros(4), np.zeros((4, 4))], ids=["vector", "matrix"])
def test_zero_metric_puts_every_row_at_one_point(
    backend: Backend, dtype: type, kernel: dict[str, float], metric: Array
) -> None:
    X = np.random.default_rng(0).standard_normal((9, 4)).astype(dtype)
    K = backend.kernel_matrix(X, X[:5] + 1, metric=metric, **kernel)
    np.testing.assert_array_equal(K, np.ones((9, 5)))


def test_any_root_would_do_for_norm_2(backend: Backend, dtype: type) -> None:
    """K at norm 2 depends on M alone: rotating rows and metric together changes nothing."""
    rng = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    M = make_metric("low_rank", 6)
    assert M is not None
    X = rng.standard_normal((20, 6))
    turned = rotation @ M @ rotation.T
    K = backend.kernel_matrix(X.astype(dtype), metric=M)
    R = backend.kernel_matrix((X @ rotation.T).astype(dtype), metric=(turned + turned.T) / 2)
    assert np.abs(K - R).max() < (2e-6 if dtype == np.float32 else 1e-10)


def test_far_rows_have_a_kernel_of_zero(backend: Backend, dtype: type) -> None:
    """Through the denormals down to 0: no NaN, no negative value, never above the truth's 1."""
    X = np.linspace(0, 1200, 2401).astype(dtype)[:, None]
    options = {"bandwidth": 1.0}
    K = backend.kernel_matrix(X[:1], X, **options)
    assert_accurate(OP, K, oracle.kernel_matrix(X[:1], X, **options), dtype)
    assert (K >= 0).all()
    assert K[0, -1] == 0


def test_exponential_is_accurate_relative_to_itself(backend: Backend, dtype: type) -> None:
    """K over its range in relative terms: the absolute tolerance cannot see a small K.

    At norm 1 and bandwidth 1 these distances are exact; what is left is the exponential, and one
    rounding of its argument, which costs D / 2 units in the last place.
    """
    X = (np.arange(640) / 8).astype(dtype)[:, None]
    options = {"norm": 1.0, "bandwidth": 1.0}
    K, truth = backend.kernel_matrix(X[:1], X, **options), oracle.kernel_matrix(X[:1], X, **options)
    assert (np.abs(K / truth - 1) <= (4 + X.T) * np.finfo(dtype).eps).all()


def test_defaults_are_the_laplace_kernel_of_bandwidth_10(backend: Backend) -> None:
    X = np.random.default_rng(0).standard_normal((7, 3))
    expected = oracle.kernel_matrix(X, bandwidth=10.0, exponent=1.0, norm=2.0)
    assert_accurate(OP, backend.kernel_matrix(X), expected, np.float64)


@pytest.mark.parametrize("given_z", [True, False])
def test_out_receives_the_result(backend: Backend, dtype: type, given_z: bool) -> None:
    X = np.random.default_rng(0).standard_normal((33, 4)).astype(dtype)
    Z = X[:9] + 1 if given_z else None
    out = np.full((33, 9 if given_z else 33), np.nan, dtype)
    assert backend.kernel_matrix(X, Z, out=out) is out
    assert_accurate(OP, out, oracle.kernel_matrix(X, Z), dtype)


def test_parameters_may_be_integers_and_numpy_scalars(backend: Backend) -> None:
    X = np.random.default_rng(0).standard_normal((7, 3))
    K = backend.kernel_matrix(X, bandwidth=3, norm=np.float32(2), exponent=np.int64(1))
    np.testing.assert_array_equal(K, backend.kernel_matrix(X, bandwidth=3.0))
