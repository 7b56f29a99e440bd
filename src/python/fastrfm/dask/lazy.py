"""Predictions of Dask's arrays and frames: Dask's arrays, computed when they are asked for."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed
from numpy.typing import NDArray

from fastrfm.dask import tasks
from fastrfm.dask.collections import is_frame, partitions

__all__ = ["lazily"]


def lazily(model: Any, method: str, X: Any) -> Any:
    """Return a Dask array of what a method of a fitted estimator gives for the rows.

    Parameters
    ----------
    model : estimator
    method : str
    X : dask.array.Array or dask.dataframe.DataFrame
    """
    example = _no_predictions(model, method)
    sizes = [np.nan] * X.npartitions if is_frame(X) else X.chunks[0]
    shared = delayed(model, pure=False)
    parts = [
        da.from_delayed(  # type: ignore[no-untyped-call]
            delayed(tasks.predicted)(shared, method, part, example),
            shape=(size, *example.shape[1:]),
            dtype=example.dtype,
            meta=example,
        )
        for part, size in zip(partitions(X), sizes, strict=True)
    ]
    return da.concatenate(parts)  # type: ignore[no-untyped-call]


def _no_predictions(model: Any, method: str) -> NDArray[Any]:
    """Return what a method gives for no rows."""
    if hasattr(model, "classes_"):
        if method == "predict":
            return np.empty(0, model.classes_.dtype)
        two_decide = method == "decision_function" and len(model.classes_) == 2
        return np.empty((0,) if two_decide else (0, len(model.classes_)))
    plain = model.trees_[0].leaves[0] if hasattr(model, "trees_") else model
    return np.empty((0,) if model._target_ndim == 1 else (0, plain.dual_coef_.shape[1]))
