"""What is to be fitted by several Recursive Feature Machines, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastrfm.preprocessing import Columns
from fastrfm.recursion import Array, RecursionResult, RecursionSettings
from fastrfm.remote import RemoteRows
from fastrfm.selection import Weights, of_rows

__all__ = ["Ensemble", "Member", "Problem", "Validation"]


@dataclass(frozen=True)
class Member:
    """What is to be fitted.

    Attributes
    ----------
    columns : {"standard", "compressed", "ranked"}
        Which table of the problem the member sees.
    settings : RecursionSettings
    """

    columns: Columns
    settings: RecursionSettings


@dataclass(frozen=True)
class Problem:
    """Rows and targets.

    Attributes
    ----------
    tables : mapping of columns to ndarray of shape (n, d)
        The same rows with their columns coded in several ways.
    Y : ndarray of shape (n, c)
    sample_weight : ndarray of shape (n,) or None
    unit_weight : ndarray of shape (n,) or None
        What leave-one-out leaves out of a row's weight; None: 1.
    units : mapping of columns to ndarray of shape (d,)
        What raw columns are to be multiplied by before distances; of other tables nothing.
    """

    tables: Mapping[Columns, Array]
    Y: Array
    sample_weight: Weights = None
    unit_weight: Weights = None
    units: Mapping[Columns, NDArray[np.float64]] = field(default_factory=dict)

    def of_rows(self, rows: NDArray[np.intp]) -> Problem:
        """Return the problem of some of the rows."""
        tables = {name: X[rows] for name, X in self.tables.items()}
        weight, unit = of_rows(self.sample_weight, rows), of_rows(self.unit_weight, rows)
        return Problem(tables, self.Y[rows], weight, unit, self.units)

    def part(self, rows: NDArray[np.intp]) -> Problem:
        """Return the problem of some of the rows, which are in order, each table where it is."""
        tables = {
            name: X.keep(rows) if isinstance(X, RemoteRows) else X[rows]
            for name, X in self.tables.items()
        }
        weight, unit = of_rows(self.sample_weight, rows), of_rows(self.unit_weight, rows)
        return Problem(tables, self.Y[rows], weight, unit, self.units)

    def here(self) -> Problem:
        """Return the problem with all rows in this process."""
        remote = any(isinstance(X, RemoteRows) for X in self.tables.values())
        return self.of_rows(np.arange(len(self))) if remote else self

    def __len__(self) -> int:
        return len(self.Y)


@dataclass(frozen=True)
class Validation:
    """Rows that choose instead of leave-one-out.

    Attributes
    ----------
    problem : Problem
    rows : ndarray of int or None
        The rows that may be fitted while choosing; None for all.
    """

    problem: Problem
    rows: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Ensemble:
    """The members of weight, and the weighted sum by which they were weighted.

    Attributes
    ----------
    members : tuple of Member
    results : tuple of RecursionResult
    tables : tuple of ndarray of shape (n, d)
        The rows that each was fitted to.
    weights : ndarray of shape (len(members),)
    predictions, Y : ndarray of shape (m, c)
        Of rows that the predictors behind them were not fitted to, and the targets there.
    sample_weight : ndarray of shape (m,) or None
        Of these rows.
    by_leave_one_out : bool
        Whether `predictions` are by leave-one-out, so that the metric knows the targets.
    """

    members: tuple[Member, ...]
    results: tuple[RecursionResult, ...]
    tables: tuple[Array, ...]
    weights: NDArray[np.float64]
    predictions: NDArray[np.float64]
    Y: Array
    sample_weight: Weights
    by_leave_one_out: bool
