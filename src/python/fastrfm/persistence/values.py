"""Plain values and arrays as JSON, in which they come back as what they were.

JSON knows neither tuples nor NaN, neither keys that are no strings nor arrays. Such a value becomes
an object with one key that names its kind: ``{"tuple": [...]}``, ``{"float": "nan"}``,
``{"dict": [[key, value], ...]}``, ``{"array": "name", ...}``. Arrays go beside the document, each
content once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastrfm.persistence.errors import ModelFileError

__all__ = ["ArrayStore", "array_of", "decode", "encode"]

_FLOATS = ("nan", "inf", "-inf")
_TIME = re.compile(r"(?:datetime64|timedelta64)\[(?:Y|M|W|D|h|m|s|ms|us|ns)\]")
_LARGEST_CODE_POINT = 0x10FFFF


class ArrayStore:
    """The arrays of a document, by name; equal ones are stored once.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Of booleans, integers and floats.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self._names: dict[tuple[Any, ...], str] = {}

    def add(
        self, name: str, array: NDArray[Any], *, narrow: DTypeLike | None = None
    ) -> dict[str, Any]:
        """Add an array and return what stands for it in the document.

        Parameters
        ----------
        name : str
            What the file calls it, if the same content has no other name yet.
        array : ndarray
            Of booleans, numbers, strings, times, or, one-dimensional, objects that are strings or
            ints.
        narrow : dtype, default=None
            Store it in this floating dtype; it comes back in its own.

        Raises
        ------
        TypeError
            For other dtypes, or objects.
        """
        kind, dtype = array.dtype.kind, array.dtype.newbyteorder("=")
        if kind == "O":
            return {"objects": self._put(name, _objects_as_bytes(name, array))}
        if kind == "U":
            points = np.ascontiguousarray(array, dtype).reshape(-1).view(np.uint32)
            return {"strings": self._put(name, points.reshape(*array.shape, -1))}
        if kind in "mM":
            times = np.ascontiguousarray(array, dtype).view(np.int64)
            return {"times": self._put(name, times), "dtype": dtype.name}
        if kind not in "biuf" or dtype.itemsize > 8:
            raise TypeError(f"{name} has dtype {array.dtype}, which a model file cannot keep")
        if narrow is not None and np.dtype(narrow) != dtype:
            narrowed = self._put(name, array.astype(narrow))
            return {"narrowed": narrowed, "dtype": dtype.name}
        return {"array": self._put(name, np.asarray(array, dtype))}

    def within(self, prefix: str) -> ArrayStore:
        """Return a store that names arrays beginning with `prefix` and keeps them in this one."""
        store = _Within(prefix)
        store.arrays, store._names = self.arrays, self._names
        return store

    def _put(self, name: str, array: NDArray[Any]) -> str:
        content = hashlib.sha256(np.ascontiguousarray(array).data).digest() if array.size else b""
        key = (array.dtype.str, array.shape, content)
        if key not in self._names:
            while name in self.arrays:
                name += "'"
            self.arrays[name] = array
            self._names[key] = name
        return self._names[key]


class _Within(ArrayStore):
    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def _put(self, name: str, array: NDArray[Any]) -> str:
        return super()._put(self._prefix + name, array)


