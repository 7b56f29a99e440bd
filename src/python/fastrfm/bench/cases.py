"""What is measured: frozen cases, and the data that each is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gamma, pi, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.bench import tables

__all__ = [
    "ALPHA",
    "FIT_FEATURES",
    "Case",
    "Problem",
    "make_problem",
    "select_cases",
    "select_fits",
]

Array = NDArray[Any]

ALPHA = 1e-3
SEED = 0
# Of the whole fit on a table that is made up.
FIT_ROWS, FIT_FEATURES = 30_000, 32


@dataclass(frozen=True)
class Case:
    """One operation at one size, in float32.

    Attributes
    ----------
    op : str
        A public function's name, or "fit_fixed" for a whole fit.
    n, d, c : int
        Rows, features, outputs. All rows are both points and centres. Of a whole fit the
        training rows.
    norm, exponent : float
        p and q of the kernel.
    sweep : bool
        Part of the plot of time against n only, not of the table.
    table : str
        Of a whole fit: one of `fastrfm.bench.tables.REAL`; empty for the one that is made up.
    """

    op: str
    n: int
    d: int
    c: int = 1
    norm: float = 2.0
    exponent: float = 1.0
    sweep: bool = False
    table: str = ""

    @property
    def is_fit(self) -> bool:
        """Whether this is a whole fit, not one operation."""
        return self.op.startswith("fit")

    @property
    def label(self) -> str:
        """The case in words, which also identifies it in the JSON file."""
        kernel = f"p={self.norm:g}" + (f" q={self.exponent:g}" if self.exponent != 1 else "")
        outputs = "" if self.op == "kernel_matrix" or self.is_fit else f" c={self.c}"
        what = f"{self.op} {self.table or 'made_up'}" if self.is_fit else self.op
        return f"{what} {kernel} n={self.n:,} d={self.d}{outputs}"


@dataclass(frozen=True)
class Problem:
    """The arrays of a case.

    Attributes
    ----------
    X : ndarray of shape (m, d)
        The points: the centres themselves (`Z`, the same object), or fewer of them for a check.
    Z : ndarray of shape (n, d)
        The centres.
    V : ndarray of shape (n, c)
        What K is multiplied by, the dual coefficients, or the targets of a solve.
    bandwidth : float
        The typical distance, so that K is about 1/e wherever rows are not close.
    """

    case: Case
    X: Array
    Z: Array
    V: Array
    bandwidth: float

    @property
    def kernel(self) -> dict[str, Any]:
        """The kernel as keyword arguments of the public functions."""
        return {
            "norm": self.case.norm,
            "exponent": self.case.exponent,
            "bandwidth": self.bandwidth,
        }

    def at_rows(self, rows: NDArray[np.intp]) -> Problem:
        """Return the same problem at some of its points, with all of its centres."""
        return replace(self, X=np.ascontiguousarray(self.Z[rows]))


def make_problem(case: Case, folder: Path | None = None) -> Problem:
    """Return the data of a case, the same in every process.

    Of an operation: standard normal rows. Of a whole fit: the rows to train on, then those to
    score (`fastrfm.bench.tables`); `folder` is where real tables lie.
    """
    if case.is_fit:
        if case.table:
            assert folder is not None
            X, y, _ = tables.real(folder, case.table, case.n)
        else:
            X, y, _ = tables.made_up(case.n, case.d)
        V = y[:, None]
    else:
        rng = np.random.default_rng(SEED)
        X = rng.standard_normal((case.n, case.d), dtype=np.float32)
        V = rng.standard_normal((case.n, case.c), dtype=np.float32)
    return Problem(case, X, X, V, typical_distance(case.d, case.norm))


def typical_distance(d: int, norm: float) -> float:
    """Return ``(d E|u|^p)^(1/p)`` for u ~ N(0, 2), a coordinate of a difference of two rows."""
    moment = 2**norm * gamma((norm + 1) / 2) / sqrt(pi)
    return float((d * moment) ** (1 / norm))


def select_cases(mode: str, *, only: str | None = None) -> list[Case]:
    """Return the cases of a mode.

    Parameters
    ----------
    mode : {"quick", "ops"}
    only : str, optional
        Keep the cases whose label contains every word of this.
    """
    sizes: tuple[int, ...]
    if mode == "quick":
        cases = _cases(2_000, dims=(32,), dims_p1=(32,), outputs=(1,), solve_rows=1_000)
        sizes = (1_000, 2_000)
    else:
        cases = _cases(
            10_000,
            dims=(10, 32, 100, 784),
            dims_p1=(10, 32, 100),
            outputs=(1, 10),
            solve_rows=5_000,
        )
        sizes = (1_250, 2_500, 5_000, 10_000)
    cases += [
        Case(op, n, 32, sweep=True)
        for op in ("kernel_matrix", "kernel_matmul", "agop", "solve_ridge")
        for n in sizes
        if Case(op, n, 32) not in cases and (op, n) != ("solve_ridge", 10_000)
    ]
    return _named(cases, only)


def select_fits(
    folder: Path | None, *, rows: int | None = None, only: str | None = None
) -> list[Case]:
    """Return the whole fits.

    Parameters
    ----------
    folder : Path, optional
        Where real tables lie; None: only the one that is made up.
    rows : int, optional
        The most training rows of each.
    only : str, optional
        As in `select_cases`.

    Raises
    ------
    ValueError
        If a table is missing or faulty.
    """
    cases = []
    if folder is not None:
        for name in tables.REAL:
            X, _, n = tables.real(folder, name, rows)
            cases.append(Case("fit_fixed", n, X.shape[1], table=name))
    cases.append(Case("fit_fixed", min(rows or FIT_ROWS, FIT_ROWS), FIT_FEATURES))
    return _named(cases, only)


def _named(cases: list[Case], only: str | None) -> list[Case]:
    words = (only or "").split()
    return [case for case in cases if all(word in case.label for word in words)]


def _cases(
    n: int,
    *,
    dims: tuple[int, ...],
    dims_p1: tuple[int, ...],
    outputs: tuple[int, ...],
    solve_rows: int,
) -> list[Case]:
    return [
        *(Case("kernel_matrix", n, d) for d in dims),
        *(Case("kernel_matrix", n, d, norm=1.0) for d in dims_p1),
        Case("kernel_matrix", n, 32, exponent=2.0),
        *(Case("kernel_matmul", n, d, c) for d in dims for c in outputs),
        *(Case("kernel_matmul", n, d, norm=1.0) for d in dims_p1),
        *(Case("agop", n, d, c) for d in dims for c in outputs),
        *(Case("agop", n, d, norm=1.0) for d in dims_p1),
        Case("solve_ridge", solve_rows, 32),
        Case("solve_ridge", solve_rows, 32, norm=1.0),
    ]
