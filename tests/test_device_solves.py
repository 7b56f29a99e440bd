"""Ridge regression on a device: the same solutions, by cuSOLVER's routines and by the same pcg."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastrfm
from device import StandIn
from fastrfm import backend
from fastrfm.backend import cuda_room, running_on
from fastrfm.cuda import linear_algebra
from fastrfm.kernels import Kernel
from fastrfm.outputs import rotate_outputs
from fastrfm.ridge import device_plan, fit_ridge
from fastrfm.ridge.device_plan import make_device_plan
from test_weighted_ridge import BANDWIDTH, sample, spread_weights

TOLERANCE = {"float32": 2e-3, "float64": 1e-7}


def solve(X: Any, Y: Any, **options: Any) -> Any:
    options = {"alpha": 0.05, "bandwidth": BANDWIDTH, "tol": 1e-10} | options
    if X.dtype == np.float32:
        options["tol"] = 1e-5
    return fastrfm.solve_ridge(X, Y, return_info=True, **options)


@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", ["cholesky", "pcg"])
def test_the_solution_is_that_of_the_host(
    cupy: ModuleType, dtype: type, solver: str, weighted: bool, c: int
) -> None:
    X, Y = sample(dtype, n=500, c=c)
    weights = spread_weights(500, 1.0) if weighted else None
    expected, of_host = solve(X, Y, solver=solver, sample_weight=weights)
    coef, info = solve(cupy.asarray(X), cupy.asarray(Y), solver=solver, sample_weight=weights)
    assert isinstance(coef, cupy.ndarray)
    assert coef.dtype == expected.dtype
    assert info["solver"] == of_host["solver"] == solver
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        cupy.asnumpy(coef), expected, rtol=0, atol=TOLERANCE[np.dtype(dtype).name] * scale
    )
    of_the_host, _ = solve(X, Y, solver=solver, sample_weight=weights, device="cuda")
    np.testing.assert_array_equal(of_the_host, cupy.asnumpy(coef))


@pytest.mark.parametrize("weighted", [False, True])
def test_leave_one_out_is_that_of_the_host(cupy: ModuleType, dtype: type, weighted: bool) -> None:
    X, Y = sample(dtype, n=300)
    weights = spread_weights(300, 1.0) if weighted else None
    options: dict[str, Any] = {"alpha": 0.1, "solver": "cholesky", "sample_weight": weights}
    of_host = fit_ridge(X, Y, Kernel(bandwidth=BANDWIDTH), None, **options)
    with running_on(cuda_room()):
        fit = fit_ridge(X, Y, Kernel(bandwidth=BANDWIDTH), None, **options)
    tolerance = 1e-3 if dtype == np.float32 else 1e-9
    for rows in (None, np.array([17, 3, 299, 0, 3])):
        found = fit.leave_one_out(rows)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(
            found, of_host.leave_one_out(rows), rtol=tolerance, atol=tolerance
        )


def test_the_factor_is_found_in_place(cupy: ModuleType, dtype: type) -> None:
    rng = np.random.default_rng(0)
    A = rng.standard_normal((60, 80)).astype(dtype)
    A = A @ A.T
    B = rng.standard_normal((60, 4)).astype(dtype)
    L = cupy.asarray(np.tril(A) + np.triu(np.full_like(A, np.nan), 1))
    assert linear_algebra.cholesky_in_place(L)
    tolerance = 1e-3 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(
        np.tril(cupy.asnumpy(L)), np.linalg.cholesky(A), rtol=0, atol=tolerance
    )
    x = linear_algebra.cholesky_solve(L, cupy.asarray(B))
    assert x.flags.c_contiguous
    np.testing.assert_allclose(cupy.asnumpy(x), np.linalg.solve(A, B), rtol=0, atol=tolerance)
    for first in (0, 7, 59):
        columns = cupy.asarray(np.ascontiguousarray(B[first:].T))
        linear_algebra.solve_lower_in_place(L, first, columns)
        part = np.linalg.cholesky(A)[first:, first:]
        expected = np.linalg.solve(part, B[first:]).T
        np.testing.assert_allclose(cupy.asnumpy(columns), expected, rtol=0, atol=tolerance)


def test_an_indefinite_matrix_is_no_factor(cupy: ModuleType) -> None:
    A = cupy.asarray(np.diag([1.0, -1.0, 2.0]))
    assert not linear_algebra.cholesky_in_place(A)


def test_alpha_is_raised_as_on_the_host(cupy: ModuleType) -> None:
    X = np.repeat(np.random.default_rng(0).standard_normal((40, 3)), 3, axis=0).astype(np.float32)
    Y = X[:, :1]
    with pytest.warns(RuntimeWarning, match="not positive definite in float32 with alpha=0"):
        _, info = solve(cupy.asarray(X), cupy.asarray(Y), solver="cholesky", alpha=0.0)
    assert info["alpha"] > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_with_landmarks(cupy: ModuleType, dtype: type) -> None:
    rng = np.random.default_rng(0)
    C, B, R = rng.standard_normal((90, 7)), rng.standard_normal((7, 2)), np.ones((90, 2))
    C = C.astype(dtype)
    for op, arrays in (
        (backend.landmark_gram, (C,)),
        (backend.landmark_matmul, (C, B)),
        (backend.landmark_transposed_matmul, (C, R)),
    ):
        found = op(*map(cupy.asarray, arrays))
        assert found.dtype == np.float64
        np.testing.assert_allclose(cupy.asnumpy(found), op(*arrays), rtol=1e-12)


def test_outputs_are_rotated_on_the_device(cupy: ModuleType) -> None:
    rng = np.random.default_rng(0)
    coef = rng.standard_normal((80, 3)) @ rng.standard_normal((3, 9))
    found = rotate_outputs(cupy.asarray(coef), np.dtype(np.float64))
    assert isinstance(found, cupy.ndarray)
    assert found.shape == (80, 3)
    rotated = cupy.asnumpy(found)
    np.testing.assert_allclose(rotated @ rotated.T, coef @ coef.T, atol=1e-10)


@pytest.mark.emulated
@pytest.mark.parametrize(
    ("solver", "free", "expected"),
    [
        ("auto", 80 << 30, ("pcg", True)),
        ("cholesky", 80 << 30, ("cholesky", True)),
        ("auto", 5 << 30, ("pcg", False)),
        ("pcg", 5 << 30, ("pcg", False)),
    ],
)
def test_solvers_are_chosen_by_the_devices_memory(
    stand_in_cupy: StandIn, solver: str, free: int, expected: tuple[str, bool]
) -> None:
    stand_in_cupy.set_total_memory(free)
    memory = cuda_room().memory
    assert memory is not None
    plan = make_device_plan(40_000, 50, 2, np.float32, solver, None, memory)
    assert (plan.solver, plan.stored) == expected
    assert plan.bytes <= free
    small = make_device_plan(3_000, 50, 2, np.float32, "auto", None, memory)
    assert small.solver == "cholesky"
    with pytest.raises(ValueError, match=re.escape("takes up to 46,340 rows on a CUDA device")):
        make_device_plan(50_000, 50, 2, np.float32, "cholesky", None, memory)
    with pytest.raises(MemoryError, match=r"solving for 40,000 rows by pcg.*CUDA device 0"):
        make_device_plan(40_000, 50, 2, np.float32, "pcg", 50 << 20, memory)


@pytest.mark.emulated
def test_a_million_rows_are_planned_without_their_kernel(stand_in_cupy: StandIn) -> None:
    stand_in_cupy.set_total_memory(80 << 30)
    memory = cuda_room().memory
    assert memory is not None
    plan = make_device_plan(1_000_000, 100, 1, np.float32, "auto", None, memory)
    assert (plan.solver, plan.stored, plan.max_rank) == ("pcg", False, 4_000)
    assert plan.bytes < 40 << 30


@pytest.mark.emulated
@pytest.mark.parametrize("way", ["cholesky", "stored", "matrix_free"])
def test_a_solve_takes_no_more_than_planned(
    stand_in_cupy: StandIn, way: str, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_plan, "_CHUNK_BYTES", 3 * 8 * 700 * 100)
    X, Y = sample(dtype, n=700, c=2)
    solver = "cholesky" if way == "cholesky" else "pcg"
    limit = None
    if way == "matrix_free":
        memory = cuda_room().memory
        assert memory is not None
        limit = make_device_plan(700, 4, 2, dtype, "pcg", None, memory).bytes - 1
    x, y = stand_in_cupy.cupy.asarray(X), stand_in_cupy.cupy.asarray(Y)
    stand_in_cupy.reset_peak()
    before = stand_in_cupy.live_bytes()
    _, info = solve(x, y, solver=solver, memory_limit=limit)
    peak = stand_in_cupy.peak_bytes() - before
    assert info["solver"] == solver
    if way != "cholesky":
        assert info["stored"] is (way == "stored")
    assert peak <= info["bytes"] <= 4 * peak + (1 << 20)


@pytest.mark.emulated
def test_rows_that_the_device_cannot_keep_are_streamed(
    stand_in_cupy: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastrfm.cuda.place._PART_OF_ROWS", 0.0)
    X, Y = sample(n=300)
    X8 = (10 * X).astype(np.int8)
    X8[1], X8[0] = 0, 1
    Y = Y.astype(np.float32)
    expected, _ = solve(X8, Y, solver="pcg", bandwidth=30.0)
    memory = cuda_room().memory
    assert memory is not None
    least = make_device_plan(300, 4, 2, np.float32, "pcg", None, memory).bytes - 1
    for limit, stored in ((None, True), (least, False)):
        options: dict[str, Any] = {"bandwidth": 30.0, "memory_limit": limit}
        coef, info = solve(X8, Y, solver="pcg", device="cuda", **options)
        assert info["stored"] is stored
        np.testing.assert_allclose(coef, expected, rtol=0, atol=1e-3 * np.abs(expected).max())
        assert stand_in_cupy.live_bytes() == 0
