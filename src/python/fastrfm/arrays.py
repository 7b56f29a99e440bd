"""Whose arrays, and where they lie: NumPy's, CuPy's and PyTorch's, in and out without a copy.

The package computes on NumPy arrays, and on CuPy arrays where they lie on a CUDA device;
`namespace` is the module that belongs to one. PyTorch's tensors are taken as one or the other,
through DLPack, and results given back the same way. Neither CuPy nor PyTorch is imported here
unless an array of theirs has been passed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "Caller",
    "callers",
    "contiguous",
    "is_on_device",
    "namespace",
    "take_rows_of",
    "to_host",
    "to_place_of",
]

Array = NDArray[Any]
Library = Literal["numpy", "cupy", "torch"]


def is_on_device(array: Any) -> bool:
    """Return whether `array` is CuPy's."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(array, cupy.ndarray)


def namespace(array: Any) -> Any:
    """Return the module whose functions take `array`: NumPy, or CuPy."""
    return sys.modules["cupy"] if is_on_device(array) else np


def to_host(array: Any, dtype: DTypeLike | None = None) -> Array:
    """Return an array (NumPy's, CuPy's, a tensor) as NumPy's: itself, or a copy from the device."""
    if is_on_device(array):
        array = sys.modules["cupy"].asnumpy(array)
    elif _is_tensor(array):
        array = _host_tensor(array).numpy()
    return np.asarray(array, dtype)


def to_place_of(partner: Any, array: Any, dtype: DTypeLike | None = None) -> Any:
    """Return `array` where `partner` lies, in that one's namespace: itself if it is there."""
    if not is_on_device(partner):
        return to_host(array, dtype)
    cupy = sys.modules["cupy"]
    if dtype is not None and not is_on_device(array):
        array = np.asarray(array, dtype)
    return cupy.asarray(array) if dtype is None else cupy.asarray(array, dtype)


def contiguous(array: Any, dtype: DTypeLike) -> Any:
    """Return `array` in C order and this dtype, where it lies."""
    return namespace(array).ascontiguousarray(array, dtype)


def take_rows_of(array: Any, rows: NDArray[np.intp]) -> Any:
    """Return the rows of these numbers (on the host), a copy where `array` lies."""
    return array[sys.modules["cupy"].asarray(rows)] if is_on_device(array) else array[rows]


@dataclass(frozen=True)
class Caller:
    """What arrays a function was called with, and so what it returns.

    Attributes
    ----------
    library : {"numpy", "cupy", "torch"}
    device : int or None
        The CUDA device that they lie on; None: the host.
    """

    library: Library = "numpy"
    device: int | None = None

    def native(self, array: Any) -> Any:
        """Return an argument as NumPy's or CuPy's, sharing its memory; None and lists as they are.

        Raises
        ------
        TypeError
            If it is a tensor that requires grad.
        """
        if _is_tensor(array):
            return _native_tensor(array)
        if self.device is not None and hasattr(array, "__cuda_array_interface__"):
            return _cupy().asarray(array)
        return array

    def native_out(self, out: Any) -> Any:
        """Return what a result is written to, sharing its memory; None as it is.

        Raises
        ------
        TypeError
            If it is a tensor of a dtype that no result has.
        """
        if _is_tensor(out) and out.dtype == sys.modules["torch"].bfloat16:
            raise TypeError("out must be of float32 or float64; got a tensor of torch.bfloat16")
        return self.native(out)

    def result(self, array: Any) -> Any:
        """Return a NumPy or CuPy array as the caller's kind of array, where the caller's lie."""
        if self.library == "torch":
            torch = sys.modules["torch"]
            if is_on_device(array):
                return torch.from_dlpack(array)
            where = "cpu" if self.device is None else f"cuda:{self.device}"
            return torch.as_tensor(array, device=where)
        if self.device is None or is_on_device(array):
            return array
        with _cupy().cuda.Device(self.device):
            return _cupy().asarray(array)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make the caller's device, and for tensors PyTorch's stream of it, CuPy's current one."""
        if self.device is None:
            yield
            return
        cuda = _cupy().cuda
        with cuda.Device(self.device):
            if self.library == "torch":
                stream = sys.modules["torch"].cuda.current_stream(self.device).cuda_stream
                with _stream_of(cuda, stream):
                    yield
            else:
                yield


