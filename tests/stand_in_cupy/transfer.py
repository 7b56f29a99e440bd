"""Copies: between host and device, which are counted, and on the device."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import dlpack
from . import elementwise as ew
from .machine import machine
from .memory import MemoryPointer, UnownedMemory
from .streams import before_work, queue_copy, wait_for

if TYPE_CHECKING:
    from .array import ndarray

Host = NDArray[Any]


def count_to_device(size: int, stream: int | None = None) -> None:
    """Count a copy to the device, on the current stream unless it is told."""
    machine.copies.to_device += 1
    machine.copies.to_device_bytes += size
    machine.note("to_device", machine.current_stream if stream is None else stream)


def count_to_host(size: int, stream: int) -> None:
    """Count a copy to the host."""
    machine.copies.to_host += 1
    machine.copies.to_host_bytes += size
    machine.note("to_host", stream)


def device_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return a dtype that arrays of the device can have."""
    kind = np.dtype(dtype)
    if kind.type not in ew.SCALARS:
        raise ValueError(f"Unsupported dtype {kind}")
    if not kind.isnative:
        raise ValueError("CuPy does not support the big-endian byte-order")
    return kind


def fits(host: Host, order: str) -> bool:
    """Return whether an array has the order asked for."""
    c, f = host.flags.c_contiguous, host.flags.f_contiguous
    return {"K": True, "A": c or f, "C": c, "F": f}[order]


def copied(
    a: Any, dtype: np.dtype[Any], order: str, *, always: bool, peer: bool = False
) -> ndarray:
    """Return `a` in another dtype or order; without `always`, itself where it is so already.

    With `peer`, from another device too.
    """
    if order not in ("C", "F", "A", "K"):
        raise TypeError("order not understood")
    here = a.data.device_id == machine.current_device
    if here and not always and dtype == a.dtype and fits(a._host, order):
        same: ndarray = a
        return same
    host = a._in_order() if peer else ew.on_this_device(a)
    with np.errstate(all="ignore"):
        result = host.astype(dtype, order=order)
    copy = laid_out_as(result)
    copy._host[...] = result
    return copy


def laid_out_as(host: Host) -> ndarray:
    """Return a new array of a host array's shape and dtype, its axes in the same order."""
    if fits(host, "C") or fits(host, "F"):
        return ew.array_type()(host.shape, host.dtype, order="C" if fits(host, "C") else "F")
    axes = np.argsort([-abs(step) for step in host.strides], kind="stable").tolist()
    packed = ew.array_type()(tuple(host.shape[axis] for axis in axes), host.dtype)
    return packed.transpose(*np.argsort(axes).tolist())


def array(
    obj: Any,
    dtype: DTypeLike | None = None,
    copy: bool | None = True,
    order: str | None = "K",
    subok: bool = False,
    ndmin: int = 0,
    *,
    blocking: bool = False,
) -> ndarray:
    """Return an array on the current device."""
    if subok or ndmin:
        raise NotImplementedError("the stand-in has neither subok nor ndmin")
    order = "K" if order is None else order
    if not ew.is_array(obj) and hasattr(obj, "__cuda_array_interface__"):
        obj = of_interface(obj)
    if ew.is_array(obj):
        kind = obj.dtype if dtype is None else device_dtype(dtype)
        result = copied(obj, kind, order, always=bool(copy), peer=True)
        if copy is False and result is not obj:
            raise ValueError("Unable to avoid copy while creating an array as requested.")
        return result
    if copy is False:
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    if isinstance(obj, list | tuple) and len(obj) > 0 and all(map(ew.is_array, obj)):
        return ew.new(np.stack([ew.on_this_device(a) for a in obj]).astype(dtype, copy=False))
    return _from_host(obj, dtype, order, blocking)


def _from_host(obj: Any, dtype: DTypeLike | None, order: str, blocking: bool) -> ndarray:
    if order in ("K", "A"):
        order = "F" if isinstance(obj, np.ndarray) and obj.flags.f_contiguous else "C"
    host = np.asarray(obj, dtype, order=order)
    host = host.astype(host.dtype.newbyteorder("="), copy=False)
    result = ew.array_type()(host.shape, device_dtype(host.dtype), order=order)
    if host.ndim == 0:
        result.fill(host)  # an argument of a kernel, not a copy
    else:
        _to_device(result, host, machine.current_stream, blocking)
    return result


def asarray(
    a: Any,
    dtype: DTypeLike | None = None,
    order: str | None = None,
    *,
    copy: bool | None = None,
    blocking: bool = False,
) -> ndarray:
    """Return an array on the current device: itself where it is one."""
    return array(a, dtype, copy, order, blocking=blocking)


