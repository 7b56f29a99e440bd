"""The machine that the stand-in runs on: two devices of a settable size, and what happened there.

"Device memory" is host memory, as for the kernels under the emulator; what is counted is what CuPy
and the driver would count.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field

DEVICES = 2
TOTAL_MEMORY = 16 * 2**30


OUT_OF_MEMORY, INVALID_DEVICE, ILLEGAL_ADDRESS = 2, 101, 700
_ERRORS = {
    OUT_OF_MEMORY: "cudaErrorMemoryAllocation: out of memory",
    INVALID_DEVICE: "cudaErrorInvalidDevice: invalid device ordinal",
    ILLEGAL_ADDRESS: "cudaErrorIllegalAddress: an illegal memory access was encountered",
}
INVALID_HANDLE = 400  # of an event that takes no time
_ERRORS[INVALID_HANDLE] = "cudaErrorInvalidResourceHandle: invalid resource handle"


class CUDARuntimeError(RuntimeError):
    """An error of the runtime, by its number, with the runtime's own words."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(_ERRORS[status])


@dataclass
class Copies:
    """Copies between host and device since the last reset."""

    to_device: int = 0
    to_device_bytes: int = 0
    to_host: int = 0
    to_host_bytes: int = 0


@dataclass
class DeviceMemory:
    """What one device's memory holds, in bytes: in use, and freed but kept by CuPy's pool."""

    total: int = TOTAL_MEMORY
    used: int = 0
    peak: int = 0
    arrays: int = 0
    limit: int = 0
    free_blocks: Counter[tuple[int, int]] = field(default_factory=Counter)  # (stream, size)

    @property
    def kept(self) -> int:
        """Bytes that the pool keeps."""
        return sum(size * blocks for (_, size), blocks in self.free_blocks.items())

    @property
    def free(self) -> int:
        """What cudaMemGetInfo calls free."""
        return self.total - self.used - self.kept


class Machine:
    """All state of the stand-in; `reset` returns it to that of a new process."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.reset()

    def reset(self) -> None:
        """Forget all that happened; memory still alive is no longer counted."""
        self.devices = [DeviceMemory() for _ in range(DEVICES)]
        self.copies = Copies()
        self.log: list[tuple[str, int]] = []
        self.late_copies = False
        self._local = threading.local()
        # What lies in device memory: address -> (size, device). Of what CuPy allocated, and of
        # what another library did and lent.
        self.ranges: dict[int, tuple[int, int]] = {}

    @property
    def current_device(self) -> int:
        """The device of this thread."""
        device: int = getattr(self._local, "device", 0)
        return device

    @current_device.setter
    def current_device(self, device: int) -> None:
        if not 0 <= device < DEVICES:
            raise CUDARuntimeError(INVALID_DEVICE)
        self._local.device = device

    @property
    def memory(self) -> DeviceMemory:
        """Memory of the current device."""
        return self.devices[self.current_device]

    @property
    def current_stream(self) -> int:
        """The stream of this thread on its device."""
        streams: dict[int, int] = getattr(self._local, "streams", {})
        return streams.get(self.current_device, 0)

    @current_stream.setter
    def current_stream(self, stream: int) -> None:
        self._local.streams = getattr(self._local, "streams", {}) | {self.current_device: stream}

    def new_number(self) -> int:
        """Return a number not given before."""
        return next(self._numbers)

    def note(self, what: str, stream: int) -> None:
        """Write down what is done on which stream."""
        self.log.append((what, stream))

    def device_of(self, address: int, size: int = 1) -> int | None:
        """Return the device in whose memory all of `size` bytes from `address` on lie."""
        for start, (length, device) in list(self.ranges.items()):  # arrays may go meanwhile
            if start <= address and address + size <= start + length:
                return device
        return None

    def require_device_memory(self, address: int, size: int = 1) -> None:
        """Fail as a kernel does that is handed host memory, or freed memory, or too little of it.

        A real one may also go on with what it finds there.
        """
        if size > 0 and self.device_of(address, size) is None:
            raise CUDARuntimeError(ILLEGAL_ADDRESS)


machine = Machine()
