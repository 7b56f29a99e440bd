"""Memory of a CUDA device, by CuPy's pool, so that it serves fastrfm and the rest of a program."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from numpy.typing import DTypeLike, NDArray

from fastrfm.arrays import is_on_device
from fastrfm.cuda.pinned import CHUNK_BYTES, download, upload
from fastrfm.cuda.streaming import stream_rows

__all__ = ["CupyMemory", "Memory", "Part"]

Array = NDArray[Any]
# Computes a tile of rows: their points, where the result goes (None where there is none), and
# which rows they are.
Part = Callable[[Any, Any, slice], None]


class Memory(Protocol):
    """Device memory: arrays with NumPy's ``dtype``, ``shape`` and ``strides``."""

    @property
    def on_device(self) -> bool:
        """Whether its arrays are CuPy's, which a caller may keep there."""

    @property
    def stream(self) -> int:
        """The stream (a cudaStream_t) that the ops are queued on."""

    @property
    def device(self) -> str:
        """What messages call the device."""

    @property
    def number(self) -> int:
        """The current device."""

    def using(self, number: int) -> AbstractContextManager[Any]:
        """Make another device the current one for a block."""

    def free_bytes(self) -> int:
        """Return how many bytes can be allocated."""

    def release(self) -> None:
        """Give memory that is kept for later allocations back to the device."""

    def holds(self, array: Any) -> bool:
        """Return whether an array lies on the device, so that nothing is to be copied."""

    def to_device(self, array: Array) -> Any:
        """Return `array` on the device: itself if it is there, else C-contiguous if it is."""

    def to_host(self, array: Any, out: Array) -> None:
        """Copy an array of the device to `out`, once the stream has come so far."""

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return a new C-contiguous array on the device, aligned to 256 bytes."""

    def address(self, array: Any) -> int:
        """Return where the first element of an array of the device lies."""

    def by_rows(self, X: Any, out: Any | None, rows: int, part: Part) -> None:
        """Compute so many rows of X after the other, each tile's result into its rows of `out`.

        Either may lie on the host or on the device.
        """


class CupyMemory:
    """Memory of CuPy's current device and stream, from its pool."""

    on_device = True

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy

    @property
    def stream(self) -> int:
        """The current stream."""
        stream: int = self._cupy.cuda.get_current_stream().ptr
        return stream

    @property
    def device(self) -> str:
        """The current device, by number and name."""
        runtime = self._cupy.cuda.runtime
        number = runtime.getDevice()
        return f"CUDA device {number} ({runtime.getDeviceProperties(number)['name'].decode()})"

    @property
    def number(self) -> int:
        """The current device."""
        number: int = self._cupy.cuda.runtime.getDevice()
        return number

    def using(self, number: int) -> AbstractContextManager[Any]:
        """Make another device the current one for a block."""
        device: AbstractContextManager[Any] = self._cupy.cuda.Device(number)
        return device

    def free_bytes(self) -> int:
        """Return what the device has free, and what the pool keeps for its next arrays."""
        pool = self._cupy.get_default_memory_pool()
        free = self._cupy.cuda.runtime.memGetInfo()[0] + pool.free_bytes()
        limit = pool.get_limit()  # that the program has set; 0: none
        return int(min(free, limit - pool.used_bytes()) if limit else free)

    def release(self) -> None:
        """Give the pool's free blocks back."""
        self._cupy.get_default_memory_pool().free_all_blocks()

    def holds(self, array: Any) -> bool:
        """Return whether an array is CuPy's."""
        return is_on_device(array)

    def to_device(self, array: Array) -> Any:
        """Return `array` on the current device."""
        if self.holds(array) or array.nbytes <= CHUNK_BYTES or array.ndim == 0:
            return self._cupy.asarray(array)
        return upload(self._cupy, array)

    def to_host(self, array: Any, out: Array) -> None:
        """Copy `array` to `out`, after all that the current stream has before it."""
        if array.nbytes > CHUNK_BYTES and array.flags.c_contiguous:
            download(self._cupy, array, out)
            return
        self._cupy.asnumpy(array, out=out)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return a new array from CuPy's pool, whose blocks are aligned to 512 bytes."""
        return self._cupy.empty(shape, dtype)

    def address(self, array: Any) -> int:
        """Return where `array` begins."""
        address: int = array.data.ptr
        return address

    def by_rows(self, X: Any, out: Any | None, rows: int, part: Part) -> None:
        """Compute so many rows of X after the other; through pinned memory from and to the host."""
        stream_rows(self._cupy, X, out, rows, part)
