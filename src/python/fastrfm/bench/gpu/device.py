"""Arrays, timers and memory counters of where is measured: a GPU by CuPy, or a rehearsing host.

The host runs fastrfm's CUDA kernels compiled for the CPU (``make emulator``), so that all of a run
but the timers can be tried where there is no GPU.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastrfm import backend
from fastrfm.cuda import Cuda

__all__ = ["CupyDevice", "Device", "HostDevice", "open_emulator"]

Array = NDArray[Any]
Call = Callable[[], Any]

# Between two looks at the memory in use: a fit's larger arrays live for longer.
SAMPLE_SECONDS = 0.01


class Device(Protocol):
    """Where the operations run."""

    @property
    def xp(self) -> Any:
        """The module cupy, or numpy."""

    @property
    def torch_name(self) -> str:
        """What PyTorch calls it."""

    @property
    def estimator_options(self) -> dict[str, Any]:
        """What makes an estimator fit there."""

    def running(self) -> AbstractContextManager[None]:
        """Run fastrfm's public functions there, within."""

    def to_device(self, array: Array) -> Any:
        """Return a copy there, or the array itself where it is there already."""

    def to_host(self, array: Any) -> Array:
        """Return a NumPy array, once it has been computed."""

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Return a new float32 array there."""

    def synchronize(self) -> None:
        """Wait for all work; raises if the device is in error."""

    def seconds(self, call: Call) -> float:
        """Return the seconds of the device from the start of a call to the end of its work."""

    def peak(self, call: Call) -> tuple[Any, int]:
        """Return the result of a call, and the most bytes that it took beside its inputs."""

    def release(self) -> None:
        """Give memory that is kept for later arrays back."""


class CupyDevice:
    """CuPy's current device, its current stream and its pool.

    Parameters
    ----------
    cupy : module
    """

    torch_name = "cuda"

    def __init__(self, cupy: Any) -> None:
        self.xp: Any = cupy
        self.estimator_options: dict[str, Any] = {"device": "cuda"}

    def running(self) -> AbstractContextManager[None]:
        """CuPy's arrays say it themselves."""
        return nullcontext()

    def to_device(self, array: Array) -> Any:
        """Return a copy on the current device."""
        return self.xp.asarray(array)

    def to_host(self, array: Any) -> Array:
        """Return a copy on the host."""
        host: Array = self.xp.asnumpy(array)
        return host

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Return a new array, which holds anything."""
        return self.xp.empty(shape, np.float32)

    def synchronize(self) -> None:
        """Wait for the device."""
        self.xp.cuda.Device().synchronize()

    def seconds(self, call: Call) -> float:
        """By events before and after the call on the current stream.

        PyTorch's and kermac's work is seen too: all queue on the legacy default stream unless told
        otherwise. While the host prepares a launch the device idles, and that counts.
        """
        start, end = self.xp.cuda.Event(), self.xp.cuda.Event()
        self.synchronize()
        start.record()
        result = call()
        end.record()
        end.synchronize()
        del result
        return float(self.xp.cuda.get_elapsed_time(start, end)) / 1e3

    def peak(self, call: Call) -> tuple[Any, int]:
        """By how much the pool grows, its free blocks given back before."""
        self.release()
        pool = self.xp.get_default_memory_pool()
        before = pool.total_bytes()
        with _Highest(pool.total_bytes) as highest:
            result = call()
            self.synchronize()
        return result, int(highest.value - before)

    def release(self) -> None:
        """Give the pool's free blocks back."""
        self.synchronize()
        self.xp.get_default_memory_pool().free_all_blocks()


class _Highest:
    """The highest that a counter shows until the block ends.

    The pool keeps what was freed, so that its size at the end is the highest, but a fit that runs
    short gives blocks back in between.
    """

    def __init__(self, counter: Callable[[], int]) -> None:
        self._counter = counter
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.value = 0

    def __enter__(self) -> _Highest:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self._look()

    def _look(self) -> None:
        self.value = max(self.value, self._counter())


