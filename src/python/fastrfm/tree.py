"""A tree of half-spaces: where to split rows, and how much each leaf has to say about a row.

The tree of xRFM (Beaglehole, Holzmueller, Radhakrishnan, Belkin 2025, arXiv 2508.10053): a node's
rows are halved along the top eigenvector of the AGOP of a small Recursive Feature Machine fitted to
some of them, the direction in which the target changes most. A row belongs to a leaf softly: at a
split it goes right with the probability

    1 / (1 + exp(-(v^T x - threshold) / (temperature * spread)))

(`spread` is the interquartile range of ``v^T x`` over the node's rows), and a leaf's weight is the
product along its path. Temperature 0 is hard: 1 beyond the threshold and 0 up to it.

Knows no estimator and fits no leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.utils import gen_batches

from fastrfm.losses import SquaredError
from fastrfm.recursion import RecursionSettings, run_recursion
from fastrfm.sampling import draw_stratified_rows, strata_of_targets
from fastrfm.selection import LeaveOneOut, Weights, of_rows
from fastrfm.threads import one_blas_thread

__all__ = ["DROPPED_WEIGHT", "Splits", "grow", "without_light_leaves"]

Array = NDArray[np.floating[Any]]

# A row's lightest leaves are not evaluated, as long as their weights sum to no more than this:
# predictions change by at most so much of the range of the leaves' predictions. xRFM's number.
DROPPED_WEIGHT = 0.01
# A direction in which one value is so common that a side would get less than this part of the rows
# halves nothing; the next one is taken. (Not measured: it bounds the depth.)
LEAST_SHARE = 0.1
# Rows of a node that are projected at a time: these alone are copied, and in float64. Of 200,000 x
# 50 float32 (40 MB), all at once, the tree took 123 MB; so 13.
PROJECTED_ROWS = 16_384
# Values so near each other, relative to the largest, are taken for equal: hundreds of roundings.
ALIKE = 1e-13


@dataclass(frozen=True)
class Splits:
    """The inner nodes of a tree, parents before children. Without any, there is one leaf.

    Attributes
    ----------
    directions : ndarray of shape (n_splits, d), float64
        Unit vectors, in encoded features.
    thresholds, spreads : ndarray of shape (n_splits,), float64
        Medians and interquartile ranges of ``X @ direction`` over the node's rows.
    children : ndarray of shape (n_splits, 2), intp
        Where rows go up to the threshold, and beyond it: to a split of this number, or, below 0,
        to the leaf ``~child``.
    """

    directions: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    spreads: NDArray[np.float64]
    children: NDArray[np.intp]

    @classmethod
    def none(cls, d: int) -> Splits:
        """Return the splits of a tree of one leaf, of rows of `d` encoded features."""
        return cls(np.empty((0, d)), np.empty(0), np.empty(0), np.empty((0, 2), np.intp))

    @property
    def n_leaves(self) -> int:
        """One more than there are splits."""
        return len(self.thresholds) + 1

    def weights(self, X: Array, temperature: float) -> NDArray[np.float64]:
        """Return how much each leaf has to say about each row, of shape (len(X), n_leaves).

        Rows sum to 1.
        """
        found = np.zeros((len(X), self.n_leaves))
        if self.n_leaves == 1:
            found[:] = 1.0
            return found
        beyond = X @ self.directions.T - self.thresholds
        reached = np.zeros((len(X), self.n_leaves - 1))
        reached[:, 0] = 1.0
        for split, children in enumerate(self.children):
            width = temperature * self.spreads[split]
            if width > 0:
                right = expit(beyond[:, split] / width)
            else:
                right = (beyond[:, split] > 0).astype(np.float64)
            for child, share in zip(children, (1.0 - right, right), strict=True):
                to, column = (found, ~child) if child < 0 else (reached, child)
                to[:, column] = reached[:, split] * share
        return found

    def leaf_of(self, X: Array) -> NDArray[np.intp]:
        """Return the number of the leaf in which each row lies, of shape (len(X),)."""
        leaves: NDArray[np.intp] = self.weights(X, 0.0).argmax(axis=1)
        return leaves


def without_light_leaves(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights with each row's lightest leaves at 0, `DROPPED_WEIGHT` of it at most.

    Rows sum to 1 again.
    """
    order = np.argsort(weights, axis=1)
    sums = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    dropped = np.empty(weights.shape, bool)
    np.put_along_axis(dropped, order, sums <= DROPPED_WEIGHT, axis=1)
    kept = np.where(dropped, 0.0, weights)
    heavier: NDArray[np.float64] = kept / kept.sum(axis=1, keepdims=True)
    return heavier


