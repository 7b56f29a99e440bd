"""What a prediction is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.bench.accuracy.data import Rows, Split

__all__ = ["score"]

Array = NDArray[Any]

# One certain mistake shall not decide a mean. scikit-learn's log_loss clips float32 probabilities,
# which some contenders return, at this too; here all are.
SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)


def score(split: Split, prediction: Array) -> dict[str, float]:
    """Return the test errors.

    Parameters
    ----------
    split : Split
    prediction : ndarray of shape (n_test,) or (n_test, n_classes)

    Returns
    -------
    dict
        For regression "rmse", in standard deviations of the training targets. For classes
        "error_rate", and "log_loss" of those rows whose class occurs in training.

    Raises
    ------
    ValueError
        For a prediction of another shape, or one that is not finite.
    """
    test: Rows = split.test
    shape = (len(test.y), split.n_classes) if split.n_classes else (len(test.y),)
    if prediction.shape != shape:
        raise ValueError(f"the prediction has shape {prediction.shape}, expected {shape}")
    prediction = prediction.astype(np.float64)
    if not np.isfinite(prediction).all():
        raise ValueError("the prediction is not finite")
    if not split.n_classes:
        scale = float(split.train.y.std()) or 1.0
        return {"rmse": float(np.sqrt(np.mean((prediction - test.y) ** 2))) / scale}
    known = np.flatnonzero(test.y >= 0)
    p = np.clip(prediction, SMALLEST_PROBABILITY, None)
    p /= p.sum(axis=1, keepdims=True)
    return {
        "error_rate": float(np.mean(prediction.argmax(axis=1) != test.y)),
        "log_loss": float(-np.log(p[known, test.y[known]]).mean()) if len(known) else 0.0,
    }
