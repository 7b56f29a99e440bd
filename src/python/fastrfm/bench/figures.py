"""The plot: time against the number of rows."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib

from fastrfm.bench.contenders import CONTENDERS
from fastrfm.bench.report import Report

__all__ = ["draw"]

DPI = 150
# By contender, so that one has the same colour in every panel.
COLOURS = dict(
    zip(
        CONTENDERS,
        ("tab:red", "salmon", "tab:blue", "tab:orange", "tab:green", "tab:purple"),
        strict=True,
    )
)


def draw(report: Report, path: Path) -> bool:
    """Draw one panel for each operation that was measured at several sizes; False if none was."""
    matplotlib.use("Agg")  # a file is written, no window is opened
    import matplotlib.pyplot as plt

    panels = _panels(report)
    if not panels:
        return False
    figure, axes = plt.subplots(
        1, len(panels), figsize=(0.8 + 3.4 * len(panels), 4.2), layout="constrained", squeeze=False
    )
    shown = {}
    for ax, (title, cases) in zip(axes[0], panels.items(), strict=True):
        for name, points in _lines(cases).items():
            points.sort()
            rows = [n for n, _ in points]
            seconds = [result["median"] for _, result in points]
            spread = [
                [result["median"] - result["min"] for _, result in points],
                [result["max"] - result["median"] for _, result in points],
            ]
            shown[name] = ax.errorbar(
                rows, seconds, yerr=spread, marker="o", capsize=3, color=COLOURS[name]
            )
        floors = sorted((case["n"], case["floor"]["roofline"]) for case in cases)
        (line,) = ax.plot(*zip(*floors, strict=True), ":", color="0.4")
        shown["roofline"] = line
        ax.set(xscale="log", yscale="log", title=title, xlabel="rows n")
        sizes = [n for n, _ in floors]
        ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
        ax.set_xticks([], minor=True)
        ax.grid(alpha=0.3)
    axes[0][0].set_ylabel("seconds (median; bars: fastest to slowest)")
    threads = report["machine"]["threads"]
    figure.suptitle(
        f"{report['machine']['cpu']}, {threads} thread{'s' if threads > 1 else ''}, float32"
    )
    figure.legend(shown.values(), shown, loc="outside lower center", ncols=len(shown))
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
    return True


def _panels(report: Report) -> dict[str, list[dict[str, Any]]]:
    """Return the cases of each operation that differ only in n, where there are several."""
    groups = defaultdict(list)
    for case in report["cases"]:
        if case["floor"] is not None:
            title = case["label"].replace(f" n={case['n']:,}", "")
            groups[title].append(case)
    return {title: cases for title, cases in groups.items() if len(cases) > 1}


def _lines(cases: list[dict[str, Any]]) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """Return (n, result) of each contender that was timed at more than one size."""
    lines = defaultdict(list)
    for case in cases:
        for name, result in case["results"].items():
            if result["reason"] is None:
                lines[name].append((case["n"], result))
    return {name: points for name, points in lines.items() if len(points) > 1}
