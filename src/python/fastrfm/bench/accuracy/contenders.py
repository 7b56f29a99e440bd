"""Who is compared: each with its defaults, on rows in the form that its documentation asks for.

Packages are imported where they are used: each contender runs in a process of its own, and one that
is not installed is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.bench.accuracy import kernel_ridge
from fastrfm.bench.accuracy.data import Split
from fastrfm.bench.accuracy.forms import (
    as_catboost_wants,
    as_fastrfm_wants,
    as_lightgbm_wants,
    make_one_hot,
    one_hot_blocks,
)

__all__ = ["CONTENDERS", "OURS", "PACKAGES", "REFERENCE", "Fitted"]

Array = NDArray[Any]

OURS = "fastrfm"
REFERENCE = "reference-rfm"
# Distributions, of the same name as their modules, whose versions a result names; all of them must
# be installed.
PACKAGES = {
    OURS: ("fastrfm",),
    "xrfm": ("xrfm", "torch"),
    "lightgbm": ("lightgbm",),
    "catboost": ("catboost", "pandas"),
    "kernel-ridge": ("fastrfm",),
    REFERENCE: ("fastrfm",),
}
SEED = 0
LIGHTGBM_TREES = 500
# Of the training rows, for xRFM, which cannot do without validation data.
XRFM_HELD_OUT = 0.2


@dataclass(frozen=True)
class Fitted:
    """What a contender's fit gives.

    Attributes
    ----------
    predict : callable
        Rows of shape (n, d) to numbers of shape (n,), or to probabilities of shape (n, classes).
    chosen : dict
        What was chosen, for the record.
    """

    predict: Callable[[Array], Array]
    chosen: dict[str, Any]


def fit_fastrfm(split: Split, threads: int) -> Fitted:
    """Fit an untouched estimator; threads come from the environment."""
    from fastrfm import RFMClassifier, RFMRegressor

    form = as_fastrfm_wants(split.train.X, split.categorical)
    kind = RFMClassifier if split.n_classes else RFMRegressor
    model = kind(random_state=SEED).fit(form(split.train.X), split.train.y)
    predict = model.predict_proba if split.n_classes else model.predict
    chosen = {
        "weights": model.member_weights_.round(3).tolist(),
        "members": [
            f"p={m.norm_:g} q={m.exponent_:g} {m.columns_} alpha={m.alpha_:g} it={m.best_iter_}"
            for m in model.members_
        ],
    }
    return Fitted(lambda X: predict(form(X)), chosen)


def fit_lightgbm(split: Split, threads: int) -> Fitted:
    """Fit 500 trees, otherwise with defaults."""
    import lightgbm

    kind = lightgbm.LGBMClassifier if split.n_classes else lightgbm.LGBMRegressor
    model = kind(n_estimators=LIGHTGBM_TREES, n_jobs=threads, random_state=SEED, verbose=-1)
    X, options = as_lightgbm_wants(split.train.X, split.categorical)
    model.fit(X, split.train.y, **options)
    predict: Any = model.predict_proba if split.n_classes else model.predict
    return Fitted(predict, {})


def fit_catboost(split: Split, threads: int) -> Fitted:
    """Fit with defaults."""
    import catboost

    kind = catboost.CatBoostClassifier if split.n_classes else catboost.CatBoostRegressor
    model = kind(
        thread_count=threads,
        random_seed=SEED,
        verbose=False,
        allow_writing_files=False,
        cat_features=np.flatnonzero(split.categorical).tolist(),
    )
    model.fit(as_catboost_wants(split.train.X, split.categorical), split.train.y)
    predict = model.predict_proba if split.n_classes else model.predict
    return Fitted(
        lambda X: np.asarray(predict(as_catboost_wants(X, split.categorical))),
        {"learning_rate": float(model.learning_rate_)},
    )


def fit_xrfm(split: Split, threads: int) -> Fitted:
    """Fit with defaults as xRFM's README prepares tables: standardised numbers, one-hot categories.

    `categorical_info` is passed as there; the default kernel of 0.4.5 makes no use of it.
    """
    import torch
    from xrfm import xRFM

    torch.set_num_threads(threads)
    X, y = split.train.X, split.train.y
    n = round(len(X) * (1 - XRFM_HELD_OUT))  # the rows are in random order
    one_hot = make_one_hot(split.categorical, standardize=True).fit(X[:n])
    start, levels = one_hot_blocks(one_hot, split.categorical)
    info = None
    if levels:
        ends = start + np.cumsum(levels)
        info = {
            "numerical_indices": torch.arange(start),
            "categorical_indices": [
                torch.arange(int(end) - k, int(end)) for end, k in zip(ends, levels, strict=True)
            ],
            "categorical_vectors": [torch.eye(k) for k in levels],
        }
    center, scale = (0, 1) if split.n_classes else (y[:n].mean(), y[:n].std() or 1.0)
    targets = (y - center) / scale
    targets = targets.astype(np.int64) if split.n_classes else targets.astype(np.float32)[:, None]

    def form(rows: Array) -> Array:
        table: Array = one_hot.transform(rows).astype(np.float32)
        return table

    model = xRFM(
        device=torch.device("cpu"),
        categorical_info=info,
        n_threads=threads,
        random_state=SEED,
        verbose=False,
    )
    model.fit(form(X[:n]), targets[:n], form(X[n:]), targets[n:])
    if split.n_classes:
        return Fitted(lambda rows: np.asarray(model.predict_proba(form(rows))), {})
    return Fitted(lambda rows: model.predict(form(rows))[:, 0] * scale + center, {})


def fit_kernel_ridge(split: Split, threads: int) -> Fitted:
    """Fit the kernel machine that learns no metric."""
    one_hot = make_one_hot(split.categorical, standardize=True).fit(split.train.X)
    model = kernel_ridge.fit(
        one_hot.transform(split.train.X).astype(np.float32), split.train.y, split.n_classes
    )
    return Fitted(
        lambda X: model.predict(one_hot.transform(X).astype(np.float32)),
        {"alpha": model.alpha, "bandwidth": model.bandwidth},
    )


# The reference is no function of one split, see `fastrfm.bench.accuracy.reference`.
CONTENDERS: dict[str, Callable[[Split, int], Fitted]] = {
    OURS: fit_fastrfm,
    "xrfm": fit_xrfm,
    "lightgbm": fit_lightgbm,
    "catboost": fit_catboost,
    "kernel-ridge": fit_kernel_ridge,
}
