"""Measure one point in this process.

``python -m fastrfm.bench.scaling.measure '{"kind": "fit", "n": 10000}'`` prints a line of JSON:
seconds by the clock and of all cores, peak memory, and what the kind of work tells of itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastrfm
from fastrfm.bench.memory import PeakMemory
from fastrfm.bench.scaling.points import Point
from fastrfm.kernels import Kernel
from fastrfm.members import PAPERS
from fastrfm.ridge.nystrom import NystromPreconditioner, largest_rank

__all__ = ["AGOP_ROWS", "ITERATIONS", "MissingError", "made_up", "measure"]

Array = NDArray[Any]

AGOP_ROWS = 4_000
# Updates of the metric: two solves to 1e-2, and one of the better to the estimators' 1e-4.
ITERATIONS = 1
# Rows that judge a fit's iterations. Without them it is a regression of 4,000 rows with the same
# metric that does, 1.3 CPU seconds at any n: at 8,000 rows two thirds of the fit.
VALIDATION_ROWS = 1_000
VALIDATED = ("fit", "stored", "dask")
# Of memory_limit, for each pair: a triangle of K takes two. It leaves room for all else but of
# fewer than 2,100 rows, which therefore get more, so that their K is stored.
BYTES_WITHOUT_K = 1.8
SMALLEST_LIMIT = 8_000_000
LEAF_ROWS = 5_000
# The smallest matrix of a product takes 0.1 s; its median of three is quiet to a few percent.
MOST_REPEATS, REPEAT_SECONDS = 3, 2.0
# The terms of the target take so many columns each.
TERMS = 5
# Of the CPU seconds of a distributed fit, the part that its workers must have had at least.
WORKERS_PART = 0.5


# A solve that rows held out end early would have other steps at each n.
_OPTIONS = {**PAPERS, "n_iter": ITERATIONS, "early_stopping": False, "random_state": 0}


class MissingError(Exception):
    """What a point needs is not there."""


def made_up(n: int, d: int, c: int) -> tuple[Array, Array]:
    """Return standard normal rows and targets of unit variance, float32.

    The first target is that of ``bench/large.py``; others are the same of other columns.
    """
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d), dtype=np.float32)
    Y = np.empty((n, c), np.float32)
    for k in range(c):
        a, b, e, f, g = (X[:, (TERMS * k + j) % d] for j in range(TERMS))
        Y[:, k] = a * b + np.sin(2 * e) + f * (g > 0)
    Y += 0.1 * rng.standard_normal(Y.shape, dtype=np.float32)
    Y = (Y - Y.mean(axis=0)) / Y.std(axis=0)
    return X, Y[:, 0] if c == 1 else Y


def measure(point: Point) -> dict[str, Any]:
    """Do the work of a point and return what it took.

    Returns
    -------
    result : dict
        "seconds", "cpu_seconds" (of all threads and workers), "peak" (resident bytes of this
        process), "peak_work" (less what it had before), and more of its kind. For short work the
        median of three.

    Raises
    ------
    MissingError
        If something that it needs is not installed or not part of this version.
    """
    X, Y = made_up(point.n + VALIDATION_ROWS, point.d, point.c)
    if point.kind not in VALIDATED:
        # Not a slice, whose memory would stay.
        X, Y = X[: point.n].copy(), Y[: point.n].copy()
    return _WORKS[point.kind](point, X, Y)


def _product(point: Point, X: Array, Y: Array) -> dict[str, Any]:
    return _repeated(lambda: fastrfm.kernel_matmul(X, X, Y.reshape(point.n, -1)))


def _agop(point: Point, X: Array, Y: Array) -> dict[str, Any]:
    rows = X[:AGOP_ROWS]
    # Of full rank, so that all outputs count: an AGOP runs over as many as the rank.
    coef = np.random.default_rng(1).standard_normal((point.n, point.c), dtype=np.float32)
    return _repeated(lambda: fastrfm.agop(rows, X, coef))


def _landmarks(point: Point, X: Array, Y: Array) -> dict[str, Any]:
    rank = largest_rank(point.n)
    alpha, dtype = PAPERS["alpha"], np.dtype(np.float32)
    made: list[NystromPreconditioner] = []

    def make() -> None:
        made[:] = [NystromPreconditioner(X, Kernel(), None, alpha, rank, dtype)]

    result = _timed(make)
    targets = Y.reshape(point.n, -1).astype(np.float64)
    once = _repeated(lambda: made[0](targets))
    return {**result, "rank": rank, "apply_cpu_seconds": once["cpu_seconds"]}


def _fit(point: Point, X: Array, Y: Array) -> dict[str, Any]:
    limit = None
    if point.kind != "stored":
        limit = max(int(BYTES_WITHOUT_K * point.n**2), SMALLEST_LIMIT)
    model = fastrfm.RFMRegressor(memory_limit=limit, solver="pcg", **_OPTIONS)
    solves = _record_solves()
    n = point.n
    result = _timed(lambda: model.fit(X[:n], Y[:n], X_val=X[n:], y_val=Y[n:]))
    return {**result, **_phases(model.history_), "solves": solves}


def _tree(point: Point, X: Array, Y: Array) -> dict[str, Any]:
    model = fastrfm.TreeRFMRegressor(
        max_leaf_size=LEAF_ROWS,
        temperature=0.1,
        n_jobs=point.workers or None,
        **_OPTIONS,
    )

    def work() -> None:
        model.fit(X, Y)
        if point.workers > 1:
            # The workers' CPU seconds are known when they have ended.
            executors = importlib.import_module("joblib.externals.loky.reusable_executor")
            executors.get_reusable_executor().shutdown(wait=True)

    result = _timed(work)
    return {**result, "leaves": len(model.trees_[0].leaves)}


def _dask(point: Point, X: Array, Y: Array) -> dict[str, Any]:
    for module, what in (
        ("dask", "Dask is not installed"),
        ("distributed", "distributed is not installed"),
        ("fastrfm.dask", "this version of fastrfm does not fit Dask arrays"),
    ):
        if importlib.util.find_spec(module) is None:
            raise MissingError(what)
    array, distributed = (importlib.import_module(name) for name in ("dask.array", "distributed"))
    with (
        distributed.LocalCluster(
            n_workers=point.workers,
            threads_per_worker=point.threads,
            dashboard_address=None,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        n, chunk = point.n, -(-point.n // point.workers)
        rows = array.from_array(X[:n], chunks=(chunk, point.d)).persist()
        targets = array.from_array(Y[:n], chunks=(chunk, *Y.shape[1:])).persist()
        distributed.wait([rows, targets])
        model = fastrfm.RFMRegressor(**_OPTIONS)
        before = sum(client.run(process_time).values())
        result = _timed(lambda: model.fit(rows, targets, X_val=X[n:], y_val=Y[n:]))
        workers = sum(client.run(process_time).values()) - before
    total = result["cpu_seconds"] + workers
    if workers < WORKERS_PART * total:
        # A fit that only gathers the array would look like a distributed one.
        raise MissingError(
            f"the workers had {workers / total:.0%} of the CPU seconds: the fit ran in the client"
        )
    return {**result, "cpu_seconds": total, **_phases(model.history_)}


_WORKS: dict[str, Callable[[Point, Array, Array], dict[str, Any]]] = {
    "product": _product,
    "agop": _agop,
    "landmarks": _landmarks,
    "fit": _fit,
    "stored": _fit,
    "tree": _tree,
    "dask": _dask,
}


def _record_solves() -> list[dict[str, Any]]:
    """Return a list that fills with steps and landmarks of each solve of this process.

    A fit's history does not tell them; the function that solves does.
    """
    solves: list[dict[str, Any]] = []
    module: Any = importlib.import_module("fastrfm.ridge_search")
    solve = module.fit_ridge

    def recording(*args: Any, **options: Any) -> Any:
        fit = solve(*args, **options)
        names = ("solver", "stored", "iterations", "rank", "residual")
        solves.append({name: fit.info.get(name) for name in names})
        return fit

    module.fit_ridge = recording
    return solves


def _phases(history: list[dict[str, Any]]) -> dict[str, float]:
    return {
        f"{name}_seconds": float(sum(entry["seconds"][name] for entry in history))
        for name in ("solve", "select", "agop")
    }


def _timed(work: Callable[[], Any]) -> dict[str, Any]:
    memory = PeakMemory()
    memory.reset()
    started, cpu, children = perf_counter(), process_time(), _children_seconds()
    work()
    seconds, used = perf_counter() - started, process_time() - cpu
    peak_work = memory.peak()
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        usage = int(lines["VmHWM"].split()[0]) * 1024
    return {
        "seconds": seconds,
        "cpu_seconds": used + _children_seconds() - children,
        "peak": float(usage),
        "peak_work": float(peak_work),
    }


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _repeated(work: Callable[[], Any]) -> dict[str, Any]:
    """Return the medians of several times, after one that warms up; of one, if that takes long."""
    first = _timed(work)
    if first["seconds"] > REPEAT_SECONDS:
        return first
    times = [_timed(work) for _ in range(MOST_REPEATS)]
    middle = {name: median(one[name] for one in times) for name in ("seconds", "cpu_seconds")}
    return {**first, **middle}


def main() -> None:
    """Print the line of the point in the argument."""
    point = Point(**json.loads(sys.argv[1]))
    try:
        result = {"reason": None, **measure(point)}
    except MissingError as missing:
        result = {"reason": str(missing), "missing": True}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
