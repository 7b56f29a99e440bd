"""Device memory: what is planned for, rows that stream through it, and what happens without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastrfm
import oracle
from cases import OPS, Array, assert_accurate, call, coefficients
from device import StandIn
from fastrfm.cuda import memory as memory_module
from fastrfm.cuda import pinned
from fastrfm.cuda.plan import (
    LEAST_ROWS,
    USABLE,
    Needs,
    Shapes,
    gradient_sums_needs,
    gradients_needs,
    kernel_matmul_needs,
    kernel_matrix_needs,
    rows_that_fit,
)

pytestmark = pytest.mark.emulated

NEEDS = {
    "kernel_matrix": kernel_matrix_needs,
    "kernel_matmul": kernel_matmul_needs,
    "gradients": gradients_needs,
    "agop": lambda shapes: gradient_sums_needs(shapes, samples=0, diagonal=False),
}


def sample(n: int, m: int, d: int, c: int, dtype: Any) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((m, d)).astype(dtype)
    return X, Z, coefficients(rng, m, c, dtype)


def needs_of(op: str, X: Array, Z: Array, c: int, *, symmetric: bool) -> Needs:
    """Return the needs of an op on arrays of the host."""
    (n, d), m, itemsize = X.shape, len(Z), X.dtype.itemsize
    out = {"kernel_matrix": m, "kernel_matmul": c, "gradients": c * d, "agop": 0}[op]
    shapes = Shapes(
        n, m, d, d, c if op != "kernel_matrix" else 0, itemsize,
        x_bytes=d * itemsize, z_bytes=0 if symmetric else d * itemsize, out_bytes=out * itemsize,
        symmetric=symmetric and op in ("kernel_matrix", "kernel_matmul"),
    )  # fmt: skip
    return NEEDS[op](shapes)


# Rows, centres, features, outputs: small ones, many outputs, many features, many rows.
SIZES = [(300, 200, 7, 2), (1500, 260, 5, 20), (260, 300, 150, 3), (6000, 130, 4, 1)]


@pytest.mark.parametrize("symmetric", [False, True], ids=["centres", "own-rows"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("op", OPS)
def test_no_op_takes_more_than_is_planned_for(
    stand_in_cupy: StandIn,
    op: str,
    size: tuple[int, int, int, int],
    symmetric: bool,
    dtype: type,
) -> None:
    n, m, d, c = size
    if symmetric:
        n = m = min(n, 600)
    X, Z, coef = sample(n, m, d, c, dtype)
    Z = X if symmetric else Z
    needs = needs_of(op, X, Z, c, symmetric=symmetric)
    if op == "kernel_matrix" and symmetric:
        fastrfm.kernel_matrix(X, device="cuda")
    else:
        call(fastrfm, op, X, Z, coef, device="cuda", **({} if d < 100 else {"metric": np.eye(d)}))
    peak = stand_in_cupy.peak_bytes()
    assert peak <= needs.whole
    # And not for very much more: for small sizes there is some slack of megabytes.
    assert needs.whole <= 4 * peak + (64 << 20)


@pytest.mark.parametrize("op", OPS)
def test_tiles_are_planned_by_what_is_free(op: str) -> None:
    X, Z, _ = sample(100_000, 3_000, 10, 2, np.float32)
    needs = needs_of(op, X, Z, 2, symmetric=False)
    assert rows_that_fit(needs, int(needs.whole / USABLE) + 1) == 100_000
    assert rows_that_fit(needs, int(needs.least() / USABLE) - 1) == 0
    last = 0
    for part in (0.02, 0.1, 0.3, 0.6, 0.9):
        free = int((needs.least() + part * (needs.whole - needs.least())) / USABLE)
        rows = rows_that_fit(needs, free)
        assert rows % LEAST_ROWS == 0
        assert LEAST_ROWS <= rows < 100_000
        assert needs.of_tiles(rows) <= USABLE * free < needs.of_tiles(rows + LEAST_ROWS)
        assert rows >= last
        last = rows


@pytest.mark.parametrize("late", [False, True], ids=["copies-at-once", "late-copies"])
@pytest.mark.parametrize("op", OPS)
def test_rows_of_the_host_stream_through_a_small_device(
    stand_in_cupy: StandIn, op: str, late: bool, dtype: type
) -> None:
    """Each is copied once each way, and no more is taken than there is."""
    X, Z, coef = sample(4_000, 140, 5, 3, dtype)
    expected = call(oracle, op, X, Z, coef)
    needs = needs_of(op, X, Z, 3, symmetric=False)
    stand_in_cupy.set_late_copies(late)
    found = set()
    for free in (needs.of_tiles(1024), needs.of_tiles(384), needs.least()):
        total = int(free / USABLE) + 512
        stand_in_cupy.set_total_memory(total)
        stand_in_cupy.reset_copies()
        stand_in_cupy.reset_peak()
        result = call(fastrfm, op, X, Z, coef, device="cuda")
        assert_accurate(op, result, expected, dtype)
        assert stand_in_cupy.peak_bytes() <= total
        of_coef = 0 if op == "kernel_matrix" else coef.nbytes
        assert stand_in_cupy.copies.to_device_bytes == X.nbytes + Z.nbytes + of_coef
        passes = [name for name, _ in stand_in_cupy.log if name in (*OPS, "gradient_sums")]
        found.add(len(passes))
        if op != "agop":
            assert stand_in_cupy.copies.to_host_bytes == result.nbytes
    assert found == {4, 11, 32}


def test_streams_overlap(stand_in_cupy: StandIn) -> None:
    """Copies run on streams of their own, one for each direction, the work on the caller's."""
    X, Z, coef = sample(4_000, 140, 5, 3, np.float64)
    needs = needs_of("kernel_matmul", X, Z, 3, symmetric=False)
    stand_in_cupy.set_total_memory(int(needs.of_tiles(1024) / USABLE) + 512)
    stand_in_cupy.reset_copies()
    fastrfm.kernel_matmul(X, Z, coef, device="cuda")
    log = stand_in_cupy.log
    work = {stream for name, stream in log if name == "kernel_matmul"}
    up = [stream for name, stream in log if name == "to_device"]
    down = {stream for name, stream in log if name == "to_host"}
    print([x for x in log if x[0] != "allocate"])
    assert work == {0}
    assert len(down) == 1
    assert {*up} - work != down
    assert len({*up} - work) == 1
    order = [name for name, stream in log if stream in {*up} - work or name == "kernel_matmul"]
    assert order[:4] == ["to_device", "kernel_matmul", "to_device", "kernel_matmul"]


