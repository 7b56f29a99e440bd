"""How an iteration of the recursion is scored, so that the best one can be kept.

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
from fastrfm.recursion import Array, Candidate
from fastrfm.ridge import fit_ridge

# Each row costs a triangular solve, n^2 operations: at n = 13,500 these many rows add two
# fifths of the factorisation's own n^3 / 3. The standard error of a score over 2,000 rows is
# a few per cent, small against the differences between the iterations that matter.
LEAVE_ONE_OUT_ROWS = 2_000

# Rows of the regression that stands in for one that was not factorised; of them, as above,
# `LEAVE_ONE_OUT_ROWS` are left out in turn. 0.35 s on two cores.
STAND_IN_ROWS = 4_000

# xRFM's rule: stop once an iteration is this much worse than the best one.
HOPELESS_FACTOR = 1.1


class Loss(Protocol):
    """An error of predictions, and when it is bad enough to stop."""

    def error(self, Y: Array, Y_pred: Array) -> float:
        """Return the error of `Y_pred`, both of shape (n, c); smaller is better."""
        ...

    def is_hopeless(self, score: float, best: float) -> bool:
        """Whether `score` is so much worse than `best` that the recursion should stop."""
        ...


class SquaredError:
    """Mean squared error over rows and outputs, in the units of the (standardised) targets."""

    def error(self, Y: Array, Y_pred: Array) -> float:
        """Return the mean over rows and outputs."""
        difference = np.subtract(Y, Y_pred, dtype=np.float64)
        return float(np.mean(difference * difference))

    def is_hopeless(self, score: float, best: float) -> bool:
        """Whether the error is 1.1 times that of the best iteration."""
        return score > HOPELESS_FACTOR * best


@dataclass(frozen=True)
class ClassificationError:
    """Error rate; among equal error rates, the smaller squared error is better.

    The squared error counts for less than a thousandth of one wrong row, so it never
    outweighs a row and the score still reads as an error rate.

    Attributes
    ----------
    priors : ndarray of shape (c,)
        What was subtracted from the class indicators to make the targets. One output stands
        for the second of two classes.
    """

    priors: NDArray[np.float64]

    def error(self, Y: Array, Y_pred: Array) -> float:
        """Return the part of wrong rows, and a trifle for the squared error."""
        wrong = float(np.mean(self._labels(Y) != self._labels(Y_pred)))
        squared = SquaredError().error(Y, Y_pred)
        return wrong + 1e-3 / len(Y) * squared / (1.0 + squared)

    def is_hopeless(self, score: float, best: float) -> bool:
        """Whether the accuracy is 1.1 times below that of the best iteration."""
        # Of the accuracy, as in xRFM: one wrong row more can double a small error rate.
        return 1.0 - score < (1.0 - best) / HOPELESS_FACTOR

    def _labels(self, Y: Array) -> NDArray[np.intp]:
        scores = Y + self.priors
        if scores.shape[1] == 1:
            return (scores[:, 0] > 0.5).astype(np.intp)
        best: NDArray[np.intp] = np.argmax(scores, axis=1)
        return best


@dataclass(frozen=True)
class LeaveOneOut:
    """Score by closed-form leave-one-out on some training rows (None: on all)."""

    Y: Array
    loss: Loss
    rows: NDArray[np.intp] | None = None

    @classmethod
    def draw(cls, Y: Array, loss: Loss, rng: np.random.RandomState) -> LeaveOneOut:
        """Take all rows, or `LEAVE_ONE_OUT_ROWS` of them at random, the same each time."""
        if len(Y) <= LEAVE_ONE_OUT_ROWS:
            return cls(Y, loss)
        return cls(Y, loss, np.sort(rng.choice(len(Y), LEAVE_ONE_OUT_ROWS, replace=False)))

    def score(self, candidate: Candidate) -> float:
        """Return the error of the leave-one-out predictions."""
        residuals = candidate.ridge.leave_one_out(self.rows)
        Y = self.Y if self.rows is None else self.Y[self.rows]
        return self.loss.error(Y, Y - residuals)

    def is_hopeless(self, score: float, best: float) -> bool:
        """Ask the loss."""
        return self.loss.is_hopeless(score, best)


@dataclass(frozen=True)
class StandInLeaveOneOut:
    """Score the candidate's metric by leave-one-out of a smaller regression that uses it.

    For solvers that do not factorise. The stand-in has the candidate's kernel, metric and ridge
    but only some of the rows. Its error is larger than the candidate's own, but it ranks the
    iterations, with less noise than a held-out part would: half of its rows are predicted, each
    from all the others.
    """

    Y: Array
    loss: Loss
    rows: NDArray[np.intp]

    @classmethod
    def draw(cls, Y: Array, loss: Loss, rng: np.random.RandomState) -> StandInLeaveOneOut:
        """Draw `STAND_IN_ROWS` rows at random, or take all if there are no more."""
        rows = rng.choice(len(Y), min(len(Y), STAND_IN_ROWS), replace=False)
        return cls(Y, loss, np.sort(rows))

    def score(self, candidate: Candidate) -> float:
        """Return the error of the stand-in's leave-one-out predictions."""
        Y = self.Y[self.rows]
        fit = fit_ridge(
            candidate.X[self.rows],
            Y,
            candidate.kernel,
            candidate.root,
            alpha=candidate.ridge.alpha,
            solver="cholesky",
        )
        # The rows were drawn at random, so every so manieth of them is a random part.
        step = -(-len(Y) // LEAVE_ONE_OUT_ROWS)
        judged = np.arange(0, len(Y), step)
        return self.loss.error(Y[judged], Y[judged] - fit.leave_one_out(judged))

    def is_hopeless(self, score: float, best: float) -> bool:
        """Ask the loss."""
        return self.loss.is_hopeless(score, best)


@dataclass(frozen=True)
class HeldOut:
    """Score on rows that the candidate has not seen."""

    X: Array
    Y: Array
    loss: Loss

    def score(self, candidate: Candidate) -> float:
        """Return the error of the predictions at the held-out rows."""
        Y_pred = backend.kernel_matmul(
            self.X, candidate.X, candidate.ridge.coef, candidate.kernel, candidate.root
        )
        return self.loss.error(self.Y, Y_pred)

    def is_hopeless(self, score: float, best: float) -> bool:
        """Ask the loss."""
        return self.loss.is_hopeless(score, best)


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
