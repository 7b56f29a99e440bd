"""Shapes, dtypes and ranges of what users pass: one exact message for each mistake."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastrfm.arrays import is_on_device, namespace, to_host

__all__ = [
    "check_array2d",
    "check_columns",
    "check_finite",
    "check_flag",
    "check_memory_limit",
    "check_number",
    "check_out",
    "check_same_features",
    "check_same_rows",
    "check_sample_weight",
    "floating_dtype",
]

Array = NDArray[Any]

# Element types that the compiled ops read as they are, tile by tile.
_NATIVE = (np.float32, np.float64, np.int8, np.uint8)


def check_array2d(
    name: str,
    array: Any,
    *,
    content: str = "(n_samples, n_features)",
    one_dimensional: str = "a single row as {name}.reshape(1, -1)",
) -> Array:
    """Return `array` as a finite, non-empty 2-D array that the ops can read.

    float32, float64, int8 and uint8 pass without a copy, whatever their strides; bool is viewed
    as uint8; float16 and other integers are converted to float32. A CuPy array stays one.

    Parameters
    ----------
    name : str
        The argument's name, for the messages.
    array : array-like
        What the user passed.
    content : str
        What its axes mean, for the messages.
    one_dimensional : str
        What to do with a vector, for the messages.

    Raises
    ------
    TypeError
        If the elements are not real numbers.
    ValueError
        If it is not 2-D, is empty, or holds NaN or infinity.
    """
    a = array if is_on_device(array) else np.asarray(array)
    if a.dtype.kind not in "fiub" or a.dtype.itemsize > 8:
        raise TypeError(
            f"{name} has dtype {a.dtype}; expected float32, float64, an integer type or bool"
        )
    if a.ndim != 2:
        raise ValueError(
            f"{name} must be a 2-D array of shape {content}; got shape {a.shape}"
            + (f". Reshape {one_dimensional.format(name=name)}" if a.ndim == 1 else "")
        )
    if a.size == 0:
        raise ValueError(f"{name} is empty: shape {a.shape}; each axis needs at least 1 entry")
    a = _readable(a)
    check_finite(name, a)
    return a


def check_columns(name: str, array: Any, rows: str) -> Array:
    """Check an array that has a column for each output (see `check_array2d`)."""
    return check_array2d(
        name,
        array,
        content=f"({rows}, n_outputs)",
        one_dimensional="a single column as {name}.reshape(-1, 1)",
    )


def _readable(a: Array) -> Array:
    if a.dtype == np.bool_:
        a = a.view(np.uint8)
    if a.dtype not in _NATIVE:
        a = a.astype(np.float64 if a.dtype.itemsize == 8 and a.dtype.kind == "f" else np.float32)
    if is_on_device(a):
        return a
    if not a.dtype.isnative:
        a = a.astype(a.dtype.newbyteorder("="))
    return a if a.flags.aligned else a.copy()


def check_finite(name: str, a: Array) -> None:
    """Raise `ValueError` with the place of the first NaN or infinity in `a`."""
    if a.dtype.kind != "f":
        return
    # A finite sum has finite terms; only a sum that is not needs a look at each entry.
    xp = namespace(a)
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(float(a.sum())):
            return
    bad = ~xp.isfinite(a)
    if not bad.any():
        return
    place = tuple(int(indices[0]) for indices in xp.nonzero(bad))
    value = float(a[place])
    shown = "NaN" if np.isnan(value) else ("inf" if value > 0 else "-inf")
    at = f"row {place[0]}, column {place[1]}" if len(place) == 2 else f"entry {place[0]}"
    raise ValueError(f"{name} contains {shown} at {at}; impute or remove such entries")


def check_same_features(X: Array, Z: Array) -> None:
    """Raise `ValueError` unless `X` and `Z` have as many columns as each other."""
    if X.shape[1] != Z.shape[1]:
        raise ValueError(
            "X and Z must have the same number of features (columns); "
            f"got {X.shape[1]} and {Z.shape[1]}"
        )


def check_same_rows(name: str, a: Array, partner: str, b: Array) -> None:
    """Raise `ValueError` unless `a` has a row for each row of `b`."""
    if a.shape[0] != b.shape[0]:
        raise ValueError(
            f"{name} must have one row for each row of {partner}; "
            f"got {a.shape[0]} rows against {b.shape[0]}"
        )


def check_sample_weight(
    name: str, weights: Any, partner: str, X: Array, *, zero_ok: bool
) -> NDArray[np.float64] | None:
    """Return the weights of the rows of `X` as (n,) float64, or None.

    Raises
    ------
    TypeError
        If they are not real numbers.
    ValueError
        If they are not one for each row, not finite, or negative; or zero, unless `zero_ok`; or
        all zero.
    """
    if weights is None:
        return None
    w = to_host(weights)
    if w.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {w.dtype}; expected a real number for each row")
    if w.shape != (len(X),):
        raise ValueError(
            f"{name} must have one weight for each row of {partner}, shape ({len(X)},); got shape "
            f"{w.shape}"
        )
    w = w.astype(np.float64)
    check_finite(name, w)
    bad = (w < 0) if zero_ok else (w <= 0)
    if bad.any():
        row = int(bad.argmax())
        bound = "at least 0" if zero_ok else "greater than 0"
        raise ValueError(
            f"{name} must be {bound}; got {w[row]:g} at row {row}"
            + ("" if zero_ok or w[row] < 0 else "; leave rows of weight zero out")
        )
    if not w.any():
        raise ValueError(f"{name} is zero for every row; at least one must count")
    return w


def check_number(name: str, value: Any, *, low: float, low_ok: bool, high: float = np.inf) -> float:
    """Return `value` as a float inside its range.

    Raises
    ------
    TypeError
        If it is not a real number.
    ValueError
        If it is NaN, infinite, or outside ``(low, high]`` (``[low, high]`` with `low_ok`).
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number; got {value!r} ({type(value).__name__})")
    number = float(value)
    if not np.isfinite(number) or number > high or number < low or (number == low and not low_ok):
        bounds = f"{'at least' if low_ok else 'greater than'} {low:g}"
        bounds += " and finite" if np.isinf(high) else f" and at most {high:g}"
        raise ValueError(f"{name} must be {bounds}; got {number:g}")
    return number