def callers(**arguments: Any) -> Caller:
    """Return whose arrays the arguments are, None among them and what is no array passed over.

    Array-likes of no library (lists, frames) go with NumPy's, and with tensors on the host.

    Raises
    ------
    TypeError
        If they are of several libraries, or a tensor is on a device other than a CPU or CUDA's.
    ValueError
        If they lie in several places.
    """
    found = {
        name: (_library_of(array), _device_of(name, array))
        for name, array in arguments.items()
        if array is not None
    }
    special = {name: where for name, where in found.items() if where != ("numpy", None)}
    if not special:
        return Caller()
    (first, (library, device)), *_ = special.items()
    for name, (its_library, its_device) in found.items():
        if its_device != device:
            raise ValueError(
                f"{first} is on {_place(device)} and {name} on {_place(its_device)}; move one of "
                f"them: {_remedy(library, device, name)}"
            )
        if its_library != library and not (its_library == "numpy" and device is None):
            raise TypeError(
                f"{first} is {_article(library)} and {name} {_article(its_library)}; pass arrays "
                f"of one library: {_remedy(library, device, name)}"
            )
    return Caller(library, device)


def _cupy() -> Any:
    # Of what another library has put on a device, CuPy need not have been imported.
    try:
        return importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise
        raise RuntimeError(
            "an array lies on a CUDA device, and CuPy is not installed; pip install "
            '"fastrfm[cuda13]", or "fastrfm[cuda12]" for a driver of CUDA 12, has it'
        ) from None


class _ForeignStream:
    """A stream of another library, as CUDA's Python protocol has it."""

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer

    def __cuda_stream__(self) -> tuple[int, int]:
        return (0, self._pointer)


def _stream_of(cuda: Any, pointer: int) -> Any:
    if hasattr(cuda.Stream, "from_external"):
        return cuda.Stream.from_external(_ForeignStream(pointer))
    return cuda.ExternalStream(pointer)  # CuPy before 14


def _is_tensor(array: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def _library_of(array: Any) -> Library:
    if _is_tensor(array):
        return "torch"
    return "cupy" if hasattr(array, "__cuda_array_interface__") else "numpy"


def _device_of(name: str, array: Any) -> int | None:
    if _is_tensor(array):
        kind = array.device.type
        if kind not in ("cpu", "cuda"):
            raise TypeError(
                f"{name} is a tensor on device {array.device}; expected one on the CPU or a CUDA "
                f"device: pass {name}.cpu()"
            )
        return int(array.device.index or 0) if kind == "cuda" else None
    if not hasattr(array, "__cuda_array_interface__"):
        return None
    if is_on_device(array):
        return int(array.device.id)
    if hasattr(array, "__dlpack_device__"):
        return int(array.__dlpack_device__()[1])
    pointer = array.__cuda_array_interface__["data"][0]
    return int(_cupy().cuda.runtime.pointerGetAttributes(pointer).device)


def _native_tensor(tensor: Any) -> Any:
    if tensor.requires_grad:
        raise TypeError(
            "a tensor requires grad, which nothing here would follow; pass it with .detach()"
        )
    torch = sys.modules["torch"]
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.to(torch.float32)  # which neither NumPy nor CuPy has
    if tensor.device.type == "cpu":
        return tensor.numpy()
    if tensor.dtype == torch.bool:
        tensor = tensor.view(torch.uint8)  # DLPack's bool is younger than CuPy's oldest
    return _cupy().from_dlpack(tensor)


def _host_tensor(tensor: Any) -> Any:
    tensor = tensor.detach().cpu()
    torch = sys.modules["torch"]
    return tensor.to(torch.float32) if tensor.dtype == torch.bfloat16 else tensor


def _place(device: int | None) -> str:
    return "the CPU" if device is None else f"CUDA device {device}"


def _article(library: Library) -> str:
    return {"numpy": "a NumPy array", "cupy": "a CuPy array", "torch": "a PyTorch tensor"}[library]


def _remedy(library: Library, device: int | None, name: str) -> str:
    if library == "torch":
        where = "cpu" if device is None else f"cuda:{device}"
        return f"torch.as_tensor({name}, device={where!r})"
    if device is None:
        return f"cupy.asnumpy({name})"
    return f"with cupy.cuda.Device({device}): cupy.asarray({name})"
