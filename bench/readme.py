"""Put the measured tables into the README: python bench/readme.py

What stands between the marks ``<!-- bench-output -->`` and ``<!-- /bench-output -->`` is made from
``bench/results/ops.json`` and ``fits.json``, which `fastrfm bench` writes, and between
``<!-- accuracy-output -->`` and its end from ``accuracy.md``, which `bench/accuracy.py` writes. A
test holds the README to them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
MARKS = "<!-- bench-output -->\n", "<!-- /bench-output -->"
ACCURACY_MARKS = "<!-- accuracy-output -->\n", "<!-- /accuracy-output -->"
OURS, OURS_OUT = "fastrfm", "fastrfm, out="
PEERS = ("xRFM", "PyTorch", "PyKeOps", "scikit-learn")


def replace(readme: str, section: str, marks: tuple[str, str] = MARKS) -> str:
    """Return the README with another section between the marks."""
    before, _, rest = readme.partition(marks[0])
    _, _, after = rest.partition(marks[1])
    return before + marks[0] + section + marks[1] + after


def make_accuracy_section(results: Path) -> str:
    """Return the summary tables of `accuracy.md`, regression and classification."""
    path = results / "accuracy.md"
    if not path.is_file():
        return "No results are kept at present; `python bench/accuracy.py` makes some.\n"
    lines = path.read_text().splitlines()
    commit = next(line for line in lines if line.startswith("- commit: "))
    parts = [f"Commit{commit.removeprefix('- commit:')}; / ours: how many times ours the error is."]
    for i, line in enumerate(lines):
        title = line.removeprefix("## ")
        if title != line and title.endswith(" sets") and " alone" not in title:
            table = itertools.takewhile(lambda row: row.startswith("|"), lines[i + 2 :])
            parts += ["", f"**{title}**", "", *table]
    return "\n".join(parts) + "\n"


def make_section(results: Path) -> str:
    """Return what belongs between the marks."""
    parts = []
    for name, table in (("ops", operations), ("fits", fits)):
        path = results / f"{name}.json"
        if path.is_file():
            report = json.loads(path.read_text())
            parts.append("\n".join([*introduction(report, name), "", *table(report), ""]))
    return "\n".join(parts) or "No results are kept at present; `make bench` makes some.\n"


def introduction(report: dict[str, Any], name: str) -> Iterator[str]:
    """Yield what was measured, and on what."""
    machine = report["machine"]
    what = "One call, float32" if name == "ops" else "Whole fits with the papers' fixed parameters"
    yield (
        f"{what}; {machine['cpu']}, {machine['threads']} threads, {machine['isa_level']}, Python "
        f"{machine['python']}, commit {machine['commit']}. Against "
        f"{'; '.join(dict.fromkeys(v for k, v in report['versions'].items() if k in PEERS))}. "
        f"Everything, with spread, memory and errors: [{name}.md](bench/results/{name}.md)."
    )


def operations(report: dict[str, Any]) -> Iterator[str]:
    """Yield the table of operations: our seconds, and how many times as long others take."""
    yield "| | seconds | of the roofline | " + " | ".join(PEERS) + " |"
    yield "|---|---:|---:|" + "---:|" * len(PEERS)
    for case in report["cases"]:
        ours = case["results"].get(OURS, {})
        if case["sweep"] or "median" not in ours:
            continue
        reached = max(  # of the array that is there already, where that was measured too
            result["roofline_fraction"]
            for name, result in case["results"].items()
            if name in (OURS, OURS_OUT) and "roofline_fraction" in result
        )
        ratios = " | ".join(ratio(case["results"].get(peer)) for peer in PEERS)
        yield f"| {case['label']} | {ours['median']:.2g} | {reached:.0%} | {ratios} |"


def fits(report: dict[str, Any]) -> Iterator[str]:
    """Yield the table of fits: seconds, peak memory and test RMSE of each."""
    yield "| | with | seconds | times ours | peak MB | test RMSE |"
    yield "|---|---|---:|---:|---:|---:|"
    for case in report["cases"]:
        title = f"{case['table'] or 'made up'}, {case['n']:,} x {case['d']}"
        for name, result in case["results"].items():
            if "median" not in result:
                continue
            times = "" if name == OURS else ratio(result)
            yield (
                f"| {title} | {name} | {result['median']:.1f} | {times} | "
                f"{result['peak_bytes'] / 1e6:,.0f} | {result['error']:.4f} |"
            )
            title = ""


def ratio(result: dict[str, Any] | None) -> str:
    """Return how many times as long a peer takes; empty if it has no such operation."""
    if result is None:
        return ""
    if "median" not in result:
        return "not timed"
    return "" if result["ratio"] is None else f"{result['ratio']:.1f}"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    text = replace(readme.read_text(), make_section(RESULTS))
    readme.write_text(replace(text, make_accuracy_section(RESULTS), ACCURACY_MARKS))
