"""What workers do: the compiled passes on blocks of rows. Every function here is one task."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm import backend
from fastrfm.kernels import Kernel
from fastrfm.metric import Root
from fastrfm.preprocessing import TableEncoder
from fastrfm.rooms import Room
from fastrfm.sklearn_compat import take_rows

__all__ = [
    "add",
    "assembled",
    "columns",
    "digests",
    "encoded",
    "gradients",
    "gram",
    "landmark_matmul",
    "landmark_transposed_matmul",
    "outer_products",
    "predicted",
    "product",
    "product_both_ways",
    "same",
    "scaled",
    "size",
    "some",
    "sum_of",
]

Array = NDArray[Any]
Law = tuple[Kernel, Root]


@cache
def _room(device: str) -> Room:
    """Return where this worker computes; with "auto" on CUDA where that can be used."""
    if device == "cpu":
        return backend.CPU
    try:
        return backend.cuda_room()
    except (RuntimeError, ImportError):
        if device == "cuda":
            raise
        return backend.CPU


def _aligned(array: Array) -> Array:
    """Return an array that the compiled passes can read: one from a message may lie anywhere."""
    return np.require(array, requirements=("A", "C"))


def same(value: Any) -> Any:
    """Return the argument: an array that a worker can be sent again when another is lost."""
    return value


def size(part: Any) -> int:
    """Return the number of rows of a part of a table."""
    return len(part)


def some(part: Any, rows: NDArray[np.intp] | None) -> Any:
    """Return some rows of a part of a table, None for all."""
    return part if rows is None else take_rows(part, rows)


def encoded(encoder: TableEncoder, part: Any, rows: NDArray[np.intp] | None, size: int) -> Array:
    """Return rows of a part of a table, encoded; the part has to have `size` rows.

    Raises
    ------
    ValueError
        If it has not: rows would go with the targets of others.
    """
    if len(part) != size:
        raise ValueError(
            f"a part of X has {len(part):,} rows where it should have {size:,}: the chunk sizes of "
            "the array are not true (call X.compute_chunk_sizes()), or its source gives other rows "
            "each time it is read (fit X.persist())"
        )
    table = some(part, rows)
    if not len(table):
        return np.empty((0, len(encoder.source_)), encoder.dtype_)
    return encoder.transform(table)


def assembled(parts: Sequence[Array], ranges: Sequence[tuple[int, int]]) -> Array:
    """Return a block: the given rows of parts, one after another."""
    pieces = [part[begin:end] for part, (begin, end) in zip(parts, ranges, strict=True)]
    return np.ascontiguousarray(pieces[0]) if len(pieces) == 1 else np.concatenate(pieces)


def predicted(model: Any, method: str, part: Any, example: Array) -> Array:
    """Return what a method of an estimator gives for a part of a table; of none, `example`."""
    return getattr(model, method)(part) if len(part) else example


def product(X: Array, Z: Array, V: Array, law: Law, device: str) -> Array:
    """Return K(X, Z) V."""
    if X is Z:  # one triangle is enough
        X = Z = _aligned(X)
    with backend.running_on(_room(device)):
        return backend.kernel_matmul(_aligned(X), _aligned(Z), _aligned(V), *law)


def product_both_ways(
    X: Array, Z: Array, V: Array, U: Array, law: Law, device: str
) -> tuple[Array, Array]:
    """Return K(X, Z) V and K(X, Z)^T U."""
    X, Z, V, U = map(_aligned, (X, Z, V, U))
    with backend.running_on(_room(device)):
        return backend.kernel_matmul_both_ways(X, Z, V, U, *law)


def sum_of(results: Sequence[Any], which: Sequence[int | None]) -> Array:
    """Return the sum of results, or of entries of them, in float64, in their order."""
    total: Array | None = None
    for result, entry in zip(results, which, strict=True):
        part = result if entry is None else result[entry]
        if total is None:
            total = part.astype(np.float64)
        else:
            total += part
    assert total is not None
    return total


def add(first: Any, second: Any) -> Any:
    """Return the sum of two arrays, or of two tuples of arrays entry by entry."""
    if isinstance(first, tuple):
        return tuple(add(a, b) for a, b in zip(first, second, strict=True))
    return first + second


def columns(X: Array, Z: Array, law: Law, dtype: np.dtype[Any], device: str) -> Array:
    """Return K(X, Z)."""
    C = np.empty((len(X), len(Z)), dtype)
    with backend.running_on(_room(device)):
        return backend.kernel_matrix(_aligned(X), _aligned(Z), *law, out=C)


def scaled(C: Array, factors: NDArray[np.float64]) -> Array:
    """Return C with each row times its factor."""
    result: Array = (C * factors[:, None]).astype(C.dtype)
    return result


def gram(C: Array) -> NDArray[np.float64]:
    """Return C^T C."""
    return backend.landmark_gram(_aligned(C))


def landmark_matmul(C: Array, B: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return C B."""
    return backend.landmark_matmul(_aligned(C), _aligned(B))


def landmark_transposed_matmul(C: Array, R: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return C^T R."""
    return backend.landmark_transposed_matmul(_aligned(C), _aligned(R))


def gradients(
    X: Array, Z: Array, coef: Array, law: Law, mixture: tuple[int, int, int] | None, device: str
) -> Array:
    """Return the part of the gradients at X that some centres have, (len(X), c, d).

    `mixture`: seed, number of the rows' block and number of random mixtures of the outputs, which
    are then in their place.
    """
    if mixture is not None:
        *seed, samples = mixture
        signs = np.random.default_rng(seed).integers(0, 2, (coef.shape[1], samples)) * 2 - 1
        coef = (coef @ (signs / np.sqrt(samples))).astype(coef.dtype)
    with backend.running_on(_room(device)):
        return backend.gradients(_aligned(X), _aligned(Z), _aligned(coef), *law)


def outer_products(
    g: Array, row_weights: NDArray[np.float64] | None, diagonal: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weighted sums of g g^T, (d, d) or its diagonal, and of g for each output."""
    wide = g.astype(np.float64)
    weights = np.ones(len(g)) if row_weights is None else row_weights
    sums = np.einsum("i,icd->cd", weights, wide)
    wide *= np.sqrt(weights)[:, None, None]
    flat = wide.reshape(-1, g.shape[2])
    return (np.square(flat).sum(axis=0) if diagonal else flat.T @ flat), sums


def digests(block: Array) -> list[bytes]:
    """Return a digest of each row: a block's rows may be another's next time."""
    rows = np.ascontiguousarray(block)
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
