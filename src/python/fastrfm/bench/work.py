"""How much work an operation is at least: the roofline's numerators.

Counts are of the arithmetic that no implementation of the operation can leave out, for the
quickest algorithm known to us. One multiply-add is two flops. ``pairs`` below are what has to be
evaluated: n (n + 1) / 2 where the result is symmetric, n^2 where it is not. s = 4 bytes a word.

=============  ============================  ================================  =======  =========
op             flops at the sgemm rate       lane operations, p = 1            words    words
                                                                               read     written
=============  ============================  ================================  =======  =========
kernel_matrix  2 d pairs          (p = 2)    3 d pairs                         n d      n^2
kernel_matmul  2 d pairs + 2 c n^2           3 d pairs                         n(d + c) n c
agop           2 d n^2 + 2 d c n^2 + c n d^2 (3 + g) d n^2; flops: c n d^2     n(d + c) d^2
solve_ridge    2 d pairs + n^3 / 3           3 d pairs; flops: n^3 / 3         n(d + c) n^2 / 2
=============  ============================  ================================  =======  =========

A lane operation is one lane of one vector instruction. For p = 1 a distance costs, for each
coordinate and pair, a subtraction, an and (the absolute value) and an addition. The gradient
beside it takes the sign of the difference, which is 0 where the values are equal (common: codes,
counts), so that one comparison is not enough. Either two comparisons, shared by the outputs, and
for each output two masked additions (of w coef and of its negative), 2 + 2 c; or from the two
comparisons two more operations make the sign itself, and each output takes one multiply-add,
4 + c. The smaller is g = min(2 + 2 c, 4 + c). The AGOP has no symmetry to use: in an RFM its
points are a sample of the centres.

Memory: a processor may write faster than it copies or slower, so the floor is the larger of
``bytes written / write`` and ``bytes read and written / copy``.

The value of the kernel itself (scale, root, exponential) is in neither: the roofline as it is
usually drawn leaves it out. Where d is small it is most of the work, so that `Work.values` counts
it apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastrfm.bench.cases import Case

__all__ = ["Floor", "Rates", "Work", "floor", "work_of"]

WORD = 4

# Lane operations for one value of the kernel: 6 multiply-adds of a polynomial that is good to
# float32, 4 to split the argument into integer and fraction and to scale by the power of two ...
EXPONENTIAL = 10
# ... and before it, for p = 2: an addition and a multiply-add from dot product to squared
# distance, and 3 for the root (estimate and one Newton step).
SQUARED_DISTANCE = 2
ROOT = 3
# The gradient's weight is one product more.
WEIGHT = 1


@dataclass(frozen=True)
class Work:
    """Flops of matrix products, lane operations of differences, bytes, and the kernel's values.

    Attributes
    ----------
    flops, lane_operations : float
        See the module's table.
    read, written : float
        Bytes: of the inputs, and of the result (or of the factor).
    values : float
        Lane operations of the kernel's values, which the roofline leaves out.
    """

    flops: float
    lane_operations: float
    read: float
    written: float
    values: float


@dataclass(frozen=True)
class Rates:
    """What the machine did best in this run.

    Attributes
    ----------
    sgemm : float
        Flops a second of a float32 matrix product.
    copy : float
        Bytes read and bytes written a second, together, by a copy with all threads.
    write : float
        Bytes written a second into memory that is already there, with all threads.
    lanes : float
        Lane operations a second: subtract, and, add in registers, all threads.
    """

    sgemm: float
    copy: float
    write: float
    lanes: float


@dataclass(frozen=True)
class Floor:
    """The least seconds that an operation can take on this machine.

    Attributes
    ----------
    roofline : float
        ``max(flops / sgemm + lane operations / lanes, written / write, (read + written) / copy)``.
    with_values : float
        The same with the kernel's values added to the arithmetic.
    """

    roofline: float
    with_values: float


def work_of(case: Case) -> Work | None:
    """Return the least work of a case; None for a whole fit and for p other than 1 and 2."""
    count = _COUNTS.get(case.op)
    if count is None or case.norm not in (1.0, 2.0):
        return None
    return count(case)


def floor(work: Work, rates: Rates) -> Floor:
    """Return the least seconds for a piece of work."""
    arithmetic = work.flops / rates.sgemm + work.lane_operations / rates.lanes
    moved = max(work.written / rates.write, (work.read + work.written) / rates.copy)
    return Floor(
        max(arithmetic, moved),
        max(arithmetic + work.values / rates.lanes, moved),
    )


def kernel_matrix_work(case: Case) -> Work:
    """One triangle evaluated; all of K written, X read."""
    n, d = case.n, case.d
    pairs = n * (n + 1) / 2
    flops, lanes = _distances(case, pairs)
    return Work(flops, lanes, WORD * n * d, WORD * n * n, pairs * _value_operations(case))


def kernel_matmul_work(case: Case) -> Work:
    """One triangle evaluated, each value used in its row and in its column; K not stored."""
    n, d, c = case.n, case.d, case.c
    pairs = n * (n + 1) / 2
    flops, lanes = _distances(case, pairs)
    products = 2.0 * c * n * n
    values = pairs * _value_operations(case)
    return Work(flops + products, lanes, WORD * n * (d + c), WORD * n * c, values)


def agop_work(case: Case) -> Work:
    """All pairs evaluated; ``sum_j w coef z~`` for each output; one triangle of ``sum g g^T``."""
    n, d, c = case.n, case.d, case.c
    pairs = float(n) * n
    flops, lanes = _distances(case, pairs)
    if case.norm == 2:
        flops += 2.0 * d * c * pairs
    else:
        lanes += min(2.0 + 2 * c, 4.0 + c) * d * pairs
    flops += float(c) * n * d * d
    values = pairs * (_value_operations(case) + WEIGHT)
    return Work(flops, lanes, WORD * n * (d + c), WORD * d * d, values)


def solve_ridge_work(case: Case) -> Work:
    """One triangle of K and its Cholesky factorisation; an iterative solver may need less."""
    n, d, c = case.n, case.d, case.c
    pairs = n * (n + 1) / 2
    flops, lanes = _distances(case, pairs)
    factorisation = n**3 / 3
    values = pairs * _value_operations(case)
    return Work(flops + factorisation, lanes, WORD * n * (d + c), WORD * n * n / 2, values)


_COUNTS = {
    "kernel_matrix": kernel_matrix_work,
    "kernel_matmul": kernel_matmul_work,
    "agop": agop_work,
    "solve_ridge": solve_ridge_work,
}


def _distances(case: Case, pairs: float) -> tuple[float, float]:
    """Return flops (p = 2) and lane operations (p = 1) of the distances of some pairs."""
    return (2.0 * case.d * pairs, 0.0) if case.norm == 2 else (0.0, 3.0 * case.d * pairs)


def _value_operations(case: Case) -> int:
    """Return the lane operations from a dot product or a sum of differences to K."""
    if case.norm == 1:
        return EXPONENTIAL
    return EXPONENTIAL + SQUARED_DISTANCE + (0 if case.exponent == 2 else ROOT)
