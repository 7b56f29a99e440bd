"""Dask's arrays and frames as the rows of a fit, or as rows to predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from dask.delayed import delayed
from numpy.typing import NDArray

from fastrfm.dask import tasks
from fastrfm.dask.cluster import Cluster
from fastrfm.dask.rows import ShardedRows
from fastrfm.preprocessing import TableEncoder
from fastrfm.remote import RemoteTable
from fastrfm.sampling import draw_rows

__all__ = ["CollectionRows", "is_frame", "partitions"]

# Columns are learned from so many bytes of rows, drawn at random, in the client; all of them where
# there are no more. Of 1,000,000 rows a mean is within a thousandth of a standard deviation.
SAMPLE_BYTES = 1 << 28


def partitions(X: Any) -> list[Any]:
    """Return the parts of a collection's rows, each with all columns, as delayed values.

    Raises
    ------
    TypeError
        For another collection.
    ValueError
        For an array that is not two-dimensional.
    """
    if is_frame(X):
        parts: list[Any] = list(X.to_delayed())
        return parts
    if not hasattr(X, "chunks"):
        raise TypeError(f"X must be a Dask array or a Dask dataframe; got {type(X).__name__}")
    if X.ndim != 2 or np.isnan(X.shape[1]):
        raise ValueError(
            "X must be a two-dimensional Dask array or a frame, its number of columns known; got "
            f"one of shape {X.shape}"
        )
    return list(X.rechunk({1: -1}).to_delayed().ravel())


def is_frame(X: Any) -> bool:
    """Return whether a collection is a frame."""
    return hasattr(X, "npartitions") and hasattr(X, "columns")


class CollectionRows(RemoteTable):
    """Rows of a Dask array or frame.

    Parameters
    ----------
    X : dask.array.Array or dask.dataframe.DataFrame
    cluster : Cluster

    Attributes
    ----------
    shape : tuple of int
    """

    def __init__(self, X: Any, cluster: Cluster) -> None:
        self._cluster = cluster
        self._parts = partitions(X)
        self._header = X._meta if is_frame(X) else np.empty((0, X.shape[1]), X.dtype)
        sizes: Sequence[float] = [np.nan] if is_frame(X) else X.chunks[0]
        if np.isnan(sizes).any():
            sizes = cluster.gather(cluster.compute([delayed(tasks.size)(p) for p in self._parts]))
        self._sizes = [int(size) for size in sizes]
        self._of_parts = self._sizes
        # Of each part, the rows that count; None: all.
        self._kept: list[NDArray[np.intp] | None] = [None] * len(self._parts)
        self._columns = X.shape[1] if not is_frame(X) else len(X.columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return sum(self._sizes), self._columns

    @property
    def header(self) -> Any:
        """A table of the same columns without rows."""
        return self._header

    def keep(self, rows: NDArray[np.intp]) -> CollectionRows:
        """Return these rows alone, in order."""
        some: CollectionRows = object.__new__(CollectionRows)
        some.__dict__.update(self.__dict__)
        local = self._local(rows)
        some._kept = [
            part if kept is None else kept[part]
            for part, kept in zip(local, self._kept, strict=True)
        ]
        some._sizes = [len(part) for part in local]
        return some

    def sample(self, weight: NDArray[np.float64] | None) -> tuple[Any, NDArray[np.float64] | None]:
        """Return rows for learning the columns in this process, and their weights."""
        size = max(1, SAMPLE_BYTES // (8 * self._columns))
        if size >= len(self):
            return self.here(), weight
        # Of its own, so that the fit draws what it draws without a sample.
        rows = draw_rows(len(self), size, np.random.RandomState(0))
        return self.here(rows), None if weight is None else weight[rows]

    def here(self, rows: NDArray[np.intp] | None = None) -> Any:
        """Return rows in this process, None for all: an array, or a frame."""
        local = [None] * len(self._parts) if rows is None else self._local(rows)
        wanted = []
        for part, of_part, kept, size in zip(
            self._parts, local, self._kept, self._sizes, strict=True
        ):
            chosen = kept if of_part is None else of_part if kept is None else kept[of_part]
            if size and (chosen is None or len(chosen)):
                wanted.append(delayed(tasks.some)(part, chosen))
        pieces = self._cluster.gather(self._cluster.compute(wanted))
        if isinstance(self._header, np.ndarray):
            return np.concatenate([self._header, *pieces]) if pieces else self._header
        from dask.dataframe.dispatch import concat

        # pandas' own would make numbers of categories that differ from part to part.
        return concat(pieces) if pieces else self._header  # type: ignore[no-untyped-call]

    def encoded(self, encoder: TableEncoder, device: str) -> ShardedRows:
        """Return the rows, encoded, in blocks on the workers."""
        dtype, width = np.dtype(encoder.dtype_), len(encoder.source_)
        ranges = self._cluster.blocks(len(self), width * dtype.itemsize)
        shared = delayed(encoder, pure=False)
        parts = [
            delayed(tasks.encoded)(shared, part, kept, size)
            for part, kept, size in zip(self._parts, self._kept, self._of_parts, strict=True)
        ]
        ends = np.cumsum(self._sizes)
        blocks = []
        for begin, end in ranges:
            first, last = np.searchsorted(ends, [begin, end - 1], side="right")
            numbers = range(int(first), int(last) + 1)
            starts = [int(ends[i]) - self._sizes[i] for i in numbers]
            pieces = [
                (max(begin - start, 0), min(end - start, self._sizes[i]))
                for i, start in zip(numbers, starts, strict=True)
            ]
            blocks.append(delayed(tasks.assembled)([parts[i] for i in numbers], pieces))
        futures = self._cluster.compute(blocks)
        # What cannot be encoded says so now, before the fit.
        self._cluster.gather(self._cluster.map(tasks.size, futures))
        return ShardedRows(self._cluster, futures, ranges, width, dtype, device)

    def _local(self, rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Return, for each part, the numbers in it of rows that are in order."""
        ends = np.cumsum(self._sizes)
        cuts = np.searchsorted(rows, ends)
        starts = ends - np.asarray(self._sizes)
        return [part - start for part, start in zip(np.split(rows, cuts[:-1]), starts, strict=True)]
