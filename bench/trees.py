"""Trees against the plain estimator, of the same rows: python bench/trees.py --data FOLDER

Tables of `FOLDER/reg` and `FOLDER/cls` with more than 10,000 rows (rows of fold 0 are scored), and
20,000 rows made up whose target depends on other features in each of four regions. Each fit runs in
a process of its own, with the estimators' defaults but for `max_leaf_size`. Test RMSE (of
standardised targets) or error, log-loss, seconds and peak memory go to `bench/results/trees.md`;
`trees.jsonl` there gets each fit's line at once, and a rerun does what is missing in it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss

import fastrfm
from fastrfm.bench.machine import describe_machine

Array = NDArray[Any]

CASES = (
    "made up",
    "reg/uci_pol",
    "reg/uci_elevators",
    "reg/california_housing",
    "reg/uci_kin40k",
    "reg/uci_keggundirected",
    "cls/chess_krvk",
    "cls/credit_default",
    "cls/adult",
)
# Rows of a leaf; 0 is the plain estimator.
LEAF_SIZES = (0, 10_000, 5_000)
HEADERS = (
    "data",
    "rows",
    "model",
    "leaves",
    "temperature",
    "error",
    "log-loss",
    "s",
    "CPU s",
    "peak GB",
)
MADE_UP_ROWS = 20_000
# A tree whose error is within so much of the plain estimator's is as good.
EQUAL = 0.01


def made_up(n: int) -> tuple[Array, Array]:
    """Return rows in four regions, in each of which two features of its own count."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(n, 12)).astype(np.float32)
    region = np.floor(2 * (X[:, 0] + 1)).astype(int).clip(0, 3)
    first, second = (X[np.arange(n), 1 + 2 * region + k] for k in (0, 1))
    y = 2.0 * region + np.cos(5 * np.hypot(first, second)) + 0.1 * rng.standard_normal(n)
    return X, y.astype(np.float32)


def load(case: str, data: Path) -> tuple[Array, Array, NDArray[np.bool_], Array | None]:
    """Return rows, targets, which rows are scored, and which columns are categories."""
    if case == "made up":
        X, y = made_up(MADE_UP_ROWS + 2_000)
        return X, y, np.arange(len(y)) >= MADE_UP_ROWS, None
    arrays = np.load(data / f"{case}.npz")
    categories = np.flatnonzero(arrays["cat_mask"]) if "cat_mask" in arrays else None
    return arrays["X"], arrays["y"], arrays["fold"] == 0, categories


def measure(
    case: str, data: Path, leaf: int, trees: int, options: dict[str, Any]
) -> dict[str, Any]:
    """Fit one case in this process."""
    X, y, test, categories = load(case, data)
    is_classification = case.startswith("cls/")
    if not is_classification:
        y = (y - y[~test].mean()) / y[~test].std()
    names = {True: "RFMClassifier", False: "RFMRegressor"}
    kind = getattr(fastrfm, ("Tree" if leaf else "") + names[is_classification])
    own = {"max_leaf_size": leaf, "n_trees": trees} if leaf else {}
    model = kind(categorical_features=categories, random_state=0, **own, **options)
    started = perf_counter(), process_time()
    model.fit(X[~test], y[~test])
    seconds, of_cpu = perf_counter() - started[0], process_time() - started[1]
    row = {
        "data": case,
        "rows": int((~test).sum()),
        "leaf": leaf,
        "trees": trees if leaf else 1,
        "leaves": sum(len(tree.leaves) for tree in model.trees_) if leaf else 1,
        "temperature": model.temperature_ if leaf else None,
        "seconds": seconds,
        "cpu_seconds": of_cpu,
        "log_loss": None,
    }
    if is_classification:
        row["error"] = 1.0 - model.score(X[test], y[test])
        row["log_loss"] = float(
            log_loss(y[test], model.predict_proba(X[test]), labels=model.classes_)
        )
    else:
        row["error"] = float(np.sqrt(np.mean((model.predict(X[test]) - y[test]) ** 2, dtype=float)))
    status = Path("/proc/self/status").read_text()
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert peak is not None
    row["peak"] = int(peak[1]) * 1024 / 1e9
    return row


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    """Say where the tree of each leaf size is better, equal or worse."""
    lines = []
    plain = {row["data"]: row["error"] for row in rows if not row["leaf"]}
    kinds = {(row["leaf"], row["trees"]) for row in rows if row["leaf"]}
    for leaf, trees in sorted(kinds, key=lambda kind: (-kind[0], kind[1])):
        ratios = {
            r["data"]: r["error"] / plain[r["data"]]
            for r in rows
            if (r["leaf"], r["trees"]) == (leaf, trees) and r["data"] in plain
        }
        groups = {
            "better": [d for d, r in ratios.items() if r < 1 - EQUAL],
            "as good": [d for d, r in ratios.items() if abs(r - 1) <= EQUAL],
            "worse": [d for d, r in ratios.items() if r > 1 + EQUAL],
        }
        said = "; ".join(
            f"{name}: " + ", ".join(f"{d} ({ratios[d]:.2f})" for d in of_group)
            for name, of_group in groups.items()
            if of_group
        )
        many = "one tree" if trees == 1 else f"{trees} trees"
        lines.append(f"- {many}, leaves of at most {leaf:,} rows, over the plain error: {said}")
    return lines


