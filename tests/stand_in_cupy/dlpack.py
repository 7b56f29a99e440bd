"""DLPack: NumPy's capsules, with the device rewritten."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

CPU, CUDA = 1, 2
_DEVICE_OFFSET = 8  # of the DLDevice {int32 type, id} in a DLTensor, after its address


def _tensor(capsule_: Any) -> int:
    """Return the address of a capsule's DLManagedTensor, which its DLTensor begins."""
    function = ctypes.pythonapi.PyCapsule_GetPointer
    function.restype, function.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address: int = function(capsule_, b"dltensor")
    return address


def _rewrite_device(capsule_: Any, kind: int, number: int) -> None:
    device = (ctypes.c_int32 * 2).from_address(_tensor(capsule_) + _DEVICE_OFFSET)
    device[0], device[1] = kind, number


def capsule(host: NDArray[Any], device_id: int) -> Any:
    """Return host memory as a capsule that says it is a device's; for fake tensors too."""
    result = host.__dlpack__()
    _rewrite_device(result, CUDA, device_id)
    return result


def imported(array: Any) -> tuple[NDArray[Any], int]:
    """Return the memory of what says that it is on a CUDA device, and the device."""
    kind, number = (int(part) for part in array.__dlpack_device__())
    if kind == CPU:
        raise TypeError(
            "CPU arrays cannot be directly imported to CuPy. "
            "Use `cupy.array(numpy.from_dlpack(input))` instead."
        )
    if kind != CUDA:
        raise TypeError(f"Unsupported array type: {type(array)}")
    given = array.__dlpack__(stream=1)
    _rewrite_device(given, CPU, 0)
    return np.from_dlpack(
        SimpleNamespace(__dlpack__=lambda **_: given, __dlpack_device__=lambda: (CPU, 0))
    ), number
