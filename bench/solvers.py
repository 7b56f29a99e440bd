"""Is pcg as good as Cholesky, and quicker from where on: python bench/solvers.py --data FOLDER

Each ``FOLDER/reg/*.npz`` (X, y, fold; ``fold == 0`` is the test part) with at most ``--rows``
training rows is fitted three times by the direct solver and by pcg at the default ``tol``: with the
Euclidean metric, with the metric of two RFM updates, and with the product Laplace kernel. The ratio
of the two test errors is the price of stopping early. A second table measures the crossover on
subsets of the largest set. Written to ``bench/results/solvers.md``.

Needs the extra ``bench``.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning

import fastrfm
from fastrfm.bench.machine import describe_machine

Array = NDArray[Any]

ALPHA = 1e-3
HEADERS = (
    "data",
    "rows",
    "system",
    "RMSE direct",
    "pcg / direct",
    "iterations",
    "rank",
    "residual",
    "s direct",
    "s pcg",
)
CROSSOVER_ROWS = (1_000, 2_000, 3_000, 4_000, 6_000, 8_000, 11_000, 14_000)
ROUNDS = 3


@dataclass(frozen=True)
class System:
    """One linear system and the rows by which its solution is judged."""

    data: str
    name: str
    X: Array
    y: Array
    X_test: Array
    y_test: Array
    kernel: dict[str, Any]


def load(path: Path) -> tuple[Array, Array, Array, Array]:
    """Return standardised training and test rows; a missing value becomes the mean."""
    data = np.load(path)
    X, y, test = data["X"].astype(np.float64), data["y"].astype(np.float64), data["fold"] == 0
    center, scale = np.nanmean(X[~test], axis=0), np.nanstd(X[~test], axis=0)
    X = np.nan_to_num((X - center) / np.where(scale > 0, scale, 1)).astype(np.float32)
    y = ((y - y[~test].mean()) / y[~test].std()).astype(np.float32)[:, None]
    return X[~test], y[~test], X[test], y[test]


def systems(path: Path) -> Iterator[System]:
    """Return the three systems of a set."""
    name = path.stem.removeprefix("uci_")
    rows = load(path)
    X, y = rows[:2]
    yield System(name, "Laplace", *rows, {"bandwidth": 10.0})
    metric = None
    for _ in range(2):
        coef = fastrfm.solve_ridge(X, y, alpha=ALPHA, metric=metric, solver="cholesky")
        G = fastrfm.agop(X, X, coef, metric=metric)
        metric = G / G.max()
    yield System(name, "Laplace, learned", *rows, {"bandwidth": 10.0, "metric": metric})
    yield System(name, "product Laplace", *rows, {"bandwidth": 10.0, "norm": 1.0})


def solve(system: System, solver: str) -> tuple[float, float, dict[str, Any]]:
    """Return the test RMSE, the seconds of the solve and what it says of itself."""
    started = perf_counter()
    coef, info = fastrfm.solve_ridge(
        system.X, system.y, alpha=ALPHA, solver=solver, return_info=True, **system.kernel
    )
    seconds = perf_counter() - started
    predicted = fastrfm.kernel_matmul(system.X_test, system.X, coef, **system.kernel)
    error = np.subtract(predicted, system.y_test, dtype=np.float64)
    return float(np.sqrt(np.mean(error * error))), seconds, info


def compare(system: System) -> tuple[str, ...]:
    """Return a row of the table."""
    direct, direct_seconds, _ = solve(system, "cholesky")
    pcg, pcg_seconds, info = solve(system, "pcg")
    return (
        system.data,
        f"{len(system.X):,}",
        system.name,
        f"{direct:.4f}",
        f"{pcg / direct:.5f}",
        str(info["iterations"]),
        str(info["rank"]),
        f"{info['residual']:.1e}",
        f"{direct_seconds:.2f}",
        f"{pcg_seconds:.2f}",
    )


def crossover(path: Path) -> Iterator[tuple[str, ...]]:
    """Return seconds of both solvers by rows, medians of interleaved rounds."""
    for system in systems(path):
        order = np.random.default_rng(0).permutation(len(system.X))
        for n in CROSSOVER_ROWS:
            if n > len(order):
                break
            rows = np.sort(order[:n])
            part = System(
                system.data,
                system.name,
                system.X[rows],
                system.y[rows],
                system.X_test,
                system.y_test,
                system.kernel,
            )
            times: dict[str, list[float]] = {"cholesky": [], "pcg": []}
            for _ in range(ROUNDS):
                for solver, seconds in times.items():
                    seconds.append(solve(part, solver)[1])
            direct, pcg = (float(np.median(seconds)) for seconds in times.values())
            yield (system.data, system.name, f"{n:,}", f"{direct:.3f}", f"{pcg:.3f}")


def markdown(headers: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Return a table as lines of Markdown."""
    lines = ["| " + " | ".join(headers) + " |", "|---" * len(headers) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def show(console: Console, headers: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a table."""
    table = Table(*headers)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=16_000, help="most training rows")
    parser.add_argument("--output", type=Path, default=Path("bench/results"))
    arguments = parser.parse_args()
    # A residual that rounding keeps above tol is said by the table itself.
    warnings.simplefilter("ignore", ConvergenceWarning)
    console = Console()
    compared = []
    largest: tuple[int, Path | None] = (0, None)
    for path in sorted((arguments.data / "reg").glob("*.npz")):
        n = int(np.count_nonzero(np.load(path)["fold"]))
        if n > arguments.rows:
            continue
        largest = max(largest, (n, path), key=lambda pair: pair[0])
        for system in systems(path):
            compared.append(compare(system))
            console.print(*compared[-1])
    show(console, HEADERS, compared)
    crossed = list(crossover(largest[1])) if largest[1] is not None else []
    crossover_headers = ("data", "system", "rows", "s direct", "s pcg")
    show(console, crossover_headers, crossed)
    machine = describe_machine(fastrfm.show_config()["threads"])
    lines = [
        f"- `python bench/solvers.py {shlex.join(sys.argv[1:])}` with the data folder's path",
        f"- {machine['cpu']}, {machine['cores']} cores, {machine['isa_level']}; "
        f"Python {machine['python']}, commit {machine['commit']}, {machine['date']}",
        f"- float32, alpha {ALPHA:g}, bandwidth 10, default tol; standardised targets",
        "",
        *markdown(HEADERS, compared),
        "",
        *markdown(crossover_headers, crossed),
    ]
    # The path of the data is this machine's own.
    text = (
        "\n".join(lines)
        .replace(str(arguments.data), "FOLDER")
        .replace(" with the data folder's path", "")
    )
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "solvers.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
