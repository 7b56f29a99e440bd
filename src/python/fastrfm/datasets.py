"""Tables larger than memory: a Parquet file as rows on the disk that `fit` reads from there."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from fastrfm.persistence.atomic import replacing

if TYPE_CHECKING:
    from pyarrow import parquet

__all__ = ["ParquetRows", "open_parquet"]

# Rows that are in memory at a time, of a row group that has more.
BATCH_ROWS = 65_536
# Of these alone rows stay integers; what is wider becomes float32, as in a fit.
_SMALL = ("int8", "uint8")


class ParquetRows(NamedTuple):
    """What `open_parquet` returns.

    Parameters
    ----------
    X : memmap of shape (n, d)
        int8 or uint8 if all columns are, else float32; missing numbers are NaN.
    y : ndarray of shape (n,)
        In its own type.
    names : list of str
        Of the columns of `X`.
    """

    X: np.memmap[Any, Any]
    y: NDArray[Any]
    names: list[str]


def open_parquet(
    path: str | PathLike[str], target: str, *, out: str | PathLike[str]
) -> ParquetRows:
    """Copy a Parquet file's numeric columns to a .npy file, piece by piece, and map that.

    Parquet is compressed, and by columns: rows can only be read where they have been laid out.
    Beside the targets at most 65,536 rows are in memory at a time. What is at `out` is replaced as
    a whole. An estimator with a `norm` fits such rows where they are; see the guide on many rows.

    Parameters
    ----------
    path : str or path-like
        A Parquet file.
    target : str
        The column that becomes `y`.
    out : str or path-like
        The .npy file to write: 4 bytes a number, or 1 where all columns are int8, or all uint8.

    Returns
    -------
    rows : ParquetRows

    Raises
    ------
    ImportError
        Without pyarrow.
    OSError
        If a file cannot be read or written.
    TypeError
        If a column is not of numbers.
    ValueError
        If there is no such target, no other column, no row, a target is missing, or `out` is no
        .npy file.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, pandas as pd
    >>> import fastrfm
    >>> from fastrfm.datasets import open_parquet
    >>> table = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)), columns=list("abc"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table.to_parquet(os.path.join(folder, "table.parquet"))
    ...     rows = open_parquet(
    ...         os.path.join(folder, "table.parquet"), "c", out=os.path.join(folder, "X.npy")
    ...     )
    ...     model = fastrfm.RFMRegressor(norm=2, n_iter=0).fit(rows.X, rows.y)
    >>> rows.names, rows.X.shape
    (['a', 'b'], (50, 2))
    """
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError('reading Parquet needs pyarrow: pip install "fastrfm[cli]"') from error
    out = Path(out)
    if out.suffix != ".npy":
        raise ValueError(f"out must end in .npy; got {str(out)!r}")
    with parquet.ParquetFile(path) as file:
        names, dtype = _columns(file, target, path)
        n = file.metadata.num_rows
        if not n:
            raise ValueError(f"{path} has no rows")
        y: list[NDArray[Any]] = []
        with replacing(out) as temporary:
            rows = open_memmap(temporary, "w+", dtype, (n, len(names)))
            start = 0
            for batch in file.iter_batches(BATCH_ROWS, columns=[*names, target]):
                stop = start + batch.num_rows
                for j, name in enumerate(names):
                    rows[start:stop, j] = batch.column(name).to_numpy(zero_copy_only=False)
                targets = batch.column(target)
                if targets.null_count:
                    missing = np.flatnonzero(targets.is_null().to_numpy(zero_copy_only=False))
                    raise ValueError(
                        f"the target {target!r} is missing in row {start + missing[0]} (rows count "
                        "from 0); leave such rows out of the file"
                    )
                y.append(targets.to_numpy(zero_copy_only=False))
                start = stop
            rows.flush()
            del rows
    return ParquetRows(np.load(out, mmap_mode="r"), np.concatenate(y), names)


def _columns(
    file: parquet.ParquetFile, target: str, path: str | PathLike[str]
) -> tuple[list[str], np.dtype[Any]]:
    """Return the names of the columns of X, and its dtype."""
    from pyarrow import types

    schema = file.schema_arrow
    if target not in schema.names:
        raise ValueError(
            f"{path} has no column {target!r} to be the target; it has {', '.join(schema.names)}"
        )
    fields = [field for field in schema if field.name != target]
    if not fields:
        raise ValueError(f"{path} has no column but the target {target!r}")
    for field in fields:
        if not (types.is_integer(field.type) or types.is_floating(field.type)):
            raise TypeError(
                f"the column {field.name!r} is of the type {field.type}, not of numbers; write it "
                "as numbers, or leave it out of the file"
            )
    kinds = {str(field.type) for field in fields}
    names = [field.name for field in fields]
    small = len(kinds) == 1 and kinds <= set(_SMALL) and _is_complete(file.metadata)
    return names, np.dtype(kinds.pop() if small else np.float32)


def _is_complete(metadata: parquet.FileMetaData) -> bool:
    """Whether the file says that no number is missing."""
    statistics = [
        metadata.row_group(group).column(column).statistics
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    ]
    return all(s is not None and s.has_null_count and not s.null_count for s in statistics)
