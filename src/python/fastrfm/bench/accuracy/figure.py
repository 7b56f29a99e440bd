"""The plot ``accuracy.png``: ranks and normalised errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np

from fastrfm.bench.accuracy.analysis import ErrorTable, normalised, ranks
from fastrfm.bench.accuracy.contenders import PACKAGES

__all__ = ["draw"]

DPI = 150
# By contender, so that one has the same colour in every plot.
COLOURS = dict(
    zip(
        PACKAGES,
        ("tab:red", "tab:blue", "tab:green", "tab:orange", "tab:purple", "tab:gray"),
        strict=True,
    )
)
# Half the height of the band over which the sets of a contender are spread.
SPREAD = 0.28


def draw(tables: Mapping[str, ErrorTable], path: Path, subtitle: str) -> None:
    """Draw a column for each group: a point for each set, a bar at the mean, the best on top."""
    matplotlib.use("Agg")  # a file is written, no window is opened
    import matplotlib.pyplot as plt

    shown = {title: t for title, t in tables.items() if "alone" not in title} or tables
    width = max(len(table.contenders) for table in shown.values())
    figure, axes = plt.subplots(
        2,
        len(shown),
        figsize=(1.2 + 4.4 * len(shown), 1.6 + 0.85 * width),
        layout="constrained",
        squeeze=False,
    )
    for column, (title, table) in enumerate(shown.items()):
        order = np.argsort(-ranks(table.errors).mean(axis=0))
        for ax, values, label in (
            (axes[0][column], ranks(table.errors), "rank on a set"),
            (axes[1][column], normalised(table.errors), "normalised error on a set"),
        ):
            for height, j in enumerate(order):
                colour = COLOURS[table.contenders[j]]
                jitter = np.linspace(-SPREAD, SPREAD, len(values)) if len(values) > 1 else 0.0
                ax.scatter(
                    values[:, j], height + jitter, s=12, color=colour, alpha=0.4, linewidth=0
                )
                mean = values[:, j].mean()
                ax.vlines(mean, height - 0.4, height + 0.4, color=colour, linewidth=3)
                ax.annotate(
                    f"{mean:.2f}",
                    (1.02, height),
                    xycoords=("axes fraction", "data"),
                    va="center",
                )
            ax.set_yticks(range(len(order)), [table.contenders[j] for j in order])
            ax.set_xlabel(label + " (points), mean (bars, numbers)")
            ax.grid(axis="x", alpha=0.3)
        axes[0][column].set_xticks(range(1, len(order) + 1))
        axes[0][column].set_title(f"{title}, {len(table.sets)} set{'s' * (len(table.sets) > 1)}")
    figure.suptitle(f"Untouched defaults: less is better; {subtitle}", fontsize="medium")
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
