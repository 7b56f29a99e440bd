"""How an iteration of the recursion is judged, so that the best one can be kept.

Validation data decide where they are given; else a held-out fraction of the training rows;
else leave-one-out in closed form, which costs no rows: with ``C = (K + alpha I)^-1`` the
residual of row i under the predictor fitted to all other rows is ``coef_i / C_ii``. Where the
solver does not factorise, a smaller regression with the same metric stands in.

A score is an error: the smaller the better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from fastrfm import backend
from fastrfm.arrays import take_rows_of, to_host
from fastrfm.kernels import Kernel
from fastrfm.losses import Loss
from fastrfm.metric import Root
from fastrfm.ridge import RidgeFit, fit_ridge
from fastrfm.sampling import draw_rows

Array = NDArray[np.floating[Any]]
Weights = NDArray[np.float64] | None

# Each row costs a triangular solve, n^2 / 3 operations: at n = 13,500 these many rows add a
# seventh to the factorisation's own n^3 / 3. The standard error of a score over 2,000 rows is
# a few per cent, small against the differences between the iterations that matter.
LEAVE_ONE_OUT_ROWS = 2_000

# Rows of the regression that stands in for one that was not factorised; of them, as above,
# `LEAVE_ONE_OUT_ROWS` are left out in turn. 0.35 s on two cores.
STAND_IN_ROWS = 4_000


@dataclass(frozen=True)
class Candidate:
    """A predictor under consideration: ``f(x) = sum_j coef_j K(x, X_j)``.

    `ridge` still holds its factorisation while the candidate is judged, and no longer.
    """

    X: Array
    kernel: Kernel
    root: Root
    ridge: RidgeFit


@dataclass(frozen=True)
class Verdict:
    """How good a candidate is, and the predictions by which that was judged.

    Attributes
    ----------
    score : float
        An error; the smaller the better.
    predictions : ndarray of shape (m, c) or None
        Of rows that the candidate was not fitted to, the same rows for every candidate.
    """

    score: float
    predictions: Array | None = None


class Selection(Protocol):
    """Says how good a candidate is."""

    def judge(self, candidate: Candidate) -> Verdict:
        """Return the candidate's error, and the predictions behind it."""
        ...

    def is_hopeless(self, score: float, best: float) -> bool:
        """Whether `score` is so much worse than `best` that the recursion should stop."""
        ...


@dataclass(frozen=True)
class Judged:
    """The rows by which candidates are judged.

    Attributes
    ----------
    Y : ndarray of shape (m, c)
        Their targets.
    loss : Loss
    sample_weight : ndarray of shape (m,) or None
    """

    Y: Array
    loss: Loss
    sample_weight: Weights

    def verdict(self, predictions: Array) -> Verdict:
        """Return the error of `predictions`, of shape (m, c), with them."""
        return Verdict(self.loss.error(self.Y, predictions, self.sample_weight), predictions)

    def is_hopeless(self, score: float, best: float) -> bool:
        """Ask the loss."""
        return self.loss.is_hopeless(score, best)


@dataclass(frozen=True)
class LeaveOneOut(Judged):
    """Judge by closed-form leave-one-out on some training rows (None: on all).

    `Y` and `sample_weight` are those of the judged rows.

    Attributes
    ----------
    unit_weight : ndarray of shape (m,) or None
        What is left out of the weight of a judged row; None: 1.
    """

    unit_weight: Weights = None
    rows: NDArray[np.intp] | None = None

    @classmethod
    def draw(
        cls,
        Y: Array,
        loss: Loss,
        rng: np.random.RandomState,
        sample_weight: Weights = None,
        unit_weight: Weights = None,
        *,
        all_rows: bool = False,
    ) -> LeaveOneOut:
        """Take all rows, or `LEAVE_ONE_OUT_ROWS` of them at random, the same each time."""
        if all_rows or len(Y) <= LEAVE_ONE_OUT_ROWS:
            return cls(Y, loss, sample_weight, unit_weight)
        rows = np.sort(rng.choice(len(Y), LEAVE_ONE_OUT_ROWS, replace=False))
        return cls(Y[rows], loss, of_rows(sample_weight, rows), of_rows(unit_weight, rows), rows)

    def judge(self, candidate: Candidate) -> Verdict:
        """Return the error of the leave-one-out predictions."""
        return self.verdict(self.Y - candidate.ridge.leave_one_out(self.rows, self.unit_weight))


