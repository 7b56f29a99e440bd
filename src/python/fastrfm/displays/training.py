"""TrainingDisplay: score, residual and seconds of each iteration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastrfm.displays.drawing import BLUE, GREEN, ORANGE, RED, line_color, lines, one_line, panels
from fastrfm.displays.shown import member_caption, member_number, rfm_of
from fastrfm.losses import ClassificationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from typing_extensions import Self

    from fastrfm.displays.drawing import AxesLike

_PHASES = {"solve": BLUE, "select": ORANGE, "agop": GREEN}
# The part of the bars' height that is left free above them for the legend.
_LEGEND = 0.2
# Half a marker, 3 points of some 180, and a line's width, where the axis is of one decade.
_MARKER_DECADES = 0.05
# More ticks than this are thinned out.
MOST_TICKS = 12


class TrainingDisplay:
    """Error, residual and seconds of each iteration of one member; the one kept is marked.

    With many rows the ridge and the iteration are chosen on a part of them, and what was chosen is
    then fitted to all: the history holds both, and they are drawn one after the other.

    Parameters
    ----------
    history : list of dict
        As ``estimator.history_``.
    best_iter : int
        The iteration kept.
    score_name : str, default="error"
        What the scores are; the smaller the better.
    caption : str, default=""
        Above a figure that `plot` makes, or else above the first panel.

    Attributes
    ----------
    history : list of dict
    best_iter : int
    axes_ : list of 3 matplotlib Axes
        Error, residual and seconds.
    figure_ : matplotlib Figure

    Raises
    ------
    ValueError
        For an empty history.
    """

    def __init__(
        self,
        history: list[dict[str, Any]],
        best_iter: int,
        *,
        score_name: str = "error",
        caption: str = "",
    ) -> None:
        if not history:
            raise ValueError("history is empty")
        self.history = list(history)
        self.best_iter = best_iter
        self.score_name = score_name
        self.caption = caption

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, member: int | None = None, ax: AxesLike | None = None
    ) -> Self:
        """Plot the history of a member.

        Parameters
        ----------
        estimator : RFMRegressor, RFMClassifier or Pipeline
            Fitted; a pipeline must end with one of them.
        member : int, default=None
            Index of ``estimator.members_``; None takes the heaviest.
        ax : matplotlib Axes, or sequence of 3 of them, default=None
            One is divided; None makes a figure.

        Returns
        -------
        TrainingDisplay

        Raises
        ------
        TypeError, ValueError, NotFittedError
            For unsuitable arguments.
        """
        rfm = rfm_of(estimator)
        number = member_number(rfm, member)
        one = rfm.members_[number]
        is_rate = isinstance(rfm._loss(), ClassificationError)
        display = cls(
            one.history_,
            one.best_iter_,
            score_name="error rate" if is_rate else "mean squared error (coded targets)",
            caption=member_caption(rfm, number),
        )
        return display.plot(ax=ax)

    def plot(self, *, ax: AxesLike | None = None) -> Self:
        """Draw the three panels.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, default=None
            None makes a figure.

        Returns
        -------
        self : object
            It keeps what it drew in `figure_` and `axes_`.
        """
        self.figure_, self.axes_ = panels(ax, 3, height=3.4, width=3.8)
        score, residual, seconds = self.axes_
        runs = _runs(self.history)
        for one in self.axes_:
            self._common(one, runs)
        self._scores(score, runs)
        self._residuals(residual, runs)
        self._seconds(seconds, runs)
        if ax is None:
            self.figure_.suptitle(lines("Training", one_line(self.caption)), fontsize="medium")
        return self

    def _scores(self, ax: Axes, runs: list[range]) -> None:
        ax.set_title(self.score_name, fontsize="medium", pad=_title_pad(runs))
        scores = np.array([entry["score"] for entry in self.history])
        for run in runs:
            scored = [i for i in run if np.isfinite(scores[i])]
            if scored:
                ax.plot(scored, scores[scored], "o-", color=BLUE)
            else:
                middle = (run.start + run.stop - 1) / 2
                ax.text(
                    middle,
                    0.5,
                    "as chosen,\nnot judged",
                    transform=ax.get_xaxis_transform(),
                    ha="center",
                    va="center",
                    fontsize="small",
                )
        kept = [i for i in self._kept(runs) if np.isfinite(scores[i])]
        if kept:
            ax.plot(kept, scores[kept], "*", color=RED, markersize=14, label="kept", zorder=3)
            ax.legend()

    def _residuals(self, ax: Axes, runs: list[range]) -> None:
        ax.set_title("relative residual of the solution", fontsize="medium", pad=_title_pad(runs))
        residuals = np.array([entry["residual"] for entry in self.history])
        # A solution without any error, of targets that are all zero, has no logarithm.
        drawable = np.isfinite(residuals) & (residuals > 0)
        if drawable.any():
            ax.set_yscale("log")
            # Whole decades: what differs by less differs by rounding.
            decades = np.log10(residuals[drawable])
            least, most = np.floor(decades.min()), np.ceil(decades.max())
            # And a little more, so that no marker at an end is cut.
            ax.set_ylim(
                10.0 ** (least - _MARKER_DECADES), 10.0 ** (max(most, least + 1) + _MARKER_DECADES)
            )
        for run in runs:
            steps = [i for i in run if drawable[i]]
            ax.plot(steps, residuals[steps], "o-", color=BLUE)

    def _seconds(self, ax: Axes, runs: list[range]) -> None:
        ax.set_title("seconds", fontsize="medium", pad=_title_pad(runs))
        steps = np.arange(len(self.history))
        below = np.zeros(len(steps))
        for phase, color in _PHASES.items():
            spent = np.array([entry["seconds"].get(phase, 0.0) for entry in self.history])
            if spent.any():
                label = "AGOP" if phase == "agop" else phase
                ax.bar(steps, spent, bottom=below, width=0.7, color=color, label=label)
                below += spent
        ax.set_ylim(0, (1 + _LEGEND) * max(below.max(), np.finfo(float).tiny))
        if below.any():
            ax.legend(loc="upper center", ncols=len(_PHASES), fontsize="small")

    def _common(self, ax: Axes, runs: list[range]) -> None:
        """Draw what the panels share: numbers of iterations, names of runs, the iteration kept."""
        n = len(self.history)
        every = -(-n // MOST_TICKS)
        steps = np.arange(0, n, every)
        ax.set_xticks(steps, [str(self.history[i]["iteration"]) for i in steps])
        ax.set_xlim(-0.6, n - 0.4)
        ax.set_xlabel("iteration (metric updates made)")
        for step in self._kept(runs):
            ax.axvspan(step - 0.45, step + 0.45, color=RED, alpha=0.12, linewidth=0, zorder=0)
        if len(runs) == 1:
            return
        for run in runs[1:]:
            ax.axvline(run.start - 0.5, color=line_color(), linewidth=0.8, linestyle=":")
        for run in runs:
            entry = self.history[run.start]
            what = "choosing" if np.isfinite(entry["score"]) else "final fit"
            middle = (run.start + run.stop - 1) / 2
            ax.text(
                middle,
                1.0,
                f"{what}\n{entry['rows']:,} rows",
                transform=ax.get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize="small",
            )

    def _kept(self, runs: list[range]) -> list[int]:
        """Return the steps of the iteration kept, one in each run that has it."""
        return [i for run in runs for i in run if self.history[i]["iteration"] == self.best_iter]


def _runs(history: list[dict[str, Any]]) -> list[range]:
    """Return the steps of each recursion that the history holds, in order.

    A new one begins where other rows are fitted or iterations are counted anew.
    """
    starts = [0]
    for i in range(1, len(history)):
        before, entry = history[i - 1], history[i]
        if entry["rows"] != before["rows"] or entry["iteration"] <= before["iteration"]:
            starts.append(i)
    return [range(*ends) for ends in zip(starts, [*starts[1:], len(history)], strict=True)]


def _title_pad(runs: list[range]) -> float:
    """Return the points between a panel and its title, which the runs' names stand in."""
    return 6.0 if len(runs) == 1 else 28.0
