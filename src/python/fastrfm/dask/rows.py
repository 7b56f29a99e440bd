"""Encoded rows in blocks on a cluster's workers, and the passes over them.

Blocks and kernel columns are results of tasks: what a lost worker had, the scheduler has made
again. With P blocks of n rows, one product K(X, X) V is P (P + 1) / 2 tasks; each worker receives
at most the n d numbers of the rows, n c of V, and sends as many sums as it has tasks, n / P times c
each.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from distributed import Future
from numpy.typing import NDArray

from fastrfm.dask import tasks
from fastrfm.dask.cluster import Cluster
from fastrfm.kernels import Kernel
from fastrfm.metric import Root
from fastrfm.remote import Array, RemoteColumns, RemoteRows
from fastrfm.ridge.plan import physical_memory

__all__ = ["ShardedColumns", "ShardedRows"]

Ranges = Sequence[tuple[int, int]]
# Gradients of a block of rows, all outputs and columns of them, that are sent from task to task;
# with more than so many blocks of centres fewer, as one task adds up those of all of them.
_GRADIENT_BYTES = 32 << 20
_BLOCKS_ADDED = 4
# So many blocks of rows are under way at a time, or their gradients would fill the workers' memory.
_ROW_BLOCKS_AT_A_TIME = 4

# The preconditioner's kernel columns may take this part of the workers' memory, in which there are
# the blocks as well, copies of others' for a task, and the columns once more while they are scaled.
_PART_OF_MEMORY = 0.25


class _Blocks:
    """Blocks of consecutive rows, each the result of a task.

    Parameters
    ----------
    cluster : Cluster
    futures : sequence of Future
    ranges : sequence of (int, int)
        The rows of each.
    """

    def __init__(self, cluster: Cluster, futures: Sequence[Future[Any]], ranges: Ranges) -> None:
        self.cluster = cluster
        self.futures = list(futures)
        self.ranges = list(ranges)

    def parts(self, array: Array) -> list[Array]:
        """Return the rows of an array that belong to each block."""
        return [np.ascontiguousarray(array[begin:end]) for begin, end in self.ranges]

    def put_parts(self, array: Array) -> list[Future[Any]]:
        """Return futures of them."""
        return self.cluster.map(tasks.same, self.parts(array))

    def take(self, rows: NDArray[np.intp] | slice, shape: tuple[int, int], dtype: Any) -> Array:
        """Return rows, in any order, here; of blocks one after another, so that none is twice."""
        numbers = np.arange(shape[0])[rows]
        return self.take_into(np.empty((len(numbers), shape[1]), dtype), numbers)

    def take_into(self, out: Array, numbers: NDArray[np.intp]) -> Array:
        """Fill an array with the rows of these numbers, and return it."""
        for future, (begin, end) in zip(self.futures, self.ranges, strict=True):
            places = np.flatnonzero((begin <= numbers) & (numbers < end))
            if len(places):
                wanted = self.cluster.map(tasks.some, [future], [numbers[places] - begin])
                out[places] = self.cluster.gather(wanted)[0]
        return out


class ShardedColumns(RemoteColumns):
    """Kernel values at landmarks, in blocks."""

    def __init__(self, blocks: _Blocks, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._blocks = blocks
        self._cluster = blocks.cluster
        self.shape = shape
        self.dtype = dtype

    def __getitem__(self, rows: NDArray[np.intp]) -> Array:
        return self._blocks.take(rows, self.shape, self.dtype)

    def scale_rows(self, factors: NDArray[np.float64]) -> None:
        """Multiply each row by its factor."""
        blocks = self._blocks
        blocks.futures = self._cluster.map(tasks.scaled, blocks.futures, blocks.parts(factors))

    def gram(self) -> NDArray[np.float64]:
        """Return C^T C, (r, r)."""
        result: NDArray[np.float64] = self._cluster.reduce(
            self._cluster.map(tasks.gram, self._blocks.futures)
        )
        return result

    def matmul(self, B: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return C B, (n, c)."""
        futures = self._cluster.map(
            tasks.landmark_matmul, self._blocks.futures, B=self._cluster.put(B)
        )
        return np.concatenate(self._cluster.gather(futures))

    def transposed_matmul(self, R: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return C^T R, (r, c)."""
        futures = self._cluster.map(
            tasks.landmark_transposed_matmul, self._blocks.futures, self._blocks.parts(R)
        )
        results = self._cluster.gather(futures)
        return tasks.sum_of(results, [None] * len(results))


class ShardedRows(RemoteRows):
    """Rows in blocks.

    Parameters
    ----------
    cluster : Cluster
    futures : sequence of Future
        Of arrays of shape (end - begin, d).
    ranges : sequence of (int, int)
    width : int
        d.
    dtype : dtype
    device : {"auto", "cpu", "cuda"}
        Where a worker computes.
    """

    def __init__(
        self,
        cluster: Cluster,
        futures: Sequence[Future[Any]],
        ranges: Ranges,
        width: int,
        dtype: np.dtype[Any],
        device: str,
    ) -> None:
        memory = cluster.memory()
        column_bytes = None if memory is None else int(_PART_OF_MEMORY * memory)
        super().__init__((ranges[-1][1], width), np.dtype(dtype), column_bytes)
        self._blocks = _Blocks(cluster, futures, ranges)
        self._cluster = cluster
        self._device = device
        self._law: tuple[Kernel, Root, Future[Any]] | None = None

    def __getitem__(self, rows: NDArray[np.intp] | slice) -> Array:
        return self._blocks.take(rows, self.shape, self.dtype)

    def gathered(self, memory_limit: int | None) -> Array:
        """Return all rows here: in memory, or, where they are too large for it, on the disk.

        Too large is more than the limit, or than half of the machine's memory. The file has no
        name, and is gone with the array; a fit on the way needs room for it in `tempfile`'s folder.

        Raises
        ------
        OSError
            If the disk has no room for them.
        """
        needed = len(self) * self.shape[1] * self.dtype.itemsize
        limit = physical_memory() // 2 if memory_limit is None else memory_limit
        if needed <= limit:
            return self[:]
        with tempfile.TemporaryFile() as file:
            # Now, not when pages are written: that would be a signal.
            os.posix_fallocate(file.fileno(), 0, needed)
            out = np.memmap(file, self.dtype, "r+", shape=self.shape)
        return self._blocks.take_into(out, np.arange(len(self)))

    def keep(self, rows: NDArray[np.intp]) -> RemoteRows:
        """Return these rows alone, where they are; their numbers are in order."""
        ends = np.array([end for _, end in self._blocks.ranges])
        parts = np.split(rows, np.searchsorted(rows, ends)[:-1])
        kept = [i for i, part in enumerate(parts) if len(part)]
        futures = self._cluster.map(
            tasks.some,
            [self._blocks.futures[i] for i in kept],
            [parts[i] - self._blocks.ranges[i][0] for i in kept],
        )
        edges = np.cumsum([0, *(len(parts[i]) for i in kept)]).tolist()
        ranges = list(pairwise(edges))
        return ShardedRows(self._cluster, futures, ranges, self.shape[1], self.dtype, self._device)

    def matmul(self, X: Array | RemoteRows, V: Array, kernel: Kernel, root: Root) -> Array:
        """Return K(X, self) V, (len(X), c); X an array, or these rows themselves."""
        cluster, blocks = self._cluster, self._blocks.futures
        shared = self._shared(kernel, root)
        V_parts = self._blocks.put_parts(V)
        if X is not self:
            x = cluster.put(self._here(X))
            futures = cluster.map(tasks.product, [x] * len(blocks), blocks, V_parts, **shared)
            # Dask sums in pairs; in float64, so that the order matters to no one.
            total = cluster.gather(cluster.map(tasks.sum_of, [futures], [[None] * len(futures)]))[0]
            return np.asarray(total, V.dtype)
        own = cluster.map(tasks.product, blocks, blocks, V_parts, **shared)
        pairs = list(combinations(range(len(blocks)), 2))
        both = cluster.map(
            tasks.product_both_ways,
            [blocks[i] for i, _ in pairs],
            [blocks[j] for _, j in pairs],
            [V_parts[j] for _, j in pairs],
            [V_parts[i] for i, _ in pairs],
            **shared,
        )
        results: list[list[Any]] = [[future] for future in own]
        which: list[list[int | None]] = [[None] for _ in own]
        for future, pair in zip(both, pairs, strict=True):
            for side, block in enumerate(pair):
                results[block].append(future)
                which[block].append(side)
        sums = cluster.gather(cluster.map(tasks.sum_of, results, which))
        return np.concatenate(sums).astype(V.dtype)

    def columns(self, Z: Array, kernel: Kernel, root: Root, dtype: np.dtype[Any]) -> RemoteColumns:
        """Return K(self, Z), (n, len(Z)), which stays there."""
        futures = self._cluster.map(
            tasks.columns,
            self._blocks.futures,
            Z=self._cluster.put(Z),
            dtype=np.dtype(dtype),
            **self._shared(kernel, root),
        )
        blocks = _Blocks(self._cluster, futures, self._blocks.ranges)
        return ShardedColumns(blocks, (len(self), len(Z)), np.dtype(dtype))

    def gradient_sums(
        self,
        X: Array | RemoteRows,
        coef: Array,
        kernel: Kernel,
        root: Root,
        *,
        diagonal: bool,
        center: bool,
        output_samples: int,
        seed: int,
        row_weights: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Return what `fastrfm.backend.gradient_sums` does, these rows being the centres.

        A gradient is a sum over the centres, so a task gives the part of some centres in the
        gradients of a block of X, these are added up, and then have their outer products. Random
        mixtures of the outputs are drawn anew for each block of X.
        """
        X = self._here(X)
        cluster, centres = self._cluster, self._blocks.futures
        outputs = output_samples or coef.shape[1]
        a_row = outputs * X.shape[1] * coef.dtype.itemsize
        most = _GRADIENT_BYTES // max(1, len(centres) // _BLOCKS_ADDED)
        rows = max(1, min(len(X), most // a_row))
        shared = self._shared(kernel, root)
        coef_parts = self._blocks.put_parts(coef)
        sums = []
        for number, begin in enumerate(range(0, len(X), rows)):
            block = slice(begin, begin + rows)
            x = cluster.put(np.ascontiguousarray(X[block]))
            parts = cluster.map(
                tasks.gradients,
                [x] * len(centres),
                centres,
                coef_parts,
                mixture=(seed, number, output_samples) if output_samples else None,
                **shared,
            )
            whole = cluster.map(tasks.sum_of, [parts], [[None] * len(parts)])
            weights = None if row_weights is None else row_weights[block]
            sums += cluster.map(tasks.outer_products, whole, row_weights=weights, diagonal=diagonal)
            if len(sums) >= _ROW_BLOCKS_AT_A_TIME:
                cluster.wait(sums[-_ROW_BLOCKS_AT_A_TIME])
        G, of_outputs = cluster.reduce(sums)
        total = float(len(X)) if row_weights is None else float(row_weights.sum())
        G, mean = G / total, of_outputs / total
        if center:
            G -= (mean * mean).sum(axis=0) if diagonal else mean.T @ mean
        result: NDArray[np.float64] = np.clip(G, 0, None) if diagonal else (G + G.T) / 2
        return result

    def digest(self) -> bytes:
        """Return a digest of the rows that does not depend on how they are divided."""
        digest = hashlib.sha256()
        for futures in self._cluster.map(tasks.digests, self._blocks.futures):
            digest.update(b"".join(self._cluster.gather([futures])[0]))
        return digest.digest()

    def _shared(self, kernel: Kernel, root: Root) -> dict[str, Any]:
        """Return what all tasks of a pass are given; a root is sent once, not for each product."""
        if self._law is None or self._law[0] != kernel or self._law[1] is not root:
            self._law = (kernel, root, self._cluster.put((kernel, root)))
        return {"law": self._law[2], "device": self._device}

    def _here(self, X: Array | RemoteRows) -> Array:
        return X[:] if isinstance(X, RemoteRows) else X
