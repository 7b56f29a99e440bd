"""The tables of whole fits: real ones from the user's folder, and one made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["REAL", "Table", "made_up", "real"]

Array = NDArray[Any]
# (X, y), the rows to train on before those to score, and how many those are.
Table = tuple[Array, Array, int]

# Looked for as FOLDER/reg/NAME.npz.
REAL = ("uci_pol", "uci_elevators")
TEST_ROWS = 2_000


def real(folder: Path, name: str, rows: int | None) -> Table:
    """Return the split 0 of a table, with at most `rows` training rows, all drawn at random.

    Parameters
    ----------
    folder : Path
        ``reg/NAME.npz`` in it has the arrays `X`, `y` and `fold`; rows of fold 0 are scored.
    name : str
    rows : int, optional

    Raises
    ------
    ValueError
        If there is no such file, or an array is missing from it.
    """
    path = folder / "reg" / f"{name}.npz"
    if not path.is_file():
        raise ValueError(f"no reg/{name}.npz in {folder}")
    with np.load(path) as file:
        missing = {"X", "y", "fold"} - set(file.files)
        if missing:
            raise ValueError(f"reg/{name}.npz has no array {sorted(missing)[0]!r}")
        X, y, fold = (file[key] for key in ("X", "y", "fold"))
    train, test = np.flatnonzero(fold != 0), np.flatnonzero(fold == 0)
    train = np.random.default_rng(0).permutation(train)[:rows]
    order = np.concatenate([train, test])
    return _standardised(X[order], y[order], len(train))


def made_up(rows: int, d: int) -> Table:
    """Return normal rows and a target that hangs on five features of all, on one by a step."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows + TEST_ROWS, d), dtype=np.float32)
    y = X[:, 0] * X[:, 1] + np.sin(2 * X[:, 2]) + X[:, 3] * (X[:, 4] > 0)
    return _standardised(X, y + 0.1 * rng.standard_normal(len(y)), rows)


def _standardised(X: Array, y: Array, n: int) -> Table:
    """Return float32 columns and targets of mean 0 and deviation 1 over the first n rows."""

    def scaled(A: Array) -> Array:
        A = A.astype(np.float64)
        deviation = A[:n].std(axis=0)
        A = (A - A[:n].mean(axis=0)) / np.where(deviation > 0, deviation, 1)
        return A.astype(np.float32)

    return scaled(X), scaled(y), n
