"""Figures as SVG that stands in a page and takes its colours, light or dark."""

from __future__ import annotations

import io
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrfm.displays.drawing import BLUE, bar_names, line_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["confusion", "drawing_style", "inline_svg", "predicted_and_true", "reliability"]

Array = NDArray[Any]

# Stands for the colour of the page's text, and is replaced by it: nothing else is drawn in it.
_OF_TEXT = "#010203"
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
# More points than this are drawn as one bitmap: 2,000 circles are 200 kB of SVG, 0.1 MB otherwise.
MOST_VECTOR_POINTS = 1_000
MOST_POINTS = 20_000
BITMAP_DPI = 150
# Counts are written into a confusion matrix of up to so many classes.
WRITTEN_CLASSES = 12
MOST_BINS = 10
# The standard error of a part of so many rows is at most a tenth.
ROWS_A_BIN = 25


@contextmanager
def drawing_style() -> Iterator[None]:
    """Use matplotlib's defaults but for text that stays text and colours that are the page's."""
    import matplotlib
    import matplotlib.style

    with matplotlib.rc_context(), warnings.catch_warnings():
        # The page is set in the reader's fonts, so a letter that matplotlib's lacks is none lost.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.style.use("default")
        style: dict[str, Any] = {
            "svg.fonttype": "none",
            "font.size": 10,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "legend.facecolor": "none",
            "legend.edgecolor": "none",
            "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
        } | dict.fromkeys(
            (
                "text.color",
                "axes.edgecolor",
                "axes.labelcolor",
                "xtick.color",
                "ytick.color",
            ),
            _OF_TEXT,
        )
        parameters: Any = matplotlib.rcParams
        parameters.update(style)
        yield


def inline_svg(
    draw: Callable[[Figure], None], *, key: str, width: float = 7.0, height: float = 4.0
) -> str:
    """Draw on a figure and return it as an ``<svg>`` element.

    Parameters
    ----------
    draw : callable
        Is given the figure.
    key : str
        Another one for each figure of a page: the names of its parts are made from it.
    width, height : float
        Inches.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with drawing_style():
        matplotlib.rcParams["svg.hashsalt"] = key
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", dpi=BITMAP_DPI, metadata={"Date": None})
    return _of_page(text.getvalue(), key)


def _of_page(svg: str, key: str) -> str:
    """Return an SVG document as an element of a page: its colours, ids that are unique there."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(svg)
    for child in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(child)
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "id":
                value = f"{key}-{value}"
            elif name == f"{{{_XLINK}}}href" and value.startswith("#"):
                value = f"#{key}-{value[1:]}"
            else:
                value = value.replace("url(#", f"url(#{key}-").replace(_OF_TEXT, "currentColor")
            element.set(name, value)
    return ElementTree.tostring(root, encoding="unicode")


def predicted_and_true(ax: Axes, y: Array, prediction: Array, name: str) -> None:
    """Draw predictions over true values."""
    shown = np.arange(len(y))
    if len(shown) > MOST_POINTS:
        shown = np.random.default_rng(0).choice(len(y), MOST_POINTS, replace=False)
    ax.plot(
        y[shown],
        prediction[shown],
        "o",
        color=BLUE,
        markersize=4,
        markeredgewidth=0,
        alpha=float(np.clip(20 / np.sqrt(len(shown)), 0.15, 0.7)),
        rasterized=len(shown) > MOST_VECTOR_POINTS,
    )
    ends = [min(y.min(), prediction.min()), max(y.max(), prediction.max())]
    ax.plot(ends, ends, color=line_color(), linewidth=1, linestyle="--", label="perfect")
    ax.set_xlabel(f"true {name}", parse_math=False)
    ax.set_ylabel(f"predicted {name}", parse_math=False)
    ax.legend(loc="upper left")


def confusion(ax: Axes, counts: Array, classes: Array) -> None:
    """Draw counts, of shape (n_classes, n_classes), with rows the true classes."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    assert ax.figure is not None
    ax.figure.colorbar(image, ax=ax, shrink=0.8, label="part of the true class")
    if len(classes) <= WRITTEN_CLASSES:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if shares[row, column] > 0.5 else "black"
            ax.text(column, row, f"{count:,}", ha="center", va="center", color=color, fontsize=9)
    if len(classes) <= 3 * WRITTEN_CLASSES:
        names = np.asarray([str(label) for label in classes])
        bar_names(ax, names, on="x", rotation=90 if max(map(len, names)) > 3 else 0)
        bar_names(ax, names)
    ax.tick_params(length=0)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")


def reliability(ax: Axes, probability: Array, happened: Array, what: str) -> None:
    """Draw how often happened what was given some probability.

    Parameters
    ----------
    ax : Axes
    probability : ndarray of shape (m,)
    happened : ndarray of shape (m,), bool
    what : str
        What the probability is of.
    """
    ax.plot([0, 1], [0, 1], color=line_color(), linewidth=1, linestyle="--", label="perfect")
    means, parts, errors = reliability_bins(probability, happened)
    ax.errorbar(
        means,
        parts,
        yerr=errors,
        fmt="o-",
        color=BLUE,
        ecolor=line_color(),
        elinewidth=1,
        capsize=2.5,
        label="held-out rows, ±1 standard error",
    )
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel(f"probability of {what}", parse_math=False)
    ax.set_ylabel("part where it was so")
    ax.legend(loc="best")


def reliability_bins(probability: Array, happened: Array) -> tuple[Array, Array, Array]:
    """Return mean probability, part that happened and its standard error, in bins of equal counts.

    The standard errors are those of a binomial part, with one row added to each side so that a
    part of 0 or 1 is not certain.
    """
    bins = int(np.clip(len(probability) // ROWS_A_BIN, 1, MOST_BINS))
    order = np.argsort(probability, kind="stable")
    groups = np.array_split(order, bins)
    means = np.array([probability[rows].mean() for rows in groups])
    parts = np.array([happened[rows].mean() for rows in groups])
    sizes = np.array([len(rows) for rows in groups])
    smoothed = (parts * sizes + 1) / (sizes + 2)
    return means, parts, np.sqrt(smoothed * (1 - smoothed) / sizes)
