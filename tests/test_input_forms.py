"""Arrays of every form: integer dtypes, memory layouts, byte order, read-only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import fastrfm
import oracle
from backends import Backend
from cases import OPS, Array, assert_accurate, call, coefficients, make_metric

pytestmark = pytest.mark.core


def strided(a: Array) -> Array:
    """Return a view of every second row and column of something larger."""
    big = np.full((2 * a.shape[0], 2 * a.shape[1]), 77, a.dtype)
    big[::2, ::2] = a
    return big[::2, ::2]


def read_only(a: Array) -> Array:
    """Return a copy that refuses writes."""
    copy = a.copy()
    copy.flags.writeable = False
    return copy


def unaligned(a: Array) -> Array:
    """Return a copy that starts one byte off an element's boundary."""
    raw = np.zeros(a.nbytes + 1, np.uint8)
    copy = raw[1:].view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


FORMS: dict[str, Callable[[Array], Array]] = {
    "fortran": np.asfortranarray,
    "negative_strides": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "every_second": strided,
    "read_only": read_only,
    "unaligned": unaligned,
    "other_byte_order": lambda a: a.astype(a.dtype.newbyteorder()),
    "subclass": lambda a: a.view(type("Sub", (np.ndarray,), {})),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("op", OPS)
def test_layouts_do_not_change_the_result(
    backend: Backend, dtype: type, op: str, form: str
) -> None:
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((19, 6)).astype(dtype), rng.standard_normal((35, 6)).astype(dtype)
    coef = coefficients(rng, 35, 3, dtype)
    metric = make_metric("matrix", 6)
    assert metric is not None
    change = FORMS[form]
    result = call(backend, op, change(X), change(Z), change(coef), metric=change(metric))
    assert_accurate(op, result, call(oracle, op, X, Z, coef, metric=metric), dtype)


@pytest.mark.parametrize("op", OPS)
def test_rows_that_share_memory_by_zero_strides(backend: Backend, dtype: type, op: str) -> None:
    rng = np.random.default_rng(0)
    row, Z = rng.standard_normal(6).astype(dtype), rng.standard_normal((35, 6)).astype(dtype)
    X, coef = np.broadcast_to(row, (9, 6)), coefficients(rng, 35, 3, dtype)
    result = call(backend, op, X, Z, coef)
    assert_accurate(op, result, call(oracle, op, X, Z, coef), dtype)


LIMITS = {
    np.int8: (-128, 127), np.uint8: (0, 255), np.int16: (-300, 300), np.int64: (-300, 300),
    np.uint64: (0, 300), np.bool_: (0, 1),
}  # fmt: skip


def integer_rows(rng: np.random.Generator, n: int, d: int, integer: type) -> Array:
    """Return rows that reach both ends of the range: a difference in int8 would wrap around."""
    low, high = LIMITS[integer]
    rows = rng.integers(low, high + 1, (n, d))
    rows[0], rows[-1] = low, high
    return rows.astype(integer)


@pytest.mark.parametrize("integer", LIMITS, ids=lambda integer: integer.__name__)
@pytest.mark.parametrize("op", OPS)
def test_integers_and_bool_give_float32(
    backend: Backend, kernel: dict[str, float], op: str, integer: type
) -> None:
    rng = np.random.default_rng(0)
    X, Z = integer_rows(rng, 19, 6, integer), integer_rows(rng, 35, 6, integer)
    coef = coefficients(rng, 35, 3, np.float32)
    options = {"bandwidth": 2.0 * LIMITS[integer][1], **kernel}
    result = call(backend, op, X, Z, coef, **options)
    assert_accurate(op, result, call(oracle, op, X, Z, coef, **options), np.float32)


@pytest.mark.parametrize("integer", [np.int8, np.uint8])
@pytest.mark.parametrize("op", OPS)
def test_bytes_under_a_metric(backend: Backend, op: str, integer: type) -> None:
    rng = np.random.default_rng(0)
    X, Z = integer_rows(rng, 70, 6, integer), integer_rows(rng, 35, 6, integer)
    coef = coefficients(rng, 35, 3, np.float32)
    for form in ("vector", "matrix"):
        options = {"metric": make_metric(form, 6), "bandwidth": 200.0}
        result = call(backend, op, X, Z, coef, **options)
        assert_accurate(op, result, call(oracle, op, X, Z, coef, **options), np.float32)


def test_many_bytes_in_fortran_order(backend: Backend) -> None:
    """More rows than a tile, so that each tile of bytes is converted on its own."""
    X = integer_rows(np.random.default_rng(0), 600, 5, np.uint8)
    K = backend.kernel_matrix(np.asfortranarray(X), bandwidth=300.0)
    assert_accurate("kernel_matrix", K, oracle.kernel_matrix(X, bandwidth=300.0), np.float32)


def test_integer_coefficients(backend: Backend, dtype: type) -> None:
    rng = np.random.default_rng(0)
    X, coef = rng.standard_normal((19, 6)).astype(dtype), rng.integers(-5, 6, (19, 2))
    for op in OPS[1:]:
        result = call(backend, op, X, X, coef)
        assert_accurate(op, result, call(oracle, op, X, X, coef), dtype)


@pytest.mark.parametrize("metric_dtype", [np.float32, np.float64, np.int64])
def test_metric_dtype_does_not_decide_the_result_dtype(
    backend: Backend, dtype: type, metric_dtype: type
) -> None:
    X = np.random.default_rng(0).standard_normal((19, 3)).astype(dtype)
    matrix = np.array([[2, 1, 0], [1, 3, 1], [0, 1, 2]], metric_dtype)
    for metric in (matrix, np.array([4, 0, 1], metric_dtype)):
        K = backend.kernel_matrix(X, metric=metric)
        assert_accurate("kernel_matrix", K, oracle.kernel_matrix(X, metric=metric), dtype)


@pytest.mark.parametrize("op", OPS)
def test_inputs_are_left_alone(backend: Backend, dtype: type, op: str) -> None:
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((19, 6)).astype(dtype), rng.standard_normal((35, 6)).astype(dtype)
    coef, metric = coefficients(rng, 35, 3, dtype), make_metric("matrix", 6)
    assert metric is not None
    before = [a.tobytes() for a in (X, Z, coef, metric)]
    call(backend, op, X, Z, coef, metric=metric)
    assert before == [a.tobytes() for a in (X, Z, coef, metric)]


def test_ridge_accepts_integers_and_any_layout() -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.integers(0, 99, (30, 4)), rng.integers(0, 2, (30, 2))
    plain = fastrfm.solve_ridge(X.astype(np.float32), Y.astype(np.float32), alpha=0.1)
    for change in (np.asfortranarray, strided, read_only):
        coef = fastrfm.solve_ridge(change(X), change(Y), alpha=0.1)
        assert coef.dtype == np.float32
        np.testing.assert_allclose(coef, plain, rtol=0, atol=1e-4 * np.abs(plain).max())
