"""The pictures of a report: of the scores, and of what was learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from fastrfm.displays import (
    EigenvectorDisplay,
    FeatureImportanceDisplay,
    MetricDisplay,
    TrainingDisplay,
)
from fastrfm.displays.shown import encoded_names, heaviest, member_caption
from fastrfm.estimators.base import BaseRFM
from fastrfm.estimators.fitted import FittedMember
from fastrfm.importance_spread import ImportanceSpread
from fastrfm.report.held_out import HeldOut
from fastrfm.report.pictures import (
    WRITTEN_CLASSES,
    confusion,
    inline_svg,
    predicted_and_true,
    reliability,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "MOST_FEATURES",
    "Picture",
    "eigenvector_picture",
    "importance_picture",
    "metric_pictures",
    "pictures_of_classification",
    "pictures_of_regression",
    "training_pictures",
]

MOST_FEATURES = 20
# Of each eigenvector.
MOST_ENTRIES = 12
EIGENVECTORS = 3
# Outputs of a regression whose predictions are drawn.
MOST_OUTPUTS = 4


@dataclass(frozen=True)
class Picture:
    """A figure: its SVG, what it says to those who do not see it, and its caption."""

    svg: str
    alt: str
    caption: str


def pictures_of_regression(held_out: HeldOut, target: str) -> list[Picture]:
    """Return predictions over true values, one panel for each output."""
    y = np.asarray(held_out.y_true, dtype=np.float64)
    prediction = np.asarray(held_out.prediction, dtype=np.float64)
    columns = [(y, prediction)] if y.ndim == 1 else list(zip(y.T, prediction.T, strict=True))
    shown = columns[:MOST_OUTPUTS]

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        for output, (ax, (of_y, of_prediction)) in enumerate(zip(axes, shown, strict=True)):
            name = target if len(columns) == 1 else f"{target}, output {output}"
            predicted_and_true(ax, of_y, of_prediction, name)

    which = "" if len(columns) <= MOST_OUTPUTS else f" (the first {MOST_OUTPUTS} outputs)"
    return [
        Picture(
            inline_svg(draw, key="predicted", width=5.0 * len(shown), height=4.2),
            f"Scatter plot of predicted over true {target} on the held-out rows.",
            f"Each point is a held-out row{which}; on the dashed line it is predicted exactly.",
        )
    ]


def pictures_of_classification(held_out: HeldOut, classes: NDArray[Any]) -> list[Picture]:
    """Return the confusion matrix and, given probabilities, the reliability curve."""
    y, prediction = np.asarray(held_out.y_true), np.asarray(held_out.prediction)
    labels = np.union1d(classes, np.union1d(y, prediction))
    counts = confusion_matrix(y, prediction, labels=labels)
    size = float(np.clip(2.5 + 0.4 * len(labels), 3.6, 8.0))
    pictures = [
        Picture(
            inline_svg(
                lambda figure: confusion(figure.subplots(), counts, labels),
                key="confusion",
                width=size + 1.4,
                height=size,
            ),
            "Confusion matrix of the held-out rows.",
            "Rows are the true classes, columns the predicted ones"
            + ("; the numbers count held-out rows." if len(labels) <= WRITTEN_CLASSES else ".")
            + " All on the diagonal would be perfect.",
        )
    ]
    if held_out.probabilities is not None:
        probabilities = np.asarray(held_out.probabilities)
        if len(classes) == 2:
            probability, happened = probabilities[:, 1], y == classes[1]
            what = f"class {classes[1]}"
        else:
            best = probabilities.argmax(axis=1)
            probability, happened = probabilities.max(axis=1), y == classes[best]
            what = "the likeliest class"
        pictures.append(
            Picture(
                inline_svg(
                    lambda figure: reliability(figure.subplots(), probability, happened, what),
                    key="reliability",
                    width=5.0,
                    height=4.2,
                ),
                f"Reliability curve of the probability of {what} on the held-out rows.",
                "Rows are grouped by the probability they were given. Below the dashed line the "
                "probabilities are too high, above it too low.",
            )
        )
    return pictures


def importance_picture(
    rfm: BaseRFM,
    names: NDArray[np.str_],
    spread: ImportanceSpread | None,
    image_shape: tuple[int, int] | None,
) -> Picture:
    """Return the importances with their standard errors, where they are known."""
    display = FeatureImportanceDisplay(
        rfm.feature_importances_,
        standard_errors=None if spread is None else spread.standard_errors,
        feature_names=names,
        image_shape=image_shape,
    )
    n_bars = min(MOST_FEATURES, len(names))
    svg = inline_svg(
        lambda figure: _drawn(display.plot(max_features=MOST_FEATURES, ax=figure.subplots())),
        key="importances",
        height=4.2 if image_shape else 1.3 + 0.24 * n_bars,
    )
    return Picture(
        svg,
        "Importances of the features; the numbers are in the table below.",
        "Each feature's share of the AGOP's trace, that is, of the squared slope of the predictor.",
    )


def metric_pictures(model: Any, rfm: BaseRFM) -> list[Picture]:
    """Return the heaviest member's metric and, if that is diagonal, the heaviest full one."""
    first = heaviest(rfm)
    full = [i for i, one in enumerate(rfm.members_) if one.metric_.ndim == 2]
    numbers = [first]
    if full and first not in full:
        numbers.append(max(full, key=lambda i: rfm.member_weights_[i]))
    pictures = []
    for index in numbers:
        display = MetricDisplay(
            rfm.members_[index].metric_,
            feature_names=encoded_names(model, index, None),
            caption=member_caption(rfm, index),
        )
        n_shown = min(MOST_FEATURES, len(display.metric))
        width, height = display.figure_size(max_features=MOST_FEATURES)

        def draw(figure: Figure, display: MetricDisplay = display) -> None:
            display.plot(max_features=MOST_FEATURES, ax=figure.subplots())

        pictures.append(
            Picture(
                inline_svg(draw, key=f"metric{index}", width=width, height=height),
                f"The metric of member {index}, for its {n_shown} heaviest features.",
                _about_metric(rfm.members_[index]),
            )
        )
    return pictures


