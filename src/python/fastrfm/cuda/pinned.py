"""Pinned host memory, from and to which alone the device copies on its own; and large copies by it.

CuPy's `asarray` and `asnumpy` stage an array of the host in a pinned block of its own size, which
CuPy's pool then keeps: gigabytes for a large one. Here large arrays go by chunks through two blocks
of a fixed size, the next one being filled while the last one is copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["CHUNK_BYTES", "download", "pinned_array", "rows_of_chunk", "upload"]

Array = NDArray[Any]

# A copy of so many bytes takes some 2.5 ms over PCIe (25 GB/s), against 10 us for its launch; and
# filling the block from pageable memory takes the host about as long. Counted, not measured.
CHUNK_BYTES = 64 << 20
_BUFFERS = 2


def pinned_array(cupy: Any, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return an array of the host in pinned memory, in a block of a power of two of bytes.

    CuPy's pool hands a block out again for its very size only, so there should be few sizes.

    Raises
    ------
    MemoryError
        If the host has no such memory.
    """
    count = int(np.prod(shape))
    size = count * np.dtype(dtype).itemsize
    try:
        memory = cupy.cuda.alloc_pinned_memory(1 << max(9, (size - 1).bit_length()))
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise MemoryError(f"{size:,} bytes of pinned host memory are not to be had") from error
    array: Array = np.frombuffer(memory, dtype, count).reshape(shape)
    return array


def rows_of_chunk(array: Any) -> int:
    """Return how many rows of an array make a chunk; at least one."""
    row = int(np.prod(array.shape[1:])) * array.dtype.itemsize
    return max(1, CHUNK_BYTES // max(int(row), 1))


def upload(cupy: Any, array: Array) -> Any:
    """Return an array of the host on the device, C-contiguous, its chunks copied one by one."""
    result = cupy.empty(array.shape, array.dtype)
    for which, buffer, event, stream in _chunks(cupy, array):
        buffer[...] = array[which]
        result[which].set(buffer, stream=stream)
        event.record(stream)
    return result


def download(cupy: Any, array: Any, out: Array) -> None:
    """Copy a C-contiguous array of the device to one of the host."""
    waiting: list[tuple[slice, Array, Any]] = []

    def finish() -> None:
        which, buffer, event = waiting.pop(0)
        event.synchronize()
        out[which] = buffer

    for which, buffer, event, stream in _chunks(cupy, array):
        if len(waiting) == _BUFFERS:
            finish()
        array[which].get(stream=stream, out=buffer, blocking=False)
        event.record(stream)
        waiting.append((which, buffer, event))
        if len(waiting) == _BUFFERS:
            finish()
    while waiting:
        finish()


def _chunks(cupy: Any, array: Any) -> Iterator[tuple[slice, Array, Any, Any]]:
    """Yield the rows of each chunk, pinned memory for them that is free, an event, and the stream.

    In the end the stream has come to the last of them.
    """
    stream = cupy.cuda.get_current_stream()
    rows = min(rows_of_chunk(array), len(array))
    shape = (rows, *array.shape[1:])
    blocks = [pinned_array(cupy, shape, array.dtype) for _ in range(_BUFFERS)]
    events = [cupy.cuda.Event(disable_timing=True) for _ in blocks]
    try:
        for number, begin in enumerate(range(0, len(array), rows)):
            which = slice(begin, min(begin + rows, len(array)))
            block, event = blocks[number % _BUFFERS], events[number % _BUFFERS]
            if number >= _BUFFERS:
                event.synchronize()
            yield which, block[: which.stop - which.start], event, stream
    finally:
        # Whatever ended this, no copy may run into memory that is given back.
        stream.synchronize()
