"""Points packed in parts: the ops give what they give of one part, in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import oracle
from backends import CUDA_BACKENDS, Backend
from cases import (
    SUM_TOLERANCE,
    Array,
    assert_accurate,
    coefficients,
    error_of,
    grid_rows,
    make_metric,
    typical_bandwidth,
)
from fastrfm import _cpu, backend
from fastrfm.kernels import Kernel
from fastrfm.metric import root_of_metric
from fastrfm.ridge.plan import rows_packed_at_a_time

pytestmark = pytest.mark.core

# One block of float32, and a part and a half of float64; three parts and a rest of what is below.
PART = 288
N, M, D, C = 620, 450, 6, 3


class Case:
    """Rows, of which some are in another part a second time, a metric and coefficients."""

    def __init__(self, dtype: type, metric_form: str, kernel: dict[str, float]) -> None:
        rng = np.random.default_rng(0)
        self.X, self.Z = grid_rows(rng, N, D, dtype), grid_rows(rng, M, D, dtype)
        self.X[600] = self.X[3]
        self.Z[[5, 300, 449]] = self.X[[10, 500, 619]]
        self.V, self.U = coefficients(rng, M, C, dtype), coefficients(rng, N, C, dtype)
        self.metric = make_metric(metric_form, D)
        norm, exponent = kernel["norm"], kernel["exponent"]
        bandwidth = typical_bandwidth(self.X, self.Z, metric=self.metric, norm=norm)
        self.options = {"metric": self.metric, "bandwidth": bandwidth, **kernel}
        root = root_of_metric(self.metric, norm=norm, n_features=D)
        self.law = (root, norm, exponent, bandwidth)
        self.dtype = dtype

    def empty(self, *shape: int) -> Array:
        return np.full(shape, np.nan, self.dtype)


@pytest.fixture(
    params=[(2.0, 1.0), (1.0, 1.0), pytest.param((1.5, 1.2), marks=pytest.mark.slow)],
    ids=["p=2", "p=1", "p=1.5"],
)
def case(request: pytest.FixtureRequest, dtype: type, metric_form: str) -> Case:
    norm, exponent = request.param
    return Case(dtype, metric_form, {"norm": norm, "exponent": exponent})


def test_products_and_matrix(case: Case) -> None:
    square, product, matrix = case.empty(N, C), case.empty(N, C), case.empty(N, M)
    _cpu.kernel_matmul(case.X, case.X, case.U, *case.law, square, part_rows=PART)
    _cpu.kernel_matmul(case.X, case.Z, case.V, *case.law, product, part_rows=PART)
    _cpu.kernel_matrix(case.X, case.Z, *case.law, matrix, part_rows=PART)
    K = oracle.kernel_matrix(case.X, case.Z, **case.options)
    assert_accurate("kernel_matrix", matrix, K, case.dtype)
    assert_accurate("kernel_matmul", product, K @ case.V, case.dtype)
    K = oracle.kernel_matrix(case.X, case.X, **case.options)
    assert_accurate("kernel_matmul", square, K @ case.U, case.dtype)


@pytest.mark.parametrize("part_rows", [0, PART])
def test_both_ways(case: Case, part_rows: int) -> None:
    of_rows, of_lanes = case.empty(N, C), case.empty(M, C)
    _cpu.kernel_matmul_both_ways(
        case.X, case.Z, case.V, case.U, *case.law, of_rows, of_lanes, part_rows=part_rows
    )
    K = oracle.kernel_matrix(case.X, case.Z, **case.options)
    assert_accurate("kernel_matmul", of_rows, K @ case.V, case.dtype)
    assert_accurate("kernel_matmul", of_lanes, K.T @ case.U, case.dtype)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 600), (300, 7), (700, 290)])
def test_both_ways_of_other_shapes(dtype: type, n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    X, Z = grid_rows(rng, n, 4, dtype), grid_rows(rng, m, 4, dtype)
    V, U = coefficients(rng, m, 2, dtype), coefficients(rng, n, 2, dtype)
    of_rows, of_lanes = np.full((n, 2), np.nan, dtype), np.full((m, 2), np.nan, dtype)
    _cpu.kernel_matmul_both_ways(X, Z, V, U, None, 2, 1, 3.0, of_rows, of_lanes, part_rows=PART)
    K = oracle.kernel_matrix(X, Z, bandwidth=3.0)
    assert_accurate("kernel_matmul", of_rows, K @ V, dtype)
    assert_accurate("kernel_matmul", of_lanes, K.T @ U, dtype)


def test_both_ways_wants_vectors_that_fit() -> None:
    X, V, out = np.zeros((5, 2)), np.zeros((5, 1)), np.zeros((5, 1))
    with pytest.raises(ValueError, match=r"U must be \(n, c\)"):
        _cpu.kernel_matmul_both_ways(X, X, V, np.zeros((4, 1)), None, 2, 1, 1.0, out, out.copy())
    with pytest.raises(ValueError, match=r"out_z must be C-contiguous \(m, c\)"):
        _cpu.kernel_matmul_both_ways(X, X, V, V, None, 2, 1, 1.0, out, np.zeros((4, 1)))


def _sums(case: Case, part_rows: int, **options: Any) -> tuple[Array, Array | None]:
    return _cpu.gradient_sums(case.X, case.Z, case.V, *case.law, **options, part_rows=part_rows)


def test_gradients_and_their_sums(case: Case) -> None:
    if case.dtype == np.float32 and case.law[1] != 2 and case.law[0] is not None:
        if case.law[0].ndim == 2:
            pytest.skip("done in float64: fastrfm.backend")
    whole, parts = case.empty(N, C, D), case.empty(N, C, D)
    _cpu.gradients(case.X, case.Z, case.V, *case.law, whole)
    _cpu.gradients(case.X, case.Z, case.V, *case.law, parts, part_rows=PART)
    assert_accurate("gradients", parts, whole, case.dtype)
    weights = np.random.default_rng(1).uniform(0, 2, N)
    for options in (
        {"diagonal": False, "output_sums": True},
        {"diagonal": True, "output_sums": True, "row_weights": weights},
        {"diagonal": False, "output_sums": False, "row_weights": weights},
        {"diagonal": False, "output_sums": False, "output_samples": 2, "seed": 5},
    ):
        of_whole, of_parts = _sums(case, 0, **options), _sums(case, PART, **options)
        for expected, got in zip(of_whole, of_parts, strict=True):
            assert (expected is None) == (got is None)
            if got is not None:
                assert error_of("agop", got, expected) <= SUM_TOLERANCE[np.dtype(case.dtype).name]


def test_the_same_bits_whatever_the_threads(dtype: type) -> None:
    case = Case(dtype, "matrix", {"norm": 2.0, "exponent": 1.0})
    results = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, "openmp"):
            square, of_rows, of_lanes = case.empty(N, C), case.empty(N, C), case.empty(M, C)
            _cpu.kernel_matmul(case.X, case.X, case.U, *case.law, square, part_rows=PART)
            _cpu.kernel_matmul_both_ways(
                case.X, case.Z, case.V, case.U, *case.law, of_rows, of_lanes, part_rows=PART
            )
            sums, _ = _sums(case, PART, diagonal=False, output_sums=False)
        results.append((square, of_rows, of_lanes, sums))
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_what_is_packed_at_a_time_is_bounded() -> None:
    assert rows_packed_at_a_time(1_000, 10, np.float32) == 1_000
    for d in (10, 1_000, 20_000):
        rows = rows_packed_at_a_time(10**9, d, np.float32)
        assert 6_912 <= rows <= max(6_912, 4 * d, 2**26 // (4 * d)) + 288


# Rows of 160 MB on the disk, 640 MB of packed forms of them, and half of that for the process.
_LARGER_THAN_MEMORY = """
import resource, sys
import numpy as np
import fastrfm

