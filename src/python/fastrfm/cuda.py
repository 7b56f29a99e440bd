"""The room of `_cuda`: moves arrays to the device, queues an op there, and fetches its result.

The ops of `_cuda` take addresses of device memory as integers and own none of it: what they work
in comes from an allocator that the caller passes, so that CuPy's pool serves fastrfm and the rest
of a program alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    from fastrfm.kernels import Kernel
    from fastrfm.metric import Root

__all__ = ["Cuda", "CupyMemory", "Memory"]

Array = NDArray[Any]


class Memory(Protocol):
    """Device memory: arrays with NumPy's ``dtype``, ``shape`` and ``strides``."""

    @property
    def stream(self) -> int:
        """The stream (a cudaStream_t) that the ops are queued on."""

    def to_device(self, array: Array) -> Any:
        """Return `array` on the device: of its dtype, C-contiguous if it is."""

    def to_host(self, array: Any, out: Array) -> None:
        """Copy an array of the device to `out`, once the stream has come so far."""

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return a new C-contiguous array on the device, aligned to 256 bytes."""

    def address(self, array: Any) -> int:
        """Return where the first element of an array of the device lies."""


class CupyMemory:
    """Memory of CuPy's current device and stream, from its pool."""

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy

    @property
    def stream(self) -> int:
        """The current stream."""
        stream: int = self._cupy.cuda.get_current_stream().ptr
        return stream

    def to_device(self, array: Array) -> Any:
        """Return a copy of `array` on the current device."""
        return self._cupy.asarray(array)

    def to_host(self, array: Any, out: Array) -> None:
        """Copy `array` to `out`, after all that the current stream has before it."""
        self._cupy.asnumpy(array, out=out)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return a new array from CuPy's pool, whose blocks are aligned to 512 bytes."""
        return self._cupy.empty(shape, dtype)

    def address(self, array: Any) -> int:
        """Return where `array` begins."""
        address: int = array.data.ptr
        return address


class _Call:
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

    def points(self, array: Array) -> Any:
        """Return the rows of `array` as the ops take them."""
        a = self.array(array)
        return self._ops.Points(self._memory.address(a), a.dtype.name, *a.shape, *a.strides)

    def centres(self, Z: Array, X: Array, x: Any) -> Any:
        """Return the rows of Z; `x`, which are those of X, if they are the same."""
        return x if _same(X, Z) else self.points(Z)

    def root(self, root: Root) -> Any | None:
        """Return a root as the ops take it."""
        if root is None:
            return None
        return self._ops.Root(self._memory.address(self.array(root)), *root.shape)

    def allocate(self, size: int) -> int:
        """Return the address of `size` new bytes: the ops' allocator."""
        return self._memory.address(self.empty((size,), np.uint8))

    def _hold(self, array: Any) -> Any:
        self._held.append(array)
        return array


