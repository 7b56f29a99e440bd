"""matplotlib displays of what was learned, in scikit-learn's Display convention.

Each has a ``from_estimator`` that computes and plots, a ``plot`` that plots what it was
constructed with, and keeps what it drew in ``figure_`` and ``ax_`` (or ``axes_``).
matplotlib (the extra ``plot``) is imported when something is plotted, not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from typing_extensions import Self

Names = Sequence[str] | None
Shape = tuple[int, int] | None


class MetricDisplay:
    """Heat map of a metric, its features in order of weight.

    Parameters
    ----------
    metric : ndarray of shape (d, d) or (d,)
    feature_names : sequence of str, default=None
        None numbers the features.
    """

    def __init__(self, metric: NDArray[np.float64], *, feature_names: Names = None) -> None:
        self.metric = np.diag(metric) if metric.ndim == 1 else metric
        self.feature_names = _names(feature_names, len(metric))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        feature_names: Names = None,
        max_features: int = 20,
        ax: Axes | None = None,
    ) -> Self:
        """Plot ``estimator.metric_``; names default to those of the encoded features."""
        check_is_fitted(estimator)
        names = _encoded_names_of(estimator, feature_names)
        return cls(estimator.metric_, feature_names=names).plot(max_features=max_features, ax=ax)

    def plot(self, *, max_features: int = 20, ax: Axes | None = None) -> Self:
        """Draw the `max_features` features with the largest diagonal entries."""
        order = np.argsort(-np.diag(self.metric), kind="stable")[:max_features]
        values = self.metric[np.ix_(order, order)]
        self.figure_, self.ax_ = _axes(ax, size=3.2 + 0.24 * len(order))
        limit = np.abs(values).max() or 1.0
        image = self.ax_.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
        names = self.feature_names[order]
        self.ax_.set_xticks(range(len(order)), names, rotation=90)
        self.ax_.set_yticks(range(len(order)), names)
        self.ax_.tick_params(length=0)
        self.ax_.set_title("Learned metric M")
        self.figure_.colorbar(image, ax=self.ax_, shrink=0.8, label="entry of M")
        return self


class FeatureImportanceDisplay:
    """Share of each feature in the trace of the AGOP, as bars or as an image.

    Parameters
    ----------
    importances : ndarray of shape (d,)
    feature_names : sequence of str, default=None
    image_shape : (int, int), default=None
        Rows and columns, where the features are the pixels of an image.
    """

    def __init__(
        self,
        importances: NDArray[np.float64],
        *,
        feature_names: Names = None,
        image_shape: Shape = None,
    ) -> None:
        self.importances = importances
        self.feature_names = _names(feature_names, len(importances))
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        feature_names: Names = None,
        image_shape: Shape = None,
        max_features: int = 20,
        ax: Axes | None = None,
    ) -> Self:
        """Plot ``estimator.feature_importances_``."""
        check_is_fitted(estimator)
        display = cls(
            estimator.feature_importances_,
            feature_names=_names_of(estimator, feature_names),
            image_shape=image_shape,
        )
        return display.plot(max_features=max_features, ax=ax)

    def plot(self, *, max_features: int = 20, ax: Axes | None = None) -> Self:
        """Draw the image, or bars of the `max_features` most important features."""
        self.figure_, self.ax_ = _axes(ax, size=4.2)
        percent = 100 * self.importances
        if self.image_shape is not None:
            image = self.ax_.imshow(percent.reshape(self.image_shape), cmap="magma", vmin=0)
            self.ax_.set_xticks([])
            self.ax_.set_yticks([])
            self.figure_.colorbar(image, ax=self.ax_, shrink=0.8, label="% of the AGOP's trace")
        else:
            order = np.argsort(-percent, kind="stable")[:max_features][::-1]
            self.ax_.barh(self.feature_names[order], percent[order], color="tab:blue")
            self.ax_.set_xlabel("% of the AGOP's trace")
        self.ax_.set_title("Feature importance")
        return self


class EigenvectorDisplay:
    """Top eigenvectors of the AGOP: the directions in which the predictor changes most.

    Parameters
    ----------
    agop : ndarray of shape (d, d)
    feature_names : sequence of str, default=None
    image_shape : (int, int), default=None
        Rows and columns, where the features are the pixels of an image.

    Raises
    ------
    ValueError
        If only the diagonal of the AGOP was learned.
    """

    def __init__(
        self, agop: NDArray[np.float64], *, feature_names: Names = None, image_shape: Shape = None
    ) -> None:
        if agop.ndim == 1:
            raise ValueError(
                "the eigenvectors of a diagonal AGOP are the features themselves; "
                "fit with diagonal=False"
            )
        values, vectors = np.linalg.eigh(agop)
        total = values.sum()
        self.shares = values[::-1] / total if total > 0 else values
        vectors = vectors[:, ::-1].T
        # An eigenvector has no sign of its own: let its largest entry be positive.
        largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
        self.vectors = vectors * np.sign(largest)
        self.feature_names = _names(feature_names, len(agop))
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        n_vectors: int = 4,
        feature_names: Names = None,
        image_shape: Shape = None,
        max_features: int = 12,
        axes: Sequence[Axes] | None = None,
    ) -> Self:
        """Plot the eigenvectors of ``estimator.agop_``, in encoded features."""
        check_is_fitted(estimator)
        names = _encoded_names_of(estimator, feature_names)
        display = cls(estimator.agop_, feature_names=names, image_shape=image_shape)
        return display.plot(n_vectors=n_vectors, max_features=max_features, axes=axes)

    def plot(
        self, *, n_vectors: int = 4, max_features: int = 12, axes: Sequence[Axes] | None = None
    ) -> Self:
        """Draw `n_vectors` images, or signed bars of each vector's largest entries."""
        if axes is None:
            n_vectors = min(n_vectors, len(self.vectors))
            self.figure_, self.axes_ = _row_of_axes(n_vectors)
        else:
            self.axes_ = list(axes)
            self.figure_ = _figure(self.axes_[0])
        for number, ax in enumerate(self.axes_):
            vector = self.vectors[number]
            if self.image_shape is not None:
                limit = np.abs(vector).max()
                image = vector.reshape(self.image_shape)
                ax.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit)
                ax.set_xticks([])
                ax.set_yticks([])
            else:
                order = np.argsort(-np.abs(vector), kind="stable")[:max_features][::-1]
                colors = np.where(vector[order] < 0, "tab:blue", "tab:red")
                ax.barh(self.feature_names[order], vector[order], color=list(colors))
                ax.axvline(0, color="black", linewidth=0.8)
            ax.set_title(f"eigenvector {number + 1}\n{self.shares[number]:.0%} of the trace")
        return self


