"""The demonstration's figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.demo.data import DataSet
from fastrfm.displays import EigenvectorDisplay, FeatureImportanceDisplay, MetricDisplay

DPI = 150
N_EIGENVECTORS = 4


def image_figure(data: DataSet, model: Any, path: Path) -> None:
    """Draw the importance of each pixel beside the top eigenvectors of the AGOP."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1,
        N_EIGENVECTORS + 1,
        figsize=(13.5, 3.4),
        layout="constrained",
        width_ratios=[1.27] + [1.0] * N_EIGENVECTORS,
    )
    shape = data.image_shape
    FeatureImportanceDisplay.from_estimator(model, image_shape=shape, ax=axes[0])
    EigenvectorDisplay.from_estimator(
        model, image_shape=shape, n_vectors=N_EIGENVECTORS, ax=axes[1:]
    )
    axes[0].set_title("pixel importance:\nshare of the trace", fontsize="medium")
    figure.suptitle(
        f"{data.name}: the AGOP of iteration {model.best_iter_} (red and blue are opposite signs)"
    )
    _save(figure, path)


def metric_figure(data: DataSet, model: Any, path: Path) -> None:
    """Draw the metric as a labelled heat map beside the importance of each feature."""
    import matplotlib.pyplot as plt

    shown = min(15, len(data.feature_names))
    height = 2.6 + 0.26 * shown
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(2.3 * height, height), layout="constrained", width_ratios=[3, 2]
    )
    names = data.feature_names
    MetricDisplay.from_estimator(model, feature_names=names, max_features=shown, ax=left)
    FeatureImportanceDisplay.from_estimator(
        model, feature_names=names, max_features=shown, ax=right
    )
    left.set_title(f"learned metric M, iteration {model.best_iter_}")
    right.set_title("feature importance (AGOP)")
    which = "" if shown == len(names) else f" (the first {shown} of {len(names)} features)"
    figure.suptitle(f"{data.name}: what distance is measured by{which}")
    _save(figure, path)


def iteration_figure(
    scores: dict[str, NDArray[np.float64]], labels: dict[str, str], path: Path
) -> None:
    """Draw the held-out score of each iteration: each fold, and their mean."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1,
        len(scores),
        figsize=(1.2 + 3.2 * len(scores), 3.6),
        layout="constrained",
        squeeze=False,
    )
    for ax, (name, folds) in zip(axes[0], scores.items(), strict=True):
        iterations = np.arange(folds.shape[1])
        ax.plot(iterations, folds.T, color="0.75", linewidth=1)
        ax.plot(iterations, folds.mean(axis=0), "o-", color="tab:blue", linewidth=2, label="mean")
        ax.plot([], [], color="0.75", linewidth=1, label="one fold")
        ax.set_title(name)
        ax.set_xticks(iterations)
        ax.set_ylabel(labels[name])
        ax.grid(alpha=0.3)
    axes[0][0].legend()
    figure.supxlabel("metric updates made (0: kernel ridge regression without feature learning)")
    figure.suptitle("Score on held-out rows by iteration")
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure.savefig(path, dpi=DPI)
    plt.close(figure)
