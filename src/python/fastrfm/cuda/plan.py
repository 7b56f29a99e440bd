"""Device memory that the ops take, by counting, and the rows that fit what is free.

The formulas follow src/cuda: points are packed coordinate by coordinate (points.cu), sums of a
chunk of rows stay below `CHUNK_BYTES` (weighted_sums.cu, gradient_sums.cu). tests/test_cuda_plan.py
holds them against what the ops really ask for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace

__all__ = [
    "LEAST_ROWS",
    "Needs",
    "Shapes",
    "gradient_sums_needs",
    "gradients_needs",
    "kernel_matmul_needs",
    "kernel_matrix_needs",
    "rows_that_fit",
]

# Chunks of src/cuda: sums, gradients, weights, slots, partial sums stay below this each ...
CHUNK_BYTES = 64 << 20
# ... and mixtures of outputs below this.
MIXED_BYTES = 16 << 20
# Rows of a tile; points are padded to it. Fewer rows at a time are not tried.
LEAST_ROWS = 128
# Parts that the centres are divided into at most, each with sums of its own.
MOST_PARTS = 16
# Outputs that one pass over a triangle serves, and the slots of sums beside a diagonal of tiles.
SYMMETRIC_OUTPUTS = 16
SLOTS = 9
# Each allocation is rounded up, by the pool to 512 bytes; an op makes some forty.
ROUNDING = 40 * 512
# Part of the free memory that is planned with: the pool's blocks do not fit each other exactly.
USABLE = 0.9


@dataclass(frozen=True)
class Needs:
    """Bytes of device memory that an op takes beside what lies there already.

    Attributes
    ----------
    n : int
        Rows.
    of_tiles : callable
        The bytes where so many rows are taken at a time, two tiles of them being on their way.
    whole : int
        The bytes of all rows at once.
    """

    n: int
    of_tiles: Callable[[int], int]
    whole: int

    def least(self) -> int:
        """Return the fewest bytes that the op can do with."""
        return min(self.whole, self.of_tiles(min(LEAST_ROWS, _round_up(self.n))))


@dataclass(frozen=True)
class Shapes:
    """What the needs of an op follow from.

    Attributes
    ----------
    n, m, d, k, c : int
        Rows, centres, features, coordinates after the transform, outputs (for a kernel matrix 1).
    itemsize : int
        Of the working precision.
    x_bytes, z_bytes : int
        What a row and a centre take on the device beside their packed form; 0 if they are there.
    out_bytes : int
        What a row of the result takes, likewise.
    symmetric : bool
        Whether the centres are the rows, so that they are packed once.
    """

    n: int
    m: int
    d: int
    k: int
    c: int
    itemsize: int
    x_bytes: int = 0
    z_bytes: int = 0
    out_bytes: int = 0
    symmetric: bool = False

    def packed(self, points: int) -> int:
        """Of so many points: coordinates, and in float32 their rests; sizes; exponents."""
        padded = _round_up(points)
        copies = 2 if self.itemsize == 4 else 1
        return padded * (copies * self.k + 1) * self.itemsize + 8 * points

    def rows(self) -> int:
        """Of the rows as they come, and of their results."""
        return self.n * (self.x_bytes + self.out_bytes)

    def tile(self, rows: int) -> Shapes:
        """Return the shapes of a tile of rows of which a second is on its way."""
        return replace(
            self,
            n=rows,
            x_bytes=2 * self.x_bytes,
            out_bytes=2 * self.out_bytes,
            symmetric=False,
        )

    def metric(self) -> int:
        """Of the transform as it comes and as it is used, and of the central point."""
        return 8 * self.d * self.k + self.k * (16 + self.itemsize) + 8 * self.d + ROUNDING

    def centres(self) -> int:
        """Of the centres, as they come and packed, and of a column for each output."""
        columns = (_round_up(self.m) + self.m) * self.c * self.itemsize
        return self.m * self.z_bytes + self.packed(self.m) + columns

    def chunk(self, rows: int, columns: int) -> int:
        """Of the sums of `columns` columns for a chunk of at most so many rows."""
        per_tile = MOST_PARTS * LEAST_ROWS * columns * self.itemsize
        return min(max(CHUNK_BYTES, per_tile), _round_up(rows) // LEAST_ROWS * per_tile)


def kernel_matrix_needs(s: Shapes) -> Needs:
    """Of K(X, Z), and of K(X, X)."""
    centres = s.m * s.z_bytes + s.packed(s.m)
    whole = s.metric() + s.rows() + s.packed(s.n) + (0 if s.symmetric else centres)

    def of_tiles(rows: int) -> int:
        tile = s.tile(rows)
        return s.metric() + centres + tile.rows() + tile.packed(rows)

    return Needs(s.n, of_tiles, whole)


def kernel_matmul_needs(s: Shapes) -> Needs:
    """Of K(X, Z) V, and of K(X, X) V."""

    def of_rows(part: Shapes) -> int:
        chunk = part.chunk(part.n, s.c)
        return s.metric() + s.centres() + part.rows() + part.packed(part.n) + chunk

    def of_tiles(rows: int) -> int:
        return of_rows(s.tile(rows))

    if not s.symmetric:
        return Needs(s.n, of_tiles, of_rows(s))
    slot = _round_up(s.n) * s.c * s.itemsize
    tiles = _round_up(s.n) // LEAST_ROWS + 1
    slots = min(max(CHUNK_BYTES, SLOTS * slot), SLOTS * slot * tiles) + 2 * slot
    columns = (_round_up(s.n) + s.n) * s.c * s.itemsize
    whole = s.metric() + s.rows() + s.packed(s.n) + columns + slots + 8 * slot // s.itemsize
    if s.c > SYMMETRIC_OUTPUTS:
        whole += s.packed(s.n) + s.chunk(s.n, s.c)
    return Needs(s.n, of_tiles, whole)


def gradients_needs(s: Shapes) -> Needs:
    """Of the gradients in input space."""
    return _of_gradients(s, lambda rows: 0)


def gradient_sums_needs(s: Shapes, *, samples: int, diagonal: bool) -> Needs:
    """Of the sums of outer products; with `samples` random mixtures of the outputs."""
    squares = s.c * s.k if diagonal else s.k * s.k
    largest = 16 * max(squares, s.c * s.k)
    # The sums, and parts of them that are added up afterwards.
    sums = 8 * (squares + s.c * s.k) + min(max(CHUNK_BYTES, largest), MOST_PARTS * largest)

    def beside(rows: int) -> int:
        weights = 16 * rows  # of the rows, and their roots
        if not samples:
            return sums + weights
        tile = samples * _round_up(s.m) * s.itemsize
        mixed = min(max(MIXED_BYTES, tile), _round_up(rows) // LEAST_ROWS * tile * 2)
        return sums + weights + mixed

    return _of_gradients(s, beside)


def rows_that_fit(needs: Needs, free: int) -> int:
    """Return n, or the largest multiple of `LEAST_ROWS` that fits; 0 where none does."""
    usable = int(USABLE * free)
    if needs.whole <= usable:
        return needs.n
    tiles = range(LEAST_ROWS, _round_up(needs.n), LEAST_ROWS)
    fitting = bisect_right(tiles, usable, key=needs.of_tiles)
    return tiles[fitting - 1] if fitting else 0


def _of_gradients(s: Shapes, beside: Callable[[int], int]) -> Needs:
    columns = s.c * (s.k + 1)

    def of_rows(part: Shapes) -> int:
        # Sums of a chunk and the gradients made of them; weights where they are stored by chunks.
        weights = min(CHUNK_BYTES, _round_up(part.n) * _round_up(s.m) * s.itemsize)
        work = 2 * part.chunk(part.n, columns) + 2 * weights + beside(part.n)
        return s.metric() + s.centres() + work + part.rows() + part.packed(part.n)

    return Needs(s.n, lambda rows: of_rows(s.tile(rows)), of_rows(s))


def _round_up(n: int) -> int:
    return -(-n // LEAST_ROWS) * LEAST_ROWS