def check_flag(name: str, value: Any) -> None:
    """Raise `TypeError` unless `value` is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False; got {value!r}")


def check_memory_limit(memory_limit: Any) -> int | None:
    """Return `memory_limit` as a number of bytes, or None."""
    if memory_limit is None:
        return None
    if isinstance(memory_limit, (bool, np.bool_)) or not isinstance(memory_limit, Integral):
        raise TypeError(
            f"memory_limit must be an integer number of bytes or None; got {memory_limit!r}"
        )
    if memory_limit <= 0:
        raise ValueError(f"memory_limit must be a positive number of bytes; got {memory_limit}")
    return int(memory_limit)


def check_out(out: Any, shape: tuple[int, ...], dtype: DTypeLike, **inputs: Array) -> Array:
    """Return `out` if a result can be written straight into it.

    Raises
    ------
    TypeError
        If it is no array, or of another dtype than the result.
    ValueError
        If its shape is wrong, it is read-only or not C-contiguous, or shares memory with an input.
    """
    if not (isinstance(out, np.ndarray) or is_on_device(out)):
        raise TypeError(f"out must be a NumPy array; got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out must have the result's dtype {np.dtype(dtype)}; got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"out must have the result's shape {shape}; got {out.shape}")
    on_device = is_on_device(out)
    if not (on_device or out.flags.writeable):
        raise ValueError("out is read-only; pass a writeable array")
    for name, array in inputs.items():
        if namespace(out).may_share_memory(out, array):
            raise ValueError(f"out shares memory with {name}, which is read while out is written")
    if not (out.flags.c_contiguous and (on_device or out.flags.aligned)):
        raise ValueError("out must be C-contiguous and aligned; pass np.empty(shape, dtype)")
    checked: Array = out
    return checked


def floating_dtype(*arrays: Array | None) -> np.dtype[Any]:
    """Dtype of a computation on `arrays`: float64 if any of them is, else float32."""
    double = any(a is not None and a.dtype == np.float64 for a in arrays)
    return np.dtype(np.float64 if double else np.float32)
