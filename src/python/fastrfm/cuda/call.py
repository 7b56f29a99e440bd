"""The arguments of one call of an op, on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastrfm.cuda.memory import Memory

if TYPE_CHECKING:
    from fastrfm.kernels import Kernel
    from fastrfm.metric import Root

__all__ = ["Call", "same"]

Array = NDArray[Any]


class Call:
    """The arguments of one call of an op, on the device.

    The arrays live as long as this object. It may go once the op is queued: CuPy's pool hands
    freed memory out again in the order of the stream that it was used on, so only to work that is
    queued behind the op.
    """

    def __init__(self, ops: Any, memory: Memory) -> None:
        self._ops = ops
        self._memory = memory
        self._held: list[Any] = []

    def array(self, array: Array) -> Any:
        """Return `array` on the device."""
        return self._hold(self._memory.to_device(array))

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return a new array on the device."""
        return self._hold(self._memory.empty(shape, dtype))

    def result(self, out: Array) -> Any:
        """Return `out` if it lies on the device, else a new array like it there."""
        return out if self._memory.holds(out) else self.empty(out.shape, out.dtype)

    def points(self, array: Array) -> Any:
        """Return the rows of `array` as the ops take them."""
        a = self.array(array)
        return self._ops.Points(self._memory.address(a), a.dtype.name, *a.shape, *a.strides)

    def centres(self, Z: Array, X: Array, x: Any) -> Any:
        """Return the rows of Z; `x`, which are those of X, if they are the same."""
        return x if same(X, Z) else self.points(Z)

    def law(self, kernel: Kernel, root: Root) -> tuple[Any, float, float, float]:
        """Return the root and the kernel as the ops take them: root, norm, exponent, bandwidth."""
        on_device = None
        if root is not None:
            on_device = self._ops.Root(self._memory.address(self.array(root)), *root.shape)
        return on_device, kernel.norm, kernel.exponent, kernel.bandwidth

    def allocate(self, size: int) -> int:
        """Return the address of `size` new bytes: the ops' allocator."""
        return self._memory.address(self.empty((size,), np.uint8))

    def _hold(self, array: Any) -> Any:
        self._held.append(array)
        return array


def same(X: Array, Z: Array) -> bool:
    """Whether two arrays are the same rows of the same memory: `same` in bind/arrays.hpp."""
    return X is Z or (
        type(X) is type(Z)
        and X.dtype == Z.dtype
        and X.shape == Z.shape
        and X.strides == Z.strides
        and _address(X) == _address(Z)
    )


def _address(array: Any) -> int:
    if isinstance(array, np.ndarray):
        address: int = array.__array_interface__["data"][0]
        return address
    return int(array.data.ptr)
