"""Rows in blocks on a cluster, the passes over them, and the tasks that these are made of."""

from __future__ import annotations

import errno
import os
from typing import Any

import numpy as np
import pytest

from backends import CUDA_BACKENDS, Backend
from cases import Array
from fastrfm import backend
from fastrfm.kernels import Kernel
from fastrfm.preprocessing import TableEncoder
from fastrfm.ridge.nystrom import FEWEST_LANDMARKS, largest_rank
from fastrfm.ridge.plan import make_remote_plan

pytest.importorskip("distributed")
pytest.importorskip("dask.dataframe")

import dask.array as da
from distributed import Client

from dask_cases import (
    QUIETLY,
    RNG,
    N,
    X,
    Y,
    client,
    close,
    small_blocks,
)
from fastrfm.dask import collections, tasks
from fastrfm.dask import rows as sharded_rows
from fastrfm.dask.cluster import Cluster
from fastrfm.dask.collections import CollectionRows
from fastrfm.dask.rows import ShardedRows

__all__ = ["client", "small_blocks"]  # fixtures

pytestmark = QUIETLY


@pytest.fixture(scope="module")
def sharded(client: Client) -> tuple[ShardedRows, Array]:
    """Return rows on the workers, and the same rows here."""
    assert client.status == "running"
    rows = np.ascontiguousarray(X[:600])
    blocks = [(0, 150), (150, 390), (390, 600)]
    here = Cluster()
    futures = here.map(tasks.same, [rows[begin:end] for begin, end in blocks])
    return ShardedRows(here, futures, blocks, 6, rows.dtype, "cpu"), rows


ROOTS = {"none": None, "diagonal": RNG.uniform(0.5, 2, 6), "full": RNG.standard_normal((6, 4))}


def test_landmarks_take_a_part_of_the_workers_memory(
    client: Client, sharded: tuple[ShardedRows, Array]
) -> None:
    remote, _ = sharded
    total = sum(w.memory_limit for w in client.cluster.scheduler.workers.values())
    assert remote.column_bytes == total // 4
    n, most = 10**6, largest_rank(10**6)
    assert make_remote_plan(n, 1, "float32", None, None).max_rank == most
    assert make_remote_plan(n, 1, "float32", 4 * n * 500, None).max_rank == 500
    assert make_remote_plan(n, 1, "float32", 0, None).max_rank == FEWEST_LANDMARKS
    here = make_remote_plan(n, 1, "float32", None, 80_000_000)
    assert FEWEST_LANDMARKS < here.max_rank < most
    assert here.bytes <= 80_000_000
    with pytest.raises(MemoryError, match="memory_limit=70,000,000"):
        make_remote_plan(n, 1, "float32", None, 70_000_000)


