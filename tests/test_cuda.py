"""What is special to the CUDA rooms: tile borders, workspace, triangles, order, big strides."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import emulator_probe
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
    plain_regressor,
    typical_bandwidth,
)
from device import StandIn
from fastrfm.backend import cuda_room, kernel_triangle, running_on
from fastrfm.cuda import Cuda
from fastrfm.kernels import Kernel

pytestmark = pytest.mark.core

MAP_NORESERVE = 0x4000  # Linux's; Python names it from 3.13 on

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
@pytest.mark.parametrize(("d", "c"), [(3, 2), pytest.param(30, 10, marks=pytest.mark.slow)])
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


def products_of_signs(
    cuda: Backend, X: Array, Z: Array, coef: Array, samples: int, seed: int
) -> Array:
    """Return, by tile of rows and pair of outputs, the mean over mixtures of r_k r_l.

    Recovered from an estimate of the AGOP: to the AGOP itself a tile adds, for each pair k < l,
    that mean times ``g_k g_l^T + g_l g_k^T``, summed over its rows.
    """
    rows = (cuda.mixed_rows or {})[X.dtype.name]
    g = oracle.gradients(X, Z, coef, bandwidth=3.0)
    estimate = cuda.agop(X, Z, coef, bandwidth=3.0, output_samples=samples, random_state=seed)
    rest = estimate - np.einsum("ila,ilb->ab", g, g) / len(X)
    pairs = list(zip(*np.triu_indices(coef.shape[1], 1), strict=True))
    crossed = np.stack(
        [
            np.einsum("ia,ib->ab", part[:, a], part[:, b])
            for part in np.split(g, range(rows, len(X), rows))
            for a, b in pairs
        ]
    )
    crossed = (crossed + crossed.transpose(0, 2, 1)) / len(X)
    found, *_ = np.linalg.lstsq(crossed.reshape(len(crossed), -1).T, rest.ravel(), rcond=None)
    return np.asarray(found).reshape(-1, len(pairs))


@pytest.mark.parametrize("samples", [1, 2])
def test_each_tile_of_rows_mixes_its_outputs_anew(cuda: Backend, dtype: type, samples: int) -> None:
    """Products of the signs of three outputs in three tiles: whole steps, and they all vary."""
    rng = np.random.default_rng(0)
    rows = (cuda.mixed_rows or {})[np.dtype(dtype).name]
    X = rng.standard_normal((2 * rows + 40, 7)).astype(dtype)
    Z, coef = rng.standard_normal((30, 7)).astype(dtype), coefficients(rng, 30, 3, dtype)
    found = np.stack([products_of_signs(cuda, X, Z, coef, samples, seed) for seed in range(24)])
    assert found.shape == (24, 3, 3)
    steps = [-1, 1] if samples == 1 else [-1, 0, 1]
    whole = np.round(found)
    np.testing.assert_allclose(found, whole, atol=1e-2 if dtype == np.float32 else 1e-6)
    assert set(np.unique(whole)) == set(steps)
    for one in whole.reshape(24, 9).T:
        assert len(np.unique(one)) == len(steps)
    for tile in range(2):  # no tile repeats another's signs
        assert (whole[:, tile] != whole[:, tile + 1]).any(axis=1).sum() > 8


def mixed(coef: Array, samples: int, seed: int, tile: int) -> Array:
    """Return the coefficients of a tile of rows, with the signs of src/cpp/common/signs.hpp."""

    def scramble(x: Array) -> Array:
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))

    count = coef.shape[1] * samples
    counters = np.arange(tile * count, (tile + 1) * count, dtype=np.uint64)
    stream = scramble(np.array([seed], np.uint64))
    hashes = scramble(stream + (counters + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))
    signs = np.where(hashes >> np.uint64(63), 1.0, -1.0).reshape(coef.shape[1], samples)
    return np.asarray(coef @ (signs / np.sqrt(samples)))


@pytest.mark.slow
def test_mixtures_of_more_tiles_than_are_kept(cuda: Backend) -> None:
    """16 MiB of mixed coefficients are 16 tiles here, and there are 18."""
    n, m, c, samples, seed = 2300, 4200, 61, 60, 5
    rng = np.random.default_rng(0)
    X, Z = (rng.standard_normal((rows, 5)).astype(np.float32) for rows in (n, m))
    coef = coefficients(rng, m, c, np.float32)
    kernel = Kernel(bandwidth=3.0)
    sums, _ = cuda.open_room().gradient_sums(
        X,
        Z,
        coef,
        kernel,
        None,
        diagonal=False,
        output_sums=False,
        output_samples=samples,
        seed=seed,
    )
    expected = np.zeros((5, 5))
    for tile, first in enumerate(range(0, n, 128)):
        rows = X[first : first + 128].astype(np.float64)
        own = mixed(coef.astype(np.float64), samples, seed, tile)
        expected += len(rows) * fastrfm.agop(rows, Z, own, bandwidth=3.0)
    np.testing.assert_allclose(sums, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("op", OPS)
def test_the_same_bits_again(cuda: Backend, dtype: type, kernel: dict[str, float], op: str) -> None:
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((300, 5)).astype(dtype), rng.standard_normal((150, 5)).astype(dtype)
    X[:40] = Z[:40]
    coef = coefficients(rng, 150, 3, dtype)
    results = [call(cuda, op, X, Z, coef, **kernel) for _ in range(2)]
    np.testing.assert_array_equal(*results)


@pytest.mark.slow
@pytest.mark.emulated
def test_the_order_of_threads_does_not_matter() -> None:
    """Every op's results, hashed, for threads by index, from the last, and shuffled."""
    expected = emulator_probe.hashes()
    assert len(expected) >= 2 * len(OPS)
    for order in ("1", "20"):
        done = subprocess.run(
            [sys.executable, emulator_probe.__file__],
            env={**os.environ, "FASTRFM_EMULATOR_ORDER": order},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == expected


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
    assert raised.value.__cause__ is memory.error
    assert f"{op} of 9 rows and 9 centres of 3 features needs " in str(raised.value)


class Counted(HostMemory):
    """Memory that adds up what the ops take of it for themselves."""

    def __init__(self) -> None:
        self.bytes = 0

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        array = super().empty(shape, dtype)
        self.bytes += array.nbytes if dtype is np.uint8 else 0
        return array


@pytest.mark.emulated
def test_nothing_of_the_size_of_k_is_stored() -> None:
    n, dtype = 2500, np.float32
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((n, 3)).astype(dtype), rng.standard_normal((n, 3)).astype(dtype)
    coef = coefficients(rng, n, 2, dtype)
    size = n * n * np.dtype(dtype).itemsize
    passes = [(fastrfm.kernel_matmul, Z), (fastrfm.kernel_matmul, X), (fastrfm.agop, Z)]
    for function, centres in passes:
        memory = Counted()
        with running_on(Cuda(emulator(), memory)):
            function(X, centres, coef)
        assert 0 < memory.bytes < size / 10


@pytest.mark.slow
@pytest.mark.emulated
def test_chunks_of_rows_work_in_the_same_memory() -> None:
    """One chunk and three: more memory for the points alone."""
    d, m, c = 300, 8, 20
    rng = np.random.default_rng(0)
    Z, coef = rng.standard_normal((m, d)).astype(np.float32), coefficients(rng, m, c, np.float32)
    used = []
    for n in (2700, 5500):
        memory = Counted()
        X = rng.standard_normal((n, d)).astype(np.float32)
        Cuda(emulator(), memory).gradient_sums(
            X, Z, coef, Kernel(), None, diagonal=False, output_sums=False, output_samples=0, seed=0
        )
        used.append(memory.bytes)
    points = (5500 - 2700 + 128) * (d * 2 * 4 + 16)  # coordinates and rests, sizes
    assert 0 < used[1] - used[0] < points + (8 << 20)


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


@pytest.mark.emulated
@pytest.mark.parametrize("element", [np.float32, np.float64, np.int8])
@pytest.mark.parametrize("op", OPS)
def test_cupys_memory(stand_in_cupy: StandIn, op: str, element: type) -> None:
    """The arrays' way through CuPy, from every layout."""
    rng = np.random.default_rng(0)
    X, Z = ((9 * rng.standard_normal((n, 6))).astype(element) for n in (21, 34))
    coef = coefficients(rng, 34, 3, np.float32)
    options = {"metric": make_metric("low_rank", 6), "bandwidth": 30.0}
    expected = call(oracle, op, X, Z, coef, **options)
    for change in (np.asfortranarray, lambda a: a[::-1].copy()[::-1], lambda a: a):
        with running_on(cuda_room()):
            result = call(fastrfm, op, change(X), change(Z), coef, **options)
        assert_accurate(op, result, expected, np.float64 if element == np.float64 else np.float32)


def test_an_estimator_fits_the_same_there(cuda: Backend) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 4))
    y = X[:, 0] * X[:, 1]
    model = plain_regressor(n_iter=2, early_stopping=False, random_state=0)
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
