"""FeatureImportanceDisplay: how much of the AGOP's trace each feature has, and how surely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastrfm.displays.drawing import BLUE, Shape, bar_names, image_of, line_color, lines, one_ax
from fastrfm.displays.shown import (
    Names,
    checked_count,
    finite_values,
    given_names,
    input_names,
    member_caption,
    member_number,
    rfm_of,
)
from fastrfm.estimators.fitted import importances as importances_of
from fastrfm.importance_spread import importance_spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from typing_extensions import Self


class FeatureImportanceDisplay:
    """Share of each feature in the trace of the AGOP, as bars or as an image.

    Parameters
    ----------
    importances : array-like of shape (d,)
        Non-negative; they sum to 1.
    standard_errors : array-like of shape (d,), default=None
        Drawn as lines of one standard error to each side of a bar's end, as far as there can be
        shares: to 0 and 1. Not drawn on an image.
    feature_names : sequence of str of length d, default=None
        None numbers the features.
    image_shape : (int, int), default=None
        Height and width, where the features are the pixels of an image.
    caption : str, default=""
        Second line of the title.

    Attributes
    ----------
    importances, standard_errors : ndarray of shape (d,)
        The latter None where they are not known.
    feature_names : ndarray of shape (d,), str
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Raises
    ------
    ValueError
        For shapes that do not fit each other, and for values that are not finite or that cannot be
        standard errors.

    See Also
    --------
    fastrfm.importance_spread.importance_spread : Computes the standard errors.
    """

    def __init__(
        self,
        importances: ArrayLike,
        *,
        standard_errors: ArrayLike | None = None,
        feature_names: Names = None,
        image_shape: Shape | None = None,
        caption: str = "",
    ) -> None:
        self.importances = np.asarray(importances, dtype=np.float64)
        if self.importances.ndim != 1:
            raise ValueError(f"importances must be of shape (d,); got {self.importances.shape}")
        self.standard_errors = (
            None if standard_errors is None else np.asarray(standard_errors, dtype=np.float64)
        )
        if (
            self.standard_errors is not None
            and self.standard_errors.shape != self.importances.shape
        ):
            raise ValueError(
                f"standard_errors must be of shape {self.importances.shape}, like importances; "
                f"got {self.standard_errors.shape}"
            )
        finite_values("importances", self.importances)
        if self.standard_errors is not None and not (self.standard_errors >= 0).all():
            raise ValueError("standard_errors must not be negative or NaN")
        self.feature_names = given_names(feature_names, len(self.importances))
        self.image_shape = image_shape
        self.caption = caption

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        sample_weight: Any = None,
        n_resamples: int = 20,
        random_state: Any = None,
        n_jobs: int | None = None,
        member: int | None = None,
        feature_names: Names = None,
        image_shape: Shape | None = None,
        max_features: int = 20,
        ax: Axes | None = None,
    ) -> Self:
        """Plot ``estimator.feature_importances_``, with their spread if `X` and `y` are given.

        Parameters
        ----------
        estimator : RFMRegressor, RFMClassifier or Pipeline
            Fitted; a pipeline must end with one of them.
        X, y : array-like, default=None
            The rows that `estimator` was fitted to. Given, clones of it are fitted to
            `n_resamples` random halves of them, which takes so many fits, and the standard errors
            that follow are drawn; see :func:`fastrfm.importance_spread.importance_spread`.
        sample_weight : array-like of shape (n_samples,), default=None
            Of the rows of `X`.
        n_resamples : int, default=20
        random_state : int or RandomState, default=None
            Draws the halves.
        n_jobs : int, default=None
            Fits at a time.
        member : int, default=None
            Index of ``estimator.members_``, to see its importances alone, without spread; None
            weights all members.
        feature_names : sequence of str, default=None
            Of the input features. None takes those that the estimator was fitted with, or else
            those that come out of the pipeline's other steps.
        image_shape : (int, int), default=None
            Height and width, where the input features are the pixels of an image.
        max_features : int, default=20
            The most important are drawn, the first on top; an image is drawn whole.
        ax : matplotlib Axes, default=None
            None makes a figure.

        Returns
        -------
        FeatureImportanceDisplay

        Raises
        ------
        TypeError, ValueError, NotFittedError
            For unsuitable arguments.
        """
        rfm = rfm_of(estimator)
        if (X is None) != (y is None):
            missing = "X" if X is None else "y"
            raise ValueError(f"X and y belong together; {missing} is missing")
        if member is not None and X is not None:
            raise ValueError("the spread is that of all members: give member, or X and y, not both")
        checked_count("max_features", max_features)
        shown, caption, errors = rfm.feature_importances_, "", None
        if member is not None:
            number = member_number(rfm, member)
            one = rfm.members_[number]
            encoder = rfm._encoders[one.columns_]
            shown, caption = (
                importances_of(one, encoder, rfm.n_features_in_),
                member_caption(rfm, number),
            )
        names = input_names(estimator, feature_names)
        if image_shape is not None:
            image_of(shown, image_shape)  # before the fits
        if X is not None:
            _check_width(estimator, X)
            spread = importance_spread(
                estimator,
                X,
                y,
                sample_weight=sample_weight,
                n_resamples=n_resamples,
                random_state=random_state,
                n_jobs=n_jobs,
            )
            errors, caption = spread.standard_errors, spread.caption
        display = cls(
            shown,
            standard_errors=errors,
            feature_names=names,
            image_shape=image_shape,
            caption=caption,
        )
        return display.plot(max_features=max_features, ax=ax)

    def plot(self, *, max_features: int = 20, ax: Axes | None = None) -> Self:
        """Draw the image, or bars of the `max_features` most important features.

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
        most = checked_count("max_features", max_features)
        percent = 100 * self.importances
        of = ""
        if self.image_shape is not None:
            pixels = image_of(percent, self.image_shape)
            self.figure_, self.ax_ = one_ax(ax, width=5.0, height=4.2)
            image = self.ax_.imshow(pixels, cmap="cividis", vmin=0)
            self.ax_.set_xticks([])
            self.ax_.set_yticks([])
            self.figure_.colorbar(image, ax=self.ax_, shrink=0.8, label="% of the AGOP's trace")
        else:
            order = np.argsort(-percent, kind="stable")[:most][::-1]
            if len(order) < len(percent):
                of = f", {len(order)} of {len(percent)} features"
            self.figure_, self.ax_ = one_ax(ax, width=6.0, height=1.4 + 0.24 * len(order))
            self.ax_.barh(np.arange(len(order)), percent[order], color=BLUE)
            label = "% of the AGOP's trace"
            if self.standard_errors is not None:
                # A share is at least 0% and at most 100%: the lines end there.
                room = np.stack([percent[order], 100 - percent[order]])
                self.ax_.errorbar(
                    percent[order],
                    np.arange(len(order)),
                    xerr=np.clip(room, 0, 100 * self.standard_errors[order]),
                    fmt="none",
                    ecolor=line_color(),
                    elinewidth=1.2,
                    capsize=2.5,
                )
                label += " (line: ±1 standard error)"
            bar_names(self.ax_, self.feature_names[order])
            self.ax_.set_xlabel(label)
            self.ax_.set_xlim(left=0)
            self.ax_.margins(y=0.01)
        title = f"Feature importance{of}"
        self.ax_.set_title(lines(title, self.caption), fontsize="medium")
        return self


def _check_width(estimator: Any, X: Any) -> None:
    """Refuse rows of another width than those fitted before they are refitted to."""
    shape, wanted = np.shape(X), getattr(estimator, "n_features_in_", None)
    if wanted is not None and len(shape) == 2 and shape[1] != wanted:
        raise ValueError(
            f"X has {shape[1]} features, but the estimator was fitted to {wanted}; give the rows "
            "that it was fitted to"
        )