def test_rows_that_are_too_large_for_memory_are_gathered_on_the_disk(
    sharded: tuple[ShardedRows, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, rows = sharded
    in_memory = remote.gathered(None)
    assert not isinstance(in_memory, np.memmap)
    mapped = remote.gathered(rows.nbytes - 1)
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, rows)
    assert np.array_equal(in_memory, rows)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        remote.gathered(0)


@pytest.mark.parametrize("root", ROOTS.values(), ids=ROOTS)
def test_passes(sharded: tuple[ShardedRows, Array], root: Array | None) -> None:
    remote, rows = sharded
    kernel = Kernel(norm=2.0, exponent=1.0, bandwidth=3.0)
    V, law = RNG.standard_normal((600, 3)), (kernel, root)
    close(
        backend.kernel_matmul(remote, remote, V, *law), backend.kernel_matmul(rows, rows, V, *law)
    )
    few = X[N : N + 40]
    close(backend.kernel_matmul(few, remote, V, *law), backend.kernel_matmul(few, rows, V, *law))
    like, factors = np.empty(0), RNG.uniform(0.5, 2, 600)
    C = backend.landmark_columns(remote, few, *law, like=like)
    expected = backend.landmark_columns(rows, few, *law, like=like)
    close(C[np.array([5, 599, 200])], expected[[5, 599, 200]])
    C.scale_rows(factors)
    expected *= factors[:, None]
    close(backend.landmark_gram(C), backend.landmark_gram(expected))
    B, R = RNG.standard_normal((40, 2)), RNG.standard_normal((600, 2))
    close(backend.landmark_matmul(C, B), backend.landmark_matmul(expected, B))
    close(backend.landmark_transposed_matmul(C, R), backend.landmark_transposed_matmul(expected, R))


@pytest.mark.parametrize("root", ROOTS.values(), ids=ROOTS)
@pytest.mark.parametrize("diagonal", [False, True])
def test_sums_of_gradients(
    sharded: tuple[ShardedRows, Array],
    root: Array | None,
    diagonal: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remote, rows = sharded
    monkeypatch.setattr(sharded_rows, "_GRADIENT_BYTES", 8 * 3 * 6 * 130)  # five blocks of rows
    kernel = Kernel(norm=2.0, exponent=1.0, bandwidth=3.0)
    coef, weights = RNG.standard_normal((600, 3)), RNG.uniform(0, 2, 600)
    for center in (False, True):
        options = {"diagonal": diagonal, "center": center, "row_weights": weights}
        expected = backend.gradient_sums(rows, rows, coef, kernel, root, **options)
        for X_rows in (rows, remote):
            close(backend.gradient_sums(X_rows, remote, coef, kernel, root, **options), expected)


def test_random_mixtures_of_outputs_are_unbiased(sharded: tuple[ShardedRows, Array]) -> None:
    remote, rows = sharded
    kernel = Kernel(norm=2.0, exponent=1.0, bandwidth=3.0)
    coef = RNG.standard_normal((600, 8))
    options: dict[str, Any] = {"diagonal": False, "center": False}
    exact = backend.gradient_sums(rows, rows, coef, kernel, None, **options)
    options |= {"output_samples": 2}
    estimates = [
        backend.gradient_sums(rows, remote, coef, kernel, None, **options, seed=seed)
        for seed in range(8)
    ]
    errors = [np.linalg.norm(G - exact) / np.linalg.norm(exact) for G in estimates]
    assert min(errors) > 1e-3
    mean = np.mean(estimates, axis=0)
    assert np.linalg.norm(mean - exact) / np.linalg.norm(exact) < 0.7 * np.mean(errors)


@pytest.mark.parametrize("room", CUDA_BACKENDS)
def test_tasks_of_workers_with_a_device(room: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = room.open_room()
    monkeypatch.setattr(tasks, "_room", lambda device: opened)
    rows, few = X[:40].astype(np.float32), X[40:70].astype(np.float32)
    V, U = Y[40:70].astype(np.float32), Y[:40].astype(np.float32)
    law = (Kernel(norm=2.0, exponent=1.0, bandwidth=3.0), None)

    def allowed(actual: Array, expected: Array) -> None:
        assert np.abs(actual - expected).max() < 2e-5 * np.abs(expected).max()

    allowed(tasks.product(rows, few, V, law, "cuda"), backend.kernel_matmul(rows, few, V, *law))
    both = tasks.product_both_ways(rows, few, V, U, law, "cuda")
    for one, expected in zip(
        both, backend.kernel_matmul_both_ways(rows, few, V, U, *law), strict=True
    ):
        allowed(one, expected)
    C = tasks.columns(rows, few, law, np.dtype(np.float32), "cuda")
    allowed(C, backend.kernel_matrix(rows, few, *law))
    g = tasks.gradients(rows, few, V, law, None, "cuda")
    allowed(g, backend.gradients(rows, few, V, *law))


def test_where_workers_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise RuntimeError("no CUDA here")

    monkeypatch.setattr(backend, "cuda_room", missing)
    room = tasks._room.__wrapped__
    assert room("cpu") is backend.CPU
    assert room("auto") is backend.CPU
    with pytest.raises(RuntimeError, match="no CUDA here"):
        room("cuda")


@pytest.mark.usefixtures("client")
def test_rows_in_blocks() -> None:
    parts = da.from_array(X[:N].astype(np.float32), chunks=((100, 900, 1, 399), (6,)))
    rows = CollectionRows(parts, Cluster()).keep(np.arange(3, N, 2))
    expected = X[3:N:2].astype(np.float32)
    assert np.array_equal(rows.here(), expected)
    assert np.array_equal(rows.here(np.array([0, 5, 690])), expected[[0, 5, 690]])
    encoder = TableEncoder().fit(expected)
    sharded = rows.encoded(encoder, "cpu")
    assert np.array_equal(sharded[:], encoder.transform(expected))
    some = np.arange(200, 690, 3)
    assert np.array_equal(sharded.keep(some)[:], encoder.transform(expected)[some])
    assert np.array_equal(sharded[[600, 3, 3]], encoder.transform(expected)[[600, 3, 3]])
    # A digest does not see how rows are divided, and sees each of them.
    other = CollectionRows(da.from_array(expected, chunks=(200, 6)), Cluster())
    assert other.encoded(encoder, "cpu").digest() == sharded.digest()
    expected[-1, -1] += 1
    other = CollectionRows(da.from_array(expected, chunks=(200, 6)), Cluster())
    assert other.encoded(encoder, "cpu").digest() != sharded.digest()


def test_columns_are_learned_from_a_sample_of_very_many_rows(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.status == "running"
    monkeypatch.setattr(collections, "SAMPLE_BYTES", 8 * 6 * 700)
    rows = CollectionRows(da.from_array(X[:N], chunks=(450, 6)), Cluster())
    weight = np.arange(N, dtype=np.float64)
    sample, of_sample = rows.sample(weight)
    assert of_sample is not None
    assert len(np.unique(of_sample)) == 700
    assert np.array_equal(sample, X[of_sample.astype(int)])
