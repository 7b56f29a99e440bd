"""Tables in files, .csv and .parquet, as the commands read and write them."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastrfm.persistence.atomic import replacing

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DataError",
    "check_suffix",
    "is_measured",
    "is_number",
    "read_table",
    "write_table",
]

# A number with more distinct values than this is measured, not a label.
MANY_VALUES = 20

SUFFIXES = (".csv", ".parquet")


class DataError(ValueError):
    """The user's file cannot be used as it is; the message says what to change."""


def read_table(path: str | PathLike[str], *, text: Iterable[str] = ()) -> pd.DataFrame:
    """Read a table.

    Parameters
    ----------
    path : str or path-like
        By its suffix, .csv or .parquet.
    text : iterable of str
        Columns of a .csv that are text, whatever they look like: "01234" stays that.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    path = Path(path)
    try:
        import pandas as pd
    except ImportError as error:
        raise DataError('reading a file needs pandas: pip install "fastrfm[cli]"') from error
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    check_suffix(path)
    try:
        if path.suffix == ".csv":
            # low_memory guesses the types of parts of a column, which may differ.
            return pd.read_csv(path, dtype=dict.fromkeys(text, str), low_memory=False)
        return pd.read_parquet(path)
    except (ValueError, OSError, ImportError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def write_table(table: pd.DataFrame, path: str | PathLike[str]) -> None:
    """Write a table, and replace what is at `path` by it as a whole.

    Raises
    ------
    DataError
        If the suffix of `path` is neither .csv nor .parquet, or the table cannot be written so.
    OSError
        If the file cannot be written.
    """
    path = Path(path)
    check_suffix(path)
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False)
            return
        try:
            table.to_parquet(temporary, index=False)
        except ImportError as error:
            raise DataError(f"{path} cannot be written: {error}") from error


def check_suffix(path: Path) -> None:
    """Raise DataError unless `path` ends as a table's file does."""
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path} is neither .csv nor .parquet")


def is_number(column: pd.Series[Any]) -> bool:
    """Whether a column holds numbers; booleans are none."""
    from pandas.api import types

    return bool(types.is_numeric_dtype(column) and not types.is_bool_dtype(column))


def is_measured(column: pd.Series[Any]) -> bool:
    """Whether a column without missing values is of measurements rather than of labels.

    Measured are numbers that have fractions, or many different values.
    """
    return is_number(column) and (column.nunique() > MANY_VALUES or bool((column % 1 != 0).any()))
