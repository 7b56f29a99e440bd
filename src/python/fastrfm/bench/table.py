"""The report as a table: on a terminal, and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from rich.table import Table

from fastrfm.bench.contenders import OURS
from fastrfm.bench.report import Report

__all__ = ["markdown", "notes", "rich_table"]

HEADERS = (
    "case",
    "with",
    "median s",
    "min - max s",
    "ratio",
    "peak MB",
    "error",
    "roofline",
    "with exp",
)
WIDE = 118  # columns of a terminal that has room for all of them
NARROW_OMITS = ("min - max s", "error", "with exp")


def rich_table(report: Report, width: int) -> Table:
    """Return the table of all cases but the plot's, with fewer columns if `width` is small."""
    shown = [i for i, header in enumerate(HEADERS) if width >= WIDE or header not in NARROW_OMITS]
    table = Table(title="time, memory and error of one call")
    for i in shown:
        left = HEADERS[i] in ("case", "with")
        table.add_column(HEADERS[i], justify="left" if left else "right", no_wrap=True)
    for rows in _cases(report):
        # The case beside its first rows: "agop p=2" and "n=10,000 d=32 c=1".
        lines = rows[0][0].split(" n=")
        labels = [lines[0], "n=" + lines[1]] if len(rows) > 1 else ["\n n=".join(lines)]
        for row, label in zip_longest(rows, labels, fillvalue=""):
            table.add_row(*[(label, *row[1:])[i] for i in shown], end_section=row is rows[-1])
    return table


def markdown(report: Report) -> str:
    """Return the same, with the notes above it, as a Markdown page."""
    lines = [*(f"- {note}" for note in notes(report)), ""]
    lines.append("| " + " | ".join(HEADERS) + " |")
    lines.append("|---|---|" + "---:|" * (len(HEADERS) - 2))
    for rows in _cases(report):
        lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def notes(report: Report) -> list[str]:
    """Return what has to be known to read the numbers."""
    machine, rates = report["machine"], report["rates"]
    sgemm = ", ".join(f"{rate / 1e9:.0f} ({name})" for name, rate in rates["sgemm"].items())
    return [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads each, "
        f"{machine['isa_level']}, {machine['system']}; Python {machine['python']}, "
        f"commit {machine['commit']}, {machine['date']}",
        f"versions: {'; '.join(dict.fromkeys(report['versions'].values()))}",
        f"machine, in this run: sgemm {sgemm} GFLOP/s, copy {rates['copy'] / 1e9:.1f} GB/s "
        f"(read and written), write {rates['write'] / 1e9:.1f} GB/s ({rates['write_method']}; "
        f"to fresh memory: {rates['fresh_fill'] / 1e9:.1f}), vector instructions "
        f"{rates['lanes'] / 1e9:.0f} G lanes/s ({rates['lanes_method']})",
        f"ratio: to {OURS}, medians of interleaved runs; roofline: least possible time over "
        "ours; with exp: the same, the kernel's own values counted too (fastrfm/bench/work.py)",
        f"peak MB: {report['peak_memory_is']}",
        "error: against float64 on a sub-block, before timing (absolute for K, relative for K V "
        "and the AGOP, relative residual of a solve, test RMSE of standardised targets for a fit)",
        *(f"skipped: {name}, {reason}" for name, reason in report["skipped"].items()),
        *(
            f"not timed: {name}, {case['label']}: {result['reason']}"
            for case in report["cases"]
            for name, result in case["results"].items()
            if result["reason"] is not None
        ),
    ]


def _cases(report: Report) -> Iterator[list[tuple[str, ...]]]:
    for case in report["cases"]:
        if case["sweep"] or not case["results"]:
            continue
        rows = [_row(name, result) for name, result in case["results"].items()]
        yield [(case["label"] if i == 0 else "", *row) for i, row in enumerate(rows)]


def _row(name: str, result: dict[str, Any]) -> tuple[str, ...]:
    if result["reason"] is not None:
        return (name, "not timed", *[""] * (len(HEADERS) - 3))
    return (
        name,
        _seconds(result["median"]),
        f"{_seconds(result['min'])} - {_seconds(result['max'])}",
        "" if name == OURS or result["ratio"] is None else f"{result['ratio']:.2f}",
        f"{result['peak_bytes'] / 1e6:,.0f}",
        "" if result["error"] is None else f"{result['error']:.1e}",
        _percent(result.get("roofline_fraction")),
        _percent(result.get("fraction_with_values")),
    )


def _seconds(value: float) -> str:
    digits = 4 if value < 0.1 else 3 if value < 1 else 2
    return f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f}%"
