"""Products with the columns of a kernel matrix, on the device: see `fastrfm.backend`.

The columns C, (n, r), are in the working precision; sums are float64's. cuBLAS has no product that
reads float32 and sums in float64, so C is converted by chunks of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.arrays import namespace

__all__ = ["gram", "matmul", "transposed_matmul"]

Vectors = NDArray[np.float64]

# Bytes of a chunk in float64: enough that the products' launches (some 10 us) are a small part of
# them, 64 MiB being written and read in 40 us at 3 TB/s. Counted, not measured.
_CHUNK_BYTES = 64 << 20


def gram(C: Any) -> Vectors:
    """Return C^T C, (r, r), float64."""
    out: Vectors = namespace(C).zeros((C.shape[1], C.shape[1]), np.float64)
    for _, chunk in _chunks(C):
        out += chunk.T @ chunk
    return out


def matmul(C: Any, B: Any) -> Vectors:
    """Return C B, (n, c), float64."""
    out: Vectors = namespace(C).empty((len(C), B.shape[1]), np.float64)
    for rows, chunk in _chunks(C):
        out[rows] = chunk @ B
    return out


def transposed_matmul(C: Any, R: Any) -> Vectors:
    """Return C^T R, (r, c), float64."""
    out: Vectors = namespace(C).zeros((C.shape[1], R.shape[1]), np.float64)
    for rows, chunk in _chunks(C):
        out += chunk.T @ R[rows]
    return out


def _chunks(C: Any) -> Iterator[tuple[slice, Any]]:
    """Yield so many rows after the other, and these in float64."""
    rows = max(1, _CHUNK_BYTES // (8 * C.shape[1]))
    for begin in range(0, len(C), rows):
        which = slice(begin, min(begin + rows, len(C)))
        yield which, C[which].astype(np.float64, copy=False)