class Cuda:
    """The ops of `_cuda`, on NumPy arrays (`fastrfm.rooms.Room`).

    Parameters
    ----------
    ops : module
        `fastrfm._cuda`, or one with its functions (_cuda.pyi).
    memory : Memory
        Of the device that those ops run on.
    """

    def __init__(self, ops: Any, memory: Memory) -> None:
        self._ops = ops
        self._memory = memory

    def kernel_matrix(
        self, X: Array, Z: Array | None, kernel: Kernel, root: Root, out: Array
    ) -> None:
        """Fill `out` (n, m); Z None: with K(X, X)."""
        call = _Call(self._ops, self._memory)
        result = call.empty(out.shape, out.dtype)
        self._kernel_matrix(call, X, Z, kernel, root, result, triangle=False)
        self._memory.to_host(result, out)

    def kernel_triangle(self, X: Array, kernel: Kernel, root: Root, out: Array) -> None:
        """Fill the lower triangle of `out` (n, n) with K(X, X)'s.

        Above it, `out` keeps its values, but for those of tiles that the diagonal crosses.
        """
        call = _Call(self._ops, self._memory)
        result = call.array(out)
        self._kernel_matrix(call, X, None, kernel, root, result, triangle=True)
        self._memory.to_host(result, out)

    def _kernel_matrix(
        self,
        call: _Call,
        X: Array,
        Z: Array | None,
        kernel: Kernel,
        root: Root,
        result: Any,
        *,
        triangle: bool,
    ) -> None:
        self._ops.kernel_matrix(
            call.points(X),
            None if Z is None else call.points(Z),
            call.root(root),
            kernel.norm,
            kernel.exponent,
            kernel.bandwidth,
            self._memory.address(result),
            result.dtype.name,
            triangle,
            call.allocate,
            self._memory.stream,
        )

    def kernel_matmul(
        self, X: Array, Z: Array, V: Array, kernel: Kernel, root: Root, out: Array
    ) -> None:
        """Fill `out` (n, c); Z the array X: from one triangle's evaluations."""
        call = _Call(self._ops, self._memory)
        result = call.empty(out.shape, out.dtype)
        self._ops.kernel_matmul(
            call.points(X),
            None if _same(X, Z) else call.points(Z),
            self._memory.address(call.array(V)),
            V.shape[1],
            call.root(root),
            kernel.norm,
            kernel.exponent,
            kernel.bandwidth,
            self._memory.address(result),
            result.dtype.name,
            call.allocate,
            self._memory.stream,
        )
        self._memory.to_host(result, out)

    def gradients(
        self, X: Array, Z: Array, coef: Array, kernel: Kernel, root: Root, out: Array
    ) -> None:
        """Fill `out` (n, c, d)."""
        call = _Call(self._ops, self._memory)
        result = call.empty(out.shape, out.dtype)
        x = call.points(X)
        self._ops.gradients(
            x,
            call.centres(Z, X, x),
            self._memory.address(call.array(coef)),
            coef.shape[1],
            call.root(root),
            kernel.norm,
            kernel.exponent,
            kernel.bandwidth,
            self._memory.address(result),
            result.dtype.name,
            call.allocate,
            self._memory.stream,
        )
        self._memory.to_host(result, out)

    def gradient_sums(
        self,
        X: Array,
        Z: Array,
        coef: Array,
        kernel: Kernel,
        root: Root,
        *,
        diagonal: bool,
        output_sums: bool,
        output_samples: int,
        seed: int,
        row_weights: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return the sums of g g^T, (k, k) or (k,), and of g for each output, (c, k).

        With `row_weights` (n,), at least 0, of w g g^T and w g.
        """
        k = root.shape[1] if root is not None and root.ndim == 2 else X.shape[1]
        call = _Call(self._ops, self._memory)
        sums = call.empty((k,) if diagonal else (k, k), np.float64)
        of_outputs = call.empty((coef.shape[1], k), np.float64) if output_sums else None
        x = call.points(X)
        self._ops.gradient_sums(
            x,
            call.centres(Z, X, x),
            self._memory.address(call.array(coef)),
            coef.shape[1],
            call.root(root),
            kernel.norm,
            kernel.exponent,
            kernel.bandwidth,
            diagonal,
            self._memory.address(sums),
            None if of_outputs is None else self._memory.address(of_outputs),
            output_samples,
            seed,
            None if row_weights is None else self._memory.address(call.array(row_weights)),
            coef.dtype.name,
            call.allocate,
            self._memory.stream,
        )
        return self._fetch(sums), None if of_outputs is None else self._fetch(of_outputs)

    def _fetch(self, array: Any) -> Array:
        out = np.empty(array.shape, array.dtype)
        self._memory.to_host(array, out)
        return out


def _same(X: Array, Z: Array) -> bool:
    """Whether two arrays are the same rows of the same memory: `same` in bind/arrays.hpp."""
    return (
        X.__array_interface__["data"][0] == Z.__array_interface__["data"][0]
        and X.dtype == Z.dtype
        and X.shape == Z.shape
        and X.strides == Z.strides
    )
