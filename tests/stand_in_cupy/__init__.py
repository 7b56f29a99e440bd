"""A stand-in for CuPy, for tests without a GPU: what fastrfm uses of it, in host memory.

It is strict. What it has CuPy has, with the same arguments; what CuPy refuses it refuses, and some
of what CuPy lets pass (NumPy's functions on arrays of CuPy's, say). `machine` counts memory and
copies. `modules()` are the modules by their real names; `tests/device.py` puts them in place.
"""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

from . import cuda, elementwise, functions, libraries, linalg, memory, streams, transfer
from .array import ndarray
from .machine import CUDARuntimeError, Machine, machine

__all__ = ["Machine", "machine", "modules"]

_OF_CUPY = {
    "ndarray": ndarray,
    "abs": elementwise.absolute,
    "newaxis": None,
    **{name: getattr(np, name) for name in (
        "float32", "float64", "int8", "int32", "int64", "uint8", "bool_", "inf", "nan", "pi",
    )},
    **{name: getattr(elementwise, name) for name in (
        "absolute", "add", "divide", "exp", "isfinite", "isnan", "maximum", "minimum", "multiply",
        "sqrt", "subtract",
    )},
    **{name: getattr(functions, name) for name in (
        "all", "any", "arange", "argsort", "ascontiguousarray", "clip", "concatenate",
        "count_nonzero", "diag", "diagonal", "empty", "empty_like", "eye", "flatnonzero", "full",
        "get_default_memory_pool", "get_default_pinned_memory_pool", "may_share_memory", "mean",
        "nonzero", "ones", "shares_memory", "stack", "sum", "take", "trace", "tril", "where",
        "zeros", "zeros_like",
    )},
    **{name: getattr(linalg, name) for name in ("dot", "einsum", "matmul")},
    **{name: getattr(transfer, name) for name in ("array", "asarray", "asnumpy", "from_dlpack")},
}  # fmt: skip

_CONTENTS: dict[str, dict[str, Any]] = {
    "cupy": _OF_CUPY,
    "cupy.linalg": {
        name: getattr(linalg, name) for name in ("cholesky", "eigh", "eigvalsh", "norm", "qr")
    },
    "cupy.cuda": {
        "Device": cuda.Device,
        "MemoryPool": memory.MemoryPool,
        "PinnedMemoryPool": memory.PinnedMemoryPool,
        "alloc_pinned_memory": memory.alloc_pinned_memory,
        **{name: getattr(streams, name) for name in (
            "Event", "ExternalStream", "Stream", "get_current_stream", "get_elapsed_time",
        )},
    },
    "cupy.cuda.device": {
        name: getattr(cuda, name) for name in ("Device", "get_cublas_handle", "get_cusolver_handle")
    },
    "cupy.cuda.memory": {
        name: getattr(memory, name) for name in ("MemoryPool", "OutOfMemoryError")
    },
    "cupy.cuda.runtime": {
        "CUDARuntimeError": CUDARuntimeError,
        **{name: getattr(cuda, name) for name in (
            "deviceSynchronize", "driverGetVersion", "getDevice", "getDeviceCount",
            "getDeviceProperties", "memGetInfo", "runtimeGetVersion", "setDevice",
            "streamSynchronize",
        )},
    },
    "cupyx": {},
    "cupyx.scipy": {},
    "cupyx.scipy.linalg": {"solve_triangular": linalg.solve_triangular},
    "cupy_backends": {},
    "cupy_backends.cuda": {},
    "cupy_backends.cuda.libs": {},
    "cupy_backends.cuda.libs.cublas": {
        name: value for name, value in vars(libraries).items() if name.startswith("CUBLAS_")
        and name.split("_")[1] in ("OP", "FILL", "DIAG", "SIDE")
    } | {name: getattr(libraries, name) for name in ("CUBLASError", "dtrsm", "strsm")},
    "cupy_backends.cuda.libs.cusolver": {
        name: getattr(libraries, name) for name in (
            "CUSOLVERError", "dpotrf", "dpotrf_bufferSize", "dpotrs", "spotrf",
            "spotrf_bufferSize", "spotrs",
        )
    },
}  # fmt: skip


def modules() -> dict[str, ModuleType]:
    """Return new modules by their names, each an attribute of the one that it lies in."""
    made: dict[str, ModuleType] = {}
    for name, contents in _CONTENTS.items():
        module = ModuleType(name, "Stand-in for CuPy.")
        module.__spec__ = ModuleSpec(name, None)
        vars(module).update(contents)
        made[name] = module
        if "." in name:
            parent, _, own = name.rpartition(".")
            setattr(made[parent], own, module)
    made["cupy"].__version__ = "14.2.0"
    return made
