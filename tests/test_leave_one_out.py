"""The diagonal of the inverse behind leave-one-out, from each form of factor, and its threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import get_lapack_funcs
from threadpoolctl import threadpool_limits

import oracle
from fastrfm.kernels import Kernel
from fastrfm.ridge import fit_ridge
from fastrfm.ridge.cholesky import Factor, FullFactor, PackedFactor
from fastrfm.ridge.leave_one_out import inverse_diagonal
from fastrfm.ridge.packed import packed_diagonals

pytestmark = pytest.mark.core


def factor_of(lower: np.ndarray, form: str) -> Factor:
    """Return a factor of that triangle; above it lie numbers that are not to be read."""
    n = len(lower)
    full = np.asfortranarray(lower + np.triu(np.full((n, n), 7.0, lower.dtype), 1))
    if form == "full":
        return FullFactor(full)
    (trttf,) = get_lapack_funcs(("trttf",), dtype=lower.dtype)
    packed, info = trttf(full, transr="N", uplo="L")
    assert info == 0
    np.testing.assert_array_equal(np.concatenate(packed_diagonals(packed, n)), np.diag(lower))
    return PackedFactor(packed, n)


def triangle(n: int, dtype: type) -> np.ndarray:
    """Return a well-conditioned lower triangle."""
    rng = np.random.default_rng(n)
    return (np.tril(rng.standard_normal((n, n))) / n**0.5 + np.eye(n)).astype(dtype)


@pytest.mark.parametrize("form", ["packed", "full"])
@pytest.mark.parametrize(
    "n", [1, 2, 3, 4, 127, 128, 129, 130, 255, 256, 257, 258, 259, 511, 512, 513, 600]
)
def test_every_size_around_the_blocks(dtype: type, form: str, n: int) -> None:
    lower = triangle(n, dtype)
    expected = (np.linalg.inv(lower.astype(np.float64)) ** 2).sum(axis=0)
    entries = inverse_diagonal(factor_of(lower, form), np.arange(n))
    np.testing.assert_allclose(entries, expected, rtol=1e-4 if dtype == np.float32 else 1e-12)


@settings(max_examples=25)
@given(n=st.integers(1, 400), form=st.sampled_from(["packed", "full"]), data=st.data())
def test_any_rows_in_any_order(n: int, form: str, data: st.DataObject) -> None:
    rows = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=300)), np.intp)
    lower = triangle(n, np.float64)
    expected = (np.linalg.inv(lower) ** 2).sum(axis=0)[rows]
    entries = inverse_diagonal(factor_of(lower, form), rows)
    np.testing.assert_allclose(entries, expected, rtol=1e-12)


def test_against_refits_over_several_blocks(dtype: type) -> None:
    """Some rows of 400, left out in turn."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 5)).astype(dtype)
    Y = np.sin(X @ rng.standard_normal((5, 2))).astype(dtype)
    options = {"alpha": 1e-3, "bandwidth": 5.0}
    fit = fit_ridge(X, Y, Kernel(bandwidth=5.0), None, alpha=1e-3)
    residuals = fit.leave_one_out()
    for i in (0, 127, 128, 199, 200, 201, 399):
        others = np.arange(400) != i
        coef = oracle.solve_ridge(X[others], Y[others], **options)
        expected = Y[i] - oracle.kernel_matmul(X[i : i + 1], X[others], coef, bandwidth=5.0)[0]
        allowed = 1e-3 if dtype == np.float32 else 1e-10
        np.testing.assert_allclose(residuals[i], expected, atol=allowed * np.abs(residuals).max())


def test_the_factor_is_left_as_it_was(dtype: type) -> None:
    X = np.random.default_rng(0).standard_normal((300, 3)).astype(dtype)
    fit = fit_ridge(X, X, Kernel(), None, alpha=0.1)
    first = fit.leave_one_out()
    np.testing.assert_array_equal(fit.leave_one_out(), first)
    rows = np.array([250, 3, 3])
    np.testing.assert_allclose(fit.leave_one_out(rows), first[rows], rtol=1e-4)


@pytest.mark.parametrize("form", ["packed", "full"])
def test_same_bits_for_every_number_of_threads(dtype: type, form: str) -> None:
    factor = factor_of(triangle(1100, dtype), form)
    results = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            results.append(inverse_diagonal(factor, np.arange(1100)))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])
