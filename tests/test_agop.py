"""agop against the oracle: the mean over rows, its diagonal, its centring, its use as a metric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from backends import Backend
from cases import (
    AGOP_MODE_IDS,
    AGOP_MODES,
    apart_rows,
    assert_accurate,
    coefficients,
    grid_rows,
    make_metric,
    typical_bandwidth,
    uneven_weights,
)

pytestmark = pytest.mark.core

OP = "agop"


@pytest.mark.parametrize("mode", AGOP_MODES, ids=AGOP_MODE_IDS)
def test_every_kernel_metric_and_dtype(
    backend: Backend,
    dtype: type,
    kernel: dict[str, float],
    metric_form: str,
    mode: dict[str, bool],
) -> None:
    rng = np.random.default_rng(1)
    metric = make_metric(metric_form, 5)
    rows = apart_rows(rng, 60, 5, dtype, metric, kernel["norm"])
    X, Z = rows[:23], rows[23:]
    bandwidth = typical_bandwidth(X, Z, metric=metric, norm=kernel["norm"])
    options = {"metric": metric, "bandwidth": bandwidth, **kernel, **mode}
    for c, weight in ((1, None), (3, uneven_weights(23)), (11, None)):
        coef = coefficients(rng, 37, c, dtype)
        options["sample_weight"] = weight
        G = backend.agop(X, Z, coef, **options)
        assert_accurate(OP, G, oracle.agop(X, Z, coef, **options), dtype)
        np.testing.assert_array_equal(G, G.T)


@pytest.mark.parametrize(
    ("n", "m", "d", "c"),
    [
        (1, 1, 1, 1), (1, 300, 3, 2), (300, 1, 3, 2), (2, 6, 2, 4), (15, 17, 5, 5),
        (16, 16, 8, 8), (31, 33, 16, 3), (65, 63, 32, 2), (97, 95, 33, 1), (129, 257, 7, 1),
        (67, 513, 3, 3), (515, 67, 4, 2), (4, 5, 1000, 2), (6, 40, 2, 70),
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
    for mode in AGOP_MODES[:2]:
        G = backend.agop(X, Z, coef, **options, **mode)
        assert_accurate(OP, G, oracle.agop(X, Z, coef, **options, **mode), dtype)


@settings(max_examples=10)
@given(
    n=st.integers(1, 60),
    m=st.integers(1, 150),
    d=st.integers(1, 40),
    c=st.integers(1, 9),
    mode=st.sampled_from(AGOP_MODES[:2]),
    seed=st.integers(0, 2**20),
)
def test_drawn_shapes(
    backend: Backend, dtype: type, kernel: dict[str, float],
    n: int, m: int, d: int, c: int, mode: dict[str, bool], seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    X, Z = grid_rows(rng, n, d, dtype), grid_rows(rng, m, d, dtype)
    coef = rng.uniform(0.5, 1.5, (m, c)).astype(dtype)
    metric = make_metric("vector", d, seed) if seed % 2 else None
    options = {"metric": metric, "bandwidth": rng.uniform(2.0, 20.0), **kernel, **mode}
    G = backend.agop(X, Z, coef, **options)
    assert_accurate(OP, G, oracle.agop(X, Z, coef, **options), dtype)


def test_tasks_of_several_panels_and_groups_of_outputs(backend: Backend, dtype: type) -> None:
    """A task takes several lane panels here, and has more outputs than it scales at once."""
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((70, 14)).astype(dtype)
    X = rng.standard_normal((840 if backend.emulated else 4200, 14)).astype(dtype)
    nudges = dtype(1e-2) * rng.standard_normal((70, 14)).astype(dtype)
    X[:: len(X) // 70] = Z + nudges  # near in each panel
    coef = coefficients(rng, 70, 18, dtype)
    G = backend.agop(X, Z, coef, bandwidth=3.0)
    assert_accurate(OP, G, oracle.agop(X, Z, coef, bandwidth=3.0), dtype)


def test_is_the_mean_outer_product_of_the_gradients(backend: Backend, dtype: type) -> None:
    """Two public functions agree: agop fuses what gradients writes out."""
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((70, 6)).astype(dtype), rng.standard_normal((90, 6)).astype(dtype)
    coef = coefficients(rng, 90, 3, dtype)
    g = backend.gradients(X, Z, coef).astype(np.float64)
    expected = np.einsum("ilj,ilk->jk", g, g) / 70
    assert_accurate(OP, backend.agop(X, Z, coef), expected, dtype)


def test_repeating_the_rows_does_not_change_the_mean(backend: Backend, dtype: type) -> None:
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((50, 4)).astype(dtype), rng.standard_normal((30, 4)).astype(dtype)
    coef = coefficients(rng, 30, 2, dtype)
    once = backend.agop(X, Z, coef).astype(np.float64)
    assert_accurate(OP, backend.agop(np.tile(X, (7, 1)), Z, coef), once, dtype)


def test_centring_one_row_leaves_nothing(
    backend: Backend, dtype: type, kernel: dict[str, float]
) -> None:
    rng = np.random.default_rng(0)
    Z, coef = rng.standard_normal((30, 4)).astype(dtype), coefficients(rng, 30, 2, dtype)
    plain = backend.agop(Z[:1] + 1, Z, coef, **kernel)
    G = backend.agop(Z[:1] + 1, Z, coef, center=True, **kernel)
    assert np.abs(G).max() <= 4 * np.finfo(dtype).eps * np.abs(plain).max()


def test_centring_removes_a_large_common_gradient(backend: Backend) -> None:
    """Rows far from two centres see nearly one slope: what is left is small, and must be right."""
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((80, 3)), 30 + rng.standard_normal((2, 3))
    coef = np.ones((2, 2))
    options = {"bandwidth": 50.0, "center": True}
    G = backend.agop(X, Z, coef, **options)
    expected = oracle.agop(X, Z, coef, **options)
    assert_accurate(OP, G, expected, np.float64)


def test_is_accepted_as_the_next_metric(
    backend: Backend, dtype: type, kernel: dict[str, float]
) -> None:
    """Five rows in eight features: the AGOP has rounding for its small eigenvalues."""
    rng = np.random.default_rng(0)
    X, coef = rng.standard_normal((5, 8)).astype(dtype), coefficients(rng, 5, 1, dtype)
    metric = backend.agop(X, X, coef, **kernel)
    metric = metric / metric.max()
    K = backend.kernel_matrix(X, metric=metric, **kernel)
    assert np.isfinite(K).all()
    if kernel["norm"] == 2:  # other norms: a square root magnifies the rounding of the metric
        expected = oracle.kernel_matrix(X, metric=metric, **kernel)
        tolerance = 1e-6 if dtype == np.float32 else 1e-10
        assert np.abs(K - expected).max() < tolerance


def test_default_is_full_and_not_centred(backend: Backend) -> None:
    rng = np.random.default_rng(0)
    X, Z, coef = rng.standard_normal((9, 3)), rng.standard_normal((7, 3)), np.ones((7, 1))
    expected = oracle.agop(X, Z, coef, diagonal=False, center=False, bandwidth=10.0)
    assert_accurate(OP, backend.agop(X, Z, coef), expected, np.float64)
