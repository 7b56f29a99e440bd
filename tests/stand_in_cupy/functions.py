"""The functions of the module `cupy` that make, join, reduce and pick arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from . import elementwise as ew
from . import transfer
from .memory import MemoryPool, PinnedMemoryPool

if TYPE_CHECKING:
    from .array import ndarray

Shape = int | tuple[int, ...]
_pool, _pinned_pool = MemoryPool(), PinnedMemoryPool()


def get_default_memory_pool() -> MemoryPool:
    """Return the pool of device memory."""
    return _pool


def get_default_pinned_memory_pool() -> PinnedMemoryPool:
    """Return the pool of pinned memory."""
    return _pinned_pool


def empty(shape: Shape, dtype: DTypeLike = float, order: str = "C") -> ndarray:
    """Return an array of bytes of ones, which as floats are NaNs."""
    return ew.array_type()(shape, dtype, order=order)


def zeros(shape: Shape, dtype: DTypeLike = float, order: str = "C") -> ndarray:
    """Return zeros."""
    return full(shape, 0, dtype, order)


def ones(shape: Shape, dtype: DTypeLike = float, order: str = "C") -> ndarray:
    """Return ones."""
    return full(shape, 1, dtype, order)


def full(
    shape: Shape, fill_value: Any, dtype: DTypeLike | None = None, order: str = "C"
) -> ndarray:
    """Return an array of one value."""
    kind = np.asarray(ew.operand(fill_value)).dtype if dtype is None else dtype
    result = empty(shape, kind, order)
    result.fill(fill_value)
    return result


def empty_like(
    prototype: Any,
    dtype: DTypeLike | None = None,
    order: str = "K",
    subok: None = None,
    shape: Shape | None = None,
) -> ndarray:
    """Return an array of bytes of ones in an array's shape, dtype and order."""
    if subok is not None:
        raise TypeError("subok is not supported yet")
    host = ew.require_array(prototype)
    if shape is not None:
        return empty(shape, prototype.dtype if dtype is None else dtype, order.replace("K", "C"))
    return transfer.laid_out_as(np.empty_like(host, dtype, order))


def zeros_like(
    a: Any,
    dtype: DTypeLike | None = None,
    order: str = "K",
    subok: None = None,
    shape: Shape | None = None,
) -> ndarray:
    """Return zeros in an array's shape, dtype and order."""
    result = empty_like(a, dtype, order, subok, shape)
    result.fill(0)
    return result


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: DTypeLike | None = None) -> ndarray:
    """Return evenly spaced numbers."""
    return ew.new(np.arange(*((0, start) if stop is None else (start, stop)), step, dtype=dtype))


def eye(
    N: int, M: int | None = None, k: int = 0, dtype: DTypeLike = float, order: str = "C"
) -> ndarray:
    """Return ones on a diagonal."""
    return ew.new(np.eye(N, M, k, dtype), order)


def ascontiguousarray(a: Any, dtype: DTypeLike | None = None) -> ndarray:
    """Return an array C-contiguous and with an axis: itself where it is so already."""
    ew.require_array(a)
    result = transfer.copied(
        a, a.dtype if dtype is None else transfer.device_dtype(dtype), "C", always=False
    )
    return result if result.ndim else result.reshape(1)


def clip(a: Any, a_min: Any, a_max: Any, out: Any = None) -> ndarray:
    """Return the elements, not below `a_min` or above `a_max`."""
    ew.require_array(a)
    result: ndarray = a.clip(a_min, a_max, out)
    return result


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """Return elements of x where the condition is true, else of y; alone, where it is true."""
    if (x is None) != (y is None):
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    if x is None:
        return nonzero(condition)
    chosen = ew.require_array(condition, "condition").astype(bool, copy=False)
    a, b = ew.operand(x), ew.operand(y)
    kind = np.result_type(a, b)
    return ew.new(np.where(chosen, np.asarray(a, kind), np.asarray(b, kind)))