def array_of(spec: Any, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return the array that `spec`, as `ArrayStore.add` returned it, stands for.

    Raises
    ------
    ModelFileError
        If it stands for none.
    """
    if not isinstance(spec, dict) or not spec:
        raise ModelFileError(f"an array is described by {_shown(spec)}")
    kind, name = next(iter(spec.items()))
    array = arrays.get(name) if isinstance(name, str) else None
    if array is None:
        raise ModelFileError(f"there is no array {_shown(name)}")
    dtype = spec.get("dtype")
    if kind == "array":
        return array
    if kind == "objects" and array.dtype == np.uint8 and array.ndim == 1:
        return _objects_of_bytes(name, array)
    if kind == "strings" and array.dtype == np.uint32 and array.ndim > 1 and array.shape[-1]:
        if array.size and array.max() > _LARGEST_CODE_POINT:
            raise ModelFileError(f"the array {name!r} of strings has an impossible character")
        strings = np.ascontiguousarray(array).view(f"<U{array.shape[-1]}")
        return strings.reshape(array.shape[:-1]).astype(strings.dtype.newbyteorder("="), copy=False)
    if kind == "times" and array.dtype == np.int64 and _TIME.fullmatch(str(dtype)):
        return array.view(dtype)
    if kind == "narrowed" and array.dtype == np.float16 and dtype in ("float32", "float64"):
        return array.astype(dtype)
    raise ModelFileError(f"the array {name!r} is not what {_shown(spec)} says")


def encode(value: Any, name: str, store: ArrayStore) -> Any:
    """Return a plain value as JSON-able; `decode` returns it.

    NumPy's scalars become Python's, and ranges and array-likes other than tuples and arrays
    lists.

    Raises
    ------
    TypeError
        If it is not plain: None, a bool, number, string, array, or a list, tuple or dict of these.
    """
    if isinstance(value, np.generic) and not isinstance(value, (np.longdouble, np.void)):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        # Subclasses (enumerations, NumPy's str_) as what they are equal to.
        plain = (bool, int, str)
        return next((kind(value) for kind in plain if isinstance(value, kind)), None)
    if isinstance(value, float):
        return float(value) if np.isfinite(value) else {"float": str(float(value))}
    if isinstance(value, (list, range)):
        return [encode(item, name, store) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(item, name, store) for item in value]}
    if isinstance(value, dict):
        pairs = [[encode(k, name, store), encode(v, name, store)] for k, v in value.items()]
        return {"dict": pairs}
    if isinstance(value, np.ndarray):
        return store.add(name, value)
    if hasattr(value, "__array__"):  # a pandas Index, a polars Series
        return encode(np.asarray(value).tolist(), name, store)
    raise TypeError(
        f"{name} holds {value!r} of type {type(value).__name__}, which a model file cannot keep"
    )


def decode(content: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Return the value that `encode` made `content` of.

    Raises
    ------
    ModelFileError
        If it made none such.
    """
    if content is None or isinstance(content, (bool, int, float, str)):
        return content
    if isinstance(content, list):
        return [decode(item, arrays) for item in content]
    kind, inner = next(iter(content.items()), (None, None))
    if kind == "float" and inner in _FLOATS:
        return float(inner)
    if kind == "tuple" and isinstance(inner, list):
        return tuple(decode(item, arrays) for item in inner)
    if kind == "dict" and isinstance(inner, list):
        return dict(_pair(item, arrays) for item in inner)
    return array_of(content, arrays)


def _pair(content: Any, arrays: Mapping[str, NDArray[Any]]) -> tuple[Any, Any]:
    if not isinstance(content, list) or len(content) != 2:
        raise ModelFileError(f"an entry of a dict is {_shown(content)}")
    key, value = (decode(item, arrays) for item in content)
    if not isinstance(key, (bool, int, float, str, tuple, type(None))):
        raise ModelFileError(f"a key of a dict is {_shown(content[0])}")
    return key, value


def _objects_as_bytes(name: str, array: NDArray[Any]) -> NDArray[np.uint8]:
    items = array.tolist()
    for item in items:
        if not isinstance(item, (str, int)) or isinstance(item, bool):
            raise TypeError(
                f"{name} holds {item!r} of type {type(item).__name__}, which a model file cannot "
                "keep; it keeps objects that are strings or ints"
            )
    text = json.dumps([str(item) if isinstance(item, str) else int(item) for item in items])
    return np.frombuffer(text.encode("ascii"), np.uint8)


def _objects_of_bytes(name: str, array: NDArray[np.uint8]) -> NDArray[Any]:
    try:
        items = json.loads(array.tobytes())
    except (RecursionError, ValueError):
        items = None
    if not isinstance(items, list) or not all(type(item) in (str, int) for item in items):
        raise ModelFileError(f"the array {name!r} is not of strings or ints")
    objects = np.empty(len(items), object)
    objects[:] = items
    return objects


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
