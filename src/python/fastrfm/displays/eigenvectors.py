"""EigenvectorDisplay: the directions in which the predictor changes most."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from scipy.sparse.linalg import ArpackError, eigsh

from fastrfm.displays.drawing import (
    NARROW_LABEL_CHARACTERS,
    SIGNED,
    Shape,
    bar_names,
    image_of,
    line_color,
    lines,
    one_line,
    panels,
    signed_colors,
)
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
from fastrfm.estimators.base import BaseRFM

if TYPE_CHECKING:
    from typing_extensions import Self

    from fastrfm.displays.drawing import AxesLike


# From this many features on by Lanczos iterations: the four largest of 784 take 0.05 s by a
# factorisation, 0.01 s by iterations; of 2,000 1.2 and 0.1; of 5,000 18 and 0.5 (one thread of an
# AMD EPYC, Zen 4; eigenvalues that fall like k^-1.4).
LANCZOS_FEATURES = 1_000


class EigenvectorDisplay:
    """Top eigenvectors of the AGOP: the directions in which the predictor changes most.

    Parameters
    ----------
    agop : array-like of shape (d, d)
        Symmetric, positive semi-definite.
    n_vectors : int, default=4
        Of the largest eigenvalues; d where there are no more.
    feature_names : sequence of str of length d, default=None
        None numbers the features.
    image_shape : (int, int), default=None
        Height and width, where the features are the pixels of an image.
    caption : str, default=""
        Above a figure that `plot` makes.
    label : str, default=""
        In the title of each panel.

    Attributes
    ----------
    vectors : ndarray of shape (n_vectors, d)
        Of length 1, by decreasing eigenvalue; the largest entry of each is positive, for an
        eigenvector has no sign of its own.
    shares : ndarray of shape (n_vectors,)
        The eigenvalues' parts of the trace; 0 for a constant predictor.
    axes_ : list of matplotlib Axes
    figure_ : matplotlib Figure

    Raises
    ------
    ValueError
        If only the diagonal of the AGOP was learned, and for values that are not finite.
    """

    def __init__(
        self,
        agop: ArrayLike,
        *,
        n_vectors: int = 4,
        feature_names: Names = None,
        image_shape: Shape | None = None,
        caption: str = "",
        label: str = "",
    ) -> None:
        matrix = np.asarray(agop, dtype=np.float64)
        if matrix.ndim == 1:
            raise ValueError(
                "the eigenvectors of a diagonal AGOP are the features themselves; "
                "fit with diagonal=False"
            )
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"agop must be of shape (d, d); got {matrix.shape}")
        finite_values("agop", matrix)
        d = len(matrix)
        self.feature_names = given_names(feature_names, d)
        number = min(checked_count("n_vectors", n_vectors), d)
        values, vectors = _top_eigenvectors(matrix, number)
        trace = float(np.trace(matrix))
        shares = values / trace if trace > 0 else np.zeros(number)
        self.shares: NDArray[np.float64] = np.clip(shares, 0, None)
        largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
        self.vectors: NDArray[np.float64] = vectors * np.sign(largest)
        self.image_shape = image_shape
        if image_shape is not None:
            image_of(self.vectors[0], image_shape)
        self.caption = caption
        self.label = label

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        member: int | None = None,
        n_vectors: int = 4,
        feature_names: Names = None,
        image_shape: Shape | None = None,
        max_features: int = 12,
        ax: AxesLike | None = None,
    ) -> Self:
        """Plot the top eigenvectors of a member's AGOP, in encoded features.

        Parameters
        ----------
        estimator : RFMRegressor, RFMClassifier or Pipeline
            Fitted; a pipeline must end with one of them.
        member : int, default=None
            Index of ``estimator.members_``; None takes the heaviest of those whose AGOP is not
            diagonal.
        n_vectors : int, default=4
        feature_names : sequence of str, default=None
            Of the encoded features, or of the input features. None takes those that the estimator
            was fitted with, or else those that come out of the pipeline's other steps.
        image_shape : (int, int), default=None
            Height and width, where the encoded features are the pixels of an image.
        max_features : int, default=12
            Of each vector, those with the largest entries are drawn; an image is drawn whole.
        ax : matplotlib Axes, or sequence of them, default=None
            One is divided; several are one for each vector; None makes a figure.

        Returns
        -------
        EigenvectorDisplay

        Raises
        ------
        TypeError, ValueError, NotFittedError
            For unsuitable arguments, and where the AGOP is diagonal.
        """
        rfm = rfm_of(estimator)
        number = _full_member(rfm, member)
        names = encoded_names(estimator, number, feature_names)
        checked_count("max_features", max_features)
        display = cls(
            rfm.members_[number].agop_,
            n_vectors=n_vectors,
            feature_names=names,
            image_shape=image_shape,
            caption=member_caption(rfm, number),
            label=f"member {number}, " if len(rfm.members_) > 1 else "",
        )
        return display.plot(max_features=max_features, ax=ax)

    def plot(self, *, max_features: int = 12, ax: AxesLike | None = None) -> Self:
        """Draw images, or signed bars of each vector's `max_features` largest entries.

        Parameters
        ----------
        max_features : int, default=12
        ax : matplotlib Axes or sequence of Axes, default=None
            None makes a figure.

        Returns
        -------
        self : object
            It keeps what it drew in `figure_` and `axes_`.
        """
        most = min(checked_count("max_features", max_features), self.vectors.shape[1])
        is_image = self.image_shape is not None
        self.figure_, self.axes_ = panels(
            ax, len(self.vectors), height=3.1 if is_image else 1.6 + 0.22 * most
        )
        for number, one in enumerate(self.axes_):
            vector = self.vectors[number]
            if self.image_shape is not None:
                limit = np.abs(vector).max()
                pixels = image_of(vector, self.image_shape)
                one.imshow(pixels, cmap=SIGNED, vmin=-limit, vmax=limit)
                one.set_xticks([])
                one.set_yticks([])
            else:
                order = np.argsort(-np.abs(vector), kind="stable")[:most][::-1]
                one.barh(np.arange(most), vector[order], color=signed_colors(vector[order]))
                bar_names(one, self.feature_names[order], characters=NARROW_LABEL_CHARACTERS)
                one.axvline(0, color=line_color(), linewidth=0.8)
                one.margins(y=0.01)
            one.set_title(
                f"{self.label}eigenvector {number + 1}\n{self.shares[number]:.1%} of the trace",
                fontsize="medium",
            )
        if ax is None:
            self.figure_.suptitle(
                lines("Eigenvectors of the AGOP", one_line(self.caption)),
                fontsize="medium",
            )
        return self


def _top_eigenvectors(
    matrix: NDArray[np.float64], number: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest eigenvalues, decreasing, and their eigenvectors as rows."""
    d = len(matrix)
    found = None
    if d >= LANCZOS_FEATURES and number <= d // 10 and matrix.any():
        start = np.random.default_rng(0).standard_normal(d)  # so that results repeat
        # Eigenvalues too close to each other for it are left to the factorisation.
        with suppress(ArpackError):
            found = eigsh(matrix, k=number, which="LA", v0=start)
    if found is None:
        found = eigh(matrix, subset_by_index=(d - number, d - 1))
    order = np.argsort(-found[0], kind="stable")
    return found[0][order], found[1].T[order]


def _full_member(rfm: BaseRFM, member: int | None) -> int:
    """Return the member to show: the one asked for, or the heaviest whose AGOP is a matrix."""
    full = [i for i, one in enumerate(rfm.members_) if one.agop_.ndim == 2]
    if member is None:
        if full:
            return max(full, key=lambda i: (rfm.member_weights_[i], -i))
        raise ValueError(
            "the AGOP of every member is diagonal, so its eigenvectors are the features "
            "themselves; fit with diagonal=False"
        )
    number = member_number(rfm, member)
    if number not in full:
        others = f"choose member {' or '.join(map(str, full))}, or " if full else ""
        raise ValueError(
            f"the AGOP of member {number} is diagonal, so its eigenvectors are the features "
            f"themselves; {others}fit with diagonal=False"
        )
    return number
