"""Where the entries of a matrix in LAPACK's rectangular full packed format (RFP) lie.

TRANSR = 'N', UPLO = 'L' throughout. A column-major array of n rows and (n + 1) / 2 columns (n odd),
or of n + 1 rows and n / 2 columns (n even), holds the leading columns of the triangle below its
row 0 or 1, and above them the rest, transposed::

    n = 5:  00 33 43      n = 6:  33 43 53
            10 11 44              00 44 54
            20 21 22              10 11 55
            30 31 32              20 21 22
            40 41 42              30 31 32
                                  40 41 42
                                  50 51 52
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

__all__ = ["leading_columns", "packed_block", "packed_diagonals"]

Array = NDArray[Any]


def leading_columns(n: int) -> int:
    """Return how many columns lie as they are; the rest is transposed."""
    return (n + 1) // 2


def packed_diagonals(packed: Array, n: int) -> tuple[Array, Array]:
    """Return views of the diagonal, in two runs: of the leading columns, and the rest."""
    even = n % 2 == 0
    ld = n + 1 if even else n
    leading = leading_columns(n)
    first = packed[int(even) :: ld + 1][:leading]
    second = packed[0 if even else ld :: ld + 1][: n - leading]
    return first, second


def packed_block(packed: Array, n: int, i0: int, i1: int, j0: int, j1: int) -> Array:
    """Return a view of rows [i0, i1) and columns [j0, j1); the columns lie on one side of the rest.

    Entries above the diagonal are others.
    """
    even = int(n % 2 == 0)
    leading = leading_columns(n)
    array = packed.reshape((n + even, leading), order="F")
    if j1 <= leading:
        return array[i0 + even : i1 + even, j0:j1]
    shift = leading - 1 + even
    return array[j0 - leading : j1 - leading, i0 - shift : i1 - shift].T
