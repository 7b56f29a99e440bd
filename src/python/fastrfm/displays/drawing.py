"""matplotlib for the displays: axes that are given or made, labels, colours."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from typing_extensions import TypeIs

    AxesLike = Axes | Sequence[Axes] | NDArray[Any]

__all__ = [
    "BLUE",
    "GREEN",
    "ORANGE",
    "RED",
    "SIGNED",
    "bar_names",
    "figure_of",
    "image_of",
    "label_inches",
    "line_color",
    "lines",
    "one_ax",
    "one_line",
    "panels",
    "signed_colors",
]

Shape = tuple[int, int]

# Of Okabe and Ito's palette, which colour-blind people tell apart; and a map
# whose ends they do (https://colorbrewer2.org, RdBu).
BLUE, ORANGE, RED, GREEN = "#0072B2", "#E69F00", "#D55E00", "#009E73"
SIGNED = "RdBu_r"
# A label is cut in the middle to so many characters: at the default font size a third of a figure
# 7 inches wide. In a panel beside others fewer.
LABEL_CHARACTERS = 28
NARROW_LABEL_CHARACTERS = 18
INCHES_A_PANEL = 3.4
# Of matplotlib's default font, 10 points high and somewhat more than half as wide.
INCHES_A_CHARACTER = 0.08


def one_ax(ax: Axes | None, *, width: float, height: float) -> tuple[Figure | SubFigure, Axes]:
    """Return the axes to draw on and their figure; None makes both.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError
        If `ax` is not one Axes.
    """
    plt = _pyplot()
    if ax is None:
        figure, made = plt.subplots(figsize=(width, height), layout="constrained")
        return figure, made
    if not _is_axes(ax):
        raise TypeError(f"ax must be None or a matplotlib Axes; got {type(ax).__name__}")
    return figure_of(ax), ax


def panels(
    ax: AxesLike | None, number: int, *, height: float, width: float = INCHES_A_PANEL
) -> tuple[Figure | SubFigure, list[Axes]]:
    """Return `number` axes beside each other and their figure.

    Parameters
    ----------
    ax : None, Axes or sequence of Axes
        None makes a figure; one Axes is divided, as
        :class:`sklearn.inspection.PartialDependenceDisplay` does; several are taken as they are.
    number : int
    height, width : float
        Inches of a panel that is made.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        If `ax` is neither, has another number of axes, or cannot be divided.
    """
    plt = _pyplot()
    if ax is None:
        figure, made = plt.subplots(
            1, number, figsize=(number * width, height), squeeze=False, layout="constrained"
        )
        return figure, list(made[0])
    if _is_axes(ax):
        if number == 1:
            return figure_of(ax), [ax]
        return figure_of(ax), _divided(ax, number)
    if isinstance(ax, str) or not isinstance(ax, Sequence | np.ndarray):
        raise TypeError(f"ax must be None, an Axes or a sequence of them; got {type(ax).__name__}")
    several = list(np.asarray(ax, dtype=object).ravel())
    if len(several) != number:
        raise ValueError(f"ax has {len(several)} axes, but {number} are to be drawn on")
    for one in several:
        if not _is_axes(one):
            raise TypeError(f"ax must hold matplotlib Axes; got {type(one).__name__}")
    return figure_of(several[0]), several


def bar_names(
    ax: Axes,
    names: NDArray[np.str_],
    *,
    on: str = "y",
    rotation: float | None = None,
    characters: int = LABEL_CHARACTERS,
) -> None:
    """Label the ticks 0, 1, ... with names as they are: `$` is no mathematics."""
    labels = [_short(name, characters) for name in names]
    axis = ax.yaxis if on == "y" else ax.xaxis
    style: dict[str, Any] = {} if rotation is None else {"rotation": rotation}
    axis.set_ticks(np.arange(len(labels)), labels, parse_math=False, **style)


def image_of(values: NDArray[np.float64], shape: Shape) -> NDArray[np.float64]:
    """Return pixels as an image.

    Raises
    ------
    ValueError
        If the shape is none, or has another number of pixels than there are values.
    """
    sizes = tuple(shape) if isinstance(shape, Sequence | np.ndarray) else ()
    if len(sizes) != 2 or any(not isinstance(size, Integral) or size < 1 for size in sizes):
        raise ValueError(
            f"image_shape must be two positive integers (height, width); got {shape!r}"
        )
    if sizes[0] * sizes[1] != len(values):
        raise ValueError(
            f"image_shape={sizes} has {sizes[0] * sizes[1]} pixels, but there are "
            f"{len(values)} features"
        )
    return values.reshape(sizes)


def signed_colors(values: NDArray[np.float64]) -> list[str]:
    """Return a colour for each value by its sign."""
    return [BLUE if value < 0 else RED for value in values]


def line_color() -> str:
    """Return the colour of axes, which is that of lines that belong to them."""
    import matplotlib

    color: str = matplotlib.rcParams["axes.edgecolor"]
    return color


def lines(*parts: str) -> str:
    """Return those parts of a title that say something, each on its line."""
    return "\n".join(part for part in parts if part)


def one_line(text: str) -> str:
    """Return a caption of several lines on one."""
    return text.replace("\n", ": ")


def label_inches(names: NDArray[np.str_]) -> float:
    """Return about the length of the longest label."""
    return INCHES_A_CHARACTER * max(len(_short(name, LABEL_CHARACTERS)) for name in names)


def figure_of(ax: Axes) -> Figure | SubFigure:
    """Return the figure of an Axes."""
    figure = ax.get_figure()
    assert figure is not None  # axes that can be drawn on have one
    return figure


def _short(name: str, characters: int) -> str:
    """Return a name on one line, cut in the middle where it is long."""
    line = " ".join(str(name).split())
    if len(line) <= characters:
        return line
    tail = characters // 2 - 1
    return line[: characters - tail - 1] + "\N{HORIZONTAL ELLIPSIS}" + line[-tail:]


def _divided(ax: Axes, number: int) -> list[Axes]:
    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError(
            f"ax is no subplot, so it cannot be divided into {number}; give {number} axes"
        )
    ax.set_axis_off()
    grid = spec.subgridspec(1, number)
    return [figure_of(ax).add_subplot(grid[0, i]) for i in range(number)]


def _is_axes(ax: Any) -> TypeIs[Axes]:
    from matplotlib.axes import Axes

    return isinstance(ax, Axes)


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('displays need matplotlib: pip install "fastrfm[plot]"') from error
    return plt