class TrainingDisplay:
    """Selection score of each iteration; the one that was kept is marked.

    Parameters
    ----------
    history : list of dict
        ``estimator.history_``.
    best_iter : int
    """

    def __init__(self, history: list[dict[str, Any]], best_iter: int) -> None:
        self.history = history
        self.best_iter = best_iter

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Plot those iterations of ``estimator.history_`` that were scored."""
        check_is_fitted(estimator)
        scored = [entry for entry in estimator.history_ if np.isfinite(entry["score"])]
        return cls(scored, estimator.best_iter_).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the scores: errors, so the smaller the better."""
        self.figure_, self.ax_ = _axes(ax, size=4.2)
        iterations = [entry["iteration"] for entry in self.history]
        scores = [entry["score"] for entry in self.history]
        self.ax_.plot(iterations, scores, "o-", color="tab:blue")
        self.ax_.plot(
            self.best_iter, scores[self.best_iter], "o", color="tab:red", label="kept", zorder=3
        )
        self.ax_.set_xticks(iterations)
        self.ax_.set_xlabel("iteration (metric updates made)")
        self.ax_.set_ylabel("selection error")
        self.ax_.set_title("Error by iteration")
        self.ax_.legend()
        return self


def _names(names: Names, n_features: int) -> NDArray[np.str_]:
    if names is None:
        names = [f"x{i}" for i in range(n_features)]
    if len(names) != n_features:
        raise ValueError(f"feature_names has {len(names)} entries for {n_features} features")
    return np.asarray(names, dtype=str)


def _names_of(estimator: Any, names: Names) -> Names:
    return getattr(estimator, "feature_names_in_", None) if names is None else names


def _encoded_names_of(estimator: Any, names: Names) -> Names:
    """Return the names given, or those of the encoded features where the input's had names."""
    if names is not None or not hasattr(estimator, "feature_names_in_"):
        return names
    encoded: list[str] = estimator.encoded_feature_names_
    return encoded


def _axes(ax: Axes | None, *, size: float) -> tuple[Figure, Axes]:
    if ax is not None:
        return _figure(ax), ax
    figure, axes = _row_of_axes(1, size=size)
    return figure, axes[0]


def _row_of_axes(number: int, size: float = 3.0) -> tuple[Figure, list[Axes]]:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('displays need matplotlib: pip install "fastrfm[plot]"') from error
    shape = (number * size * 1.15, size)
    figure, axes = plt.subplots(1, number, figsize=shape, squeeze=False, layout="constrained")
    return figure, list(axes[0])


def _figure(ax: Axes) -> Figure:
    figure: Any = ax.get_figure()
    return figure  # type: ignore[no-any-return]
