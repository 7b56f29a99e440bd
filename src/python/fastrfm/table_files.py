"""Tables in files, .csv and .parquet, as the commands read and write them."""

from __future__ import annotations

import warnings
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

# What separates columns in files that are called .csv all the same.
OTHER_SEPARATORS = (";", "\t", "|")


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
        If it cannot be read, has no rows, or, a .csv, has names that do not tell its columns.
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
        table = _read_csv(path, text) if _suffix(path) == ".csv" else pd.read_parquet(path)
    except DataError:
        raise
    except UnicodeDecodeError as error:
        raise DataError(f"{path} cannot be read: {error}; save it as UTF-8") from error
    except (ValueError, OSError, ImportError, NotImplementedError) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not len(table):
        raise DataError(f"{path} has no rows")
    return table


def _read_csv(path: Path, text: Iterable[str]) -> pd.DataFrame:
    """Read a .csv, and refuse what pandas would make another table of without a word."""
    import pandas as pd

    header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
    names = header.iloc[0].tolist()
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:  # pandas calls the second "a.1"
        raise DataError(f"{path} has more than one column of the name {twice!r}; rename one")
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            # low_memory guesses the types of parts of a column, which may differ. index_col: else,
            # where rows have a field more than the header (an empty last one, even), the first
            # would become row names, and each name stand above its neighbour's values.
            table = pd.read_csv(
                path, dtype=dict.fromkeys(text, str), low_memory=False, index_col=False
            )
        except pd.errors.ParserWarning as error:
            raise DataError(
                f"the rows of {path} have more fields than its header has names; name all columns"
            ) from error
    first = str(table.iloc[0, 0]) if len(table) else ""
    for separator in OTHER_SEPARATORS:
        if len(names) == 1 and separator in names[0] and separator in first:
            raise DataError(
                f"{path} is separated by {separator!r}; save it with commas between its columns"
            )
    return table


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
        if _suffix(path) == ".csv":
            table.to_csv(temporary, index=False)
            return
        try:
            table.to_parquet(temporary, index=False)
        except ImportError as error:
            raise DataError(f"{path} cannot be written: {error}") from error


def check_suffix(path: Path) -> None:
    """Raise DataError unless `path` ends as a table's file does."""
    if _suffix(path) not in SUFFIXES:
        raise DataError(f"{path} is neither .csv nor .parquet")


def _suffix(path: Path) -> str:
    return path.suffix.lower()  # Windows' programs may write .CSV


def is_number(column: pd.Series[Any]) -> bool:
    """Whether a column holds numbers; booleans are none."""
    from pandas.api import types

    return bool(types.is_numeric_dtype(column) and not types.is_bool_dtype(column))


def is_measured(column: pd.Series[Any]) -> bool:
    """Whether a column without missing values is of measurements rather than of labels.

    Measured are numbers that have fractions, or many different values.
    """
    return is_number(column) and (column.nunique() > MANY_VALUES or bool((column % 1 != 0).any()))
