"""``scaling.md``: what was measured, the exponents, the model and where it leads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from fastrfm.bench.scaling import findings
from fastrfm.bench.scaling.figure import draw
from fastrfm.bench.scaling.findings import TARGET, Points, along
from fastrfm.bench.scaling.measure import AGOP_ROWS, ITERATIONS, VALIDATION_ROWS
from fastrfm.bench.scaling.model import CARD_MEMORY
from fastrfm.bench.scaling.points import BASE_C, BASE_D, KINDS, Point
from fastrfm.bench.scaling.store import Store, medians
from fastrfm.ridge.nystrom import largest_rank

__all__ = ["write_report"]

VALUES = {
    "cpu_seconds": "CPU seconds",
    findings.UPPER: "CPU seconds, upper half of the range",
    "peak_work": "peak memory",
    "steps": "CG steps of the last solve",
    "loose steps": "CG steps to 1e-2",
}
Rows = Sequence[Sequence[str]]


def write_report(store: Store, output: Path) -> list[Path]:
    """Write ``scaling.md`` and ``scaling.png`` of what a store has, and return their paths."""
    points = medians(store.read())
    page, plot = output / "scaling.md", output / "scaling.png"
    lines = [
        *_on_what(store),
        *_section("Exponents", _exponents(points)),
        *_section("Rows", _rows(points)),
        *_section("Columns and outputs", _sizes(points)),
        *_section("Threads and workers", _workers(points)),
        *_section("The model, on this machine", _validation(points)),
        *_section("Extrapolation: no GPU has measured this", _extrapolation(points)),
        *_section("Not measured", _missing(points)),
    ]
    page.write_text("\n".join(lines) + "\n")
    draw(points, plot)
    return [page, plot]


def _on_what(store: Store) -> list[str]:
    lines = list(store.read().values())
    machines = sorted({(line["cpu"], line["cores"], line["isa_level"]) for line in lines})
    pythons = ", ".join(sorted({line["python"] for line in lines}))
    commits = ", ".join(sorted({str(line["commit"]) for line in lines}))
    dates = sorted(line["date"] for line in lines)
    cpus = "; ".join(f"{cpu}, {cores} cores, {isa}" for cpu, cores, isa in machines)
    load = median(line["load"] for line in lines)
    return [
        "# Scaling",
        "",
        f"- `python bench/scaling.py`; {cpus}; Python {pythons}, commit {commits}, "
        f"{dates[0][:16]} to {dates[-1][:16]} (begin of runs, UTC)",
        f"- {load:.1f} processes (median) wanted these cores meanwhile, ours included: seconds by "
        "the clock are more than the work alone takes, so that exponents are of CPU seconds, of "
        "all threads and workers",
        "- medians of three interleaved rounds where the first took at most 5 s, each point and "
        "round in a process of its own",
        f"- rows standard normal, {BASE_D} columns and {BASE_C} output where the table does not "
        "say; norm 2, exponent 1, bandwidth 10, alpha 1e-3, float32",
        f"- a fit: {ITERATIONS} update of the metric, {VALIDATION_ROWS:,} validation rows, so two "
        "solves to 1e-2 and one to 1e-4 (or to where float32 rounding ends it), and three AGOPs of "
        f"up to 20,000 rows. AGOP alone: {AGOP_ROWS:,} rows",
        "- a tree's leaf has 0.55^k n rows after k splits (`overlap` is 0.1), so that leaves "
        "grow by a tenth when n doubles, until they are split once more",
        "- peak: resident memory of the process above what it had before the work (inputs, "
        "interpreter, libraries); of trees in one process",
    ]


def _section(title: str, lines: Iterable[str]) -> list[str]:
    found = list(lines)
    return ["", f"## {title}", "", *found] if found else []


def _table(headers: Sequence[str], rows: Rows, texts: int = 1) -> list[str]:
    return [
        "| " + " | ".join(headers) + " |",
        "|" + "---|" * texts + "---:|" * (len(headers) - texts),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _exponents(points: Points) -> list[str]:
    rows = [
        (
            KINDS[kind],
            VALUES[value],
            axis,
            f"{law.smallest:,.0f} to {law.largest:,.0f}",
            str(law.points),
            f"{law.exponent:.2f}",
            f"{law.low:.2f} to {law.high:.2f}",
        )
        for (kind, axis, value), law in findings.exponents(points).items()
    ]
    if not rows:
        return []
    headers = ("work", "what", "against", "range", "points", "exponent", "95% interval")
    return [
        "Least squares of logarithms; they hold in their range. Costs against d and c are sums of "
        "a part that grows and one that does not, so that their exponents rise towards 1.",
        "",
        *_table(headers, rows, 4),
    ]


def _rows(points: Points) -> list[str]:
    sizes = sorted(set().union(*(along(points, kind, "n") for kind in KINDS)))
    if not sizes:
        return []
    time = {kind: along(points, kind, "n") for kind in KINDS}
    clock = along(points, "fit", "n", "seconds")
    peak = {kind: along(points, kind, "n", "peak_work") for kind in ("fit", "stored", "tree")}
    phases = {
        name: along(points, "fit", "n", f"{name}_seconds") for name in ("solve", "select", "agop")
    }
    loose, tight = findings.steps_of(points)
    rows = []
    for n in sizes:
        solves = f"{loose[n]:.1f} / {tight[n]:.0f}" if n in loose else ""
        parts = " / ".join(f"{phases[name][n]:.1f}" for name in phases) if n in clock else ""
        rows.append(
            (
                f"{n:,}",
                *(_number(time[kind].get(n)) for kind in ("product", "agop", "landmarks", "fit")),
                _number(clock.get(n)),
                parts,
                solves,
                _number(time["stored"].get(n)),
                _number(time["tree"].get(n)),
                *(_gigabytes(peak[kind].get(n)) for kind in peak),
            )
        )
    headers = (
        "n",
        "K V",
        "AGOP",
        "preconditioner",
        "fit",
        "fit by the clock",
        "solve / select / AGOP by the clock",
        "steps, loose / last",
        "fit, K stored",
        "tree",
        "GB fit",
        "GB, K stored",
        "GB tree",
    )
    return [
        "CPU seconds where nothing else is said. A step is one K V.",
        "",
        *_table(headers, rows),
    ]


def _sizes(points: Points) -> list[str]:
    lines: list[str] = []
    for axis in ("d", "c"):
        time = {kind: along(points, kind, axis) for kind in ("product", "agop", "fit")}
        values = sorted(set().union(*time.values()))
        if len(values) < 2:
            continue
        n = min(p.n for p in points if p.kind == "product" and getattr(p, axis) == values[-1])
        rows = [(str(v), *(_number(time[kind].get(v)) for kind in time)) for v in values]
        lines += ["", f"CPU seconds at n = {n:,}:", "", *_table((axis, "K V", "AGOP", "fit"), rows)]
    return lines[1:]


def _workers(points: Points) -> list[str]:
    good = {p: line for p, line in points.items() if line["reason"] is None}
    rows: list[Sequence[str]] = []
    for kind in ("product", "agop", "fit", "tree", "dask"):
        alone = {(p.n, p.d, p.c): line for p, line in good.items() if _is_base(p, kind)}
        for point in sorted(good, key=lambda p: (p.n, p.workers, p.threads)):
            first = alone.get((point.n, point.d, point.c))
            if point.kind != kind or first is None:
                continue
            if point.workers == 0 and kind in ("tree", "dask"):
                continue
            line = good[point]
            rows.append(
                (
                    KINDS[kind],
                    f"{point.n:,}",
                    str(point.workers or "no"),
                    str(point.threads),
                    _number(line["seconds"]),
                    _number(line["cpu_seconds"]),
                    f"{first['seconds'] / line['seconds']:.2f}",
                )
            )
    if not rows:
        return []
    headers = ("work", "n", "workers", "threads of each", "seconds", "CPU seconds", "quicker by")
    loads = [line["load"] for point, line in good.items() if point.threads == 1]
    return [
        f"By the clock, while {median(loads):.1f} processes (median) wanted the cores, ours "
        "included. Where those are more than the cores, it is the others who decide what more "
        "threads or workers bring.",
        "",
        *_table(headers, rows),
    ]


def _is_base(point: Point, kind: str) -> bool:
    """Whether others are compared with this: one thread, and one worker if there are any."""
    of_workers = kind in ("tree", "dask")
    return point.kind == kind and point.threads == 1 and point.workers == int(of_workers)


def _validation(points: Points) -> list[str]:
    found = findings.validate(points)
    if found is None:
        return ["Too few points to hold the model to."]
    by_steps = found.predicted / found.measured - 1
    by_all = found.predicted_all / found.measured - 1
    steps = " / ".join(f"{one:.1f}" for one in found.steps)
    expected = " / ".join(f"{one:.1f}" for one in found.steps_predicted)
    return [
        f"`fastrfm.bench.scaling.model.predict` with CPU seconds of single operations at up to "
        f"{found.below:,} rows, against the fit of {found.n:,} rows, {found.measured:.1f} CPU "
        "seconds:",
        "",
        f"- with that fit's own steps ({steps}): {found.predicted:.1f}, an error of "
        f"{by_steps:+.1%}",
        f"- with steps extrapolated from the smaller fits ({expected}): {found.predicted_all:.1f}, "
        f"an error of {by_all:+.1%}",
    ]


def _extrapolation(points: Points) -> list[str]:
    found = findings.extrapolate(points)
    if not found:
        return ["Too few fits to extrapolate from."]
    n, d, devices = TARGET["n"], TARGET["d"], TARGET["devices"]
    rows = [
        (
            "n^2 / 2" if one.symmetric else "n^2",
            one.link,
            f"{one.efficiency:.0%}",
            " / ".join(f"{steps:.0f}" for steps in one.steps),
            f"{one.prediction.product:.1f}",
            f"{one.prediction.gather * 1000:.0f}",
            f"{one.prediction.apply * 1000:.0f}",
            f"{one.prediction.agop:.2f}",
            f"{one.prediction.memory / 1e9:.1f}",
            f"{one.prediction.total / 3600:.2f}",
        )
        for one in found
    ]
    headers = (
        "pairs",
        "link",
        "of ceilings",
        "steps, loose / last",
        "s a product",
        "ms exchange",
        "ms preconditioner",
        "s an AGOP",
        f"GB a GPU (of {CARD_MEMORY / 1e9:.0f})",
        "hours, the fit",
    )
    return [
        f"{n:,} rows x {d} columns, one output, {TARGET['updates']} updates, {largest_rank(n):,} "
        f"landmarks, on {devices} H100 with data-sheet ceilings: what they could come to if "
        "products are shared out as the model says. Steps "
        "are those of the fits above, of 32 columns, prolonged by their power laws and more for "
        "fewer landmarks than 5 sqrt(n); the first and last line of three take the 95% interval's "
        "ends. On other data steps differ by factors.",
        "",
        *_table(headers, rows, 2),
    ]


def _missing(points: Points) -> list[str]:
    return [
        f"- {point.label}: {line['reason']}"
        for point, line in points.items()
        if line["reason"] is not None
    ]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _gigabytes(value: float | None) -> str:
    return "" if value is None else f"{value / 1e9:.3f}"
