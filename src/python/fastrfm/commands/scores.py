"""How good a model is on rows that it was not fitted to, beside what needs no model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    recall_score,
    root_mean_squared_error,
)

__all__ = ["classification_scores", "regression_scores"]

Weights = NDArray[np.float64] | None
# Of each score its name, the model's, and that of the constant prediction.
Scores = list[tuple[str, float, float]]


def regression_scores(
    y_true: NDArray[np.float64],
    prediction: NDArray[np.float64],
    mean: float,
    weight: Weights = None,
) -> Scores:
    """Return R2, RMSE and MAE of the prediction, and of the training rows' mean.

    Parameters
    ----------
    y_true, prediction : ndarray of shape (m,)
    mean : float
    weight : ndarray of shape (m,), optional
    """
    constant = np.full(len(y_true), mean)
    metrics = {"R²": r2_score, "RMSE": root_mean_squared_error, "MAE": mean_absolute_error}
    return [
        (
            name,
            float(metric(y_true, prediction, sample_weight=weight)),
            float(metric(y_true, constant, sample_weight=weight)),
        )
        for name, metric in metrics.items()
        if name != "R²" or len(y_true) > 1  # not defined of a single row
    ]


def classification_scores(
    y_true: NDArray[Any],
    prediction: NDArray[Any],
    probabilities: NDArray[np.float64],
    classes: NDArray[Any],
    shares: NDArray[np.float64],
    weight: Weights = None,
) -> Scores:
    """Return accuracy, balanced accuracy and log-loss, and those of the training rows' shares.

    Parameters
    ----------
    y_true, prediction : ndarray of shape (m,)
    probabilities : ndarray of shape (m, n_classes)
    classes, shares : ndarray of shape (n_classes,)
        `shares` are what each class has of the training rows.
    weight : ndarray of shape (m,), optional
    """
    commonest = np.full(len(y_true), classes[shares.argmax()], dtype=classes.dtype)
    constant = np.tile(shares, (len(y_true), 1))
    scores: Scores = [
        (
            name,
            float(metric(y_true, prediction, sample_weight=weight)),
            float(metric(y_true, commonest, sample_weight=weight)),
        )
        for name, metric in {
            "accuracy": accuracy_score,
            "balanced accuracy": _balanced_accuracy,
        }.items()
    ]
    of_model, of_shares = (
        float(log_loss(y_true, p, labels=classes, sample_weight=weight))
        for p in (probabilities, constant)
    )
    return [*scores, ("log-loss", of_model, of_shares)]


def _balanced_accuracy(
    y_true: NDArray[Any], prediction: NDArray[Any], *, sample_weight: Weights
) -> float:
    """Return the mean recall of the classes that occur.

    scikit-learn's function of that name warns of predicted classes that do not occur.
    """
    return float(
        recall_score(
            y_true,
            prediction,
            labels=np.unique(y_true),
            average="macro",
            sample_weight=sample_weight,
        )
    )