def grow(
    X: Array,
    Y: Array,
    settings: RecursionSettings,
    *,
    max_leaf_size: int,
    split_rows: int,
    overlap: float,
    splits_constant: bool,
    rng: np.random.RandomState,
    sample_weight: Weights = None,
) -> tuple[Splits, list[NDArray[np.intp]]]:
    """Split rows until no leaf has more than `max_leaf_size` of them.

    A leaf keeps more where no direction halves them, as where all but a few are equal.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Encoded.
    Y : ndarray of shape (n, c)
        Coded targets, dtype of `X`.
    settings : RecursionSettings
        Of the machine whose AGOP says where to split; it makes no update of the metric.
    max_leaf_size : int
    split_rows : int
        So many rows of a node, stratified over the targets, fit that machine.
    overlap : float
        The part of a node's rows, those next to the threshold, that both children get.
    splits_constant : bool
        Whether to split rows whose targets are all the same, too.
    rng : RandomState
    sample_weight : ndarray of shape (n,), optional

    Returns
    -------
    splits : Splits
    rows : list of ndarray of int
        Those of each leaf, ascending.
    """
    directions: list[NDArray[np.float64]] = []
    thresholds: list[float] = []
    spreads: list[float] = []
    children: list[list[int]] = []
    leaves: list[NDArray[np.intp]] = []
    # Each with the place where its parent is told what it became.
    waiting: list[tuple[NDArray[np.intp], int, int]] = [(np.arange(len(X)), -1, 0)]
    while waiting:
        rows, parent, side = waiting.pop()
        halved = None
        if len(rows) > max_leaf_size and (splits_constant or np.ptp(Y[rows], axis=0).any()):
            for direction in _directions(X, Y, rows, settings, split_rows, rng, sample_weight):
                halved = _halve(_along(X, rows, direction), overlap)
                if halved is not None:
                    break
        if halved is None:
            leaves.append(rows)
            number = ~(len(leaves) - 1)
        else:
            number = len(thresholds)
            directions.append(direction)
            thresholds.append(halved.threshold)
            spreads.append(halved.spread)
            children.append([0, 0])
            waiting.append((rows[halved.right], number, 1))
            waiting.append((rows[halved.left], number, 0))
        if parent >= 0:
            children[parent][side] = number
    splits = Splits(
        np.array(directions, np.float64).reshape(len(directions), X.shape[1]),
        np.array(thresholds, np.float64),
        np.array(spreads, np.float64),
        np.array(children, np.intp).reshape(len(children), 2),
    )
    return splits, leaves


@dataclass(frozen=True)
class _Halves:
    threshold: float
    spread: float
    left: NDArray[np.bool_]
    right: NDArray[np.bool_]


def _halve(along: NDArray[np.float64], overlap: float) -> _Halves | None:
    """Split at the gap between values that is nearest the median; None where none is near it."""
    values = np.sort(along)
    n = len(values)
    # A product may round equal rows differently.
    alike = ALIKE * np.abs(values[[0, -1]]).max()
    gaps = np.flatnonzero(np.diff(values) > alike) + 1  # rows up to each gap
    if not len(gaps):
        return None
    at = int(gaps[np.argmin(np.abs(gaps - n / 2))])
    if not LEAST_SHARE * n <= at <= (1 - LEAST_SHARE) * n:
        return None
    threshold = (values[at - 1] + values[at]) / 2
    spread = float(np.subtract(*np.quantile(values, (0.75, 0.25))))
    left, right = along <= threshold, along > threshold
    more = round(overlap * min(at, n - at))
    if more:
        # Of rows that lie alike either all are in the overlap or none, so that it has no more.
        left |= along < values[min(at + more, n - 1)] - alike
        right |= along > values[max(at - more - 1, 0)] + alike
    return _Halves(float(threshold), spread, left, right)


def _along(X: Array, rows: NDArray[np.intp], direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``X[rows] @ direction``, of shape (len(rows),)."""
    found = np.empty(len(rows))
    for part in gen_batches(len(rows), PROJECTED_ROWS):
        found[part] = X[rows[part]] @ direction
    return found


def _directions(
    X: Array,
    Y: Array,
    rows: NDArray[np.intp],
    settings: RecursionSettings,
    split_rows: int,
    rng: np.random.RandomState,
    sample_weight: Weights,
) -> Iterator[NDArray[np.float64]]:
    """Yield the eigenvectors of the AGOP of a node's rows, that of the largest eigenvalue first."""
    rows = rows[draw_stratified_rows(strata_of_targets(Y[rows], split_rows), split_rows, rng)]
    X, Y, weight = X[rows], Y[rows], of_rows(sample_weight, rows)
    agop = run_recursion(
        X,
        Y,
        replace(settings, n_iter=0, solver="cholesky"),
        selection=LeaveOneOut.draw(Y, SquaredError(), rng, weight, all_rows=True),
        rng=rng,
        sample_weight=weight,
    ).agop
    if not agop.any():
        # Constant targets: any direction will do, the widest halves best.
        agop = np.atleast_2d(np.cov(X, rowvar=False, dtype=np.float64))
    if agop.ndim == 1:
        axes = np.eye(len(agop))
        for feature in np.argsort(-agop, kind="stable"):
            yield axes[feature]
        return
    with one_blas_thread():
        _, vectors = np.linalg.eigh(agop)
    for vector in vectors.T[::-1]:
        # An eigenvector has no sign of its own.
        yield vector * np.sign(vector[np.argmax(np.abs(vector))])
