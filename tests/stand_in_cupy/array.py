"""`cupy.ndarray`: a NumPy array in counted memory, which NumPy cannot get at.

Where CuPy refuses, this refuses, with CuPy's message. Where CuPy is lenient or hands on to its own
functions what NumPy's are called with, this refuses too: code that runs here asks the array's own
module for all that it does, and copies between host and device only where it says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import elementwise as ew
from . import indexing, transfer
from .cuda import Device
from .dlpack import capsule
from .machine import machine
from .memory import Memory, MemoryPointer
from .operators import Operators
from .streams import LEGACY, before_work

Host = NDArray[Any]
Shape = int | tuple[int, ...]


class Flags:
    """Memory layout of an array."""

    def __init__(self, array: ndarray) -> None:
        self.c_contiguous: bool = array._host.flags.c_contiguous
        self.f_contiguous: bool = array._host.flags.f_contiguous
        self.owndata = array.base is None

    def __getitem__(self, name: str) -> bool:
        value: bool = getattr(self, name.lower())
        return value


class ndarray(Operators):  # noqa: N801
    """An array on the device that is current when it is made."""

    __module__ = "cupy"
    __hash__ = None
    __array_priority__ = 100

    def __init__(
        self,
        shape: Shape,
        dtype: DTypeLike = float,
        memptr: Any = None,
        strides: Any = None,
        order: str | None = "C",
    ) -> None:
        order = "C" if order is None else order
        if order not in ("C", "F"):
            raise ValueError("order not understood")
        sizes = tuple(int(n) for n in shape) if isinstance(shape, tuple | list) else (int(shape),)
        if min(sizes, default=0) < 0:
            raise ValueError("Negative dimensions are not allowed")
        kind = transfer.device_dtype(dtype)
        if memptr is None:
            count = int(np.prod(sizes, dtype=np.int64))
            memptr = MemoryPointer(Memory(count * kind.itemsize), 0)
        offset = memptr.ptr - memptr.mem.ptr
        self._host: Host = np.ndarray(
            sizes,
            kind,
            memptr.mem.bytes,
            offset,
            strides,
            order=order,
        )
        self.data = memptr
        self.base: ndarray | None = None

    def _view(self, host: Host) -> ndarray:
        """Return what `host`, a view of this array's memory, is on the device."""
        view: ndarray = type(self).__new__(type(self))
        view._host = host
        view.base = self if self.base is None else self.base
        view.data = self.data
        if host.size:
            mem = self.data.mem
            view.data = MemoryPointer(mem, host.__array_interface__["data"][0] - mem.ptr)
        return view

    def _in_order(self) -> Host:
        """Return the memory for work on the current stream."""
        before_work(machine.current_stream)
        return self._host

    dtype = property(lambda self: self._host.dtype)
    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    ndim = property(lambda self: self._host.ndim)
    flags = property(Flags)
    device = property(lambda self: Device(self.data.device_id))
    T = property(lambda self: self if self.ndim < 2 else self._view(self._host.T))

    @property
    def mT(self) -> ndarray:  # noqa: N802
        """The last two axes swapped."""
        return self._view(np.swapaxes(self._host, -1, -2))

    # ---- other libraries

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        contiguous = self._host.flags.c_contiguous
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.str,
            "descr": self.dtype.descr,
            "strides": None if contiguous else self.strides,
            "data": (self.data.ptr if self.size else 0, False),
            "stream": machine.current_stream or LEGACY,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self.data.device_id)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: Any = None,
        dl_device: Any = None,
        copy: Any = None,
    ) -> Any:
        if stream is not None and (not isinstance(stream, int) or stream < -1 or stream == 0):
            raise ValueError(
                "On CUDA, the valid stream for the DLPack protocol is -1, 1, 2, or any larger "
                f"value, but {stream} was provided"
            )
        if dl_device not in (None, self.__dlpack_device__()) or copy:
            raise BufferError("the stand-in exports its memory only as it is")
        before_work(machine.current_stream)
        return capsule(self._host, self.data.device_id)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Host:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        # CuPy calls its function of that name.
        raise TypeError(f"numpy.{func.__name__} is called with an array of CuPy's")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        # CuPy calls its function of that name. This is for `numpy.float32(2) * array` alone, which
        # comes here too; of a comparison the scalar comes as an array of no axes.
        function = ew.OF_OPERATORS.get(ufunc)
        if ufunc in ew.COMPARISONS:
            inputs = tuple(x[()] if type(x) is np.ndarray and x.ndim == 0 else x for x in inputs)
        for x in inputs:
            if isinstance(x, np.ndarray):
                raise TypeError(f"Unsupported type {type(x)}")
        scalar = any(isinstance(x, np.generic) for x in inputs)
        if function is None or method != "__call__" or kwargs or not scalar:
            raise TypeError(f"numpy.{ufunc.__name__} is called with an array of CuPy's")
        return function(*inputs)

    # ---- to and from the host

    def get(
        self, stream: Any = None, order: str = "C", out: Host | None = None, blocking: bool = True
    ) -> Host:
        """Return a copy on the host."""
        return transfer.to_host(self, stream, order, out, blocking)

    def set(self, arr: Host, stream: Any = None) -> None:
        """Copy an array of the host here."""
        transfer.set_from_host(self, arr, stream)

    def item(self) -> Any:
        """Return the only element."""
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.get().item()

    def tolist(self) -> Any:
        """Return the elements."""
        return self.get().tolist()

    def __bool__(self) -> bool:
        if self.size == 0:
            raise ValueError("The truth value of an empty array is ambiguous.")  # CuPy warns
        if self.size > 1:
            raise ValueError(
                "The truth value of an array with more than one element is ambiguous. "
                "Use a.any() or a.all()"
            )
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __repr__(self) -> str:
        return repr(self.get())

    def __str__(self) -> str:
        return str(self.get())

    def __format__(self, format_spec: str) -> str:
        return format(self.get(), format_spec)

    def __reduce__(self) -> Any:
        return transfer.array, (self.get(),)

    # ---- copies and views

    def astype(
        self,
        dtype: DTypeLike,
        order: str | None = "K",
        casting: None = None,
        subok: None = None,
        copy: bool = True,
    ) -> ndarray:
        """Return a copy of another dtype; without `copy`, itself if that is what is asked for."""
        if casting is not None:
            raise TypeError("casting is not supported yet")
        if subok is not None:
            raise TypeError("subok is not supported yet")
        kind = transfer.device_dtype(dtype)
        return transfer.copied(self, kind, "K" if order is None else order, always=copy)

    def copy(self, order: str = "C") -> ndarray:
        """Return a copy on the current device."""
        return transfer.copied(self, self.dtype, order, always=True, peer=True)

    def __copy__(self) -> ndarray:
        return self.copy()

    def __deepcopy__(self, memo: object) -> ndarray:
        with self.device:
            return self.copy()

    def view(self, dtype: DTypeLike | None = None, type: Any = None) -> ndarray:
        """Return the same memory, perhaps of another dtype."""
        return self._view(self._host.view() if dtype is None else self._host.view(dtype))

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> ndarray:
        """Return a view, or a copy where no view has that shape."""
        sizes = shape[0] if len(shape) == 1 else shape
        host = self._host.reshape(sizes, order=order)
        if not copy and (host.size == 0 or np.may_share_memory(host, self._host)):
            return self._view(host)
        if copy is False:
            raise ValueError("Unable to avoid creating a copy while reshaping.")
        return ew.new(self._in_order().reshape(sizes, order=order), "C")

    def ravel(self, order: str = "C") -> ndarray:
        """Return one axis, as a view if that can be."""
        return self.reshape(-1, order=order)

    def flatten(self, order: str = "C") -> ndarray:
        """Return one axis, as a copy."""
        return self.reshape(-1, order=order, copy=True)

    def transpose(self, *axes: Any) -> ndarray:
        """Return a view with the axes in another order."""
        return self._view(self._host.transpose(*axes))

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ndarray:
        """Return a view of a diagonal, which can be written to."""
        host = self._host.diagonal(offset, axis1, axis2)
        host.flags.writeable = True
        return self._view(host)

    def fill(self, value: Any) -> None:
        """Set all elements to a scalar."""
        indexing.fill(self, value)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of unsized object")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[ndarray]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, slices: Any) -> ndarray:
        return indexing.get(self, slices)

    def __setitem__(self, slices: Any, value: Any) -> None:
        indexing.set(self, slices, value)
