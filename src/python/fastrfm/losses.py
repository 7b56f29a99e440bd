"""Errors of predictions, by which iterations, ridges and members are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClassificationError", "Loss", "SquaredError"]

Array = NDArray[np.floating[Any]]
Weights = NDArray[np.float64] | None

# xRFM's rule: stop once an iteration is this much worse than the best one.
HOPELESS_FACTOR = 1.1


class Loss(Protocol):
    """An error of predictions, and when it is bad enough to stop."""

    def error(self, Y: Array, Y_pred: Array, sample_weight: Weights = None) -> float:
        """Return the error of `Y_pred`, both of shape (n, c); smaller is better."""
        ...

    def is_hopeless(self, score: float, best: float) -> bool:
        """Whether `score` is so much worse than `best` that the recursion should stop."""
        ...


class SquaredError:
    """Mean squared error over rows and outputs, in the units of the coded targets.

    Of classes' indicators it is Brier's score (of the second class alone, where there are two).
    """

    def error(self, Y: Array, Y_pred: Array, sample_weight: Weights = None) -> float:
        """Return the (weighted) mean over rows of the mean over outputs."""
        difference = np.subtract(Y, Y_pred, dtype=np.float64)
        return float(np.average((difference * difference).mean(axis=1), weights=sample_weight))

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

    def error(self, Y: Array, Y_pred: Array, sample_weight: Weights = None) -> float:
        """Return the (weighted) part of wrong rows, and a trifle for the squared error."""
        is_wrong = self._labels(Y) != self._labels(Y_pred)
        wrong = float(np.average(is_wrong, weights=sample_weight))
        squared = SquaredError().error(Y, Y_pred, sample_weight)
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
