"""Frozen cases for pytest-benchmark: `pytest bench/`, to compare one commit with another.

Each result is held to float64 on a sub-block before it is timed. `fastrfm bench` compares with
other packages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastrfm.bench.cases import Case, Problem, make_problem
from fastrfm.bench.contenders import ours
from fastrfm.bench.oracle import check

pytest.importorskip("pytest_benchmark")

CASES = [
    *(Case("kernel_matrix", 5_000, d) for d in (10, 32, 100, 784)),
    *(Case("kernel_matrix", 5_000, d, norm=1.0) for d in (10, 32, 100)),
    Case("kernel_matrix", 5_000, 32, exponent=2.0),
    Case("kernel_matrix", 2_000, 32, norm=1.3),
    *(Case("kernel_matmul", 5_000, d, c) for d in (10, 32, 100, 784) for c in (1, 10)),
    *(Case("agop", 5_000, d, c) for d in (32, 100) for c in (1, 10)),
    Case("agop", 5_000, 784),
    Case("agop", 5_000, 32, norm=1.0),
    Case("solve_ridge", 3_000, 32),
    Case("solve_ridge", 3_000, 32, norm=1.0),
]


def run_at(problem: Problem) -> np.ndarray:
    run = ours.prepare(problem)
    return run.to_numpy(run.call())


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: case.label.translate({61: None, 44: None, 32: "-"})
)
def test_op(case: Case, benchmark: Callable[..., Any]) -> None:
    problem = make_problem(case)
    check(problem, run_at(problem), run_at, ours=True)
    benchmark.group = case.op
    benchmark.pedantic(ours.prepare(problem).call, rounds=7, warmup_rounds=1)
