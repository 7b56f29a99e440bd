"""Which rows stand for all: drawn uniformly, or stratified over the targets.

Gradients go with the targets (a steep part has large ones, a rare class its own), so the AGOP of
rows in which each part of the targets has its share scatters less around that of all rows. Shares
are proportional and every row has the same chance, size / n: means over the sample stay unbiased.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.threads import one_blas_thread

__all__ = ["draw_rows", "draw_stratified_rows", "strata_of_targets"]

# Strata have so many rows of the sample on average, or more: finer ones would have no inside left.
ROWS_A_STRATUM = 4


def draw_rows(n: int, size: int, rng: np.random.RandomState) -> NDArray[np.intp]:
    """At most `size` of `n` row numbers, without repetition, in order (memory order)."""
    if size >= n:
        return np.arange(n)
    return np.sort(rng.choice(n, size, replace=False))


def strata_of_targets(Y: NDArray[Any], size: int) -> NDArray[np.intp]:
    """Return the number of each row's stratum, for a sample of `size` rows.

    Rows with equal targets make a stratum (a class) where there are few different targets: no
    more than a quarter of `size`. Otherwise the strata are as many quantile bins of the targets,
    for several outputs of their first principal direction.

    Parameters
    ----------
    Y : ndarray of shape (n, c)
    size : int
    """
    most = max(1, size // ROWS_A_STRATUM)
    classes = _classes(Y, most)
    if classes is not None:
        return classes
    order = np.argsort(_first_principal_component(Y), kind="stable")
    strata = np.empty(len(Y), np.intp)
    strata[order] = np.arange(len(Y)) * most // len(Y)
    return strata


def draw_stratified_rows(
    strata: NDArray[np.intp], size: int, rng: np.random.RandomState
) -> NDArray[np.intp]:
    """Draw `size` of the rows without repetition, in order, from each stratum its share.

    A stratum of n_k rows gets ``size n_k / n`` of them, rounded down or up at random so that the
    mean is exact: whatever the shares, each row is drawn with probability ``size / n``. A stratum
    of at least n / size rows is never left out.
    """
    n = len(strata)
    if size >= n:
        return np.arange(n)
    sizes = np.bincount(strata)
    ends = np.cumsum(sizes)
    # Systematic rounding: one uniform shift u of all the cumulated shares, in integers.
    u = rng.randint(n)
    drawn = np.diff((ends * size + u) // n, prepend=0)
    order = rng.permutation(n)
    order = order[np.argsort(strata[order], kind="stable")]  # each stratum's rows, shuffled
    place = np.arange(n) - np.repeat(ends - sizes, sizes)  # in its stratum
    return np.sort(order[place < np.repeat(drawn, sizes)])


def _classes(Y: NDArray[Any], most: int) -> NDArray[np.intp] | None:
    """Return each row's number by its content; None where there are more than `most`."""
    codes = np.zeros(len(Y), np.intp)
    for column in Y.T:
        values, of_column = np.unique(column, return_inverse=True)
        if len(values) > most:
            return None
        seen, codes = np.unique(codes * len(values) + of_column, return_inverse=True)
        if len(seen) > most:
            return None
    return codes


def _first_principal_component(Y: NDArray[Any]) -> NDArray[np.float64]:
    centred = np.asarray(Y - Y.mean(axis=0), np.float64)
    with one_blas_thread():
        _, directions = np.linalg.eigh(centred.T @ centred)
        component: NDArray[np.float64] = centred @ directions[:, -1]
    return component
