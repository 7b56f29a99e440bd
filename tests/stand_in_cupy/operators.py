"""The operators and reductions of `ndarray`, as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from . import elementwise as ew

if TYPE_CHECKING:
    from .array import ndarray

Axis = int | tuple[int, ...] | None


def _binary(function: ew.Ufunc) -> Any:
    def method(self: Any, other: Any) -> Any:
        if not hasattr(other, "__array_ufunc__") and type(other) not in ew.SCALARS:
            # CuPy asks NumPy, whose function finds nobody who takes such a thing. So an array is
            # not even unequal to None or to a string.
            raise TypeError(
                f"operand type(s) all returned NotImplemented from __array_ufunc__: "
                f"{function.__name__} of cupy.ndarray and {type(other).__qualname__}"
            )
        return function(self, other)

    return method


def _reflected(function: ew.Ufunc) -> Any:
    def method(self: Any, other: Any) -> Any:
        return function(other, self)

    return method


def _in_place(function: ew.Ufunc) -> Any:
    def method(self: Any, other: Any) -> Any:
        return function(self, other, self)

    return method


class Operators:
    """What `ndarray` computes."""

    __add__, __radd__ = _binary(ew.add), _reflected(ew.add)
    __sub__, __rsub__ = _binary(ew.subtract), _reflected(ew.subtract)
    __mul__, __rmul__ = _binary(ew.multiply), _reflected(ew.multiply)
    __truediv__, __rtruediv__ = _binary(ew.divide), _reflected(ew.divide)
    __pow__, __rpow__ = _binary(ew.power), _reflected(ew.power)
    __floordiv__, __rfloordiv__ = _binary(ew.floor_divide), _reflected(ew.floor_divide)
    __mod__, __rmod__ = _binary(ew.remainder), _reflected(ew.remainder)
    __and__, __rand__ = _binary(ew.bitwise_and), _reflected(ew.bitwise_and)
    __or__, __ror__ = _binary(ew.bitwise_or), _reflected(ew.bitwise_or)
    __xor__, __rxor__ = _binary(ew.bitwise_xor), _reflected(ew.bitwise_xor)
    __eq__, __ne__ = _binary(ew.equal), _binary(ew.not_equal)
    __lt__, __le__ = _binary(ew.less), _binary(ew.less_equal)
    __gt__, __ge__ = _binary(ew.greater), _binary(ew.greater_equal)

    __iadd__, __isub__ = _in_place(ew.add), _in_place(ew.subtract)
    __imul__, __itruediv__ = _in_place(ew.multiply), _in_place(ew.divide)
    __ipow__, __ifloordiv__ = _in_place(ew.power), _in_place(ew.floor_divide)
    __imod__, __iand__ = _in_place(ew.remainder), _in_place(ew.bitwise_and)
    __ior__, __ixor__ = _in_place(ew.bitwise_or), _in_place(ew.bitwise_xor)

    def __neg__(self) -> ndarray:
        return ew.negative(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> ndarray:
        return ew.absolute(self)

    def __invert__(self) -> ndarray:
        return ew.invert(self)

    def __matmul__(self, other: Any) -> ndarray:
        from .linalg import matmul

        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> ndarray:
        from .linalg import matmul

        return matmul(other, self)

    def dot(self, b: Any, out: Any = None) -> ndarray:
        """Return the product of matrices or vectors."""
        return ew.stored(np.dot(ew.require_array(self), ew.require_array(b, "b")), out)

    def sum(
        self,
        axis: Axis = None,
        dtype: DTypeLike | None = None,
        out: Any = None,
        keepdims: bool = False,
    ) -> ndarray:
        """Return the sum."""
        return ew.reduced(np.sum, self, out, axis=axis, dtype=dtype, keepdims=keepdims)

    def mean(
        self,
        axis: Axis = None,
        dtype: DTypeLike | None = None,
        out: Any = None,
        keepdims: bool = False,
    ) -> ndarray:
        """Return the mean."""
        return ew.reduced(np.mean, self, out, axis=axis, dtype=dtype, keepdims=keepdims)

    def max(self, axis: Axis = None, out: Any = None, keepdims: bool = False) -> ndarray:
        """Return the largest."""
        return ew.reduced(np.max, self, out, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, out: Any = None, keepdims: bool = False) -> ndarray:
        """Return the smallest."""
        return ew.reduced(np.min, self, out, axis=axis, keepdims=keepdims)

    def any(self, axis: Axis = None, out: Any = None, keepdims: bool = False) -> ndarray:
        """Return whether any is true."""
        return ew.reduced(np.any, self, out, axis=axis, keepdims=keepdims)

    def all(self, axis: Axis = None, out: Any = None, keepdims: bool = False) -> ndarray:
        """Return whether all are true."""
        return ew.reduced(np.all, self, out, axis=axis, keepdims=keepdims)

    def argmax(
        self,
        axis: int | None = None,
        out: Any = None,
        dtype: DTypeLike | None = None,
        keepdims: bool = False,
    ) -> ndarray:
        """Return where the largest is."""
        return _located(np.argmax, self, axis, out, dtype, keepdims)

    def argmin(
        self,
        axis: int | None = None,
        out: Any = None,
        dtype: DTypeLike | None = None,
        keepdims: bool = False,
    ) -> ndarray:
        """Return where the smallest is."""
        return _located(np.argmin, self, axis, out, dtype, keepdims)

    def argsort(self, axis: int | None = -1, kind: str | None = None) -> ndarray:
        """Return the indices that sort, equal elements in their order."""
        return ew.reduced(np.argsort, self, axis=axis, kind="stable")

    def clip(self, min: Any = None, max: Any = None, out: Any = None) -> ndarray:
        """Return the elements, not below `min` or above `max`."""
        host = ew.require_array(self)
        bounds = [None if bound is None else ew.operand(bound) for bound in (min, max)]
        return ew.stored(np.clip(host, *bounds), out)

    def trace(
        self,
        offset: int = 0,
        axis1: int = 0,
        axis2: int = 1,
        dtype: DTypeLike | None = None,
        out: Any = None,
    ) -> ndarray:
        """Return the sum of a diagonal."""
        return ew.reduced(np.trace, self, out, offset=offset, axis1=axis1, axis2=axis2, dtype=dtype)

    def take(self, indices: Any, axis: int | None = None, out: Any = None) -> ndarray:
        """Return elements by their indices."""
        from . import indexing

        host = ew.require_array(self)
        return ew.stored(np.take(host, indexing.converted(indices), axis), out)

    def nonzero(self) -> tuple[ndarray, ...]:
        """Return the indices of what is not zero."""
        if np.ndim(ew.require_array(self)) == 0:
            raise ValueError(
                "Calling nonzero on 0d arrays is not allowed. "
                "Use cp.atleast_1d(scalar).nonzero() instead."
            )
        return tuple(ew.new(indices) for indices in np.nonzero(ew.require_array(self)))


def _located(
    function: Any, a: Any, axis: int | None, out: Any, dtype: Any, keepdims: bool
) -> ndarray:
    host = function(ew.require_array(a), axis=axis, keepdims=keepdims)
    return ew.stored(np.asarray(host, dtype), out)