@dataclass(frozen=True)
class StandInLeaveOneOut(Judged):
    """Judge the candidate's metric by leave-one-out of a smaller regression that uses it.

    For solvers that do not factorise. The stand-in has the candidate's kernel, metric and ridge
    but only some of the rows. Its error is larger than the candidate's own, but it ranks the
    iterations, with less noise than a held-out part would: half of its rows are predicted, each
    from all the others.

    Attributes
    ----------
    rows : ndarray of int
        The stand-in's rows.
    rows_targets : ndarray of shape (len(rows), c)
        Their targets; `Y` is those of the rows that are left out.
    """

    rows: NDArray[np.intp]
    rows_targets: Array
    rows_weight: Weights
    unit_weight: Weights
    left_out: NDArray[np.intp]

    @classmethod
    def draw(
        cls,
        Y: Array,
        loss: Loss,
        rng: np.random.RandomState,
        sample_weight: Weights = None,
        unit_weight: Weights = None,
    ) -> StandInLeaveOneOut:
        """Draw `STAND_IN_ROWS` rows at random, or take all if there are no more."""
        rows = draw_rows(len(Y), STAND_IN_ROWS, rng)
        # The rows were drawn at random, so every so manieth of them is a random part.
        step = -(-len(rows) // LEAVE_ONE_OUT_ROWS)
        left_out = np.arange(0, len(rows), step)
        weight = of_rows(sample_weight, rows)
        return cls(
            Y[rows[left_out]],
            loss,
            of_rows(weight, left_out),
            rows=rows,
            rows_targets=Y[rows],
            rows_weight=weight,
            unit_weight=of_rows(unit_weight, rows[left_out]),
            left_out=left_out,
        )

    def judge(self, candidate: Candidate) -> Verdict:
        """Return the error of the stand-in's leave-one-out predictions."""
        fit = fit_ridge(
            take_rows_of(candidate.X, self.rows),
            self.rows_targets,
            candidate.kernel,
            candidate.root,
            alpha=candidate.ridge.alpha,
            solver="cholesky",
            sample_weight=self.rows_weight,
        )
        return self.verdict(self.Y - fit.leave_one_out(self.left_out, self.unit_weight))


@dataclass(frozen=True)
class HeldOut(Judged):
    """Judge by rows that the candidate has not seen: `X`, of shape (m, d)."""

    X: Array

    def judge(self, candidate: Candidate) -> Verdict:
        """Return the error of the predictions at the held-out rows."""
        predictions = backend.kernel_matmul(
            self.X, candidate.X, candidate.ridge.coef, candidate.kernel, candidate.root
        )
        return self.verdict(to_host(predictions))


def hold_out(
    n: int, fraction: float, labels: NDArray[Any] | None, rng: np.random.RandomState
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split `n` rows into training and validation rows, by class where that is possible.

    Raises
    ------
    ValueError
        If either part would be empty.
    """
    n_validation = round(fraction * n)
    if not 0 < n_validation < n:
        raise ValueError(
            f"validation_fraction={fraction} of n_samples={n} leaves no row for "
            f"{'validation' if n_validation == 0 else 'training'}"
        )
    if labels is not None:
        counts = np.unique(labels, return_counts=True)[1]
        if counts.min() < 2 or len(counts) > min(n_validation, n - n_validation):
            labels = None
    train, validation = train_test_split(
        np.arange(n), test_size=n_validation, random_state=rng, stratify=labels
    )
    return np.sort(train), np.sort(validation)


def row_count(n: int, sample_weight: Weights) -> float:
    """Return how many rows `n` rows of these weights count for: no fewer than they are."""
    return float(n) if sample_weight is None else max(float(n), float(sample_weight.sum()))


def of_rows(sample_weight: Weights, rows: NDArray[np.intp]) -> Weights:
    """Return the weights of some rows; None where there are none."""
    return None if sample_weight is None else sample_weight[rows]
