"""Which features are categories, by the parameter `categorical_features`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def chosen_categories(
    categorical_features: Any, n_features: int, names: list[Any] | None
) -> NDArray[np.bool_]:
    """Return the mask of the features that are named, in the words of scikit-learn's trees.

    Parameters
    ----------
    categorical_features : array-like of bool, int or str
        A mask of shape (n_features,), indices, or names. As in
        :class:`sklearn.ensemble.HistGradientBoostingRegressor`, whose rules and messages these
        are.
    n_features : int
    names : list or None
        Names of the columns of a frame.

    Returns
    -------
    ndarray of shape (n_features,), bool

    Raises
    ------
    ValueError
        For anything else.
    """
    chosen = np.asarray(categorical_features)
    mask = np.zeros(n_features, dtype=bool)
    if chosen.size == 0:
        return mask
    types: set[type] = {str}
    if chosen.dtype == object:
        types = {type(item) for item in chosen.tolist()}
    if chosen.dtype.kind not in "biuUO" or types != {str} or chosen.ndim != 1:
        got = chosen.dtype.name if types == {str} else _names(types)
        raise ValueError(
            f"categorical_features must be an array-like of bool, int or str, got: {got}."
        )
    if chosen.dtype.kind == "b":
        if chosen.shape != mask.shape:
            raise ValueError(
                "categorical_features set as a boolean mask must have shape (n_features,), got: "
                f"{chosen.shape}"
            )
        return chosen.copy()
    if chosen.dtype.kind in "iu":
        if chosen.max() >= n_features or chosen.min() < 0:
            raise ValueError(
                "categorical_features set as integer indices must be in [0, n_features - 1]; "
                f"got {chosen.tolist()} with n_features = {n_features}"
            )
        mask[chosen] = True
        return mask
    if names is None:
        raise ValueError(
            "categorical_features should be passed as an array of integers or as a boolean mask "
            "when the model is fitted on data without feature names."
        )
    for name in chosen.tolist():
        if name not in names:
            raise ValueError(
                f"categorical_features has an item value '{name}' which is not a valid feature "
                f"name of the training data. Observed feature names: {names}"
            )
        mask[names.index(name)] = True
    return mask


def _names(types: set[type]) -> str:
    return ", ".join(sorted(kind.__name__ for kind in types))
