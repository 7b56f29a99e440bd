"""What is measured, most important first, and how much work it is at least."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np

from fastrfm.bench.cases import Case, Problem, make_problem
from fastrfm.bench.work import WORD, Rates, Work, floor

__all__ = [
    "FitCase",
    "OpCase",
    "Sizes",
    "floor_seconds",
    "full_sizes",
    "rehearsal_sizes",
    "sample_of_rows",
]

# Lane operations of a coordinate and pair for p = 1, on a GPU: a subtraction, and an addition of
# the absolute value, which is free there as a modifier of the operand. On a CPU it is one more
# (fastrfm.bench.work).
DISTANCE_LANES = 2.0
# For the gradient beside it: the sign of the difference, and a multiply-add for each output.
SIGN_LANES = 1.0


@dataclass(frozen=True)
class OpCase:
    """An operation at a size.

    Attributes
    ----------
    case : Case
        float32, all rows both points and centres.
    symmetric : bool
        The centres are the array of the points itself, so that K is known to be symmetric; else
        equal rows in other memory. The AGOP has no use for it.
    """

    case: Case
    symmetric: bool = True

    @property
    def label(self) -> str:
        """The case in words, which also identifies it in the results."""
        if self.case.op == "agop":
            return self.case.label
        return self.case.label + (" X=Z" if self.symmetric else " X,Z")

    def problem(self) -> Problem:
        """Return the arrays."""
        problem = make_problem(self.case)
        return problem if self.symmetric else replace(problem, X=problem.Z.copy())

    def work(self) -> Work:
        """Return the least work: flops and bytes as in `fastrfm.bench.work`, lanes as above."""
        n, d, c = self.case.n, self.case.d, self.case.c
        op = self.case.op
        pairs = n * (n + 1) / 2 if self.symmetric and op != "agop" else float(n) * n
        flops, lanes = (2.0 * d * pairs, 0.0) if self.case.norm == 2 else (0.0, 0.0)
        if self.case.norm == 1:
            lanes = DISTANCE_LANES * d * pairs
        points = WORD * n * d * (1 if self.symmetric else 2)
        if op == "kernel_matrix":
            return Work(flops, lanes, points, WORD * n * n, 0.0)
        if op == "kernel_matmul":
            return Work(flops + 2.0 * c * n * n, lanes, points + WORD * n * c, WORD * n * c, 0.0)
        if self.case.norm == 2:
            flops += 2.0 * d * c * pairs
        else:
            lanes += (SIGN_LANES + c) * d * pairs
        flops += float(c) * n * d * d
        return Work(flops, lanes, points + WORD * n * c, WORD * d * d, 0.0)


def floor_seconds(case: OpCase, copy: float, product: float, lanes: float) -> float:
    """Return ``max(flops / product + lane operations / lanes, bytes / copy)``."""
    # The rate of writes alone is not asked for: inf leaves the copy's.
    return floor(case.work(), Rates(product, copy, inf, lanes)).roofline


@dataclass(frozen=True)
class FitCase:
    """A whole fit on made-up rows, NumPy in and out.

    Attributes
    ----------
    n, d : int
    options : tuple of (str, object)
        Beside the papers' fixed parameters.
    most_seconds : float
        Within which the fit is to be done: our bar, and what it is given.
    worst_rmse : float
        Of standardised targets, on rows that the fit has not seen.
    """

    n: int
    d: int
    options: tuple[tuple[str, Any], ...]
    most_seconds: float
    worst_rmse: float

    @property
    def label(self) -> str:
        """The fit in words."""
        options = "".join(f" {name}={value}" for name, value in self.options)
        return f"fit n={self.n:,} d={self.d} c=1{options}"


@dataclass(frozen=True)
class Sizes:
    """All cases of a run.

    Attributes
    ----------
    ops, tiers : list of OpCase
    fits : list of FitCase
    copy_bytes, product_side : int
        Of the ceilings.
    rounds_seconds : float
        What the timed runs of a contender may take in all, if they are more than the fewest.
    """

    ops: list[OpCase]
    tiers: list[OpCase]
    fits: list[FitCase]
    copy_bytes: int
    product_side: int
    rounds_seconds: float


def full_sizes() -> Sizes:
    """Return what is measured on a GPU."""
    n = 30_000
    return Sizes(
        ops=_ops(n, dims=(1024, 100, 10), outputs=(1, 10)),
        tiers=_tiers(n, dims=(8, 16, 24, 32, 48, 64, 96, 128, 256), outputs=(1, 10)),
        fits=[
            # As in bench/large.py, where two CPU cores take 70.1 s to a test RMSE of 0.1430.
            FitCase(60_000, 32, (), 60.0, 0.16),
            # K would be 4 TB: pcg without it. On a CPU 4,000 rows come to an RMSE of 0.51, 8,000
            # to 0.39; one that has learned nothing has 1.
            FitCase(1_000_000, 100, (("solver", "pcg"),), 180.0, 0.3),
        ],
        copy_bytes=2**32,
        product_side=8192,
        rounds_seconds=1.0,
    )


def rehearsal_sizes() -> Sizes:
    """Return the same in small: every kind of case, seconds of the emulator in all."""
    n = 40
    return Sizes(
        ops=_ops(n, dims=(64, 5), outputs=(2,)),
        tiers=_tiers(n, dims=(8, 64), outputs=(1,)),
        fits=[
            FitCase(300, 8, (), 60.0, 0.95),
            FitCase(320, 10, (("solver", "pcg"),), 60.0, 0.95),
        ],
        copy_bytes=2**20,
        product_side=128,
        rounds_seconds=0.0,
    )


def _ops(n: int, *, dims: tuple[int, ...], outputs: tuple[int, ...]) -> list[OpCase]:
    cases = []
    for norm in (2.0, 1.0):
        cases += [
            OpCase(Case("kernel_matrix", n, d, norm=norm), symmetric)
            for d in dims
            for symmetric in (True, False)
        ]
        cases += [
            OpCase(Case(op, n, d, c, norm=norm))
            for op in ("kernel_matmul", "agop")
            for d in dims
            for c in outputs
        ]
    cases += [
        OpCase(Case("kernel_matmul", n, d, c, norm=norm), False)
        for norm in (2.0, 1.0)
        for d in dims
        for c in outputs
    ]
    return cases


def _tiers(n: int, *, dims: tuple[int, ...], outputs: tuple[int, ...]) -> list[OpCase]:
    cases = [OpCase(Case("kernel_matrix", n, d)) for d in dims]
    cases += [OpCase(Case("kernel_matmul", n, d)) for d in dims]
    # Its second product makes up for few features, so that the crossover lies below the others'.
    cases += [OpCase(Case("agop", n, d, c)) for d in dims if d <= 64 for c in outputs]
    return cases


def sample_of_rows(n: int, count: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Return the rows at which results are held to the truth, in order."""
    return np.sort(np.random.default_rng(1).choice(n, min(count, n), replace=False))