def _to_device(a: Any, host: Host, stream: int, blocking: bool) -> None:
    memory = a._host  # not the array, whose memory is accounted for as long as it lives
    count_to_device(host.nbytes, stream)
    if blocking:
        wait_for(stream)
        memory[...] = host
    else:
        queue_copy(stream, lambda: memory.__setitem__(..., host), to_device=True)


def set_from_host(a: Any, arr: Any, stream: Any) -> None:
    """What `ndarray.set` does: asynchronous, but on the null stream where none is named."""
    if not isinstance(arr, np.ndarray):
        raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
    if a.dtype != arr.dtype:
        raise TypeError(f"{arr.dtype} array cannot be set to {a.dtype} array")
    if a.shape != arr.shape:
        raise ValueError(f"Shape mismatch. Old shape: {a.shape}, new shape: {arr.shape}")
    if not (fits(a._host, "C") or fits(a._host, "F")):
        raise RuntimeError("Cannot set to non-contiguous array")
    target = machine.current_stream if stream is None else stream.ptr
    _to_device(a, arr, target, blocking=stream is None and target == 0)


def to_host(a: Any, stream: Any, order: str, out: Any, blocking: bool) -> Host:
    """What `ndarray.get` does."""
    if out is None:
        order = order.upper()
        if order == "A":
            order = "F" if fits(a._host, "F") else "C"
        if order not in ("C", "F"):
            raise ValueError(f"unsupported order: {order}")
        out = np.empty(a.shape, a.dtype, order)
    else:
        order = _order_of_output(a, out)
    if a.size == 0:
        result: Host = out
        return result
    with a.device:
        # What is copied is one piece of memory, so an array of another order is first copied on
        # the device, which takes memory there.
        source = a if fits(a._host, order) else copied(a, a.dtype, order, always=True)
        ptr = machine.current_stream if stream is None else stream.ptr
        before_work(ptr)
        count_to_host(a.nbytes, ptr)
        if blocking:
            wait_for(ptr)
            out[...] = source._host
        else:
            read = source._host.copy()  # later work on the stream may write there again
            queue_copy(ptr, lambda: out.__setitem__(..., read), to_device=False)
    result = out
    return result


def _order_of_output(a: Any, out: Any) -> str:
    if not isinstance(out, np.ndarray):
        raise TypeError("Only numpy.ndarray can be obtained fromcupy.ndarray")
    if a.dtype != out.dtype:
        raise TypeError(f"{out.dtype} array cannot be obtained from {a.dtype} array")
    if a.shape != out.shape:
        raise ValueError(f"Shape mismatch. Expected shape: {a.shape}, actual shape: {out.shape}")
    for order in ("C", "F"):
        if fits(out, order) and fits(a._host, order):
            return order
    for order in ("C", "F"):
        if fits(out, order):
            return order
    raise RuntimeError("`out` cannot be specified when copying to non-contiguous ndarray")


def asnumpy(
    a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True
) -> Host:
    """Return an array on the host: of NumPy's, itself."""
    if ew.is_array(a):
        return to_host(a, stream, order, out, blocking)
    if hasattr(a, "__cuda_array_interface__"):
        return to_host(of_interface(a), stream, order, out, blocking)
    host = np.asarray(a, order=order)
    if out is None:
        return host
    out[...] = host
    result: Host = out
    return result


def of_interface(obj: Any) -> ndarray:
    """Return an array on the memory of another library's, by __cuda_array_interface__."""
    interface = obj.__cuda_array_interface__
    if interface.get("mask") is not None:
        raise ValueError("CuPy currently does not support masked arrays.")
    if interface.get("stream") is not None:
        wait_for(interface["stream"])
    given = dict(interface, version=3, data=(interface["data"][0], False))
    host = np.asarray(SimpleNamespace(__array_interface__=given))
    return lent(host, obj, device=machine.device_of(interface["data"][0]))


def from_dlpack(array: Any, *, device: Any = None, copy: bool | None = None) -> ndarray:
    """Return an array on the memory of another library's, by DLPack."""
    if device is not None:
        raise NotImplementedError("from_dlpack() does not support device yet.")
    if copy:
        raise BufferError("copy=True only supported for copy to CPU.")
    host, number = dlpack.imported(array)
    return lent(host, host, device=number)


def lent(host: Host, owner: object, device: int | None) -> ndarray:
    """Return an array on memory that `owner` holds."""
    steps = [s * (n - 1) for s, n in zip(host.strides, host.shape, strict=True)]
    before = -sum(step for step in steps if step < 0) if host.size else 0
    size = before + sum(step for step in steps if step > 0) + host.itemsize if host.size else 0
    first = host.__array_interface__["data"][0]
    number = machine.current_device if device is None else device
    memory = UnownedMemory(first - before, size, owner, number)
    return ew.array_type()(host.shape, host.dtype, MemoryPointer(memory, before), host.strides)
