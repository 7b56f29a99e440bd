"""Rows that lie in other processes: what the passes need of them.

A pass over such rows runs where they are; what comes and goes are coefficients and sums. Where they
lie, and how messages travel, is for the implementation (`fastrfm.dask`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastrfm.kernels import Kernel
    from fastrfm.metric import Root
    from fastrfm.preprocessing import TableEncoder

__all__ = ["RemoteColumns", "RemoteRows", "RemoteTable"]

Array = NDArray[Any]


class RemoteColumns(ABC):
    """A matrix C of shape (n, r), its rows in other processes: kernel values at r landmarks."""

    @abstractmethod
    def __getitem__(self, rows: NDArray[np.intp]) -> Array:
        """Return the rows of these numbers, here."""

    @abstractmethod
    def scale_rows(self, factors: NDArray[np.float64]) -> None:
        """Multiply each row by its factor; `factors` has shape (n,)."""

    @abstractmethod
    def gram(self) -> NDArray[np.float64]:
        """Return C^T C, (r, r)."""

    @abstractmethod
    def matmul(self, B: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return C B, (n, c)."""

    @abstractmethod
    def transposed_matmul(self, R: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return C^T R, (r, c)."""


class RemoteRows(ABC):
    """Encoded rows in other processes, in the place of an array of shape (n, d).

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    ndim, nbytes : int
        Bytes are those in this process: none.
    column_bytes : int or None
        What `columns` may take where the rows are; None: no limit is known.
    """

    ndim = 2
    nbytes = 0

    def __init__(
        self, shape: tuple[int, int], dtype: np.dtype[Any], column_bytes: int | None = None
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.column_bytes = column_bytes

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def __getitem__(self, rows: NDArray[np.intp] | slice) -> Array:
        """Return the rows of these numbers, here."""

    @abstractmethod
    def gathered(self, memory_limit: int | None) -> Array:
        """Return all rows here: in memory, or, where they are too large for it, on the disk."""

    @abstractmethod
    def keep(self, rows: NDArray[np.intp]) -> RemoteRows:
        """Return these rows alone, where they are; their numbers are in order."""

    @abstractmethod
    def matmul(self, X: Array | RemoteRows, V: Array, kernel: Kernel, root: Root) -> Array:
        """Return K(X, self) V, (len(X), c); X an array, or these rows themselves."""

    @abstractmethod
    def columns(self, Z: Array, kernel: Kernel, root: Root, dtype: np.dtype[Any]) -> RemoteColumns:
        """Return K(self, Z), (n, len(Z)), which stays there."""

    @abstractmethod
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

        `output_samples` 0: the outputs themselves.
        """

    @abstractmethod
    def digest(self) -> bytes:
        """Return a digest of the rows that does not depend on how they are divided."""


class RemoteTable(ABC):
    """A table in other processes, before it is encoded.

    Attributes
    ----------
    shape : tuple of int
    header : array or frame
        A table of the same columns without rows.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    @abstractmethod
    def header(self) -> Any:
        """A table of the same columns without rows."""

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def keep(self, rows: NDArray[np.intp]) -> RemoteTable:
        """Return these rows alone; their numbers are in order."""

    @abstractmethod
    def sample(self, weight: NDArray[np.float64] | None) -> tuple[Any, NDArray[np.float64] | None]:
        """Return rows for learning the columns in this process, and their weights."""

    @abstractmethod
    def encoded(self, encoder: TableEncoder, device: str) -> RemoteRows:
        """Return all rows encoded; passes over them run on `device` where they are."""
