"""The two tiers of CUDA's products for p = 2: plain float32, and tensor cores by 3xTF32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oracle
from backends import Backend
from cases import (
    Array,
    assert_accurate,
    call,
    coefficients,
    error_of,
    grid_rows,
    make_metric,
    typical_bandwidth,
)
from fastrfm.backend import kernel_triangle
from fastrfm.kernels import Kernel

pytestmark = pytest.mark.core

VARIABLE = "FASTRFM_CUDA_TIER"
# rows, centres, features, outputs: around the instruction's 16 x 8 x 8, warps' 64 x 32, tiles, and
# second products of one and of several blocks of columns
SHAPES = [
    (1, 1, 5, 1), (15, 9, 7, 2), (17, 7, 8, 3), (63, 33, 9, 1), (65, 31, 15, 17), (129, 65, 16, 5),
    (64, 127, 33, 20), (127, 129, 71, 4), (200, 100, 130, 2),
]  # fmt: skip


@pytest.fixture
def tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for tensor cores, whatever the shapes."""
    monkeypatch.setenv(VARIABLE, "tensor")


@pytest.mark.usefixtures("tensor")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("op", ["kernel_matrix", "kernel_matmul", "gradients", "agop"])
def test_tensor_cores_agree_with_the_oracle(
    cuda: Backend, op: str, shape: tuple[int, int, int, int]
) -> None:
    n, m, d, c = shape
    rng = np.random.default_rng(n)
    X, Z = grid_rows(rng, n, d, np.float32), grid_rows(rng, m, d, np.float32)
    coef = coefficients(rng, m, c, np.float32)
    options = {"norm": 2.0, "bandwidth": typical_bandwidth(X, Z, metric=None, norm=2.0)}
    result = call(cuda, op, X, Z, coef, **options)
    assert_accurate(op, result, call(oracle, op, X, Z, coef, **options), np.float32)


@pytest.mark.usefixtures("tensor")
@pytest.mark.parametrize("n", [1, 64, 127, 128, 130, 257])
def test_symmetric_matrices_on_tensor_cores(cuda: Backend, n: int) -> None:
    rng = np.random.default_rng(n)
    X = grid_rows(rng, n, 20, np.float32)
    metric = make_metric("matrix", 20)
    options: dict[str, Any] = {"metric": metric, "bandwidth": 3.0}
    expected = oracle.kernel_matrix(X, X, **options)
    K = cuda.kernel_matrix(X, **options)
    assert_accurate("kernel_matrix", K, expected, np.float32)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_array_equal(np.diag(K), 1.0)
    V = coefficients(rng, n, 3, np.float32)
    product = cuda.kernel_matmul(X, X, V, **options)
    assert_accurate("kernel_matmul", product, expected @ V, np.float32)
    plain = np.tril(cuda.kernel_matrix(X, bandwidth=3.0))
    with cuda.active():
        triangle = kernel_triangle(X, Kernel(2.0, 1.0, 3.0), None)
    np.testing.assert_array_equal(np.tril(triangle), plain)


@pytest.mark.usefixtures("tensor")
def test_near_pairs_on_tensor_cores(cuda: Backend) -> None:
    """Clusters of spread 1e-4, a thousand from the origin, and rows twice: the contract of K."""
    rng = np.random.default_rng(0)
    X = (
        1e3
        + rng.standard_normal((5, 70)).repeat(30, axis=0)
        + 1e-4 * rng.standard_normal((150, 70))
    )
    X = np.vstack([X, X[:9]]).astype(np.float32)
    coef = coefficients(rng, len(X), 2, np.float32)
    for op in ("kernel_matrix", "agop"):
        options = {"bandwidth": 5.0}
        result = call(cuda, op, X, X, coef, **options)
        assert_accurate(op, result, call(oracle, op, X, X, coef, **options), np.float32)


def errors(cuda: Backend, op: str, d: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Array]:
    """Return, by tier, the largest error and the root mean square, against float64."""
    rng = np.random.default_rng(d)
    X = rng.standard_normal((96, d)).astype(np.float32)
    Z = rng.standard_normal((130, d)).astype(np.float32)
    coef = rng.standard_normal((130, 2)).astype(np.float32)
    options = {"norm": 2.0, "bandwidth": float(np.sqrt(2 * d)) / 3}
    expected = call(oracle, op, X, Z, coef, **options)
    found = {}
    for tier in ("simt", "tensor"):
        monkeypatch.setenv(VARIABLE, tier)
        actual = call(cuda, op, X, Z, coef, **options)
        error = np.abs(actual - expected)
        found[tier] = np.array([error_of(op, actual, expected), np.sqrt(np.mean(error**2))])
    return found


@pytest.mark.parametrize("d", [64, 300, 1024])
@pytest.mark.parametrize("op", ["kernel_matrix", "kernel_matmul", "agop"])
def test_no_worse_than_four_times_plain_float32(
    cuda: Backend, op: str, d: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured on the emulator, which rounds sums to nearest: 0.6 to 1.4 times."""
    found = errors(cuda, op, d, monkeypatch)
    assert (found["tensor"] <= 4 * found["simt"]).all(), found


@pytest.mark.parametrize(("d", "tier"), [(8, "simt"), (63, "simt"), (64, "tensor"), (65, "tensor")])
def test_the_tier_goes_by_the_operations_of_a_pair(
    cuda: Backend, d: int, tier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((70, d)).astype(np.float32)
    monkeypatch.delenv(VARIABLE, raising=False)
    chosen = cuda.kernel_matrix(X)
    by_tier = {}
    for name in ("simt", "tensor"):
        monkeypatch.setenv(VARIABLE, name)
        by_tier[name] = cuda.kernel_matrix(X)
    assert (by_tier["simt"] != by_tier["tensor"]).any()
    np.testing.assert_array_equal(chosen, by_tier[tier])


@pytest.mark.usefixtures("tensor")
def test_float64_and_other_norms_have_one_tier(
    cuda: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = np.random.default_rng(0).standard_normal((70, 9))
    asked = [cuda.kernel_matrix(X), cuda.kernel_matrix(X.astype(np.float32), norm=1.0)]
    monkeypatch.setenv(VARIABLE, "simt")
    others = [cuda.kernel_matrix(X), cuda.kernel_matrix(X.astype(np.float32), norm=1.0)]
    for a, b in zip(asked, others, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_unknown_tier_is_an_error(cuda: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "wgmma")
    X = np.ones((3, 70), np.float32)
    with pytest.raises(RuntimeError, match='FASTRFM_CUDA_TIER must be simt or tensor; got "wgmma"'):
        cuda.kernel_matrix(X)
