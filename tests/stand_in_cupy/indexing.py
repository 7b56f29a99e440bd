"""Indices: basic ones give views, arrays give copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import elementwise as ew
from . import transfer

if TYPE_CHECKING:
    from .array import ndarray


def converted(index: Any) -> Any:
    """Return one index as NumPy takes it.

    Lists and arrays of NumPy's are copied to the device, as CuPy does without a word.

    An index out of bounds, which CuPy's kernels wrap around, is NumPy's IndexError here.
    """
    if isinstance(index, list | np.ndarray):
        index = np.asarray(index)
        transfer.count_to_device(index.nbytes)
    elif ew.is_array(index):
        index = ew.on_this_device(index)
    else:
        return index
    if index.size == 0 and index.dtype.kind == "f":
        index = index.astype(np.int32)  # of an empty list
    if index.dtype.kind not in "iub":
        raise IndexError(
            "arrays used as indices must be of integer or boolean type. "
            f"(actual: {index.dtype.type})"
        )
    return index


def _prepared(a: Any, slices: Any) -> tuple[tuple[Any, ...], bool]:
    """Return the indices, and whether an array is among them."""
    given = slices if isinstance(slices, tuple) else (slices,)
    indices = tuple(converted(index) for index in given)
    arrays = [index for index in indices if isinstance(index, np.ndarray)]
    if len(arrays) > 1 and any(index.dtype == bool for index in arrays):
        raise ValueError("currently, CuPy only supports slices that consist of one boolean array.")
    if not arrays:
        taken = sum(index is not None and index is not Ellipsis for index in indices)
        if taken > a.ndim:
            raise IndexError(
                f"too many indices for array: array is {a.ndim}-dimensional, but {taken} were "
                "indexed"
            )
        for axis, index in enumerate(indices):
            if isinstance(index, int | np.integer) and Ellipsis not in indices[:axis]:
                _require_in_bounds(a, index, axis - indices[:axis].count(None))
        if not any(index is Ellipsis for index in indices):
            indices += (Ellipsis,)  # so that NumPy gives a view of no axes, not a scalar
    return indices, bool(arrays)


def _require_in_bounds(a: Any, index: Any, axis: int) -> None:
    if not -a.shape[axis] <= index < a.shape[axis]:
        raise IndexError(
            f"Index {index} is out of bounds for axis {axis} with size {a.shape[axis]}"
        )


def get(a: Any, slices: Any) -> ndarray:
    """Return a view, or of arrays of indices a copy."""
    indices, advanced = _prepared(a, slices)
    if not advanced:
        view: ndarray = a._view(a._host[indices])
        return view
    return ew.new(ew.on_this_device(a)[indices])


def fill(a: Any, value: Any) -> None:
    """Set all elements to a scalar, or an array of no axes."""
    if isinstance(value, np.ndarray):
        if value.shape != ():
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        value = value.item()
    scalar = ew.operand(value)
    with np.errstate(all="ignore"):
        np.copyto(ew.on_this_device(a), scalar, casting="unsafe")


def set(a: Any, slices: Any, value: Any) -> None:
    """Write a scalar or an array of the device's."""
    indices, advanced = _prepared(a, slices)
    if not advanced and not ew.is_array(value):
        fill(a._view(a._host[indices]), value)
        return
    if isinstance(value, list | np.ndarray) and advanced:
        value = np.asarray(value, a.dtype)
        transfer.count_to_device(value.nbytes)
    else:
        value = ew.operand(value)
    with np.errstate(all="ignore"):
        ew.on_this_device(a)[indices] = value
