"""The rooms that run the ops in the tests: the CPU, CUDA under the emulator, CUDA on a GPU."""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

import fastrfm
from cases import Array
from fastrfm import backend
from fastrfm.backend import cuda_room, running_on
from fastrfm.cuda import Cuda
from fastrfm.cuda.memory import Part
from fastrfm.rooms import Room

FOLDER = Path(
    os.environ.get(
        "FASTRFM_EMULATOR_DIR", Path(__file__).resolve().parent.parent / "build" / "emulator"
    )
)


@dataclass(frozen=True)
class Backend:
    """A room that runs the ops, NumPy arrays in and out; `open_room` skips where there is none.

    `mixed_rows` is the number of rows, by dtype, that share random mixtures of outputs; None where
    the number of features and outputs decides it.
    """

    name: str
    open_room: Callable[[], Room]
    mixed_rows: dict[str, int] | None = None
    emulated: bool = False

    @contextmanager
    def active(self) -> Iterator[None]:
        """Run all of fastrfm's ops in this room."""
        with running_on(self.open_room()):
            yield

    def _run(self, function: Callable[..., Any], *arrays: Any, **options: Any) -> Array:
        with self.active():
            result: Array = function(*arrays, **options)
        return result

    def kernel_matrix(self, X: Array, Z: Array | None = None, **options: Any) -> Array:
        return self._run(fastrfm.kernel_matrix, X, Z, **options)

    def kernel_matmul(self, X: Array, Z: Array, V: Array, **options: Any) -> Array:
        return self._run(fastrfm.kernel_matmul, X, Z, V, **options)

    def gradients(self, X: Array, Z: Array, coef: Array, **options: Any) -> Array:
        return self._run(fastrfm.gradients, X, Z, coef, **options)

    def agop(self, X: Array, Z: Array, coef: Array, **options: Any) -> Array:
        return self._run(fastrfm.agop, X, Z, coef, **options)


class HostMemory:
    """What the emulator calls device memory: the host's, arrays in their original strides."""

    stream = 0
    device = "the emulator"
    on_device = False

    number = 0

    def using(self, number: int) -> AbstractContextManager[Any]:
        return nullcontext()

    def free_bytes(self) -> int:
        return 1 << 40

    def release(self) -> None:
        pass

    def holds(self, array: Any) -> bool:
        return False

    def to_device(self, array: Array) -> Array:
        return array

    def to_host(self, array: Array, out: Array) -> None:
        if array is not out:
            out[...] = array

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return NaNs (bytes of ones): what an op reads before it writes it must show.

        The allocation ends where the array does, so that AddressSanitizer sees a step beyond.
        """
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        array: Array = poisoned_bytes(size, 256)
        return array.view(dtype).reshape(shape)

    def address(self, array: Array) -> int:
        address: int = array.__array_interface__["data"][0]
        return address

    def by_rows(self, X: Array, out: Array | None, rows: int, part: Part) -> None:
        for begin in range(0, len(X), rows):
            which = slice(begin, min(begin + rows, len(X)))
            part(X[which], None if out is None else out[which], which)


def poisoned_bytes(size: int, alignment: int) -> Array:
    """Return new bytes of ones that end exactly where they should; freed with the last view."""
    address = ctypes.c_void_p()
    if libc().posix_memalign(ctypes.byref(address), alignment, size) != 0 or address.value is None:
        raise MemoryError(f"{size} bytes for the emulator")
    buffer = (ctypes.c_uint8 * size).from_address(address.value)
    weakref.finalize(buffer, libc().free, address).atexit = False
    array: Array = np.frombuffer(buffer, np.uint8)
    array.fill(0xFF)
    return array


@cache
def libc() -> ctypes.CDLL:
    """Return the C library of this process, AddressSanitizer's functions before it."""
    library = ctypes.CDLL(None)
    library.posix_memalign.argtypes = [
        ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.c_size_t,
    ]  # fmt: skip
    library.free.argtypes = [ctypes.c_void_p]
    library.free.restype = None
    return library


@cache
def emulator() -> Any:
    """Return the module `_cuda_emulated`; skip the test where it is not built.

    With FASTRFM_REQUIRE_EMULATOR=1 the run ends then, with an error.
    """
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = FOLDER / f"_cuda_emulated{suffix}"
        if path.exists():
            loader = importlib.machinery.ExtensionFileLoader("_cuda_emulated", str(path))
            spec = importlib.util.spec_from_loader("_cuda_emulated", loader)
            assert spec is not None
            module = importlib.util.module_from_spec(spec)
            loader.exec_module(module)
            assert module.emulated
            return module
    reason = f"there is no module _cuda_emulated in {FOLDER}: `make emulator` builds it"
    if os.environ.get("FASTRFM_REQUIRE_EMULATOR") == "1":
        pytest.exit(reason, returncode=1)
    pytest.skip(reason)


def emulated_room() -> Cuda:
    """Return the room of the emulator."""
    return Cuda(emulator(), HostMemory())


def gpu_room() -> Cuda:
    """Return the room of the GPU; skip the test where there is none."""
    try:
        return cuda_room()
    except RuntimeError as reason:
        pytest.skip(str(reason))


MIXED_ROWS = {"float32": 128, "float64": 64}
CPU = Backend("cpu", lambda: backend.CPU)
EMULATED = Backend("cuda-emulated", emulated_room, MIXED_ROWS, emulated=True)
GPU = Backend("cuda", gpu_room, MIXED_ROWS)
CUDA_BACKENDS = [
    pytest.param(EMULATED, id=EMULATED.name, marks=pytest.mark.emulated),
    pytest.param(GPU, id=GPU.name, marks=pytest.mark.gpu),
]
BACKENDS = [pytest.param(CPU, id=CPU.name), *CUDA_BACKENDS]
