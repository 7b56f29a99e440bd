"""Time and memory against rows, columns, outputs, threads and workers: python bench/scaling.py

Each point (one product with K, one AGOP, the making of a preconditioner, a whole fit without and
with a stored K, a tree, a fit of a Dask array; `fastrfm.bench.scaling.points` lists them) runs in a
process of its own, those that take seconds in three rounds. ``scaling.jsonl`` in ``--output`` gets
its line at once. Exponents, the model of a fit, its error here and its extrapolation to GPUs go to
``scaling.md``, the plot to ``scaling.png``; ``--report`` makes them of what is there.

Without ``--resume`` the run begins anew; with it, it measures what is missing, and again what went
wrong. ``--largest`` is the largest number of rows.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fastrfm.bench.machine import available_cores, describe_machine
from fastrfm.bench.scaling.points import AXES, points_of
from fastrfm.bench.scaling.report import write_report
from fastrfm.bench.scaling.run import run_points
from fastrfm.bench.scaling.store import Store

# A fit of so many takes minutes of two cores; each step up doubles that.
LARGEST = 80_000
STAMP = ("cpu", "cores", "isa_level", "python", "commit", "date")


def main() -> int:
    """Run what the command line asks for; 1 if a point failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("bench/results"))
    parser.add_argument("--axes", nargs="+", choices=AXES, default=AXES)
    parser.add_argument("--largest", type=int, default=LARGEST, metavar="ROWS")
    parser.add_argument("--report", action="store_true", help="of what is there, measuring nothing")
    parser.add_argument("--resume", action="store_true", help="measure what is missing")
    arguments = parser.parse_args()
    if arguments.largest < 1:
        parser.error(f"--largest must be at least 1; got {arguments.largest}")
    store = Store(arguments.output / "scaling.jsonl")
    wrong = 0
    if not arguments.report:
        if not arguments.resume:
            store.path.unlink(missing_ok=True)
        machine = describe_machine(available_cores())
        wrong = run_points(
            points_of(arguments.axes, arguments.largest),
            store,
            {name: machine[name] for name in STAMP},
            say=lambda line: print(line, flush=True),
        )
    if not store.path.is_file():
        parser.error(f"there is no {store.path}: run without --report first")
    for path in write_report(store, arguments.output):
        print(path)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
