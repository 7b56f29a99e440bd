"""MetricDisplay: the learned metric as a heat map, or as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrfm.displays.drawing import BLUE, SIGNED, bar_names, label_inches, lines, one_ax
from fastrfm.displays.shown import (
    Names,
    checked_count,
    encoded_names,
    finite_values,
    given_names,
    member_caption,
    member_number,
    rfm_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from typing_extensions import Self

# A line of text high, or wide enough for the digits of an entry.
INCHES_A_CELL, INCHES_A_WRITTEN_CELL = 0.26, 0.48
# Up to so many features their entries are written into the heat map; more would not fit.
WRITTEN_FEATURES = 8
# An entry below this part of the largest is written as 0, whatever its own digits.
_NOTHING = 0.005
# Entries beyond this part of the largest stand on a dark colour.
_DARK = 0.6


class MetricDisplay:
    """The metric `M` of a kernel: a heat map of its heaviest features, or bars if it is diagonal.

    Distances are ``sqrt((x - z)^T M (x - z))`` for norm 2: the diagonal says how much a feature
    counts, an entry beside it which features count together (positive) or against each other.

    Parameters
    ----------
    metric : array-like of shape (d, d) or (d,)
        A vector is the diagonal of `M`: a heat map of it would be empty but for that, so bars
        are drawn.
    feature_names : sequence of str of length d, default=None
        None numbers the features.
    caption : str, default=""
        Second line of the title.

    Attributes
    ----------
    metric : ndarray of shape (d, d) or (d,)
    feature_names : ndarray of shape (d,), str
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Raises
    ------
    ValueError
        For a metric of another shape or with values that are not finite, and for another number
        of names.

    Examples
    --------
    >>> from fastrfm import RFMRegressor
    >>> from fastrfm.displays import MetricDisplay
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = RFMRegressor(norm=2, alpha=1.0).fit(X, y)
    >>> display = MetricDisplay.from_estimator(model, max_features=6)
    """

    def __init__(
        self, metric: ArrayLike, *, feature_names: Names = None, caption: str = ""
    ) -> None:
        self.metric: NDArray[np.float64] = np.asarray(metric, dtype=np.float64)
        if self.metric.ndim not in (1, 2) or len(set(self.metric.shape)) != 1:
            raise ValueError(f"metric must be of shape (d, d) or (d,); got {self.metric.shape}")
        finite_values("metric", self.metric)
        self.feature_names = given_names(feature_names, len(self.metric))
        self.caption = caption

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        member: int | None = None,
        feature_names: Names = None,
        max_features: int = 20,
        ax: Axes | None = None,
    ) -> Self:
        """Plot the metric of a fitted estimator.

        Parameters
        ----------
        estimator : RFMRegressor, RFMClassifier or Pipeline
            Fitted; a pipeline must end with one of them.
        member : int, default=None
            Index of ``estimator.members_``; None takes the heaviest.
        feature_names : sequence of str, default=None
            Of the encoded features, or of the input features. None takes those that the estimator
            was fitted with, or else those that come out of the pipeline's other steps.
        max_features : int, default=20
            The features with the largest diagonal entries are drawn, largest first.
        ax : matplotlib Axes, default=None
            None makes a figure.

        Returns
        -------
        MetricDisplay

        Raises
        ------
        TypeError, ValueError, NotFittedError
            For unsuitable arguments.
        """
        rfm = rfm_of(estimator)
        number = member_number(rfm, member)
        display = cls(
            rfm.members_[number].metric_,
            feature_names=encoded_names(estimator, number, feature_names),
            caption=member_caption(rfm, number),
        )
        return display.plot(max_features=max_features, ax=ax)

    def plot(self, *, max_features: int = 20, ax: Axes | None = None) -> Self:
        """Draw the `max_features` features with the largest diagonal entries.

        Parameters
        ----------
        max_features : int, default=20
        ax : matplotlib Axes, default=None
            None makes a figure.

        Returns
        -------
        self : object
            It keeps what it drew in `figure_` and `ax_`.
        """
        order = self._order(max_features)
        width, height = self.figure_size(max_features=max_features)
        self.figure_, self.ax_ = one_ax(ax, width=width, height=height)
        if self.metric.ndim == 1:
            self._bars(order)
        else:
            self._heat_map(order)
        d = len(self.metric)
        of = "" if len(order) == d else f", {len(order)} of {d} features"
        title = f"Learned metric M{of}"
        self.ax_.set_title(lines(title, self.caption), fontsize="medium")
        return self

    def figure_size(self, *, max_features: int = 20) -> tuple[float, float]:
        """Return the width and height, in inches, of the figure that `plot` makes.

        Parameters
        ----------
        max_features : int, default=20

        Returns
        -------
        width, height : float
        """
        order = self._order(max_features)
        if self.metric.ndim == 1:
            return 6.0, 1.4 + 0.24 * len(order)
        cell = INCHES_A_WRITTEN_CELL if len(order) <= WRITTEN_FEATURES else INCHES_A_CELL
        size = 0.8 + max(1.5, cell * len(order)) + label_inches(self.feature_names[order])
        return size + 1.2, size

    def _order(self, max_features: int) -> NDArray[np.intp]:
        most = checked_count("max_features", max_features)
        diagonal = self.metric if self.metric.ndim == 1 else np.diag(self.metric)
        return np.argsort(-diagonal, kind="stable")[:most]

    def _bars(self, order: NDArray[np.intp]) -> None:
        shown = order[::-1]  # the first is drawn on top
        self.ax_.barh(np.arange(len(shown)), self.metric[shown], color=BLUE)
        bar_names(self.ax_, self.feature_names[shown])
        self.ax_.set_xlabel("entry of M's diagonal")
        self.ax_.margins(y=0.01)

    def _heat_map(self, order: NDArray[np.intp]) -> None:
        values = self.metric[np.ix_(order, order)]
        limit = float(np.abs(values).max()) or 1.0
        image = self.ax_.imshow(values, cmap=SIGNED, vmin=-limit, vmax=limit)
        names = self.feature_names[order]
        bar_names(self.ax_, names, on="x", rotation=90)
        bar_names(self.ax_, names)
        self.ax_.tick_params(length=0)
        self.figure_.colorbar(image, ax=self.ax_, shrink=0.8, label="entry of M")
        if len(order) <= WRITTEN_FEATURES:
            for (row, column), value in np.ndenumerate(values):
                color = "white" if abs(value) > _DARK * limit else "black"
                text = f"{value:.2g}" if abs(value) > _NOTHING * limit else "0"
                self.ax_.text(column, row, text, color=color, ha="center", va="center", fontsize=8)
