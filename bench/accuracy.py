"""How accurate are untouched defaults: python bench/accuracy.py --data FOLDER

fastrfm, xRFM, LightGBM, CatBoost, kernel ridge regression without a learned metric, and on the
collection of 121 UCI sets the reference RFM tuned by its own protocol, on every set of
``FOLDER/reg``, ``cls``, ``uci121`` (and ``img`` with ``--images``). Each fit runs in a process of
its own with a time limit; its result is appended to ``accuracy.jsonl`` at once, and a rerun does
only what is missing there. ``accuracy.md`` and ``accuracy.png`` are made from that file at the end,
or by ``--report`` alone.

Splits are those of the files. `fold`: split s tests fold s, and in sets of fewer than 1,000 rows
folds 2s and 2s + 1. `uci121`: the 4 folds of the collection. Images without folds: 4 stratified
ones, by person where the file names them.

Needs the extra ``bench``.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from rich.console import Console

from fastrfm.bench.accuracy.data import KINDS, Caps, find_sets
from fastrfm.bench.accuracy.figure import draw
from fastrfm.bench.accuracy.report import make_tables, markdown, of_protocol, rich_tables
from fastrfm.bench.accuracy.run import ALL, installed, is_outdated, make_tasks, run_tasks, to_do
from fastrfm.bench.accuracy.store import Store
from fastrfm.bench.accuracy.tasks import run_in_child
from fastrfm.bench.machine import describe_machine

STAMP = ("cpu", "cores", "isa_level", "python", "commit")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, help="folder with reg/, cls/, uci121/ (all but --report need it)")
    add("--kind", choices=KINDS[:3], nargs="+", default=list(KINDS[:3]))
    add("--images", action="store_true", help="also img/")
    add("--sets", nargs="+", metavar="NAME", help='only these, "name" or "kind/name"')
    add("--contenders", nargs="+", default=list(ALL), metavar="NAME", help=", ".join(ALL))
    add("--splits", type=int, default=4, help="at most so many of each set [4]")
    add("--max-rows", type=int, help="at most so many training rows, drawn by a fixed seed")
    add("--max-test", type=int, default=10_000, help="at most so many test rows [10000]")
    add("--threads", type=int, default=2, help="of each contender [2]")
    add("--jobs", type=int, default=1, help="contenders at a time [1]")
    add("--timeout", type=float, default=1800, help="seconds for a fit and its prediction [1800]")
    add("--out", type=Path, default=Path("bench/results"), metavar="FOLDER")
    add(
        "--again",
        action="store_true",
        help="measure again what failed or was measured by another version (fastrfm: commit)",
    )
    add("--report", action="store_true", help="only make table and plot from accuracy.jsonl")
    options = parser.parse_args(arguments)
    if options.data is None and not options.report:
        parser.error("--data is needed, or --report")
    return options


def measure(options: argparse.Namespace, console: Console) -> None:
    """Do what is missing in the results' file."""
    kinds = [*options.kind, *(["img"] if options.images else [])]
    sets = find_sets(options.data, kinds, options.sets)
    versions, absent = installed(options.contenders)
    for name, reason in absent.items():
        console.print(f"skipped: {name}, {reason}")
    machine = describe_machine(options.threads)
    store = Store(options.out / "accuracy.jsonl")
    tasks = make_tasks(
        options.data,
        sets,
        list(versions),
        splits=options.splits,
        caps=Caps(options.max_rows, options.max_test),
        threads=options.threads,
    )
    outdated = partial(is_outdated, versions=versions, commit=machine["commit"])
    left = to_do(tasks, store.read(), lambda line: not (options.again and outdated(line)))
    console.print(f"{len(tasks)} tasks on {len(sets)} sets, {len(tasks) - len(left)} done before")
    run_tasks(
        left,
        lambda task: run_in_child(task, options.timeout),
        store,
        {key: machine[key] for key in STAMP},
        versions,
        jobs=options.jobs,
    )


def report(options: argparse.Namespace, console: Console) -> None:
    """Make page and plot from the results' file."""
    lines = Store(options.out / "accuracy.jsonl").read()
    protocols = {(cell.max_rows, cell.max_test) for cell in lines}
    asked = options.max_rows, options.max_test
    if options.report and options.max_rows is None and len(protocols) == 1:
        (asked,) = protocols  # there is but one to report on
    lines = of_protocol(lines, *asked)
    tables = make_tables(lines)
    for table in rich_tables(tables):
        console.print(table)
    written = [options.out / "accuracy.md"]
    written[0].write_text(markdown(lines))
    if tables:
        written.append(options.out / "accuracy.png")
        limit = "all training rows" if asked[0] is None else f"at most {asked[0]:,} training rows"
        draw(tables, written[-1], limit)
    for path in written:
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure and report."""
    options, console = parse(arguments), Console()
    try:
        if not options.report:
            measure(options, console)
        report(options, console)
    except ValueError as error:
        console.print(f"bench/accuracy.py: {error}", soft_wrap=True)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
