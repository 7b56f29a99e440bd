"""What is special to the CUDA rooms: tile borders, workspace, triangles, order, big strides."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastrfm
import oracle
from backends import EMULATED, Backend, HostMemory, emulator
from cases import (
    OPS,
    Array,
    assert_accurate,
    call,
    coefficients,
    grid_rows,
    make_metric,
    typical_bandwidth,
)
from fastrfm.backend import kernel_triangle, running_on
from fastrfm.cuda import Cuda, CupyMemory
from fastrfm.kernels import Kernel

pytestmark = pytest.mark.core

MAP_NORESERVE = 0x4000  # Linux's; Python names it from 3.13 on
PROBE = Path(__file__).with_name("emulator_probe.py")

# rows, centres, features, outputs: around tiles of 64 and 128, and groups of 4 and 8 outputs
SHAPES = [
    (1, 1, 1, 1), (2, 63, 2, 2), (63, 2, 3, 4), (64, 64, 4, 5), (65, 127, 5, 9), (127, 65, 7, 17),
    (128, 128, 8, 1), (129, 64, 9, 2), (64, 129, 16, 4), (200, 200, 17, 5), (65, 129, 31, 1),
    (129, 63, 32, 9), (1, 200, 33, 17), (200, 1, 12, 1),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("norm", [2.0, 1.0, 1.5])
@pytest.mark.parametrize("op", OPS)
def test_shapes_around_the_tiles(
    cuda: Backend, dtype: type, op: str, norm: float, shape: tuple[int, int, int, int]
) -> None:
    n, m, d, c = shape
    rng = np.random.default_rng(n)
    X, Z = grid_rows(rng, n, d, dtype), grid_rows(rng, m, d, dtype)
    coef = coefficients(rng, m, c, dtype)
    options = {"norm": norm, "bandwidth": typical_bandwidth(X, Z, metric=None, norm=norm)}
    result = call(cuda, op, X, Z, coef, **options)
    assert_accurate(op, result, call(oracle, op, X, Z, coef, **options), dtype)


@pytest.mark.parametrize("d", range(1, 34))
def test_every_number_of_features(cuda: Backend, dtype: type, d: int) -> None:
    """The stages of shared memory: full, partly filled, one and several, with every root."""
    rng = np.random.default_rng(d)
    X, Z = rng.standard_normal((20, d)).astype(dtype), rng.standard_normal((33, d)).astype(dtype)
    coef = coefficients(rng, 33, 1 + d % 3, dtype)
    for form in ("identity", "vector", "matrix"):
        options = {"metric": make_metric(form, d), "bandwidth": 2.0}
        for op in OPS:
            result = call(cuda, op, X, Z, coef, **options)
            assert_accurate(op, result, call(oracle, op, X, Z, coef, **options), dtype)


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 127, 128, 129, 200, 400])
@pytest.mark.parametrize("c", [1, 4, 40])
def test_x_with_itself_and_many_outputs(cuda: Backend, dtype: type, n: int, c: int) -> None:
    rng = np.random.default_rng(n)
    X, V = rng.standard_normal((n, 5)).astype(dtype), coefficients(rng, n, c, dtype)
    X[n // 2 :: 7] = X[0]
    result = cuda.kernel_matmul(X, X, V, bandwidth=3.0)
    assert_accurate("kernel_matmul", result, oracle.kernel_matmul(X, X, V, bandwidth=3.0), dtype)
    apart = cuda.kernel_matmul(X, X.copy(), V, bandwidth=3.0)
    assert_accurate("kernel_matmul", result, apart.astype(np.float64), dtype)


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 127, 128, 129, 300])
@pytest.mark.parametrize("norm", [2.0, 1.0])
def test_triangle(cuda: Backend, dtype: type, norm: float, n: int) -> None:
    """Right where it is told to write; above the diagonal, whole tiles keep what they held."""
    X = np.random.default_rng(n).standard_normal((n, 3)).astype(dtype)
    X[n // 2 :: 7] = X[0]
    kernel = Kernel(norm=norm, bandwidth=2.0)
    out = np.full((n, n), 7, dtype)
    cuda.open_room().kernel_triangle(X, kernel, None, out)
    expected = oracle.kernel_matrix(X, norm=norm, bandwidth=2.0)
    assert_accurate("kernel_matrix", np.tril(out), np.tril(expected), dtype)
    np.testing.assert_array_equal(np.diagonal(out), 1)
    side = 128 if dtype == np.float32 else 64
    tile = np.arange(n) // side
    np.testing.assert_array_equal(out[tile[:, None] < tile[None, :]], 7)
    with cuda.active():
        np.testing.assert_array_equal(np.tril(kernel_triangle(X, kernel, None)), np.tril(out))


def test_triangle_on_the_cpu(cpu: Backend, dtype: type) -> None:
    X = np.random.default_rng(0).standard_normal((70, 3)).astype(dtype)
    with cpu.active():
        K = kernel_triangle(X, Kernel(), None)
    assert_accurate("kernel_matrix", np.tril(K), np.tril(oracle.kernel_matrix(X)), dtype)


@pytest.mark.parametrize("mode", ["", "diagonal", "center"])
@pytest.mark.parametrize(("d", "c"), [(40, 10), (33, 8), (3, 130), (300, 2)])
def test_agop_of_more_sums_than_registers_hold(
    cuda: Backend, dtype: type, mode: str, d: int, c: int
) -> None:
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((150, d)).astype(dtype), rng.standard_normal((140, d)).astype(dtype)
    coef = coefficients(rng, 140, c, dtype)
    options = {"bandwidth": 10.0, **({mode: True} if mode else {})}
    G = cuda.agop(X, Z, coef, **options)
    assert_accurate("agop", G, oracle.agop(X, Z, coef, **options), dtype)


@pytest.mark.parametrize(("n", "m"), [(4200, 66), (66, 4200)])
@pytest.mark.parametrize(("d", "c"), [(3, 2), (30, 10)])
@pytest.mark.parametrize("op", OPS[1:])
def test_several_chunks_of_rows_and_of_centres(
    cuda: Backend, dtype: type, op: str, d: int, c: int, n: int, m: int
) -> None:
    """Weights are kept for 4,096 rows and centres where many sums are made of them."""
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((m, d)).astype(dtype)
    X[-40:] = Z[-40:]
    coef = coefficients(rng, m, c, dtype)
    result = call(cuda, op, X, Z, coef, bandwidth=3.0)
    assert_accurate(op, result, call(oracle, op, X, Z, coef, bandwidth=3.0), dtype)


def mixed_signs(cuda: Backend, X: Array, Z: Array, coef: Array, seed: int) -> Array:
    """Return sign by tile of rows, from the estimate of two outputs' AGOP by one mixture.

    A tile adds ``g_1 g_1^T + g_2 g_2^T + r_1 r_2 (g_1 g_2^T + g_2 g_1^T)``, summed over its rows.
    """
    rows = (cuda.mixed_rows or {})[X.dtype.name]
    g = oracle.gradients(X, Z, coef, bandwidth=3.0)
    estimate = cuda.agop(X, Z, coef, bandwidth=3.0, output_samples=1, random_state=seed)
    crossed = np.stack(
        [
            np.einsum("ia,ib->ab", part[:, 0], part[:, 1])
            for part in np.split(g, range(rows, len(X), rows))
        ]
    )
    crossed = (crossed + crossed.transpose(0, 2, 1)) / len(X)
    rest = estimate - np.einsum("ila,ilb->ab", g, g) / len(X)
    signs, *_ = np.linalg.lstsq(crossed.reshape(len(crossed), -1).T, rest.ravel(), rcond=None)
    return np.asarray(signs)


def test_each_tile_of_rows_mixes_its_outputs_anew(cuda: Backend, dtype: type) -> None:
    """The signs of every tile, recovered: each is 1 or -1, and they vary by tile and by seed."""
    rng = np.random.default_rng(0)
    rows = (cuda.mixed_rows or {})[np.dtype(dtype).name]
    X = rng.standard_normal((3 * rows + 5, 4)).astype(dtype)
    Z, coef = rng.standard_normal((30, 4)).astype(dtype), coefficients(rng, 30, 2, dtype)
    signs = np.stack([mixed_signs(cuda, X, Z, coef, seed) for seed in range(24)])
    assert signs.shape == (24, 4)
    # the last tile's five rows weigh little, and float32 blurs them
    np.testing.assert_allclose(np.abs(signs), 1, atol=0.05 if dtype == np.float32 else 1e-6)
    signs = np.sign(signs)
    assert (np.abs(signs.sum(axis=0)) <= 18).all()
    agreement = np.abs(signs.T @ signs - 24 * np.eye(4))
    assert agreement.max() <= 18


@pytest.mark.parametrize("op", OPS)
def test_the_same_bits_again(cuda: Backend, dtype: type, kernel: dict[str, float], op: str) -> None:
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((300, 5)).astype(dtype), rng.standard_normal((150, 5)).astype(dtype)
    X[:40] = Z[:40]
    coef = coefficients(rng, 150, 3, dtype)
    results = [call(cuda, op, X, Z, coef, **kernel) for _ in range(2)]
    np.testing.assert_array_equal(*results)


@pytest.mark.emulated
def test_the_order_of_threads_does_not_matter() -> None:
    """Every op's results, hashed, for threads by index, from the last, and shuffled."""
    hashes = {}
    for order in ("0", "1", "20"):
        done = subprocess.run(
            [sys.executable, str(PROBE)],
            env={**os.environ, "FASTRFM_EMULATOR_ORDER": order},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        hashes[order] = json.loads(done.stdout)
    assert len(hashes["0"]) >= 2 * len(OPS)
    assert hashes["0"] == hashes["1"]
    assert hashes["0"] == hashes["20"]


class Exhausted(HostMemory):
    """Memory for arrays, but none for the ops' own."""

    def __init__(self, spared: int) -> None:
        self.spared = spared
        self.error = MemoryError("device memory: 4096 bytes are left")

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        if dtype is np.uint8:
            if self.spared == 0:
                raise self.error
            self.spared -= 1
        return super().empty(shape, dtype)


@pytest.mark.emulated
@pytest.mark.parametrize("spared", [0, 1, 2])
@pytest.mark.parametrize("op", OPS)
def test_the_allocators_error_comes_through(op: str, spared: int) -> None:
    memory = Exhausted(spared)
    rng = np.random.default_rng(0)
    X, coef = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
    with running_on(Cuda(emulator(), memory)), pytest.raises(MemoryError) as raised:
        call(fastrfm, op, X, X.copy(), coef, metric=np.diag([1.0, 2.0, 3.0]))
    assert raised.value is memory.error


@pytest.mark.emulated
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("element", [np.float32, np.float64, np.uint8])
def test_rows_further_apart_than_32_bits_count(op: str, element: type) -> None:
    """Six rows 1 GiB apart, in a mapping of which only their pages are ever touched."""
    n, stride = 6, 2**30
    try:
        mapping = mmap.mmap(-1, n * stride, mmap.MAP_PRIVATE | MAP_NORESERVE)
    except OSError as error:
        pytest.skip(f"no {n} GiB of address space: {error}")
    size = np.dtype(element).itemsize
    X = np.ndarray((n, 3), element, mapping, strides=(stride, 16 * size))
    rng = np.random.default_rng(0)
    X[...] = rng.integers(0, 9, (n, 3))
    coef = coefficients(rng, n, 2, np.float32)
    for rows in (X, X[::-1]):
        result = call(EMULATED, op, rows, rows[:, ::-1], coef, bandwidth=5.0)
        expected = call(oracle, op, rows, rows[:, ::-1], coef, bandwidth=5.0)
        assert_accurate(op, result, expected, np.float64 if element == np.float64 else np.float32)


@pytest.mark.emulated
@pytest.mark.parametrize("op", OPS)
def test_results_and_coefficients_of_any_alignment(dtype: type, op: str) -> None:
    """One element off a boundary of 16 bytes: wide loads and stores must ask first."""

    def shifted(array: Array) -> Array:
        raw = np.zeros(array.size + 1, array.dtype)
        copy = raw[1:].reshape(array.shape)
        copy[...] = array
        return copy

    class Shifted(HostMemory):
        def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
            array = super().empty(shape, dtype)
            return array if dtype is np.uint8 else shifted(array)

    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((140, 8)).astype(dtype), rng.standard_normal((72, 8)).astype(dtype)
    coef = shifted(coefficients(rng, 72, 4, dtype))
    with running_on(Cuda(emulator(), Shifted())):
        result = call(fastrfm, op, shifted(X), shifted(Z), coef)
    assert_accurate(op, result, call(oracle, op, X, Z, coef), dtype)


class FakeCupy:
    """The part of CuPy that fastrfm uses, on NumPy arrays: copies both ways, no sharing."""

    class Pointer:
        def __init__(self, address: int) -> None:
            self.ptr = address

    class Array(np.ndarray):  # type: ignore[type-arg]
        @property
        def data(self) -> Any:  # type: ignore[override]
            return FakeCupy.Pointer(self.__array_interface__["data"][0])

    class Stream:
        ptr = 1

    class cuda:  # noqa: N801
        @staticmethod
        def get_current_stream() -> Any:
            return FakeCupy.Stream()

    def asarray(self, array: Any) -> Any:
        return np.array(array, order="K").view(FakeCupy.Array)

    def asnumpy(self, array: Any, out: Array) -> Array:
        out[...] = array
        return out

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        return HostMemory().empty(shape, dtype).view(FakeCupy.Array)


@pytest.mark.emulated
@pytest.mark.parametrize("element", [np.float32, np.float64, np.int8])
@pytest.mark.parametrize("op", OPS)
def test_cupys_memory(op: str, element: type) -> None:
    """The arrays' way through CuPy, from every layout, with a stand-in for it."""
    rng = np.random.default_rng(0)
    X, Z = ((9 * rng.standard_normal((n, 6))).astype(element) for n in (21, 34))
    coef = coefficients(rng, 34, 3, np.float32)
    options = {"metric": make_metric("low_rank", 6), "bandwidth": 30.0}
    expected = call(oracle, op, X, Z, coef, **options)
    for change in (np.asfortranarray, lambda a: a[::-1].copy()[::-1], lambda a: a):
        with running_on(Cuda(emulator(), CupyMemory(FakeCupy()))):
            result = call(fastrfm, op, change(X), change(Z), coef, **options)
        assert_accurate(op, result, expected, np.float64 if element == np.float64 else np.float32)


def test_an_estimator_fits_the_same_there(cuda: Backend) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 4))
    y = X[:, 0] * X[:, 1]
    model = fastrfm.RFMRegressor(n_iter=2, early_stopping=False, random_state=0)
    expected = model.fit(X, y).predict(X[:20])
    with cuda.active():
        model.fit(X, y)
        found = model.predict(X[:20])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(y).max())


@pytest.mark.gpu
@pytest.mark.slow
def test_more_entries_than_32_bits_count(cuda: Backend) -> None:
    if cuda.emulated:
        pytest.skip("2^31 pairs take the emulator minutes, and their matrix 9 GB")
    X = np.random.default_rng(0).standard_normal((46400, 4)).astype(np.float32)
    K = cuda.kernel_matrix(X)
    assert K.size > 2**31
    for rows in (slice(0, 5), slice(23000, 23005), slice(-5, None)):
        assert_accurate("kernel_matrix", K[rows], oracle.kernel_matrix(X[rows], X), np.float32)
