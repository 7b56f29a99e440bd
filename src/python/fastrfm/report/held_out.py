"""Predictions for rows that a model was not fitted to, and their scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import (
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

__all__ = ["HeldOut", "Score", "classification_scores", "regression_scores"]

Array = NDArray[Any]

# Their number makes a standard error itself certain to a twentieth, 1 / sqrt(2 * 200).
N_BOOTSTRAP = 200
# A probability of 0 for what then happens would cost infinitely much.
LEAST_PROBABILITY = 1e-15
# An area under a curve costs a sort of the rows for each class: so many values are ranked at most,
# in as many resamples as that allows, or none if they are not enough. 2e7 take 3 s.
MOST_RANKED = 20_000_000
FEWEST_BOOTSTRAP = 20


@dataclass(frozen=True)
class HeldOut:
    """What was predicted for rows that were not fitted, and what is true there.

    Parameters
    ----------
    y_true : array-like of shape (m,) or (m, n_outputs)
    prediction : array-like of the same shape
        Labels, for a classifier.
    probabilities : array-like of shape (m, n_classes) or None
        In the order of the model's `classes_`.
    n_fitted : int or None
        Rows that the model of these predictions was fitted to.
    sample_weight : array-like of shape (m,) or None
        By which the rows count in the scores; None: all alike.
    """

    y_true: Any
    prediction: Any
    probabilities: Any = None
    n_fitted: int | None = None
    sample_weight: Any = None

    def checked(self, classes: Array | None) -> HeldOut:
        """Return it with arrays, and without rows of weight 0.

        Parameters
        ----------
        classes : ndarray of shape (n_classes,) or None
            None for a regression.

        Returns
        -------
        HeldOut

        Raises
        ------
        ValueError
            For no rows, shapes that do not fit each other, and weights that are negative, not
            finite or all 0.
        """
        y, prediction = np.asarray(self.y_true), np.asarray(self.prediction)
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if prediction.ndim == 2 and prediction.shape[1] == 1:
            prediction = prediction[:, 0]
        if y.shape != prediction.shape or y.ndim == 0:
            raise ValueError(
                f"held_out: y_true is of shape {y.shape}, but prediction of {prediction.shape}"
            )
        if not len(y):
            raise ValueError("held_out has no rows")
        weight = self._checked_weight(len(y))
        kept = slice(None) if weight is None else weight > 0
        if weight is not None:
            weight = weight[kept]
        if self.probabilities is None or classes is None:
            return HeldOut(y[kept], prediction[kept], None, self.n_fitted, weight)
        probabilities = np.asarray(self.probabilities, dtype=np.float64)
        if probabilities.shape != (len(y), len(classes)):
            raise ValueError(
                f"held_out: probabilities must be of shape {(len(y), len(classes))}, a column for "
                f"each of the model's classes; got {probabilities.shape}"
            )
        return HeldOut(y[kept], prediction[kept], probabilities[kept], self.n_fitted, weight)

    def _checked_weight(self, m: int) -> NDArray[np.float64] | None:
        if self.sample_weight is None:
            return None
        weight = np.asarray(self.sample_weight, dtype=np.float64)
        if weight.shape != (m,):
            raise ValueError(
                f"held_out: sample_weight must be of shape {(m,)}, like y_true; got {weight.shape}"
            )
        if not np.isfinite(weight).all() or (weight < 0).any() or not weight.any():
            raise ValueError(
                "held_out: sample_weight must be finite, not negative and not 0 everywhere"
            )
        return weight


@dataclass(frozen=True)
class Score:
    """A score and how certain it is.

    Attributes
    ----------
    name, meaning : str
    value : float
        NaN where it is not defined.
    standard_error : float
        Over bootstrap samples of the held-out rows; NaN where it is not defined.
    """

    name: str
    meaning: str
    value: float
    standard_error: float


# A score's name and meaning, its function of row numbers, and how many resamples it can afford.
_Wanted = tuple[str, str, Callable[[Array], float], int]


def regression_scores(held_out: HeldOut, rng: np.random.Generator) -> list[Score]:
    """Return R2, RMSE and MAE of checked predictions; of several outputs their means."""
    y, prediction = held_out.y_true, held_out.prediction
    weights = _weights_of(held_out)

    def r2(rows: Array) -> float:
        varies = len(rows) > 1 and bool((np.ptp(y[rows], axis=0) > 0).all())
        return (
            float(r2_score(y[rows], prediction[rows], sample_weight=weights(rows)))
            if varies
            else np.nan
        )

    def rmse(rows: Array) -> float:
        return float(
            root_mean_squared_error(y[rows], prediction[rows], sample_weight=weights(rows))
        )

    def mae(rows: Array) -> float:
        return float(mean_absolute_error(y[rows], prediction[rows], sample_weight=weights(rows)))

    return _scores(
        len(y),
        rng,
        [
            (
                "R²",
                "part of the target's variance that is explained; 1 is perfect",
                r2,
                N_BOOTSTRAP,
            ),
            ("RMSE", "root mean squared error, in units of the target", rmse, N_BOOTSTRAP),
            ("MAE", "mean absolute error, in units of the target", mae, N_BOOTSTRAP),
        ],
    )


def classification_scores(
    held_out: HeldOut, classes: Array, rng: np.random.Generator
) -> list[Score]:
    """Return the accuracies and, given probabilities, log-loss and ROC AUC of checked predictions.

    Parameters
    ----------
    held_out : HeldOut
    classes : ndarray of shape (n_classes,)
    rng : Generator
    """
    y, prediction = held_out.y_true, held_out.prediction

    is_right = y == prediction
    _, of_label = np.unique(y, return_inverse=True)
    weights = _weights_of(held_out)

    def accuracy(rows: Array) -> float:
        return float(np.average(is_right[rows], weights=weights(rows)))

    def balanced(rows: Array) -> float:
        weight = weights(rows)
        sizes = np.bincount(of_label[rows], weight)
        right = is_right[rows] if weight is None else weight * is_right[rows]
        hits = np.bincount(of_label[rows], right)
        return float(np.mean(hits[sizes > 0] / sizes[sizes > 0]))

    wanted: list[_Wanted] = [
        ("accuracy", "part of the rows whose class is right", accuracy, N_BOOTSTRAP),
        ("balanced accuracy", "mean over classes of the part that is right", balanced, N_BOOTSTRAP),
    ]
    if held_out.probabilities is not None:
        probabilities = np.asarray(held_out.probabilities)
        known = np.isin(y, classes).all()
        codes = np.searchsorted(classes, y) if known else np.zeros(len(y), np.intp)
        of_truth = probabilities[np.arange(len(y)), codes]
        losses = -np.log(np.maximum(of_truth, LEAST_PROBABILITY))

        def log_loss(rows: Array) -> float:
            return float(np.average(losses[rows], weights=weights(rows))) if known else np.nan

        def auc(rows: Array) -> float:
            present = np.bincount(codes[rows], minlength=len(classes))
            if not known or (present == 0).any():
                return np.nan
            each = np.arange(len(classes))[-1:] if len(classes) == 2 else np.arange(len(classes))
            weight = weights(rows)
            if weight is not None:
                return float(
                    np.mean(
                        [
                            roc_auc_score(
                                codes[rows] == k, probabilities[rows, k], sample_weight=weight
                            )
                            for k in each
                        ]
                    )
                )
            # Mann and Whitney: from the ranks of those that are of the class.
            ranks = rankdata(probabilities[np.ix_(rows, each)], axis=0)
            positive = present[each]
            of_class = codes[rows][:, None] == each
            won = (ranks * of_class).sum(axis=0) - positive * (positive + 1) / 2
            return float(np.mean(won / (positive * (len(rows) - positive))))

        ranked = MOST_RANKED // (len(y) * len(classes))
        resamples = min(N_BOOTSTRAP, ranked) if ranked >= FEWEST_BOOTSTRAP else 0
        which = "" if len(classes) == 2 else ", each class against the rest, averaged"
        wanted += [
            (
                "log-loss",
                "mean of -log of the probability given to the true class",
                log_loss,
                N_BOOTSTRAP,
            ),
            (
                "ROC AUC",
                f"how surely a row of the class is ranked above one of another{which}",
                auc,
                resamples,
            ),
        ]
    return _scores(len(y), rng, wanted)


def _weights_of(held_out: HeldOut) -> Callable[[Array], NDArray[np.float64] | None]:
    """Return a function of row numbers that gives their weights; None where all count alike."""
    weight = held_out.sample_weight
    return lambda rows: None if weight is None else weight[rows]


def _scores(
    m: int,
    rng: np.random.Generator,
    wanted: list[_Wanted],
) -> list[Score]:
    """Return scores of all rows, with their standard deviations over bootstrap samples of them."""
    everything = np.arange(m)
    samples = [rng.integers(0, m, m) for _ in range(N_BOOTSTRAP)]
    scores = []
    for name, meaning, function, resamples in wanted:
        value = function(everything)
        error = np.nan
        if np.isfinite(value) and m > 1 and resamples:
            of_samples = np.array([function(rows) for rows in samples[:resamples]])
            of_samples = of_samples[np.isfinite(of_samples)]
            error = float(of_samples.std(ddof=1)) if len(of_samples) > resamples // 2 else np.nan
        scores.append(Score(name, meaning, value, error))
    return scores