X = np.load(sys.argv[1], mmap_mode="r")
v = np.ones((len(X), 1), np.float32)
small = X[:300]
fastrfm.kernel_matmul(small, small, v[:300], bandwidth=100.0)
fastrfm.agop(small, small, v[:300], bandwidth=100.0, diagonal=True)
status = open("/proc/self/status").read()
data = int(status.split("VmData:")[1].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (data + int(sys.argv[2]), data + int(sys.argv[2])))
y = fastrfm.kernel_matmul(X, X, v, bandwidth=100.0)
G = fastrfm.agop(small, X, v, bandwidth=100.0, diagonal=True)
print(float(y.sum()), float(G.sum()))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts mapped memory on Linux")
def test_rows_on_the_disk_that_memory_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "X.npy"
    X = np.lib.format.open_memmap(path, "w+", np.float32, (16_000, 2_500))
    X[...] = np.random.default_rng(0).standard_normal(X.shape, dtype=np.float32)
    X.flush()

    def run(megabytes: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _LARGER_THAN_MEMORY, str(path), str(megabytes * 10**6)],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "2"},
            timeout=250,
        )

    done = run(330)
    assert done.returncode == 0, done.stderr
    assert all(np.isfinite(float(number)) for number in done.stdout.split())
    # and the limit is one
    assert run(200).returncode != 0


@pytest.mark.parametrize("room", CUDA_BACKENDS)
def test_both_ways_on_a_device(room: Backend) -> None:
    rng = np.random.default_rng(0)
    X, Z = grid_rows(rng, 40, 3, np.float32), grid_rows(rng, 30, 3, np.float32)
    V, U = coefficients(rng, 30, 2, np.float32), coefficients(rng, 40, 2, np.float32)
    kernel = Kernel(norm=2.0, exponent=1.0, bandwidth=2.0)
    with backend.running_on(room.open_room()):
        of_rows, of_centres = backend.kernel_matmul_both_ways(X, Z, V, U, kernel, None)
    on_cpu = backend.kernel_matmul_both_ways(X, Z, V, U, kernel, None)
    K = oracle.kernel_matrix(X, Z, bandwidth=2.0)
    for result, of_cpu, expected in zip(
        (of_rows, of_centres), on_cpu, (K @ V, K.T @ U), strict=True
    ):
        assert_accurate("kernel_matmul", result, expected, np.float32)
        assert_accurate("kernel_matmul", of_cpu, expected, np.float32)
