"""The fixtures `stand_in_cupy`, which is in place of CuPy over the emulated kernels, and `cupy`."""

from __future__ import annotations

import gc
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from numpy.typing import NDArray

from backends import emulator, gpu_room
from fastrfm import backend
from stand_in_cupy import dlpack, machine, modules
from stand_in_cupy.machine import DEVICES, Copies
from stand_in_cupy.memory import rounded
from stand_in_cupy.streams import before_work, forget_copies, wait_for_all

# The arguments of the ops of `_cuda` that are addresses of device memory (_cuda.pyi).
ADDRESSES = {"V", "coef", "out", "output_sums", "pointer", "row_weights", "sums"}


class StandIn:
    """What a test may set of the stand-in and ask it.

    Attributes
    ----------
    cupy : module
        What `import cupy` gives.
    keeps : int
        Bytes of device memory that the test leaves alive, more than which is a failure.
    """

    def __init__(self, cupy: ModuleType) -> None:
        self.cupy = cupy
        self.keeps = 0

    def set_total_memory(self, size: int, device: int = 0) -> None:
        """Give a device so many bytes, from which the memory in use is taken too."""
        machine.devices[device].total = size

    def set_late_copies(self, late: bool = True) -> None:
        """Do copies that nobody waits for as late as may be (stand_in_cupy/streams.py)."""
        machine.late_copies = late

    def live_bytes(self, device: int = 0) -> int:
        """Return the bytes of living arrays, in whole blocks of 512."""
        return machine.devices[device].used

    def live_arrays(self, device: int = 0) -> int:
        """Return the number of living allocations."""
        return machine.devices[device].arrays

    def peak_bytes(self, device: int = 0) -> int:
        """Return the most that was in use at a time since `reset_peak`."""
        return machine.devices[device].peak

    def reset_peak(self) -> None:
        """Count peaks from what is in use now."""
        for memory in machine.devices:
            memory.peak = memory.used

    @property
    def copies(self) -> Copies:
        """Copies between host and device since `reset_copies`, and their bytes."""
        return machine.copies

    def reset_copies(self) -> None:
        """Count copies, and log, from now on."""
        machine.copies = Copies()
        machine.log.clear()

    @property
    def log(self) -> list[tuple[str, int]]:
        """What was done on which stream: "allocate", "to_device", "to_host" or an op's name."""
        return machine.log


class Lent:
    """An array that another library, PyTorch say, has on a device: host memory, uncounted."""

    def __init__(self, host: NDArray[Any], device: int = 0) -> None:
        self.host = host
        self._device = device

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.host.__array_interface__ | {"version": 2}  # PyTorch's, which tells no stream

    def __dlpack_device__(self) -> tuple[int, int]:
        return (dlpack.CUDA, self._device)

    def __dlpack__(self, *, stream: int | None = None, **options: Any) -> Any:
        return dlpack.capsule(self.host, self._device)


class EmulatedOps:
    """The emulator's module as a GPU's `_cuda` would behave.

    Its ops come after the copies that their stream has, and fail where an address is not that of
    living device memory, which the emulator itself could read as well.
    """

    def __init__(self, ops: Any) -> None:
        self._ops = ops

    def device_count(self) -> int:
        """Return the number of devices of the stand-in."""
        return DEVICES

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._ops, name)
        text = value.__init__.__doc__ if inspect.isclass(value) else value.__doc__
        if not callable(value) or name.endswith("_version"):
            return value
        names = re.findall(r"(\w+): ", text.partition("(")[2].partition(" -> ")[0])
        return self._checked(value, [each for each in names if each != "self"])

    def _checked(self, function: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            given = dict(zip(names, args, strict=False)) | options
            for name in ADDRESSES & set(given):
                if given[name]:
                    machine.require_device_memory(given[name])
            if "stream" in given:
                before_work(given["stream"])
                machine.note(function.__name__, given["stream"])
            return function(*args, **options)

        return call


def _alive() -> int:
    return sum(memory.used for memory in machine.devices)


def require_no_more_alive(alive: int, keeps: int) -> None:
    """Fail if more device memory is alive than a test said that it keeps."""
    assert alive <= rounded(keeps), f"{alive} bytes of device memory are still alive"


def _start() -> None:
    forget_copies()
    machine.reset()


@pytest.fixture
def stand_in_cupy(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StandIn]:
    """Put the stand-in in CuPy's place, and the emulator in that of `_cuda`, for one test.

    Afterwards no device memory may be alive but what the test `keeps`.
    """
    ops = EmulatedOps(emulator())
    stand_ins = modules()
    # By the test's own monkeypatch, so that what both patch is put back in the right order.
    for name in [*sys.modules]:
        if name.partition(".")[0] in ("cupy", "cupyx", "cupy_backends"):
            monkeypatch.delitem(sys.modules, name)
    for name, module in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(backend, "cuda_build", lambda: ops)
    _start()
    failed = request.session.testsfailed
    stand_in = StandIn(stand_ins["cupy"])
    yield stand_in
    wait_for_all()
    alive = _alive()
    if alive > rounded(stand_in.keeps):  # in reference cycles perhaps; it takes 50 ms to look
        gc.collect()
        alive = _alive()
    _start()
    if request.session.testsfailed == failed:  # else its traceback holds what it holds
        require_no_more_alive(alive, stand_in.keeps)


@pytest.fixture(
    params=[
        pytest.param("stand-in", marks=pytest.mark.emulated),
        pytest.param("real", marks=pytest.mark.gpu),
    ]
)
def cupy(request: pytest.FixtureRequest) -> ModuleType:
    """Return each module of that name: the stand-in, and on a GPU the original."""
    if request.param == "stand-in":
        module: ModuleType = request.getfixturevalue("stand_in_cupy").cupy
        return module
    gpu_room()
    return importlib.import_module("cupy")