class CountingMemory:
    """The host's memory as what the emulator takes for a device's; counts what lives in it."""

    stream = 0
    device = "the emulator"
    on_device = False
    number = 0

    def __init__(self) -> None:
        self.used = self.highest = 0

    def using(self, number: int) -> AbstractContextManager[None]:
        """There is one."""
        return nullcontext()

    def free_bytes(self) -> int:
        """Return enough for everything."""
        return 1 << 40

    def release(self) -> None:
        """Nothing is kept."""

    def holds(self, array: Any) -> bool:
        """No array of a caller is on this device."""
        return False

    def to_device(self, array: Array) -> Array:
        """Return the array itself."""
        return array

    def to_host(self, array: Array, out: Array) -> None:
        """Copy."""
        if array is not out:
            out[...] = array

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return NaNs, so that reading what was not written shows; aligned to 256 bytes."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        buffer = np.full(size + 256, 0xFF, np.uint8)
        begin = -buffer.ctypes.data % 256
        self.used += size
        self.highest = max(self.highest, self.used)
        weakref.finalize(buffer, self._freed, size).atexit = False
        return buffer[begin : begin + size].view(dtype).reshape(shape)

    def _freed(self, size: int) -> None:
        self.used -= size

    def address(self, array: Array) -> int:
        """Return where the array begins."""
        address: int = array.__array_interface__["data"][0]
        return address

    def by_rows(
        self, X: Array, out: Array | None, rows: int, part: Callable[[Any, Any, slice], None]
    ) -> None:
        """Compute so many rows after the other."""
        for begin in range(0, len(X), rows):
            which = slice(begin, min(begin + rows, len(X)))
            part(X[which], None if out is None else out[which], which)


class HostDevice:
    """The emulator's kernels on NumPy's arrays, for a rehearsal.

    Parameters
    ----------
    ops : module
        `open_emulator`'s.
    """

    torch_name = "cpu"

    def __init__(self, ops: Any) -> None:
        self.xp: Any = np
        self.estimator_options: dict[str, Any] = {}
        self._memory = CountingMemory()
        self._room = Cuda(ops, self._memory)

    def running(self) -> AbstractContextManager[None]:
        """Run fastrfm's ops by the emulator."""
        return backend.running_on(self._room)

    def to_device(self, array: Array) -> Array:
        """Return the array itself."""
        return array

    def to_host(self, array: Any) -> Array:
        """Return the array itself."""
        return np.asarray(array)

    def empty(self, shape: tuple[int, ...]) -> Array:
        """Return NaNs."""
        return np.full(shape, np.nan, np.float32)

    def synchronize(self) -> None:
        """Do nothing: the host's work is done when its calls return."""

    def seconds(self, call: Call) -> float:
        """By the host's clock."""
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    def peak(self, call: Call) -> tuple[Any, int]:
        """Of the emulator's own arrays: what others take is not counted."""
        self._memory.highest = before = self._memory.used
        result = call()
        return result, self._memory.highest - before

    def release(self) -> None:
        """Nothing is kept."""


def open_emulator(root: Path) -> Any:
    """Import the CUDA kernels that ``make emulator`` has compiled for the CPU.

    Parameters
    ----------
    root : Path
        Of the checkout. FASTRFM_EMULATOR_DIR names another folder than its build/emulator.

    Raises
    ------
    FileNotFoundError
        If they are not there.
    """
    folder = Path(os.environ.get("FASTRFM_EMULATOR_DIR", root / "build" / "emulator"))
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = folder / f"_cuda_emulated{suffix}"
        if path.exists():
            loader = importlib.machinery.ExtensionFileLoader("_cuda_emulated", str(path))
            spec = importlib.util.spec_from_loader("_cuda_emulated", loader)
            assert spec is not None
            module = importlib.util.module_from_spec(spec)
            loader.exec_module(module)
            return module
    raise FileNotFoundError(
        f"a rehearsal needs the module _cuda_emulated in {folder}: `make emulator` builds it"
    )
