"""Rows of the host through a device that does not hold them all.

A tile of rows is computed on the caller's stream while the next one is copied in on a second stream
and the last one's result copied out on a third, each through pinned memory, which alone the device
copies from and to on its own. Two buffers each way: a buffer is filled again once its tile is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from fastrfm.arrays import is_on_device
from fastrfm.cuda.pinned import pinned_array, rows_of_chunk
from fastrfm.cuda.plan import LEAST_ROWS

__all__ = ["stream_rows"]

Array = NDArray[Any]


def stream_rows(
    cupy: Any, X: Any, out: Any | None, rows: int, part: Callable[[Any, Any, slice], None]
) -> None:
    """Run ``part(points, result, which)`` for tiles of `rows` rows of X, in order.

    Parameters
    ----------
    cupy : module
    X : ndarray of shape (n, d)
        NumPy's (copied in) or CuPy's (read in place).
    out : ndarray of shape (n, ...) or None
        NumPy's (copied out) or CuPy's (written in place); the result's rows.
    rows : int
        At most; as few as keep the buffers of the host's arrays to a chunk.
    part : callable
        Queues the work of a tile on the current stream.

    Raises
    ------
    MemoryError
        If the device has no room for the buffers.
    """
    streamed = [a for a in (X, out) if a is not None and not is_on_device(a)]
    rows = min([rows, *(_whole_tiles(rows_of_chunk(a)) for a in streamed)])
    streams = _Streams(cupy)
    pinned: list[_Buffer] = []
    try:
        sources = [_Source(streams, X, rows) for _ in range(2)]
        results = [_Result(streams, out, rows) for _ in range(2)]
        pinned = [*sources, *results]
        for number, begin in enumerate(range(0, len(X), rows)):
            which = slice(begin, min(begin + rows, len(X)))
            source, result = sources[number % 2], results[number % 2]
            # The tile before the last has been computed and fetched: its buffers are free.
            result.finish()
            points = source.fill(which)
            part(points, result.begin(which), which)
            source.used()
            result.fetch()
        # The older of the two first.
        for result in sorted(results, key=_Result.order):
            result.finish()
    finally:
        # Whatever ended this, no copy may run into memory that is given back.
        streams.synchronize()
        pinned.clear()


def _whole_tiles(rows: int) -> int:
    return max(rows // LEAST_ROWS * LEAST_ROWS, LEAST_ROWS)


class _Streams:
    """The caller's stream, and one for the copies of each direction."""

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.compute = cupy.cuda.get_current_stream()
        self.uploads = cupy.cuda.Stream(non_blocking=True)
        self.downloads = cupy.cuda.Stream(non_blocking=True)

    def event(self) -> Any:
        return self.cupy.cuda.Event(disable_timing=True)

    def synchronize(self) -> None:
        for stream in (self.uploads, self.compute, self.downloads):
            stream.synchronize()


class _Buffer:
    """Device memory for a tile of an array of the host, and pinned memory of its size."""

    def __init__(self, streams: _Streams, array: Any, rows: int) -> None:
        cupy = streams.cupy
        self._streams = streams
        self._array = array
        self._streamed = array is not None and not is_on_device(array)
        if self._streamed:
            shape = (rows, *array.shape[1:])
            self._pinned = pinned_array(cupy, shape, array.dtype)
            self._device = cupy.empty(shape, array.dtype)
            # Freed memory that the pool handed out may still be in use on the caller's stream.
            ready = streams.event()
            ready.record(streams.compute)
            streams.uploads.wait_event(ready)


class _Source(_Buffer):
    """A tile of rows on its way in."""

    def __init__(self, streams: _Streams, array: Any, rows: int) -> None:
        super().__init__(streams, array, rows)
        self._filled, self._used = streams.event(), streams.event()
        self._in_use = False

    def fill(self, which: slice) -> Any:
        """Return the rows on the device, as the caller's stream will find them."""
        if not self._streamed:
            return self._array[which]
        if self._in_use:
            # The copy out of the pinned memory, and the work on the device's, must be over.
            self._used.synchronize()
        count = which.stop - which.start
        self._pinned[:count] = self._array[which]
        on_device = self._device[:count]
        on_device.set(self._pinned[:count], stream=self._streams.uploads)
        self._filled.record(self._streams.uploads)
        self._streams.compute.wait_event(self._filled)
        return on_device

    def used(self) -> None:
        """Note that the work on the tile is queued."""
        if self._streamed:
            self._used.record(self._streams.compute)
            self._in_use = True


class _Result(_Buffer):
    """A tile of results on its way out."""

    def __init__(self, streams: _Streams, array: Any, rows: int) -> None:
        super().__init__(streams, array, rows)
        self._computed, self._fetched = streams.event(), streams.event()
        self._which: slice | None = None

    def begin(self, which: slice) -> Any:
        """Return where the rows' results go."""
        if self._array is None:
            return None
        if not self._streamed:
            return self._array[which]
        self._which = which
        return self._device[: which.stop - which.start]

    def fetch(self) -> None:
        """Queue the copy out, behind the work."""
        if self._which is None:
            return
        count = self._which.stop - self._which.start
        self._computed.record(self._streams.compute)
        self._streams.downloads.wait_event(self._computed)
        self._device[:count].get(
            stream=self._streams.downloads, out=self._pinned[:count], blocking=False
        )
        self._fetched.record(self._streams.downloads)

    def finish(self) -> None:
        """Wait for the copy, and put the rows where they belong."""
        if self._which is None:
            return
        self._fetched.synchronize()
        self._array[self._which] = self._pinned[: self._which.stop - self._which.start]
        self._which = None

    def order(self) -> int:
        """Return where its rows begin."""
        return -1 if self._which is None else self._which.start
