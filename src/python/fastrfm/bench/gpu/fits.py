"""A whole fit, and the prediction of rows that it has not seen."""

from __future__ import annotations

import time
from math import isfinite
from typing import Any

import numpy as np

import fastrfm
from fastrfm.bench import tables
from fastrfm.bench.fits import FIXED
from fastrfm.bench.gpu.cases import FitCase
from fastrfm.bench.gpu.device import Device

__all__ = ["measure_fit"]


def measure_fit(case: FitCase, device: Device, seconds_left: float) -> dict[str, Any]:
    """Return the entry of a fit, done once.

    NumPy arrays in and out, so that encoding and copying count. No first fit warms up: the
    libraries that a fit loads count too.

    Parameters
    ----------
    case : FitCase
    device : Device
    seconds_left : float
        The fit ends early when they have passed, and that is its failure.
    """
    X, y, n = tables.made_up(case.n, case.d)
    options = FIXED | dict(case.options) | device.estimator_options
    if isfinite(seconds_left):
        options["time_limit"] = seconds_left
    model = fastrfm.RFMRegressor(**options, random_state=0)
    started = time.perf_counter()
    with device.running():
        _, peak_bytes = device.peak(lambda: model.fit(X[:n], y[:n]))
        device.synchronize()
        fitted = time.perf_counter()
        predicted = np.asarray(model.predict(X[n:]), np.float64)
    seconds = fitted - started
    rmse = float(np.sqrt(np.mean((predicted - y[n:]) ** 2)))
    updates = FIXED["n_iter"]
    reason = None
    if model.n_iter_ < updates:
        reason = f"ended after {model.n_iter_} of {updates} updates of the metric"
    elif not rmse <= case.worst_rmse:
        reason = f"wrong: test RMSE {rmse:.3f}, allowed {case.worst_rmse}"
    return {
        "reason": reason,
        "fit_seconds": seconds,
        "predict_seconds": time.perf_counter() - fitted,
        "most_seconds": case.most_seconds,
        "peak_bytes": peak_bytes,
        "rmse": rmse,
        "best_iter": int(model.best_iter_),
        "history": model.history_,
    }
