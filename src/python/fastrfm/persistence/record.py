"""One object of the document, read field by field, each checked as it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.persistence.errors import ModelFileError
from fastrfm.persistence.values import array_of, decode

__all__ = ["Record"]

# Names of arrays may be long; a message is not.
_LONGEST_SHOWN = 80


class Record:
    """A JSON object with exactly the fields that are expected.

    Parameters
    ----------
    content : object
        As it came out of the file.
    where : str
        What messages call it.
    arrays : mapping of str to ndarray
    fields : sequence of str or None
        None: any.

    Raises
    ------
    ModelFileError
        By all methods: a field is not what the method says.
    """

    def __init__(
        self,
        content: Any,
        where: str,
        arrays: Mapping[str, NDArray[Any]],
        fields: Sequence[str] | None,
    ) -> None:
        if not isinstance(content, dict):
            raise ModelFileError(f"{where} is {_shown(content)}, not an object")
        if fields is not None and set(content) != set(fields):
            differ = sorted(set(content) ^ set(fields))
            raise ModelFileError(
                f"{where} lacks {differ[0]!r}"
                if differ[0] in fields
                else f"{where} has an unknown field {_shown(differ[0])}"
            )
        self.content: dict[str, Any] = content
        self.where = where
        self.arrays = arrays

    def integer(self, name: str, *, low: int = 0) -> int:
        """Return an integer of at least `low`."""
        value = self.content[name]
        if type(value) is not int or value < low:
            raise self.wrong(name, f"an integer of at least {low}")
        return value

    def number(self, name: str, *, low: float = 0.0, low_ok: bool = True) -> float:
        """Return a finite float of at least (or, without `low_ok`, above) `low`."""
        value = self.content[name]
        if type(value) is not float or not low <= value < np.inf or (value == low and not low_ok):
            raise self.wrong(
                name, f"a finite number {'of at least' if low_ok else 'above'} {low:g}"
            )
        return value

    def flag(self, name: str) -> bool:
        """Return True or False."""
        value = self.content[name]
        if type(value) is not bool:
            raise self.wrong(name, "true or false")
        return value

    def choice(self, name: str, options: Sequence[str | None]) -> Any:
        """Return one of `options`."""
        value = self.content[name]
        if not (value is None or isinstance(value, str)) or value not in options:
            raise self.wrong(name, f"one of {', '.join(map(str, options))}")
        return value

    def value(self, name: str) -> Any:
        """Return a plain value, whatever it is."""
        return decode(self.content[name], self.arrays)

    def record(self, name: str, fields: Sequence[str] | None) -> Record:
        """Return a field that is an object itself."""
        return Record(self.content[name], f"{self.where}.{name}", self.arrays, fields)

    def records(self, name: str, fields: Sequence[str]) -> list[Record]:
        """Return a field that is a list of objects."""
        items = self.content[name]
        if not isinstance(items, list):
            raise self.wrong(name, "a list")
        where = f"{self.where}.{name}"
        return [Record(item, f"{where}[{i}]", self.arrays, fields) for i, item in enumerate(items)]

    def array(
        self,
        name: str,
        *,
        dtypes: Sequence[Any] | None = (np.float64,),
        shape: tuple[int | None, ...],
        low: float | None = None,
    ) -> NDArray[Any]:
        """Return an array without NaN and infinities.

        Parameters
        ----------
        name : str
        dtypes : sequence of dtype or None
            Those allowed; None: any.
        shape : tuple
            None: any length.
        low : float, optional
            The least that an entry may be.
        """
        array = array_of(self.content[name], self.arrays)
        if dtypes is not None and array.dtype not in [np.dtype(dtype) for dtype in dtypes]:
            wanted = " or ".join(np.dtype(dtype).name for dtype in dtypes)
            raise self.wrong(name, f"of dtype {wanted}", f"of dtype {array.dtype}")
        if len(shape) != array.ndim or any(
            want not in (None, got) for want, got in zip(shape, array.shape, strict=True)
        ):
            wanted = ", ".join("any" if want is None else str(want) for want in shape)
            raise self.wrong(name, f"of shape ({wanted})", f"of shape {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise self.wrong(name, "finite", "not finite everywhere")
        if low is not None and array.size and array.min() < low:
            raise self.wrong(name, f"at least {low:g}", f"{array.min():g} somewhere")
        return array

    def optional_array(self, name: str, **expected: Any) -> NDArray[Any] | None:
        """Return an array as `array` does, or None where the field is null."""
        return None if self.content[name] is None else self.array(name, **expected)

    def wrong(self, name: str, wanted: str, got: str | None = None) -> ModelFileError:
        """Return the error that says what the field is and what it should be."""
        got = _shown(self.content[name]) if got is None else got
        return ModelFileError(f"{self.where}.{name} is {got}, but should be {wanted}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
