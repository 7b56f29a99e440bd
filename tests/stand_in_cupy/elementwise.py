"""Functions of arrays and scalars, element by element, and reductions.

NumPy decides dtypes, as CuPy 14 follows its promotion (NEP 50). Results are C-contiguous whatever
the arguments are, unlike NumPy's, and reductions give arrays of no axes, not scalars.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import transfer
from .machine import machine

if TYPE_CHECKING:
    from .array import ndarray

Host = NDArray[Any]

SCALARS = {bool, int, float, complex} | {np.dtype(code).type for code in "?bhilqBHILQefdFD"}


def array_type() -> type[ndarray]:
    """Return the class of arrays, which imports this module."""
    from .array import ndarray

    return ndarray


def is_array(x: object) -> bool:
    """Return whether this is an array of the stand-in's."""
    return isinstance(x, array_type())


def require_array(x: object, name: str = "a") -> Host:
    """Return the memory of an array on the current device, for work on the current stream.

    Where CuPy's functions take arrays of NumPy's, some by copying them, this refuses.
    """
    if not is_array(x):
        raise TypeError(
            f"Argument '{name}' has incorrect type (expected cupy._core.core._ndarray_base, "
            f"got {type(x).__module__}.{type(x).__qualname__})"
        )
    return on_this_device(x)


def on_this_device(x: Any) -> Host:
    """Return an array's memory; refuse another device's, as if there were no peer access."""
    if x.data.device_id != machine.current_device:
        raise ValueError(
            f"The device where the array resides ({x.data.device_id}) is different from the "
            f"current device ({machine.current_device}). Peer access is unavailable between these "
            "devices."
        )
    host: Host = x._in_order()
    return host


def operand(x: Any) -> Any:
    """Return what NumPy takes for an argument: memory, or a scalar."""
    if is_array(x):
        return on_this_device(x)
    if hasattr(x, "__cuda_array_interface__"):
        return on_this_device(transfer.of_interface(x))
    if type(x) not in SCALARS:
        raise TypeError(f"Unsupported type {type(x)}")
    return x


def new(host: Any, order: str = "C") -> ndarray:
    """Return a new array on the current device with a result of NumPy's."""
    host = np.asarray(host)
    result = array_type()(host.shape, host.dtype, order=order)
    result._host[...] = host
    return result


def stored(host: Any, out: Any, casting: str = "same_kind") -> ndarray:
    """Return a result in `out`, or in a new array."""
    if out is None:
        return new(host)
    target = output(out)
    if np.shape(host) != target.shape:
        raise ValueError("Out shape is mismatched")
    np.copyto(target, host, casting=casting)
    result: ndarray = out
    return result


def output(out: Any) -> Host:
    """Return the memory of an output argument."""
    if not is_array(out):
        raise TypeError("Output arguments type must be cupy.ndarray")
    return on_this_device(out)


class Ufunc:
    """A function of CuPy's with the values of NumPy's of that name."""

    def __init__(self, function: np.ufunc) -> None:
        self._function = function
        self.__name__ = function.__name__
        self.nin = function.nin

    def __call__(
        self,
        *args: Any,
        out: Any = None,
        casting: str = "same_kind",
        dtype: DTypeLike | None = None,
    ) -> ndarray:
        if len(args) == self.nin + 1 and out is None:
            *args, out = args
        if len(args) != self.nin:
            raise TypeError(
                f"Wrong number of arguments for {self.__name__!r}. It must be either {self.nin} "
                f"or {self.nin + 1} (with outputs), but given {len(args)}."
            )
        operands = [operand(x) for x in args]
        options: dict[str, Any] = {"casting": casting, "dtype": dtype}
        with np.errstate(all="ignore"):
            if out is None:
                return new(self._function(*operands, **options))
            target = output(out)
            shape = np.broadcast_shapes(*(np.shape(x) for x in operands))
            if shape != target.shape:
                raise ValueError("Out shape is mismatched")
            self._function(*operands, out=target, **options)
        result: ndarray = out
        return result


add, subtract, multiply = Ufunc(np.add), Ufunc(np.subtract), Ufunc(np.multiply)
divide, power = Ufunc(np.true_divide), Ufunc(np.power)
floor_divide, remainder = Ufunc(np.floor_divide), Ufunc(np.remainder)
negative, absolute, invert = Ufunc(np.negative), Ufunc(np.absolute), Ufunc(np.invert)
bitwise_and, bitwise_or = Ufunc(np.bitwise_and), Ufunc(np.bitwise_or)
bitwise_xor = Ufunc(np.bitwise_xor)
equal, not_equal = Ufunc(np.equal), Ufunc(np.not_equal)
less, less_equal = Ufunc(np.less), Ufunc(np.less_equal)
greater, greater_equal = Ufunc(np.greater), Ufunc(np.greater_equal)
sqrt, exp = Ufunc(np.sqrt), Ufunc(np.exp)
maximum, minimum = Ufunc(np.maximum), Ufunc(np.minimum)
isfinite, isnan = Ufunc(np.isfinite), Ufunc(np.isnan)

OF_OPERATORS: dict[np.ufunc, Ufunc] = {
    function._function: function
    for function in (
        add, subtract, multiply, divide, power, floor_divide, remainder, bitwise_and, bitwise_or,
        bitwise_xor, equal, not_equal, less, less_equal, greater, greater_equal,
    )
}  # fmt: skip

COMPARISONS = {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal}


def reduced(function: Callable[..., Any], a: Any, out: Any = None, **options: Any) -> ndarray:
    """Return a reduction of NumPy's as an array."""
    host = require_array(a)
    with np.errstate(all="ignore"):
        return stored(function(host, **options), out)
