"""Scores of a least-squares classifier as probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastrfm.selection import row_count

__all__ = ["Calibration"]

Array = NDArray[np.float64]
Weights = NDArray[np.float64] | None

# Mean log-loss over 40 classification sets of at most 800 rows with these grids, fitted to
# predictions out of fold, .391; to leave-one-out predictions, which know the labels through the
# metric, .514; without a fit, .454.
_POWERS = (0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 3.0)
_FLOORS = (0.2, 0.1, 0.05, 0.03, 0.01, 0.003, 0.001)
# Keeps the power near 1 where few rows speak for another one: in rows of log-loss for each squared
# unit of log(power). 1 / 2: log-loss .3917 / .3913.
_PULL = 2.0
# Total variation between scores and priors at which half of the power acts.
_HALFWAY = 0.05


@dataclass(frozen=True)
class Calibration:
    """``p_k ~ max(s_k, min(floor, prior_k))^g``, with g between 1 and `power`.

    Near the priors, where the scores know nothing, g is 1, so that what is far from all data keeps
    the priors; g reaches `power` as the scores leave them:
    ``g = 1 + (power - 1) t / (t + 0.05)``, t the total variation between scores and priors. In
    each row the order of the scores stays.

    Attributes
    ----------
    priors : ndarray of shape (n_classes,)
    power, floor : float
        Without a fit: cautious ones.
    """

    priors: Array
    power: float = 1.0
    floor: float = 0.03

    @classmethod
    def fit(
        cls, scores: Array, codes: NDArray[np.intp], priors: Array, sample_weight: Weights = None
    ) -> Calibration:
        """Choose power and floor by the log-loss of the labels.

        Parameters
        ----------
        scores : ndarray of shape (m, n_classes)
            Of rows that the classifier was not fitted to; rows sum to 1.
        codes : ndarray of shape (m,)
            Their classes, from 0.
        priors : ndarray of shape (n_classes,)
        sample_weight : ndarray of shape (m,), optional
        """
        rows = np.arange(len(codes))
        n = row_count(len(codes), sample_weight)
        best, least = cls(priors), np.inf
        for power in _POWERS:
            for floor in _FLOORS:
                candidate = cls(priors, power, floor)
                log_loss = -np.log(candidate.probabilities(scores)[rows, codes])
                loss = float(np.average(log_loss, weights=sample_weight))
                loss += _PULL / n * float(np.log(power)) ** 2
                if loss < least:
                    best, least = candidate, loss
        return best

    def probabilities(self, scores: Array) -> Array:
        """Return probabilities, of the shape of `scores`; rows sum to 1."""
        variation = 0.5 * np.abs(scores - self.priors).sum(axis=1, keepdims=True)
        power = 1.0 + (self.power - 1.0) * variation / (variation + _HALFWAY)
        # A floor above a prior would move it, one above 1 / n_classes could overtake the largest.
        floor = np.minimum(self.floor, np.minimum(self.priors, 1.0 / len(self.priors)))
        p = np.maximum(scores, floor) ** power
        result: Array = p / p.sum(axis=1, keepdims=True)
        return result