def test_a_result_on_the_device_that_does_not_fit(stand_in_cupy: StandIn) -> None:
    x = stand_in_cupy.cupy.asarray(sample(500, 1, 5, 1, np.float64)[0])
    stand_in_cupy.set_total_memory(1 << 20)
    message = (
        r"a result of shape \(500, 500\) and dtype float64 needs 2,000,000 bytes on CUDA device 0 "
        r"\(Stand-in 0\), and [\d,]+ are free\. .*fewer rows at a time, or pass NumPy arrays"
    )
    with pytest.raises(MemoryError, match=message):
        fastrfm.kernel_matrix(x)
    held = stand_in_cupy.live_bytes()
    with pytest.raises(MemoryError, match="solving for 500 rows by cholesky needs"):
        fastrfm.solve_ridge(x, x[:, :1], solver="cholesky")
    assert stand_in_cupy.live_bytes() == held


def test_a_solve_whose_memory_others_take(
    stand_in_cupy: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = sample(500, 1, 5, 1, np.float64)[0]
    room = fastrfm.backend.cuda_room()
    monkeypatch.setattr(fastrfm.backend, "cuda_room", lambda: room)
    monkeypatch.setattr(room._memory, "free_bytes", lambda: 1 << 30)
    stand_in_cupy.set_total_memory(1 << 20)
    for solver in ("cholesky", "pcg"):
        message = (
            rf"solving for 500 rows by {solver} was planned with [\d,]+ bytes on CUDA device 0"
        )
        with pytest.raises(MemoryError, match=message):
            fastrfm.solve_ridge(X, X[:, :1], solver=solver, device="cuda")
        assert stand_in_cupy.live_bytes() == 0


@pytest.mark.parametrize("late", [False, True], ids=["copies-at-once", "late-copies"])
def test_large_arrays_go_by_chunks(
    stand_in_cupy: StandIn, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through two pinned blocks of a chunk, whatever the array's strides."""
    monkeypatch.setattr(memory_module, "CHUNK_BYTES", 4_096)
    monkeypatch.setattr(pinned, "CHUNK_BYTES", 4_096)
    sizes = []
    allocate = stand_in_cupy.cupy.cuda.alloc_pinned_memory

    def noted(size: int) -> Any:
        sizes.append(size)
        return allocate(size)

    monkeypatch.setattr(stand_in_cupy.cupy.cuda, "alloc_pinned_memory", noted)
    stand_in_cupy.set_late_copies(late)
    memory = fastrfm.backend.cuda_room().memory
    assert memory is not None
    X = np.random.default_rng(0).standard_normal((1000, 7))
    for array in (X, X[::-1], np.asfortranarray(X), X[:, 0], X[:1], X.astype(np.float32)):
        there = memory.to_device(array)
        np.testing.assert_array_equal(there.get(), array)
        back = np.empty(array.shape, array.dtype)
        memory.to_host(there, back)
        np.testing.assert_array_equal(back, array)
        del there
    assert sizes
    assert set(sizes) == {4_096}
    assert stand_in_cupy.live_bytes() == 0
    stand_in_cupy.set_total_memory(1 << 20)
    K = fastrfm.kernel_matrix(X, X[:40], device="cuda")
    np.testing.assert_allclose(K, fastrfm.kernel_matrix(X, X[:40]), atol=1e-10)


def test_no_pinned_memory_is_told(stand_in_cupy: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(size: int) -> Any:
        raise stand_in_cupy.cupy.cuda.runtime.CUDARuntimeError(2)

    monkeypatch.setattr(stand_in_cupy.cupy.cuda, "alloc_pinned_memory", refuse)
    with pytest.raises(MemoryError, match="1,600 bytes of pinned host memory are not to be had"):
        pinned.pinned_array(stand_in_cupy.cupy, (20, 10), np.float64)


def test_random_mixtures_differ_from_tile_to_tile(stand_in_cupy: StandIn) -> None:
    """The estimate stays near the exact one, and the same for the same seed."""
    X, Z, coef = sample(3_000, 140, 4, 30, np.float64)
    needs = gradient_sums_needs(
        Shapes(3_000, 140, 4, 4, 30, 8, x_bytes=32, z_bytes=32), samples=2, diagonal=False
    )
    stand_in_cupy.set_total_memory(int(needs.of_tiles(512) / USABLE) + 512)
    options: dict[str, Any] = {"output_samples": 2, "device": "cuda"}
    exact = fastrfm.agop(X, Z, coef)
    found = [fastrfm.agop(X, Z, coef, random_state=seed, **options) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    for estimate in found:
        assert np.linalg.norm(estimate - exact) < 0.2 * np.linalg.norm(exact)


@pytest.mark.parametrize("op", OPS)
def test_too_little_memory_is_told_and_nothing_leaks(stand_in_cupy: StandIn, op: str) -> None:
    X, Z, coef = sample(500, 300, 5, 2, np.float64)
    needs = needs_of(op, X, Z, 2, symmetric=False)
    stand_in_cupy.set_total_memory(20_480)  # the centres do not fit
    message = (
        rf"{op} of 500 rows and 300 centres of 5 features needs {needs.least():,} bytes on CUDA "
        r"device 0 \(Stand-in 0\) even for 128 rows at a time, and [\d,]+ are free \(.*\)\. .*"
        r"fewer centres.*device=\"cpu\""
    )
    with pytest.raises(MemoryError, match=message):
        call(fastrfm, op, X, Z, coef, device="cuda")
    assert stand_in_cupy.live_bytes() == 0


@pytest.mark.parametrize("op", OPS)
def test_memory_that_others_take_meanwhile(
    stand_in_cupy: StandIn, op: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An allocation that fails in spite of the plan is tried again with fewer rows."""
    X, Z, coef = sample(4_000, 140, 5, 3, np.float64)
    needs = needs_of(op, X, Z, 3, symmetric=False)
    room = fastrfm.backend.cuda_room()
    monkeypatch.setattr(fastrfm.backend, "cuda_room", lambda: room)
    monkeypatch.setattr(room._memory, "free_bytes", lambda: 2 * needs.whole)
    plenty = call(fastrfm, op, X, Z, coef, device="cuda")
    peak = stand_in_cupy.peak_bytes()
    pool = stand_in_cupy.cupy.get_default_memory_pool()
    for part in (0.7, 0.45):
        pool.free_all_blocks()
        stand_in_cupy.set_total_memory(int(part * peak))
        stand_in_cupy.reset_copies()
        result = call(fastrfm, op, X, Z, coef, device="cuda")
        np.testing.assert_allclose(result, plenty, rtol=1e-9, atol=1e-12)
        assert stand_in_cupy.live_bytes() == 0
        assert len([name for name, _ in stand_in_cupy.log if name in (*OPS, "gradient_sums")]) > 1
    pool.free_all_blocks()
    stand_in_cupy.set_total_memory(4_096)
    with pytest.raises(MemoryError, match=f"{op} of 4,000 rows"):
        call(fastrfm, op, X, Z, coef, device="cuda")
