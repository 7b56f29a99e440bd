"""The page: what is on it, and its writing."""

from __future__ import annotations

import datetime
import os
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length

from fastrfm.displays.drawing import image_of
from fastrfm.displays.shown import heaviest, input_names, rfm_of
from fastrfm.estimators.base import BaseRFM
from fastrfm.importance_spread import ImportanceSpread, importance_spread
from fastrfm.persistence.atomic import check_replaceable, replacing
from fastrfm.report.facts import data_facts, members_table, number, versions, with_error
from fastrfm.report.held_out import (
    HeldOut,
    Score,
    classification_scores,
    regression_scores,
)
from fastrfm.report.sections import (
    MOST_FEATURES,
    Picture,
    eigenvector_picture,
    importance_picture,
    metric_pictures,
    pictures_of_classification,
    pictures_of_regression,
    training_pictures,
)

__all__ = ["write_report"]

# Fewer refits than a display's, and to smaller parts: a fit to 1,000 rows costs an eighth of one to
# the 2,000 that a search takes, so that the refits to large data cost about as much as the fit.
REFITS = 10
REFIT_ROWS = 1_000


def write_report(
    path: str | os.PathLike[str],
    model: Any,
    X: Any,
    y: ArrayLike,
    *,
    target: str = "y",
    held_out: HeldOut | None = None,
    source: str | None = None,
    sample_weight: ArrayLike | None = None,
    image_shape: tuple[int, int] | None = None,
    n_resamples: int = REFITS,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Path:
    """Write one HTML page about a fitted model: how good it is and what it learned.

    The page needs nothing beside itself: no scripts, no network. It is written to a file beside
    `path` that then takes its place, so that a failure leaves what was there.

    Parameters
    ----------
    path : str or path
    model : RFMRegressor, RFMClassifier or Pipeline that ends with one
        Fitted to `X` and `y`.
    X : array-like or frame of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    target : str, default="y"
        What `y` is called.
    held_out : HeldOut, default=None
        Predictions for rows that the model behind them was not fitted to; scores are theirs.
    source : str, default=None
        Where the data are from.
    sample_weight : array-like of shape (n_samples,), default=None
        With which `model` was fitted.
    image_shape : (int, int), default=None
        Height and width, where the features are the pixels of an image.
    n_resamples : int, default=10
        Refits, each to a random half of the rows or to 1,000 of them, by which it is said how sure
        the importances are; 0 leaves that out.
    random_state : int, default=0
        Draws rows, for refits and standard errors.
    n_jobs : int, default=None
        Refits at a time.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ImportError
        Without matplotlib and jinja2.
    TypeError, ValueError, NotFittedError
        For unsuitable arguments.
    OSError
        If the file cannot be written.
    """
    check_replaceable(path)  # now, not after the refits
    rfm = rfm_of(model)
    check_consistent_length(X, y)
    y_array = np.asarray(y)
    if y_array.ndim == 2 and y_array.shape[1] == 1:
        y_array = y_array[:, 0]
    classes = getattr(rfm, "classes_", None)
    checked = None if held_out is None else held_out.checked(classes)
    if image_shape is not None:
        image_of(rfm.feature_importances_, image_shape)
    _check_libraries()

    scores: list[Score] = []
    of_scores: list[Picture] = []
    if checked is not None:
        rng = np.random.default_rng(random_state)
        if classes is None:
            scores = regression_scores(checked, rng)
            of_scores = pictures_of_regression(checked, target)
        else:
            scores = classification_scores(checked, classes, rng)
            of_scores = pictures_of_classification(checked, classes)
    spread, no_spread = _spread(model, X, y, sample_weight, n_resamples, random_state, n_jobs)
    names = input_names(model, None)
    heads, rows = members_table(rfm)
    html = _render(
        target=target,
        task="regression" if classes is None else "classification",
        scores=[(s.name, with_error(s.value, s.standard_error), s.meaning) for s in scores],
        n_held_out=0 if checked is None else len(np.asarray(checked.y_true)),
        n_fitted=None if checked is None else checked.n_fitted,
        is_weighted=checked is not None and checked.sample_weight is not None,
        n_rows=len(y_array),
        score_pictures=of_scores,
        facts=data_facts(rfm, X, y_array, target, source),
        member_heads=heads,
        member_rows=rows,
        n_members=len(rfm.members_),
        heaviest=heaviest(rfm),
        settings=repr(model),
        importance_picture=importance_picture(rfm, names, spread, image_shape),
        importance_rows=_importance_rows(rfm, names, spread),
        spread=spread,
        no_spread=no_spread,
        n_features=rfm.n_features_in_,
        metric_pictures=metric_pictures(model, rfm),
        eigenvector_picture=eigenvector_picture(model, rfm, image_shape),
        training_pictures=training_pictures(rfm),
        versions=versions(),
        written=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    )
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return Path(path)


def _check_libraries() -> None:
    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        raise ImportError(f'a report needs {", ".join(missing)}: pip install "fastrfm[plot]"')


def _spread(
    model: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    n_resamples: int,
    random_state: int,
    n_jobs: int | None,
) -> tuple[ImportanceSpread | None, str]:
    """Return the spread, or None and why there is none."""
    if n_resamples == 0:
        return None, "not asked for"
    try:
        spread = importance_spread(
            model,
            X,
            y,
            sample_weight=sample_weight,
            n_resamples=n_resamples,
            max_rows=REFIT_ROWS,
            random_state=random_state,
            n_jobs=n_jobs,
        )
    except ValueError as error:  # too few rows, say: the rest of the page does not need it
        return None, str(error)
    return spread, ""


def _importance_rows(
    rfm: BaseRFM, names: NDArray[np.str_], spread: ImportanceSpread | None
) -> list[tuple[str, str]]:
    percent = 100 * rfm.feature_importances_
    errors = np.full(len(percent), np.nan) if spread is None else 100 * spread.standard_errors
    order = np.argsort(-percent, kind="stable")[:MOST_FEATURES]
    return [
        (
            str(names[i]),
            f"{percent[i]:.1f}%" if spread is None else f"{percent[i]:.1f}% ± {errors[i]:.1f}%",
        )
        for i in order
    ]


def _render(**content: Any) -> str:
    from jinja2 import Environment, StrictUndefined

    # Whatever is not an SVG of ours is escaped.
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["count"] = number
    template = files("fastrfm.report").joinpath("page.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(content)
