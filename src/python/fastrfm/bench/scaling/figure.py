"""The plot ``scaling.png``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from fastrfm.bench.scaling import findings
from fastrfm.bench.scaling.exponents import PowerLaw
from fastrfm.bench.scaling.findings import Points, along

__all__ = ["draw"]

DPI = 130
# By kind of work, so that one has the same colour in every panel.
COLOURS = {
    "product": "tab:blue",
    "agop": "tab:orange",
    "landmarks": "tab:gray",
    "fit": "tab:red",
    "stored": "tab:purple",
    "tree": "tab:green",
}
NAMES = {
    "product": "K V",
    "agop": "AGOP, 4,000 rows",
    "landmarks": "preconditioner",
    "fit": "fit, K not stored",
    "stored": "fit, K stored",
    "tree": "tree",
}
# Ticks of the x axis are at sizes that were measured, at least so much apart.
APART = 1.9
# Of the height of a panel: a line of the legend, and what the legend may take.
LINE, MOST_OF_HEIGHT = 0.065, 0.5
# An axis of less is marked between the powers of ten.
FEW_DECADES = 8.0
MARKERS = {"CG steps to 1e-2": ("o", "loose steps", 0), "of the last solve": ("s", "steps", 1)}


def draw(points: Points, path: Path) -> None:
    """Draw six panels: time and memory against rows, steps, columns, outputs, and the model."""
    matplotlib.use("Agg")  # a file is written, no window is opened
    import matplotlib.pyplot as plt

    laws = findings.exponents(points)
    figure, axes = plt.subplots(2, 3, figsize=(15, 9), layout="constrained")
    panels = (
        (axes[0][0], "n", "cpu_seconds", "CPU seconds", 1.0),
        (axes[0][1], "n", "peak_work", "peak memory of the work, GB", 1e9),
        (axes[1][0], "d", "cpu_seconds", "CPU seconds", 1.0),
        (axes[1][1], "c", "cpu_seconds", "CPU seconds", 1.0),
    )
    for ax, axis, value, label, unit in panels:
        for kind, colour in COLOURS.items():
            at = along(points, kind, axis, value)
            if len(at) < 2:
                continue
            law = laws.get((kind, axis, value))
            name = NAMES[kind] + ("" if law is None else f": {axis}^{law.exponent:.2f}")
            _series(ax, at, law, name, colour, unit)
        names = {"n": "rows n", "d": "columns d", "c": "outputs c"}
        _finish(ax, names[axis], label)
    ax = axes[0][2]
    for name, (marker, key, number) in MARKERS.items():
        at = findings.steps_of(points)[number]
        law = laws.get(("fit", "n", key))
        shown = name + ("" if law is None else f": n^{law.exponent:.2f}")
        if at:
            _series(ax, at, law, shown, COLOURS["fit"], 1.0, marker)
    _finish(ax, "rows n", "steps of a solve")
    _model(axes[1][2], points)
    figure.suptitle("Time, memory and steps of fastrfm; exponents by least squares", size="large")
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def _series(
    ax: Any,
    at: dict[int, float],
    law: PowerLaw | None,
    name: str,
    colour: str,
    unit: float,
    marker: str = "o",
) -> None:
    x = np.array([*at], float)
    y = np.array([*at.values()]) / unit
    ax.plot(x, y, marker, color=colour, label=name, markersize=5)
    if law is not None:
        ends = np.array([x[0], x[-1]])
        ax.plot(ends, [law(end) / unit for end in ends], color=colour, linewidth=1, alpha=0.6)


def _model(ax: Any, points: Points) -> None:
    """Draw the measured fits, and what the model says of the largest from the smaller points."""
    fits = along(points, "fit", "n")
    if fits:
        ax.plot([*fits], [*fits.values()], "o", color=COLOURS["fit"], label="fits measured")
    found = findings.validate(points)
    if found is not None:
        for y, marker, name in (
            (found.predicted, "x", "with its steps"),
            (found.predicted_all, "+", "with extrapolated steps"),
        ):
            error = y / found.measured - 1
            label = f"model {name}: {error:+.0%}"
            ax.plot([found.n], [y], marker, color="black", markersize=11, label=label)
    _finish(ax, "rows n", "CPU seconds")


def _finish(ax: Any, x: str, y: str) -> None:
    """Set logarithmic axes with plain numbers, and the legend above the points."""
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    entries = len(ax.get_legend_handles_labels()[0])
    shown = sorted({float(value) for line in ax.lines for value in line.get_xdata()})
    if shown:
        ticks = [shown[0]]
        for value in shown[1:]:
            if value >= APART * ticks[-1]:
                ticks.append(value)
        ax.set_xticks(ticks)
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        low, high = ax.get_ylim()
        # As much of the height as the legend's lines take.
        part = min(LINE * entries, MOST_OF_HEIGHT)
        ax.set_ylim(low, high * (high / low) ** (part / (1 - part)))
        if high < FEW_DECADES * low:
            ax.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
            ax.tick_params(axis="y", which="minor", labelsize="small")
        else:
            ax.yaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.legend(fontsize="small", loc="upper left")
    ax.grid(which="both", alpha=0.25)
