"""The page ``accuracy.md`` and the tables on the terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fastrfm.bench.accuracy.analysis import (
    GROUPS,
    MUCH_WORSE,
    ErrorTable,
    against_reference,
    error_table,
    much_worse,
    pairwise,
    summarise,
)
from fastrfm.bench.accuracy.contenders import OURS, REFERENCE
from fastrfm.bench.accuracy.store import Line
from fastrfm.bench.accuracy.tasks import Cell

__all__ = ["make_tables", "markdown", "of_protocol", "rich_tables"]

HEADERS = (
    "contender",
    "rank",
    "normalised",
    "error",
    "/ ours",
    "log-loss",
    "s a fit",
    "failed",
)
Lines = Mapping[Cell, Line]


def of_protocol(lines: Lines, max_rows: int | None, max_test: int | None) -> dict[Cell, Line]:
    """Return the lines of one protocol.

    Raises
    ------
    ValueError
        If there are none, naming those that there are.
    """
    found = {c: x for c, x in lines.items() if (c.max_rows, c.max_test) == (max_rows, max_test)}
    if not found:
        others = Counter((cell.max_rows, cell.max_test) for cell in lines)
        there = "; ".join(
            f"--max-rows {rows} --max-test {test} ({n} lines)" for (rows, test), n in others.items()
        )
        raise ValueError(
            f"no results of --max-rows {max_rows} --max-test {max_test}; there are "
            f"{there or 'none at all'}"
        )
    return found


def make_tables(lines: Lines) -> dict[str, ErrorTable]:
    """Return the table of each group that has complete sets; no group twice under two names."""
    tables: dict[str, ErrorTable] = {}
    for title, kinds in GROUPS.items():
        table = error_table(lines, kinds)
        if table.sets and all(table.sets != other.sets for other in tables.values()):
            tables[title] = table
    return tables


def rich_tables(tables: Mapping[str, ErrorTable]) -> Iterator[Table]:
    """Yield the summary of each group for a terminal."""
    for title, table in tables.items():
        shown = Table(title=_title(title, table), box=SIMPLE_HEAD, collapse_padding=True)
        for i, header in enumerate(HEADERS):
            shown.add_column(header, justify="right" if i else "left", no_wrap=True)
        for row in _summary_rows(table):
            shown.add_row(*row)
        yield shown


def markdown(lines: Lines) -> str:
    """Return the whole page."""
    tables = make_tables(lines)
    page = [*(f"- {note}" for note in _notes(lines)), ""]
    for title, table in tables.items():
        page += [f"## {_title(title, table).capitalize()}", ""]
        page += [*_markdown_table(HEADERS, _summary_rows(table)), ""]
        page += [*_pairwise_section(table), *_much_worse_section(table)]
    page += _reference_section(lines)
    for title, table in tables.items():
        if "alone" not in title:
            page += [f"## Every set: {title}", "", *_sets_section(table), ""]
    page += [*_left_out_section(lines), *_failures_section(lines)]
    return "\n".join(page).rstrip() + "\n"


def _notes(lines: Lines) -> Iterator[str]:
    """Yield on what was measured, and what the columns mean."""
    cell = next(iter(lines))
    caps = {"--max-rows": cell.max_rows, "--max-test": cell.max_test}
    options = [f" {name} {value}" for name, value in caps.items() if value is not None]
    yield f"`python bench/accuracy.py --data FOLDER{''.join(options)}`"
    machines = Counter(
        f"{line['cpu']}, {line['cores']} cores, threads each: {line['threads']}, "
        f"{line['isa_level']}, Python {line['python']}"
        for line in lines.values()
    )
    for machine, n in machines.items():
        yield f"{machine}: {n} fits"
    commits = {str(x["commit"]) for c, x in lines.items() if c.contender in (OURS, REFERENCE)}
    if commits:
        yield f"commit: {', '.join(sorted(commits))}"
    versions = {f"{k} {v}" for line in lines.values() for k, v in line["versions"].items()}
    yield f"versions: {', '.join(sorted(versions))}"
    rows = "all" if cell.max_rows is None else f"at most {cell.max_rows:,}"
    tests = "all" if cell.max_test is None else f"at most {cell.max_test:,}"
    yield f"{rows} training rows, {tests} test rows; means over the splits of a set"
    yield (
        "error: RMSE in standard deviations of the training targets, or the part of test rows that "
        "is wrong; log-loss: of the test rows whose class occurs in training. Both are means over "
        "the sets where nobody failed"
    )
    yield (
        "rank, normalised: means over sets of the rank, and of (error - best) / (worst - best). A "
        "failed fit (crash, out of memory, out of time) is the last of its set"
    )
    yield (
        f"/ ours: geometric mean of the error over {OURS}'s; an error rate below half a test row "
        "counts as that. s a fit: median over sets, preparation included, prediction not"
    )


def _summary_rows(table: ErrorTable) -> list[tuple[str, ...]]:
    return [
        (
            each.contender,
            f"{each.mean_rank:.2f}",
            f"{each.mean_normalised:.3f}",
            _number(each.mean_error, 4),
            _number(each.ratio, 3),
            _number(each.mean_log_loss, 4),
            _number(each.median_seconds, 2),
            str(each.failed),
        )
        for each in sorted(summarise(table), key=lambda each: each.mean_rank)
    ]


def _pairwise_section(table: ErrorTable) -> list[str]:
    if len(table.contenders) < 2:
        return []
    wins, ties = pairwise(table.errors)
    rows = [
        (
            name,
            *(
                "" if i == j else f"{wins[i, j]}-{wins[j, i]}-{ties[i, j]}"
                for j in range(len(table.contenders))
            ),
        )
        for i, name in enumerate(table.contenders)
    ]
    return [
        "Wins-losses-ties of the row against the column:",
        "",
        *_markdown_table(("", *table.contenders), rows),
        "",
    ]


def _much_worse_section(table: ErrorTable) -> list[str]:
    if OURS not in table.contenders or len(table.contenders) < 2:
        return []
    found = much_worse(table)
    named = ", ".join(f"{name} ({ratio:.2f} x {peer})" for name, ratio, peer in found)
    part = f"{len(found)} of {len(table.sets)} sets ({len(found) / len(table.sets):.0%})"
    return [
        f"{OURS}'s error is more than {MUCH_WORSE} x the best peer's on {part}"
        f"{': ' if named else ''}{named}.",
        "",
    ]


def _reference_section(lines: Lines) -> list[str]:
    points = against_reference(lines)
    if not points:
        return []
    rows = [
        (
            name,
            str(len(d)),
            f"{d.mean():+.2f}",
            f"{np.median(d):+.2f}",
            f"{(d > 0).sum()}-{(d < 0).sum()}-{(d == 0).sum()}",
        )
        for name, d in points.items()
    ]
    return [
        "## Accuracy less that of the reference RFM tuned by its own protocol, uci121",
        "",
        *_markdown_table(
            ("contender", "sets", "mean, points", "median, points", "wins-losses-ties"), rows
        ),
        "",
    ]


def _sets_section(table: ErrorTable) -> list[str]:
    rows = []
    for name, errors, splits in zip(table.sets, table.errors, table.splits, strict=True):
        best = np.nanmin(errors) if np.isfinite(errors).any() else math.nan
        cells = [f"**{e:.4f}**" if e == best else _number(e, 4, "failed") for e in errors]
        rows.append((name, str(splits), *cells))
    return _markdown_table(("set", "splits", *table.contenders), rows)


def _left_out_section(lines: Lines) -> list[str]:
    main = [kinds for title, kinds in GROUPS.items() if "alone" not in title]
    names = [name for kinds in main for name in error_table(lines, kinds).incomplete]
    return [f"Left out, not measured for all: {', '.join(names)}.", ""] if names else []


def _failures_section(lines: Lines) -> list[str]:
    failed = {cell: line["failure"] for cell, line in lines.items() if line["failure"] is not None}
    if not failed:
        return []
    return [
        "## Failures",
        "",
        *(
            f"- {cell.contender}, {cell.set}, split {cell.split}: {short_reason(failure)}"
            for cell, failure in failed.items()
        ),
    ]


def short_reason(failure: str) -> str:
    """Return the telling line of a failure's text: a traceback's last, else the first."""
    lines = failure.strip().splitlines()
    return lines[-1 if lines[0].startswith("Traceback") else 0]


def _markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(headers) + " |", "|---|" + "---:|" * (len(headers) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _title(title: str, table: ErrorTable) -> str:
    return f"{title}, {len(table.sets)} set{'s' * (len(table.sets) > 1)}"


def _number(value: float, digits: int, missing: str = "") -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else missing
