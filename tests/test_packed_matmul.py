"""packed_matmul against NumPy's product with the unpacked matrix."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import get_lapack_funcs
from threadpoolctl import threadpool_limits

from cases import Array
from fastrfm import backend

pytestmark = pytest.mark.core


def packed(A: Array) -> Array:
    """Return LAPACK's own RFP of a symmetric matrix: TRANSR = 'N', UPLO = 'L'."""
    (trttf,) = get_lapack_funcs(("trttf",), dtype=A.dtype)
    result, info = trttf(np.asfortranarray(A), transr="N", uplo="L")
    assert info == 0
    return result


def symmetric(rng: np.random.Generator, n: int, dtype: type) -> Array:
    """Return a symmetric matrix without any other structure."""
    A = rng.standard_normal((n, n))
    return (A + A.T).astype(dtype)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 16, 17, 31, 64, 65, 300, 1027, 2050])
@pytest.mark.parametrize("c", [1, 2, 17])
def test_product(dtype: type, n: int, c: int) -> None:
    rng = np.random.default_rng(n)
    A, V = symmetric(rng, n, dtype), rng.standard_normal((n, c)).astype(dtype)
    result = backend.packed_matmul(packed(A), V)
    assert result.dtype == np.dtype(dtype)
    assert result.shape == (n, c)
    expected = A.astype(np.float64) @ V.astype(np.float64)
    assert np.abs(result - expected).max() <= 20 * np.finfo(dtype).eps * np.sqrt(n) * 4


def test_same_bits_for_every_thread_count(dtype: type) -> None:
    rng = np.random.default_rng(0)
    A, V = packed(symmetric(rng, 2500, dtype)), rng.standard_normal((2500, 3)).astype(dtype)
    results = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="openmp"):
            results.append(backend.packed_matmul(A, V))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