def any(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
    """Return whether any is true."""
    return ew.reduced(np.any, a, out, axis=axis, keepdims=keepdims)


def all(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
    """Return whether all are true."""
    return ew.reduced(np.all, a, out, axis=axis, keepdims=keepdims)


def sum(
    a: Any,
    axis: Any = None,
    dtype: DTypeLike | None = None,
    out: Any = None,
    keepdims: bool = False,
) -> ndarray:
    """Return the sum."""
    return ew.reduced(np.sum, a, out, axis=axis, dtype=dtype, keepdims=keepdims)


def mean(
    a: Any,
    axis: Any = None,
    dtype: DTypeLike | None = None,
    out: Any = None,
    keepdims: bool = False,
) -> ndarray:
    """Return the mean."""
    return ew.reduced(np.mean, a, out, axis=axis, dtype=dtype, keepdims=keepdims)


def diag(v: Any, k: int = 0) -> ndarray:
    """Return a diagonal matrix, or a copy of a matrix's diagonal."""
    return ew.new(np.diag(ew.require_array(v, "v"), k))


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ndarray:
    """Return a view of a diagonal."""
    ew.require_array(a)
    result: ndarray = a.diagonal(offset, axis1, axis2)
    return result


def trace(
    a: Any,
    offset: int = 0,
    axis1: int = 0,
    axis2: int = 1,
    dtype: DTypeLike | None = None,
    out: Any = None,
) -> ndarray:
    """Return the sum of a diagonal."""
    ew.require_array(a)
    result: ndarray = a.trace(offset, axis1, axis2, dtype, out)
    return result


def tril(m: Any, k: int = 0) -> ndarray:
    """Return a copy with zeros above a diagonal, by a mask of the matrix's size."""
    host = ew.require_array(m, "m")
    mask = ew.new(np.tri(*host.shape[-2:], k=k, dtype=bool))
    return where(mask, m, m.dtype.type(0))


def concatenate(
    tup: Sequence[Any],
    axis: int | None = 0,
    out: Any = None,
    *,
    dtype: DTypeLike | None = None,
    casting: str = "same_kind",
) -> ndarray:
    """Return arrays joined along an axis."""
    hosts = [ew.require_array(a) for a in tup]
    return ew.stored(np.concatenate(hosts, axis, dtype=dtype, casting=casting), out)


def stack(
    tup: Sequence[Any],
    axis: int = 0,
    out: Any = None,
    *,
    dtype: DTypeLike | None = None,
    casting: str = "same_kind",
) -> ndarray:
    """Return arrays joined along a new axis."""
    hosts = [ew.require_array(a) for a in tup]
    return ew.stored(np.stack(hosts, axis, dtype=dtype, casting=casting), out)


def take(a: Any, indices: Any, axis: int | None = None, out: Any = None) -> ndarray:
    """Return elements by their indices."""
    ew.require_array(a)
    result: ndarray = a.take(indices, axis, out)
    return result


def nonzero(a: Any) -> tuple[ndarray, ...]:
    """Return the indices of what is not zero."""
    ew.require_array(a)
    result: tuple[ndarray, ...] = a.nonzero()
    return result


def flatnonzero(a: Any) -> ndarray:
    """Return the indices, in one axis, of what is not zero."""
    return ew.new(np.flatnonzero(ew.require_array(a)))


def count_nonzero(a: Any, axis: Any = None) -> ndarray:
    """Return how many are not zero, as an array."""
    return ew.reduced(np.count_nonzero, a, axis=axis)


def argsort(a: Any, axis: int | None = -1, kind: str | None = None) -> ndarray:
    """Return the indices that sort."""
    ew.require_array(a)
    result: ndarray = a.argsort(axis, kind)
    return result


def may_share_memory(a: Any, b: Any, max_work: int | None = None) -> bool:
    """Return whether the bounds of two arrays' memory overlap."""
    return bool(np.may_share_memory(ew.require_array(a), ew.require_array(b, "b")))


def shares_memory(a: Any, b: Any, max_work: int | None = None) -> bool:
    """Return whether two arrays share an element."""
    return bool(np.shares_memory(ew.require_array(a), ew.require_array(b, "b")))
