"""gradients against the oracle, and both against finite differences of the predictor."""

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
    coefficients,
    grid_rows,
    make_metric,
    typical_bandwidth,
)

pytestmark = pytest.mark.core

OP = "gradients"


def sample(
    form: str, kernel: dict[str, float], dtype: type, n: int, m: int, d: int, c: int, seed: int = 0
) -> tuple[Array, Array, Array, dict[str, Any]]:
    """Return X, Z, coef and options; for p < 1 no transformed coordinates nearly tie."""
    rng = np.random.default_rng(seed)
    metric = make_metric(form, d)
    rows = apart_rows(rng, n + m, d, dtype, metric, kernel["norm"])
    bandwidth = typical_bandwidth(rows[:n], rows[n:], metric=metric, norm=kernel["norm"])
    options = {"metric": metric, "bandwidth": bandwidth, **kernel}
    return rows[:n], rows[n:], coefficients(rng, m, c, dtype), options


@pytest.mark.parametrize("c", [1, 3, 11])
def test_every_kernel_metric_and_dtype(
    backend: Backend, dtype: type, kernel: dict[str, float], metric_form: str, c: int
) -> None:
    X, Z, coef, options = sample(metric_form, kernel, dtype, 23, 37, 5, c)
    g = backend.gradients(X, Z, coef, **options)
    assert g.shape == (23, c, 5)
    assert_accurate(OP, g, oracle.gradients(X, Z, coef, **options), dtype)


def test_against_finite_differences(
    backend: Backend, kernel: dict[str, float], metric_form: str
) -> None:
    """Central differences of the oracle's predictor: neither gradient formula is assumed."""
    X, Z, coef, options = sample(metric_form, kernel, np.float64, 6, 20, 4, 2)
    step = 1e-5
    numeric = np.empty((6, 2, 4))
    for k in range(4):
        shift = step * np.eye(4)[k]
        above = oracle.kernel_matmul(X + shift, Z, coef, **options)
        below = oracle.kernel_matmul(X - shift, Z, coef, **options)
        numeric[:, :, k] = (above - below) / (2 * step)
    allowed = 1e-5 * np.abs(numeric).max()
    assert np.abs(oracle.gradients(X, Z, coef, **options) - numeric).max() < allowed
    assert np.abs(backend.gradients(X, Z, coef, **options) - numeric).max() < allowed


@pytest.mark.parametrize(
    ("n", "m", "d", "c"),
    [
        (1, 1, 1, 1), (1, 300, 3, 2), (300, 1, 3, 2), (5, 6, 2, 4), (15, 17, 5, 5),
        (16, 16, 8, 8), (31, 33, 16, 3), (65, 63, 32, 2), (97, 95, 33, 1), (129, 257, 7, 1),
        (67, 513, 3, 3), (4, 5, 1000, 2), (6, 40, 2, 70),
    ],
)  # fmt: skip
@pytest.mark.parametrize("norm", [2.0, 1.0, 1.5])
def test_sizes_around_the_tiles(
    backend: Backend, dtype: type, norm: float, n: int, m: int, d: int, c: int
) -> None:
    rng = np.random.default_rng(d)
    X, Z = grid_rows(rng, n, d, dtype), grid_rows(rng, m, d, dtype)
    coef = coefficients(rng, m, c, dtype)
    options = {"norm": norm, "bandwidth": typical_bandwidth(X, Z, metric=None, norm=norm)}
    g = backend.gradients(X, Z, coef, **options)
    assert_accurate(OP, g, oracle.gradients(X, Z, coef, **options), dtype)


@settings(max_examples=12)
@given(
    n=st.integers(1, 60),
    m=st.integers(1, 150),
    d=st.integers(1, 40),
    c=st.integers(1, 9),
    seed=st.integers(0, 2**20),
)
def test_drawn_shapes(
    backend: Backend, dtype: type, kernel: dict[str, float],
    n: int, m: int, d: int, c: int, seed: int,
) -> None:  # fmt: skip
    """Grid data: most pairs tie in a coordinate (phi(0) = 0), in few columns whole rows tie."""
    rng = np.random.default_rng(seed)
    X, Z = grid_rows(rng, n, d, dtype), grid_rows(rng, m, d, dtype)
    coef = rng.uniform(0.5, 1.5, (m, c)).astype(dtype)
    metric = make_metric("vector", d, seed) if seed % 2 else None
    options = {"metric": metric, "bandwidth": rng.uniform(2.0, 20.0), **kernel}
    g = backend.gradients(X, Z, coef, **options)
    assert_accurate(OP, g, oracle.gradients(X, Z, coef, **options), dtype)


def test_downhill_points_away_from_one_centre(
    backend: Backend, dtype: type, kernel: dict[str, float]
) -> None:
    """One centre with a positive coefficient: f falls with distance, so g is against x - z."""
    Z = np.zeros((1, 3), dtype)
    X = np.array([[1, 0, 0], [0, -2, 0], [0.5, 0.5, 0.5]], dtype)
    g = backend.gradients(X, Z, np.ones((1, 1), dtype), **kernel)[:, 0, :]
    np.testing.assert_array_equal(np.sign(g), -np.sign(X))


def test_one_pair_by_hand(backend: Backend, dtype: type) -> None:
    """x - z = (3, 4), D = 5, L = 5: K = 1/e and the gradient is -K / (D L) times (3, 4)."""
    X, Z = np.array([[4, 6]], dtype), np.array([[1, 2]], dtype)
    g = backend.gradients(X, Z, np.full((1, 1), 2, dtype), bandwidth=5.0)
    expected = -2 * np.exp(-1) / 25 * np.array([[[3.0, 4.0]]])
    assert_accurate(OP, g, expected, dtype)


def test_metric_scales_the_gradient(backend: Backend, dtype: type) -> None:
    """Metric s^2 I equals bandwidth L / s; the gradient in input space is the same."""
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((9, 4)).astype(dtype), rng.standard_normal((14, 4)).astype(dtype)
    coef = coefficients(rng, 14, 2, dtype)
    expected = oracle.gradients(X, Z, coef, bandwidth=2.5)
    for metric in (np.full(4, 16.0), 16 * np.eye(4)):
        g = backend.gradients(X, Z, coef, metric=metric, bandwidth=10.0)
        assert_accurate(OP, g, expected, dtype)


@pytest.mark.parametrize("metric", [np.zeros(4), np.zeros((4, 4))], ids=["vector", "matrix"])
def test_zero_metric_has_no_gradient(
    backend: Backend, dtype: type, kernel: dict[str, float], metric: Array
) -> None:
    rng = np.random.default_rng(0)
    X, coef = rng.standard_normal((9, 4)).astype(dtype), coefficients(rng, 9, 2, dtype)
    g = backend.gradients(X, X[::-1], coef, metric=metric, **kernel)
    np.testing.assert_array_equal(g, np.zeros((9, 2, 4)))
