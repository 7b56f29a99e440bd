"""Device memory: allocations, CuPy's pool that they come from, and pinned host memory."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import numpy as np

from backends import poisoned_bytes

from .machine import DeviceMemory, machine

BLOCK = 512  # bytes: what CuPy's pool rounds up and aligns to


def rounded(size: int) -> int:
    """Return the size of the blocks that hold `size` bytes."""
    return -(-size // BLOCK) * BLOCK


class OutOfMemoryError(MemoryError):
    """As CuPy's: the pool did not get the memory from the device, even after it gave back its own.

    Parameters
    ----------
    size : int
        Bytes that were asked for.
    total : int
        Bytes that the pool has.
    limit : int, default=0
        Of the pool; 0 where it has none.
    """

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        limited = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(
            f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{limited})."
        )


class Memory:
    """One allocation on the current device: bytes of ones, which are NaNs, until written.

    The host's memory is freed with the last array that shows it; CuPy's pool keeps its account.
    """

    def __init__(self, size: int) -> None:
        self.device_id = machine.current_device
        self.size = size
        self.bytes = poisoned_bytes(size, BLOCK) if size else np.empty(0, np.uint8)
        self.ptr = self.bytes.ctypes.data if size else 0
        device, stream = machine.memory, machine.current_stream
        take(device, stream, rounded(size))
        machine.note("allocate", stream)
        if size:
            machine.ranges[self.ptr] = (size, self.device_id)
        weakref.finalize(self, give_back, device, stream, self.ptr, size).atexit = False


class UnownedMemory:
    """Device memory of someone else, held by `owner`; nothing is counted."""

    def __init__(self, ptr: int, size: int, owner: object, device_id: int) -> None:
        self.ptr, self.size, self.device_id, self._owner = ptr, size, device_id, owner
        self.bytes = np.empty(0, np.uint8)
        if size:
            self.bytes = np.frombuffer((ctypes.c_uint8 * size).from_address(ptr), np.uint8)
            if machine.device_of(ptr, size) is None:
                machine.ranges[ptr] = (size, device_id)
                weakref.finalize(self, machine.ranges.pop, ptr, None).atexit = False


class MemoryPointer:
    """An address in an allocation, as `ndarray.data` is."""

    def __init__(self, mem: Any, offset: int) -> None:
        self.mem = mem
        self.ptr = mem.ptr + offset

    @property
    def device_id(self) -> int:
        """The device that it is on."""
        device: int = self.mem.device_id
        return device


def take(device: DeviceMemory, stream: int, size: int) -> None:
    """Take a block from the pool, else from the device, else after the pool gave back its own.

    CuPy's pool also splits blocks that are larger than what is asked for; this one does not.
    """
    if device.free_blocks[stream, size] > 0:
        device.free_blocks[stream, size] -= 1
    else:
        pooled = device.used + device.kept
        if size > device.free or (device.limit and pooled + size > device.limit):
            device.free_blocks.clear()
            if size > device.free or (device.limit and device.used + size > device.limit):
                raise OutOfMemoryError(size, device.used, device.limit)
    device.used += size
    device.arrays += 1
    device.peak = max(device.peak, device.used)


def give_back(device: DeviceMemory, stream: int, ptr: int, size: int) -> None:
    """Hand a block to the pool, for allocations of the same stream."""
    device.used -= rounded(size)
    device.arrays -= 1
    device.free_blocks[stream, rounded(size)] += 1
    machine.ranges.pop(ptr, None)


class MemoryPool:
    """CuPy's pool, seen from the current device; there is one, whatever object one asks."""

    def used_bytes(self) -> int:
        """Return the bytes of living arrays."""
        return machine.memory.used

    def free_bytes(self) -> int:
        """Return the bytes that the pool keeps, which `memGetInfo` counts as used."""
        return machine.memory.kept

    def total_bytes(self) -> int:
        """Return what the pool has of the device."""
        return machine.memory.used + machine.memory.kept

    def n_free_blocks(self) -> int:
        """Return the number of blocks that the pool keeps."""
        return machine.memory.free_blocks.total()

    def free_all_blocks(self, stream: Any = None) -> None:
        """Give the blocks kept for a stream, or all that are kept, back to the device."""
        blocks = machine.memory.free_blocks
        for key in [key for key in blocks if stream is None or key[0] == stream.ptr]:
            del blocks[key]

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        """Limit the pool's bytes on the current device; 0 is no limit."""
        if (size is None) == (fraction is None):
            raise ValueError("size and fraction cannot be specified at one time")
        device = machine.memory
        device.limit = size if size is not None else int((fraction or 0) * device.total)

    def get_limit(self) -> int:
        """Return the limit, 0 where there is none."""
        return machine.memory.limit


class PinnedMemoryPool:
    """The pool of pinned memory, which keeps nothing."""

    def n_free_blocks(self) -> int:
        """Return 0."""
        return 0

    def free_all_blocks(self) -> None:
        """Do nothing."""


def alloc_pinned_memory(size: int) -> Any:
    """Return host memory with `ptr`, `size()` and the buffer protocol.

    As CuPy's its size is that of whole blocks, so that `numpy.frombuffer` needs its `count`. A
    class made in Python has a buffer only as a ctypes array.
    """
    length = rounded(size)
    kind = type(
        "PinnedMemoryPointer",
        (ctypes.c_uint8 * length,),
        {"ptr": property(ctypes.addressof), "size": lambda self: length},
    )
    pinned = kind()
    ctypes.memset(pinned, 0xFF, length)
    return pinned
