"""Streams and events, and copies that are done as late as the driver may do them.

All other work is done at once. With `machine.late_copies` a copy that the caller does not wait for
stays in its stream's queue until the stream comes to work that may need it: a later operation on
the same stream (or, by the rule of the null stream, on one that waits for it), an event that
another stream waits for, or until the host waits. A copy to the device then reads the host's array
as it is at that time; a copy to the host was read in time, but the host has not got it before.
So both a buffer that is written again too early and a result that is read too early show.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from .machine import INVALID_HANDLE, CUDARuntimeError, machine

LEGACY = 1  # CUDA's other name of the null stream


@dataclass
class _Copy:
    number: int
    do: Callable[[], object]
    to_device: bool


_queues: dict[int, list[_Copy]] = {}
_non_blocking: set[int] = set()


def queue_copy(stream: int, do: Callable[[], object], *, to_device: bool) -> None:
    """Do a copy that nobody waits for: now, or late."""
    if machine.late_copies:
        _queues.setdefault(stream, []).append(_Copy(machine.new_number(), do, to_device))
    else:
        do()


def _do(stream: int, count: int) -> None:
    queue = _queues.get(stream, [])
    for _ in range(count):
        queue.pop(0).do()


def _do_needed(stream: int) -> None:
    """Do a stream's copies up to the last to the device: no later work there may see the others."""
    queue = _queues.get(stream, [])
    _do(stream, max((i + 1 for i, copy in enumerate(queue) if copy.to_device), default=0))


def before_work(stream: int) -> None:
    """Do the copies that work on a stream comes after."""
    stream = 0 if stream == LEGACY else stream
    _do_needed(stream)
    if stream == 0:
        for other in list(_queues):
            if other not in _non_blocking:
                _do_needed(other)
    elif stream not in _non_blocking:
        _do_needed(0)


def wait_for(stream: int) -> None:
    """Wait on the host for all that a stream has."""
    stream = 0 if stream == LEGACY else stream
    before_work(stream)
    for other in list(_queues):
        if other == stream or (stream == 0 and other not in _non_blocking):
            _do(other, len(_queues[other]))


def wait_for_all() -> None:
    """Wait on the host for the device."""
    for stream in list(_queues):
        _do(stream, len(_queues[stream]))


def forget_copies() -> None:
    """Drop copies still queued, as for a new process."""
    _queues.clear()


class Event:
    """A point in a stream's work."""

    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        self._stream: int | None = None
        self._number = 0
        self._timed = not disable_timing
        self._seconds = 0.0

    def _copies_before(self) -> int:
        queue = _queues.get(self._stream or 0, []) if self._stream is not None else []
        return sum(copy.number <= self._number for copy in queue)

    @property
    def done(self) -> bool:
        """Whether the stream has come so far."""
        return self._copies_before() == 0

    def record(self, stream: BaseStream | None = None) -> None:
        """Take the place that a stream (by default the current one) has come to."""
        self._stream = machine.current_stream if stream is None else stream.ptr
        self._number = machine.new_number()
        self._seconds = time.perf_counter()

    def synchronize(self) -> None:
        """Wait on the host until the stream has come so far."""
        self._on_device()
        _do(self._stream or 0, self._copies_before())

    def _on_device(self) -> None:
        if self._stream is not None:
            before_work(self._stream)


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Return the milliseconds from one recorded event to another."""
    for event in (start_event, end_event):
        if not event._timed or event._stream is None:
            raise CUDARuntimeError(INVALID_HANDLE)
    return 1e3 * (end_event._seconds - start_event._seconds)


class BaseStream:
    """What streams share."""

    def __init__(self, ptr: int, device_id: int) -> None:
        self.ptr = ptr
        self.device_id = device_id
        self._previous: list[int] = []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BaseStream) and self.ptr == other.ptr

    def __hash__(self) -> int:
        return hash(self.ptr)

    def __enter__(self) -> BaseStream:
        self._previous.append(machine.current_stream)
        machine.current_stream = self.ptr
        return self

    def __exit__(self, *error: object) -> None:
        machine.current_stream = self._previous.pop()

    def __cuda_stream__(self) -> tuple[int, int]:
        return (0, self.ptr)

    def use(self) -> BaseStream:
        """Make this the current stream."""
        machine.current_stream = self.ptr
        return self

    @property
    def done(self) -> bool:
        """Whether all its work is done."""
        return not _queues.get(self.ptr)

    def synchronize(self) -> None:
        """Wait on the host for all its work."""
        wait_for(self.ptr)

    def wait_event(self, event: Event) -> None:
        """Let its later work wait for an event."""
        event._on_device()

    def record(self, event: Event | None = None) -> Event:
        """Return an event, a new one unless given, recorded on this stream."""
        event = Event() if event is None else event
        event.record(self)
        return event


class Stream(BaseStream):
    """A stream of CuPy's."""

    null: ClassVar[Stream]

    def __init__(
        self,
        null: bool = False,
        non_blocking: bool = False,
        ptds: bool = False,
        priority: int | None = None,
    ) -> None:
        if ptds or priority is not None:
            raise NotImplementedError("the stand-in has no such streams")
        super().__init__(0 if null else 0x1000 * machine.new_number(), machine.current_device)
        if non_blocking and not null:
            _non_blocking.add(self.ptr)

    @classmethod
    def from_external(cls, obj: Any) -> BaseStream:
        """Return the stream of another library, which has `__cuda_stream__`."""
        return BaseStream(obj.__cuda_stream__()[1], machine.current_device)


Stream.null = Stream(null=True)


class ExternalStream(BaseStream):
    """The stream of another library, by its address; CuPy 14 warns of it."""

    def __init__(self, ptr: int, device_id: int = -1) -> None:
        warnings.warn(
            "ExternalStream is deprecated. Use Stream.from_external() instead to interoperate "
            "with external streams that implement the CUDA stream protocol.",
            DeprecationWarning,
            stacklevel=2,
        )
        super().__init__(ptr, device_id)


def get_current_stream(device_id: int = -1) -> BaseStream:
    """Return the current stream of the current device, or of another one."""
    if device_id in (-1, machine.current_device):
        return BaseStream(machine.current_stream, machine.current_device)
    previous = machine.current_device
    machine.current_device = device_id
    try:
        return BaseStream(machine.current_stream, device_id)
    finally:
        machine.current_device = previous
