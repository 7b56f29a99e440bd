"""`cupy.cuda`: devices and the runtime's questions about them."""

from __future__ import annotations

from typing import Any

from .machine import DEVICES, machine
from .streams import wait_for, wait_for_all

RUNTIME_VERSION = 13000  # CUDA's way of counting: 13.0
COMPUTE_CAPABILITY = (9, 0)


class Device:
    """A device, by default the current one; as a context manager it is current within."""

    __hash__ = None

    def __init__(self, device: Any = None) -> None:
        self.id = machine.current_device if device is None else int(device)
        self._previous: list[int] = []

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def __enter__(self) -> Device:
        self._previous.append(machine.current_device)
        machine.current_device = self.id
        return self

    def __exit__(self, *error: object) -> None:
        machine.current_device = self._previous.pop()

    def use(self) -> None:
        """Make this the current device."""
        machine.current_device = self.id

    def synchronize(self) -> None:
        """Wait on the host for all its work."""
        wait_for_all()

    @property
    def mem_info(self) -> tuple[int, int]:
        """Bytes free and in all."""
        with self:
            return memGetInfo()

    @property
    def compute_capability(self) -> str:
        """As in "90"."""
        return "".join(map(str, COMPUTE_CAPABILITY))

    @property
    def cublas_handle(self) -> int:
        """Handle of cuBLAS on this device."""
        with self:
            return get_cublas_handle()

    @property
    def cusolver_handle(self) -> int:
        """Handle of cuSOLVER on this device."""
        with self:
            return get_cusolver_handle()


CUBLAS_HANDLE, CUSOLVER_HANDLE = 0xB1A5, 0x501E


def get_cublas_handle() -> int:
    """Return the current device's handle of cuBLAS, for its current stream."""
    return CUBLAS_HANDLE + machine.current_device


def get_cusolver_handle() -> int:
    """Return the current device's handle of cuSOLVER, for its current stream."""
    return CUSOLVER_HANDLE + machine.current_device


# ---- cupy.cuda.runtime


def getDeviceCount() -> int:  # noqa: N802
    """Return the number of devices."""
    return DEVICES


def getDevice() -> int:  # noqa: N802
    """Return the current device."""
    return machine.current_device


def setDevice(device: int) -> None:  # noqa: N802
    """Make a device current."""
    machine.current_device = device


def memGetInfo() -> tuple[int, int]:  # noqa: N802
    """Return bytes free and in all on the current device: what the pool keeps is not free."""
    return machine.memory.free, machine.memory.total


def getDeviceProperties(device: int) -> dict[str, Any]:  # noqa: N802
    """Return some of what the driver tells of a device."""
    previous = machine.current_device
    machine.current_device = device
    try:
        return {
            "name": f"Stand-in {device}".encode(),
            "totalGlobalMem": machine.memory.total,
            "multiProcessorCount": 4,
            "major": COMPUTE_CAPABILITY[0],
            "minor": COMPUTE_CAPABILITY[1],
            "warpSize": 32,
            "pciBusID": device,
        }
    finally:
        machine.current_device = previous


def runtimeGetVersion() -> int:  # noqa: N802
    """Return the runtime's version."""
    return RUNTIME_VERSION


def driverGetVersion() -> int:  # noqa: N802
    """Return the driver's version."""
    return RUNTIME_VERSION


def deviceSynchronize() -> None:  # noqa: N802
    """Wait on the host for the device."""
    wait_for_all()


def streamSynchronize(stream: int) -> None:  # noqa: N802
    """Wait on the host for a stream."""
    wait_for(stream)
