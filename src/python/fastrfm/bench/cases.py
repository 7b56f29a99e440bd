"""What is measured: frozen cases, and the data that each is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gamma, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALPHA", "Case", "Problem", "make_problem", "select_cases"]

Array = NDArray[Any]

ALPHA = 1e-3
SEED = 0
# Rows beside the training rows of a whole fit: half to choose the iteration, half to score.
EXTRA_FIT_ROWS = 4_000


@dataclass(frozen=True)
class Case:
    """One operation at one size, in float32.

    Attributes
    ----------
    op : str
        A public function's name, or "fit_default" or "fit_fixed" for a whole fit.
    n, d, c : int
        Rows, features, outputs. All rows are both points and centres.
    norm, exponent : float
        p and q of the kernel.
    sweep : bool
        Part of the plot of time against n only, not of the table.
    """

    op: str
    n: int
    d: int
    c: int = 1
    norm: float = 2.0
    exponent: float = 1.0
    sweep: bool = False

    @property
    def is_fit(self) -> bool:
        """Whether this is a whole fit, not one operation."""
        return self.op.startswith("fit")

    @property
    def label(self) -> str:
        """The case in words, which also identifies it in the JSON file."""
        kernel = f"p={self.norm:g}" + (f" q={self.exponent:g}" if self.exponent != 1 else "")
        outputs = "" if self.op == "kernel_matrix" or self.is_fit else f" c={self.c}"
        return f"{self.op} {kernel} n={self.n:,} d={self.d}{outputs}"


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


def make_problem(case: Case) -> Problem:
    """Return the data of a case: standard normal rows, the same in every process.

    A whole fit gets `EXTRA_FIT_ROWS` more rows than `case.n`, and a target that hangs on five
    features of all, on one of them by a step.
    """
    rng = np.random.default_rng(SEED)
    rows = case.n + (EXTRA_FIT_ROWS if case.is_fit else 0)
    X = rng.standard_normal((rows, case.d), dtype=np.float32)
    if case.is_fit:
        target = X[:, 0] * X[:, 1] + np.sin(2 * X[:, 2]) + X[:, 3] * (X[:, 4] > 0)
        V = (target + 0.1 * rng.standard_normal(rows))[:, None].astype(np.float32)
    else:
        V = rng.standard_normal((rows, case.c), dtype=np.float32)
    return Problem(case, X, X, V, typical_distance(case.d, case.norm))


def typical_distance(d: int, norm: float) -> float:
    """Return ``(d E|u|^p)^(1/p)`` for u ~ N(0, 2), a coordinate of a difference of two rows."""
    moment = 2**norm * gamma((norm + 1) / 2) / sqrt(pi)
    return float((d * moment) ** (1 / norm))


def select_cases(mode: str, *, fit_rows: int = 10_000, only: str | None = None) -> list[Case]:
    """Return the cases of a mode.

    Parameters
    ----------
    mode : {"quick", "ops", "full"}
        "full" is "ops" and two whole fits.
    fit_rows : int
        Training rows of the whole fits.
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
    if mode == "full":
        cases += [Case("fit_fixed", fit_rows, 32), Case("fit_default", fit_rows, 32)]
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