def _name(row: dict[str, Any]) -> str:
    if not row["leaf"]:
        return "plain"
    return f"{'tree' if row['trees'] == 1 else str(row['trees']) + ' trees'}, {row['leaf']:,}"


def write(rows: list[dict[str, Any]], options: dict[str, Any], output: Path) -> None:
    """Write the table."""
    machine = describe_machine(fastrfm.show_config()["threads"])
    table = [
        (
            row["data"],
            f"{row['rows']:,}",
            _name(row),
            str(row["leaves"]),
            "" if row["temperature"] is None else f"{row['temperature']:.3g}",
            f"{row['error']:.4f}",
            "" if row["log_loss"] is None else f"{row['log_loss']:.4f}",
            f"{row['seconds']:.0f}",
            f"{row['cpu_seconds']:.0f}",
            f"{row['peak']:.2f}",
        )
        for row in rows
    ]
    lines = [
        f"- `python bench/trees.py --data FOLDER --options '{json.dumps(options)}'`: the defaults, "
        "but for `max_leaf_size`, `n_trees` and these options, which leaves and plain estimators "
        "have",
        f"- {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"{machine['isa_level']}; "
        f"Python {machine['python']}, commit {machine['commit']}, {machine['date']}",
        "- error: test RMSE of standardised targets, or the part of wrong labels",
        "- peak: resident memory of the whole process",
        f"- better, worse: by more than {EQUAL:.0%}",
        *verdicts(rows),
        "",
        "| " + " | ".join(HEADERS) + " |",
        "|---|---:|---|" + "---:|" * (len(HEADERS) - 3),
        *("| " + " | ".join(row) + " |" for row in table),
    ]
    (output / "trees.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Run all cases, or the one that a parent asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("bench/results"))
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--leaf-sizes", nargs="+", type=int, default=LEAF_SIZES)
    parser.add_argument("--trees", type=int, default=1, help="`n_trees`")
    parser.add_argument("--options", type=json.loads, default={}, help="further parameters, JSON")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        (case,), (leaf,) = arguments.cases, arguments.leaf_sizes
        print(json.dumps(measure(case, arguments.data, leaf, arguments.trees, arguments.options)))
        return
    arguments.output.mkdir(parents=True, exist_ok=True)
    lines = arguments.output / "trees.jsonl"
    rows = [json.loads(line) for line in lines.open()] if lines.exists() else []
    done_before = {(row["data"], row["leaf"], row["trees"]) for row in rows}
    for case in arguments.cases:
        for leaf in arguments.leaf_sizes:
            if (case, leaf, arguments.trees if leaf else 1) in done_before:
                continue
            command = [sys.executable, __file__, "--data", str(arguments.data), "--one"]
            command += ["--cases", case, "--leaf-sizes", str(leaf)]
            command += ["--trees", str(arguments.trees)]
            command += ["--options", json.dumps(arguments.options)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(done.stdout))
            with lines.open("a") as file:
                file.write(done.stdout)
            print(done.stdout, end="", flush=True)
    order = {case: number for number, case in enumerate(CASES)}
    rows.sort(key=lambda row: (order[row["data"]], bool(row["leaf"]), -row["leaf"], row["trees"]))
    write(rows, arguments.options, arguments.output)


if __name__ == "__main__":
    main()
