"""``fastrfm bench``: fastrfm against what people use without it, and against the machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from fastrfm.bench import figures, table
from fastrfm.bench.cases import Case, select_cases, select_fits
from fastrfm.bench.contenders import CONTENDERS, OURS, OURS_OUT
from fastrfm.bench.machine import available_cores, describe_machine
from fastrfm.bench.machine_rates import MachineRates
from fastrfm.bench.processes import Measurement, interleave, start
from fastrfm.bench.progress import CaseProgress
from fastrfm.bench.report import make_report

__all__ = ["BenchOptions", "default_output", "run_bench"]

# Seconds for the rounds of one contender in one case, beyond the three that everyone gets.
BUDGET = {"quick": 0.0, "ops": 2.0, "fits": 60.0}


@dataclass(frozen=True)
class BenchOptions:
    """What ``fastrfm bench`` was asked for.

    Attributes
    ----------
    output : Path
        Folder for the table, the JSON file and the plot; made if need be.
    mode : {"quick", "ops", "fits"}
    peers : tuple of str, optional
        Who is measured beside fastrfm; None: all.
    only : str, optional
        Words that a case's label must contain.
    data : Path, optional
        Of mode "fits": the folder whose ``reg/*.npz`` are fitted.
    rows : int, optional
        Of mode "fits": the most training rows.
    threads : int, optional
        For every contender; None: all cores.
    """

    output: Path
    mode: str = "ops"
    peers: tuple[str, ...] | None = None
    only: str | None = None
    data: Path | None = None
    rows: int | None = None
    threads: int | None = None


def default_output() -> Path:
    """Return bench/results in a checkout of fastrfm, else a folder of its own."""
    if Path("src/python/fastrfm/bench").is_dir():
        return Path("bench/results")
    return Path("fastrfm-bench")


def run_bench(options: BenchOptions, console: Console) -> bool:
    """Measure, show the table, write the files; return whether all results of ours were right.

    Raises
    ------
    ValueError
        If no case or an unknown peer was asked for, or a table is missing.
    """
    if options.mode == "fits":
        cases = select_fits(options.data, rows=options.rows, only=options.only)
    else:
        cases = select_cases(options.mode, only=options.only)
    if not cases:
        raise ValueError(f"no case of mode {options.mode} has {options.only!r} in its name")
    names = _names(options.peers, quick=options.mode == "quick")
    options.output.mkdir(parents=True, exist_ok=True)
    threads = options.threads or available_cores()

    with CaseProgress(cases, console) as progress:
        running, absent = start(names, threads)
        try:
            for name, reason in absent.items():
                console.print(f"skipped: {name}, {reason}", highlight=False, soft_wrap=True)
            versions = {name: process.ask("version") for name, process in running.items()}
            # Only operations are held to the rates; of fits they say what machine it was.
            rates = MachineRates(running, threads, quick=options.mode != "ops")
            progress.notify("measuring the machine")
            rates.measure()
            progress.begin_cases()
            measured: dict[Case, dict[str, Measurement]] = {}
            for case in cases:
                measured[case] = interleave(
                    case,
                    running,
                    budget=BUDGET[options.mode],
                    notify=progress.notify,
                    folder=options.data,
                )
                progress.finished(case, measured[case])
            progress.notify("measuring the machine once more")
            rates.measure()
        finally:
            for process in running.values():
                process.close()

    machine = describe_machine(threads)
    report = make_report(options.mode, machine, versions, absent, rates.best(), measured)
    # A part must not replace the results of the whole.
    partial = any(option is not None for option in (options.only, options.peers, options.rows))
    stem = "part" if partial else options.mode
    paths = [options.output / f"{stem}.{kind}" for kind in ("json", "md", "png")]
    paths[0].write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    paths[1].write_text(table.markdown(report))
    if not figures.draw(report, paths[2]):
        paths.pop()
    console.print(table.rich_table(report, console.width))
    for line in table.notes(report):
        console.print(line, highlight=False, soft_wrap=True)
    for path in paths:
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)
    return all(
        result.reason is None
        for results in measured.values()
        for name, result in results.items()
        if name.startswith(OURS)
    )


def _names(peers: tuple[str, ...] | None, *, quick: bool) -> list[str]:
    if peers is None:
        return [name for name in CONTENDERS if name != OURS_OUT or not quick]
    others = {name.lower(): name for name in CONTENDERS if name != OURS}
    unknown = [peer for peer in peers if peer.lower() not in others]
    if unknown:
        raise ValueError(f"no peer {unknown[0]!r}; there are {', '.join(others.values())}")
    return [OURS, *(others[peer.lower()] for peer in peers)]
