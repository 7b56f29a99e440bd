"""Where |x|^2 + |z|^2 - 2 x z loses everything: clusters, duplicates, outliers, extremes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oracle
from backends import Backend
from cases import (
    DISTANCE_TOLERANCE,
    KERNEL_TOLERANCE,
    OPS,
    Array,
    apart_rows,
    assert_accurate,
    call,
    coefficients,
    error_of,
    make_metric,
)

pytestmark = pytest.mark.core

D_FEATURES = 5
SPREAD, OFFSET = 1e-4, 1e3
# corners around the origin and the origin itself, so that no one shift brings all of them near 0
CLUSTERS = {
    "one": np.ones((1, D_FEATURES)),
    "several": np.array([[1, 1, 1, 1, 1], [-1, 1, -1, 1, 1], [1, -1, -1, -1, 1], [0, 0, 0, 0, 0]]),
}


def clustered(name: str, dtype: type, n: int = 48) -> tuple[Array, Array]:
    """Return shuffled rows in clusters and the mask of the pairs that share one."""
    rng = np.random.default_rng(3)
    label = rng.integers(0, len(CLUSTERS[name]), n)
    X = OFFSET * CLUSTERS[name][label] + SPREAD * rng.standard_normal((n, D_FEATURES))
    return X.astype(dtype), label[:, None] == label[None, :]


@pytest.mark.parametrize("clusters", CLUSTERS)
def test_distances_in_and_between_clusters(
    backend: Backend, dtype: type, kernel: dict[str, float], metric_form: str, clusters: str
) -> None:
    """Recover D from K at a bandwidth that suits it, and hold it to the contract."""
    X, together = clustered(clusters, dtype)
    metric = make_metric(metric_form, D_FEATURES)
    D = oracle.distances(X, X, metric=metric, norm=kernel["norm"])
    for pairs in (together, ~together):
        if not (D[pairs] > 0).any():
            continue  # one cluster has no pairs between clusters
        bandwidth = float(np.median(D[pairs & (D > 0)]))
        exponents = (D / bandwidth) ** kernel["exponent"]
        seen = pairs & (exponents > 0.05) & (exponents < 20)
        for Z in (None, X.copy()):
            K = backend.kernel_matrix(X, Z, metric=metric, bandwidth=bandwidth, **kernel)
            assert np.isfinite(K).all()
            recovered = bandwidth * (-np.log(K[seen].astype(float))) ** (1 / kernel["exponent"])
            error = np.abs(recovered / D[seen] - 1).max()
            assert error <= DISTANCE_TOLERANCE[np.dtype(dtype).name]


@pytest.mark.parametrize("clusters", CLUSTERS)
def test_kernel_of_clusters_at_the_default_bandwidth(
    backend: Backend, dtype: type, kernel: dict[str, float], metric_form: str, clusters: str
) -> None:
    X, together = clustered(clusters, dtype)
    options = {"metric": make_metric(metric_form, D_FEATURES), **kernel}
    K = backend.kernel_matrix(X, **options)
    truth = oracle.kernel_matrix(X, **options)
    assert np.abs(K - truth).max() <= KERNEL_TOLERANCE[np.dtype(dtype).name]
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_array_equal(np.diagonal(K), 1)
    laplace = backend.kernel_matrix(X, X.copy(), metric=options["metric"], bandwidth=200.0)
    assert np.abs(laplace[together] - 1).max() <= 1e-5


@pytest.mark.parametrize("clusters", CLUSTERS)
@pytest.mark.parametrize("op", OPS[1:])
def test_sums_over_clusters(
    backend: Backend,
    dtype: type,
    kernel: dict[str, float],
    metric_form: str,
    clusters: str,
    op: str,
) -> None:
    """Near pairs weigh most in a gradient, w grows as 1 / D: they must have exact directions."""
    if kernel["norm"] <= 1 and metric_form in ("matrix", "low_rank"):
        pytest.skip("phi jumps where transformed coordinates tie: no accuracy is defined")
    X, _ = clustered(clusters, dtype)
    coef = np.random.default_rng(0).uniform(0.5, 1.5, (len(X), 2)).astype(dtype)
    allowed = DISTANCE_TOLERANCE[np.dtype(dtype).name]
    for bandwidth in (10.0, OFFSET):
        options: dict[str, Any] = {"metric": make_metric(metric_form, D_FEATURES), **kernel}
        options["bandwidth"] = bandwidth
        result = call(backend, op, X[:20], X, coef, **options)
        assert error_of(op, result, call(oracle, op, X[:20], X, coef, **options)) <= allowed


@pytest.mark.parametrize("rows", [1, 2, 5, 40])
def test_a_row_never_sees_itself(
    backend: Backend, dtype: type, kernel: dict[str, float], metric_form: str, rows: int
) -> None:
    """Evaluation rows are some of the centres, shuffled, and every centre is there twice.

    However few the rows, they must be transformed to the same last bit as the centres.
    """
    rng = np.random.default_rng(rows)
    metric = make_metric(metric_form, D_FEATURES)
    base = apart_rows(rng, 40, D_FEATURES, dtype, metric, kernel["norm"]) + dtype(20)
    Z = np.concatenate([base, base])[rng.permutation(80)]
    X = Z[rng.permutation(80)[:rows]]
    coef = 100 * coefficients(rng, 80, 3, dtype)
    options = {"metric": metric, **kernel}
    for op in ("gradients", "agop"):
        result = call(backend, op, X, Z, coef, **options)
        assert_accurate(op, result, call(oracle, op, X, Z, coef, **options), dtype)
    K = backend.kernel_matrix(X, Z, **options)
    same = (X[:, None, :] == Z[None, :, :]).all(axis=2)
    assert same.sum() == 2 * rows
    np.testing.assert_array_equal(K[same], 1)


def test_only_duplicates_have_no_gradient(
    backend: Backend, dtype: type, kernel: dict[str, float], metric_form: str
) -> None:
    X = np.tile(np.random.default_rng(0).standard_normal(D_FEATURES), (33, 1)).astype(dtype) * 1000
    coef = np.ones((33, 2), dtype)
    options = {"metric": make_metric(metric_form, D_FEATURES), **kernel}
    assert np.count_nonzero(backend.gradients(X[:7], X, coef, **options)) == 0
    assert np.count_nonzero(backend.agop(X[:7], X, coef, **options)) == 0
    np.testing.assert_array_equal(backend.kernel_matrix(X[:7], X, **options), np.ones((7, 33)))
    np.testing.assert_array_equal(backend.kernel_matrix(X, **options), np.ones((33, 33)))


@pytest.mark.parametrize("outlier", [1e4, 1e9, 1e30])
def test_one_outlier_does_not_blur_the_others(
    backend: Backend, dtype: type, kernel: dict[str, float], metric_form: str, outlier: float
) -> None:
    """A code for a missing value, say: subtracting the mean would move all the other rows."""
    X = np.random.default_rng(0).standard_normal((40, D_FEATURES)).astype(dtype)
    X[17] = outlier
    options = {"metric": make_metric(metric_form, D_FEATURES), "bandwidth": 4.0, **kernel}
    for Z in (None, X[::-1].copy()):
        K = backend.kernel_matrix(X, Z, **options)
        truth = oracle.kernel_matrix(X, Z, **options)
        assert np.isfinite(K).all()
        assert np.abs(K - truth).max() <= KERNEL_TOLERANCE[np.dtype(dtype).name]


@pytest.mark.parametrize("end", ["huge", "tiny"])
def test_scale_of_the_data_is_free(
    backend: Backend, dtype: type, kernel: dict[str, float], end: str
) -> None:
    """K(s X, s L) = K(X, L), although the squares of s X overflow or vanish."""
    scale = dtype({"huge": 1e30, "tiny": 1e-30}[end])
    X = (np.random.default_rng(0).standard_normal((20, 4)) * scale).astype(dtype)
    options = {"bandwidth": 3 * float(scale), **kernel}
    for Z in (None, X[:9]):
        K = backend.kernel_matrix(X, Z, **options)
        assert_accurate("kernel_matrix", K, oracle.kernel_matrix(X, Z, **options), dtype)


@pytest.mark.parametrize("size", [1e30, 3e38])
def test_huge_values_never_make_a_nan(
    backend: Backend, dtype: type, kernel: dict[str, float], metric_form: str, size: float
) -> None:
    rng = np.random.default_rng(0)
    X = (size * rng.choice([-1.0, 1.0], (20, D_FEATURES))).astype(dtype)
    X[3] = X[11]
    X[5] = 0
    coef = coefficients(rng, 20, 2, dtype)
    options = {"metric": make_metric(metric_form, D_FEATURES), **kernel}
    for op in OPS:
        assert np.isfinite(call(backend, op, X, X.copy(), coef, **options)).all()
    K = backend.kernel_matrix(X, **options)
    np.testing.assert_array_equal(np.diagonal(K), 1)
    assert K[3, 11] == 1
    assert ((K >= 0) & (K <= 1)).all()


@pytest.mark.parametrize("bandwidth", [1e-30, 1e-3, 1e30])
def test_extreme_bandwidths_never_make_a_nan(
    backend: Backend, dtype: type, kernel: dict[str, float], bandwidth: float
) -> None:
    rng = np.random.default_rng(0)
    X, coef = rng.standard_normal((20, 4)).astype(dtype), coefficients(rng, 20, 2, dtype)
    X[3] = X[11]
    options = {"bandwidth": bandwidth, **kernel}
    for op in OPS:
        assert np.isfinite(call(backend, op, X, X, coef, **options)).all()
    K = backend.kernel_matrix(X, **options)
    assert np.abs(K - oracle.kernel_matrix(X, **options)).max() <= 1e-6


@pytest.mark.parametrize("op", OPS)
def test_sizes_beyond_the_largest_number(backend: Backend, op: str) -> None:
    """A far row under a huge metric has no size in float32; padding beside it is not read."""
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((40, 3)), rng.standard_normal((30, 3))
    X[0, 0] = 1e14
    metric = np.array([[1e60, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    coef = coefficients(rng, 30, 2, np.float32)
    for M in (metric, np.array([1e60, 1.0, 1.0]), None):
        for dtype in (np.float32, np.float64):
            result = call(
                backend, op, X.astype(dtype), Z.astype(dtype), coef.astype(dtype), metric=M
            )
            # Gradients grow with the root of the metric, beyond float32 too.
            assert (M is not None and op in OPS[2:]) or np.isfinite(result).all()
