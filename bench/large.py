"""Fits of more rows than a factorisation would like: python bench/large.py --data FOLDER

``FOLDER/reg/uci_kin40k.npz`` (40,000 x 8; rows of fold 0 are scored) and 60,000 x 32 rows made up,
each with the estimators' defaults, once, in a process of its own; and 20,000 x 32 made-up rows by a
factorisation and by conjugate gradients without a stored kernel matrix, two iterations; and
200,000 x 32 made-up rows with 2,000 more as validation data and a checkpoint, two iterations. Shows
the progress of each fit; seconds (by the clock, and of all cores' work), peak memory of the whole
process and test RMSE (of standardised targets) go to ``bench/results/large.md``. ``--cases`` takes
some of them, and ``--name`` is that of another file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastrfm
from fastrfm.bench.machine import describe_machine
from fastrfm.members import PAPERS

Array = NDArray[Any]

CASES: dict[str, dict[str, Any]] = {
    "kin40k": {},
    "60,000 x 32": {},
    "20,000 x 32, cholesky, n_iter=1": {"n_iter": 1, "solver": "cholesky"},
    "20,000 x 32, memory_limit=300 MB, n_iter=1": {"n_iter": 1, "memory_limit": 300_000_000},
    "200,000 x 32, memory_limit=1.5 GB, n_iter=1": {"n_iter": 1, "memory_limit": 1_500_000_000},
}
# With validation data and a checkpoint.
VALIDATED = ("200,000 x 32, memory_limit=1.5 GB, n_iter=1",)
HEADERS = (
    "data",
    "training rows",
    "seconds",
    "CPU seconds",
    "peak GB",
    "test RMSE",
    "iteration kept",
    "solver",
)
TEST_ROWS = 2_000


def load(case: str, data: Path) -> tuple[Array, Array, Array, Array]:
    """Return training and test rows, float32, standardised by the training rows."""
    if case == "kin40k":
        arrays = np.load(data / "reg" / "uci_kin40k.npz")
        X, y, test = arrays["X"], arrays["y"], arrays["fold"] == 0
    else:
        rng = np.random.default_rng(0)
        n = int(case.split(" ")[0].replace(",", ""))
        rows = n + TEST_ROWS * (2 if case in VALIDATED else 1)
        X = rng.standard_normal((rows, 32), dtype=np.float32)
        y = X[:, 0] * X[:, 1] + np.sin(2 * X[:, 2]) + X[:, 3] * (X[:, 4] > 0)
        y = y + 0.1 * rng.standard_normal(len(y), dtype=np.float32)
        test = np.arange(len(y)) >= n
    X = (X - X[~test].mean(axis=0)) / X[~test].std(axis=0)
    y = (y - y[~test].mean()) / y[~test].std()
    X, y = X.astype(np.float32), y.astype(np.float32)
    return X[~test], y[~test], X[test], y[test]


def measure(case: str, data: Path) -> None:
    """Fit one case in this process and print a JSON line."""
    X, y, X_test, y_test = load(case, data)
    model = fastrfm.RFMRegressor(random_state=0, verbose=2, **PAPERS | CASES[case])
    started, work = perf_counter(), process_time()
    if case in VALIDATED:
        half = len(X_test) // 2
        with tempfile.TemporaryDirectory() as folder:
            judging = {"X_val": X_test[:half], "y_val": y_test[:half]}
            model.fit(X, y, **judging, checkpoint=Path(folder) / "state")
        X_test, y_test = X_test[half:], y_test[half:]
    else:
        model.fit(X, y)
    seconds, work = perf_counter() - started, process_time() - work
    status = Path("/proc/self/status").read_text()
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert peak is not None
    rmse = float(np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2, dtype=np.float64)))
    row = (
        case,
        f"{len(X):,}",
        f"{seconds:.1f}",
        f"{work:.1f}",
        f"{int(peak[1]) * 1024 / 1e9:.2f}",
        f"{rmse:.4f}",
        f"{model.best_iter_} of {model.n_iter_}",
        model.history_[-1]["solver"],
    )
    print(json.dumps(row))


def main() -> None:
    """Run all cases, or the one that a parent asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("bench/results"))
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--name", default="large")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case is not None:
        measure(arguments.case, arguments.data)
        return
    rows, loads = [], []
    for case in arguments.cases:
        print(case, flush=True)
        command = [sys.executable, __file__, "--data", str(arguments.data), "--case", case]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(done.stdout))
        loads.append(os.getloadavg()[2])
        print(*rows[-1], sep=", ", flush=True)
        # At once: the next one may take hours.
        arguments.output.mkdir(parents=True, exist_ok=True)
        report = arguments.output / f"{arguments.name}.md"
        report.write_text("\n".join(_report(rows, loads)) + "\n")


def _report(rows: list[list[str]], loads: list[float]) -> list[str]:
    """Return the lines of the file."""
    machine = describe_machine(fastrfm.show_config()["threads"])
    return [
        "- `python bench/large.py --data FOLDER`",
        f"- {machine['cpu']}, {machine['cores']} cores, {machine['isa_level']}; "
        f"Python {machine['python']}, commit {machine['commit']}, {machine['date']}",
        f"- {float(np.mean(loads)):.0f} processes on average wanted these cores meanwhile, ours "
        "included: seconds by the clock are more than the fits alone would take",
        "- peak: resident memory of the whole process, interpreter and libraries included",
        "",
        "| " + " | ".join(HEADERS) + " |",
        "|---|" + "---:|" * (len(HEADERS) - 1),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


if __name__ == "__main__":
    main()