def _about_metric(member: FittedMember) -> str:
    if member.best_iter_ == 0:
        return (
            "No update of the metric predicted better, so this is what it began with: every "
            "column counts alike."
        )
    if member.metric_.ndim == 2:
        return (
            "On the diagonal how much a feature counts in distances; beside it which features "
            "count together (red) or against each other (blue)."
        )
    return (
        "This member weights each feature by itself: the longer the bar, the more it counts in "
        "distances."
    )


def eigenvector_picture(
    model: Any, rfm: BaseRFM, image_shape: tuple[int, int] | None
) -> Picture | None:
    """Return the top eigenvectors of the heaviest full member; None where all are diagonal."""
    full = [one for one in rfm.members_ if one.agop_.ndim == 2]
    if not full:
        return None
    if image_shape is not None:
        member = max(range(len(rfm.members_)), key=lambda i: _weight_if_full(rfm, i))
        if len(rfm.members_[member].agop_) != image_shape[0] * image_shape[1]:
            image_shape = None  # missing pixels, say, have columns of their own

    def draw(figure: Figure) -> None:
        n_vectors = min(EIGENVECTORS, min(len(one.agop_) for one in full))
        axes = figure.subplots(1, n_vectors, squeeze=False)[0]
        EigenvectorDisplay.from_estimator(
            model, n_vectors=n_vectors, image_shape=image_shape, max_features=MOST_ENTRIES, ax=axes
        )

    height = 3.6 if image_shape else 1.6 + 0.22 * min(MOST_ENTRIES, len(full[0].agop_))
    return Picture(
        inline_svg(draw, key="eigenvectors", width=10.5, height=height),
        "The top eigenvectors of the average gradient outer product.",
        "Directions in which the predictor changes most, and their shares. "
        f"{'Red' if image_shape else 'Orange'} and blue are opposite signs: along the direction, "
        f"{'pixels' if image_shape else 'features'} of one colour rise while the others fall.",
    )


def _weight_if_full(rfm: BaseRFM, index: int) -> float:
    is_full = rfm.members_[index].agop_.ndim == 2
    return float(rfm.member_weights_[index]) if is_full else -1.0


def training_pictures(rfm: BaseRFM) -> list[Picture]:
    """Return the training of each member."""
    pictures = []
    for index in range(len(rfm.members_)):

        def draw(figure: Figure, index: int = index) -> None:
            TrainingDisplay.from_estimator(rfm, member=index, ax=figure.subplots(1, 3))

        pictures.append(
            Picture(
                inline_svg(draw, key=f"training{index}", width=11.5, height=3.3),
                f"Error, residual and seconds of each iteration of member {index}.",
                f"Member {index}. The shaded iteration was kept.",
            )
        )
    return pictures


def _drawn(display: Any) -> None:
    """Do nothing: for a lambda that only draws."""
