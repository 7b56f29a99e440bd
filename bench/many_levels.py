"""Codes for a category of many levels: python bench/many_levels.py --data FOLDER

Real tables of ``FOLDER`` (``reg/california_housing.npz``, ``cls/adult.npz``,
``cls/chess_krvk.npz``) get one category of 100 to 2,000 levels, a crossing of columns that it
then replaces. It is coded in several ways, each fitted with both kinds of kernel that suit tables.
Test error and seconds stand in a table: on the terminal, and in ``bench/results/many_levels.md``.

Needs the extra ``bench``.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import geometric_mean
from time import process_time
from typing import Any
from unittest import mock

import numpy as np
from joblib import Parallel, delayed, parallel_config
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fastrfm import RFMClassifier, RFMRegressor, metric
from fastrfm.bench.machine import available_cores, describe_machine
from fastrfm.preprocessing import TableEncoder
from fastrfm.preprocessing.categories import SHARED_COLUMNS, many_level_codes

Array = NDArray[Any]

MEMBERS: dict[str, dict[str, Any]] = {
    "norm 2": {
        "norm": 2.0,
        "exponent": 1.3,
        "bandwidth": "4*median",
        "agop_power": 0.35,
        "alpha": 0.03,
    },
    "norm 1": {
        "norm": 1.0,
        "exponent": 1.0,
        "bandwidth": "0.7*median",
        "agop_power": 1.0,
        "alpha": 0.03,
        "diagonal": True,
    },
}
HEADERS = ("data", "levels", "kernel", "code", "columns", "error", "against one-hot", "seconds")


@dataclass(frozen=True)
class Case:
    """A table: encoded columns other than the category, the category's levels, targets."""

    name: str
    rest: Array
    levels: Array
    y: Array
    is_regression: bool


def cross(*columns: Array) -> Array:
    """Return a number for each combination of values that occurs."""
    return np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].ravel()


def cases(folder: Path) -> Iterator[Case]:
    """Yield the tables, from few levels to many."""
    with np.load(folder / "reg/california_housing.npz") as file:
        X, y = file["X"], file["y"]
    for degrees in (0.5, 0.25, 0.1):
        cell = cross(*np.floor(X[:, :2] / degrees).T)
        rest = TableEncoder(categorical_features=[6], scaling="compressed").fit(X[:, 2:])
        yield Case(f"california {degrees} deg", rest.transform(X[:, 2:]), cell, y, True)
    with np.load(folder / "cls/adult.npz") as file:
        X, y, categorical = file["X"], file["y"], file["cat_mask"]
        names = file["feature_names"].tolist()
    for crossed in (
        ("education", "occupation"),
        ("education", "occupation", "workclass"),
        ("native_country", "occupation", "relationship"),
    ):
        at = [names.index(name) for name in crossed]
        others = np.setdiff1d(np.arange(X.shape[1]), [*at, names.index("education_num")])
        rest = TableEncoder(categorical_features=categorical[others], scaling="compressed")
        yield Case(
            f"adult {len(crossed)} {crossed[0]}",
            rest.fit(X[:, others]).transform(X[:, others]),
            cross(*X[:, at].T),
            y,
            False,
        )
    with np.load(folder / "cls/chess_krvk.npz") as file:
        X, y = file["X"], file["y"]
    rook = TableEncoder(categorical_features=[0]).fit(X[:, 2:4]).transform(X[:, 2:4])
    yield Case("chess, kings", rook, cross(*X[:, [0, 1, 4, 5]].T), y, False)


def one_hot(count: Array, rng: np.random.Generator) -> Array:
    """Return the reference: a column for each level."""
    return np.eye(len(count))


def merged(count: Array, rng: np.random.Generator, *, width: int) -> Array:
    """Return columns for the most frequent levels, and one for all others together."""
    rank = np.argsort(np.argsort(-count, kind="stable"))
    return np.eye(width)[np.minimum(rank, width - 1)]


def signs(count: Array, rng: np.random.Generator, *, width: int, p: float) -> Array:
    """Return random signs, at the mean distance, in norm `p`, of one-hot codes."""
    table = rng.integers(0, 2, (len(count), width)) * 2.0 - 1.0
    return table / (np.sqrt(width) if p == 2 else width / 2)


def two_hot(count: Array, rng: np.random.Generator, *, width: int) -> Array:
    """Return two ones of `width`, scaled to length 1; another pair for each level."""
    pairs = np.array(list(itertools.combinations(range(width), 2)))
    pairs = rng.permutation(pairs)[np.arange(len(count)) % len(pairs)]
    table = np.zeros((len(count), width))
    np.put_along_axis(table, pairs, np.sqrt(0.5), axis=1)
    return table


def frequent(count: Array, rng: np.random.Generator, *, width: int) -> Array:
    """Return TableEncoder's: one-hot for the frequent levels, pairs of 64 columns for others."""
    return many_level_codes(count.astype(np.float64), width)


def frequent_signs(count: Array, rng: np.random.Generator, *, width: int) -> Array:
    """Return the same with random signs over the 64 columns instead of pairs."""
    table = frequent(count, rng, width=width)
    rare = table[:, :-SHARED_COLUMNS].sum(axis=1) == 0
    table[rare, -SHARED_COLUMNS:] = signs(count[rare], rng, width=SHARED_COLUMNS, p=2)
    return table


Code = Callable[[Array, np.random.Generator], Array]


def codes(p: float) -> dict[str, Code]:
    """Return the codes that are compared, by name."""
    return {
        "one-hot": one_hot,
        **{f"signs {w}": partial(signs, width=w, p=p) for w in (32, 64)},
        **({"signs 64, length 1": partial(signs, width=64, p=2)} if p == 1 else {}),
        **{f"two-hot {w}": partial(two_hot, width=w) for w in (64, 128)},
        **{f"frequent {w}": partial(frequent, width=w) for w in (128, 256, 512)},
        "frequent 256, signs": partial(frequent_signs, width=256),
        **{f"merged {w}": partial(merged, width=w) for w in (64, 128)},
        **({"one-hot, blocks": one_hot} if p == 2 else {}),
    }


def blocks(d: int) -> Any:
    """Return a context in which the metric is block-diagonal: the first `d` columns, the others."""
    whole = metric.metric_from_agop

    def masked(G: Array) -> Array:
        M = whole(G).copy()
        M[:d, d:] = M[d:, :d] = 0
        return M

    return mock.patch("fastrfm.recursion.metric_from_agop", masked)


def measure(case: Case, member: str, name: str, rows: int, seed: int) -> tuple[int, float, float]:
    """Fit once and return columns, test error and seconds."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(case.y))
    train, test = order[:rows], order[rows : 2 * rows]
    parameters = MEMBERS[member]
    seen, at, count = np.unique(case.levels[train], return_inverse=True, return_counts=True)
    code = codes(parameters["norm"])[name](count, rng)
    code = np.vstack([code, np.zeros(code.shape[1])])
    position = np.searchsorted(seen, case.levels[test]).clip(max=len(seen) - 1)
    at_test = np.where(seen[position] == case.levels[test], position, -1)
    X = np.hstack([case.rest[train], code[at]]).astype(np.float32)
    X_test = np.hstack([case.rest[test], code[at_test]]).astype(np.float32)
    kind = RFMRegressor if case.is_regression else RFMClassifier
    model = kind(n_iter=3, standardize=False, random_state=seed, **parameters)
    limits = blocks(case.rest.shape[1]) if "blocks" in name else contextlib.nullcontext()
    start = process_time()
    with limits:
        model.fit(X, case.y[train])
    seconds = process_time() - start
    predicted = model.predict(X_test)
    if case.is_regression:
        error = float(np.sqrt(np.mean((predicted - case.y[test]) ** 2)) / case.y[test].std())
    else:
        error = float(np.mean(predicted != case.y[test]))
    return X.shape[1], error, seconds


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--only", default="", metavar="WORD", help="tables with this in their name")
    parser.add_argument("--codes", default="", metavar="WORD", help="codes with this in their name")
    parser.add_argument("--rows", type=int, default=4000, metavar="N", help="training rows")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="fits at a time")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).with_name("results"), metavar="DIR"
    )
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    options, console = parse(), Console()
    lines: list[tuple[str, ...]] = []
    ratios: dict[tuple[str, str], list[float]] = {}
    times: dict[tuple[str, str], list[float]] = {}
    for case in cases(options.data):
        if options.only not in case.name:
            continue
        keys = [
            (member, name, options.rows, seed)
            for member, parameters in MEMBERS.items()
            for name in codes(parameters["norm"])
            if name == "one-hot" or options.codes in name
            for seed in range(options.seeds)
        ]
        with parallel_config("loky", n_jobs=options.jobs, inner_max_num_threads=1):
            results = Parallel()(delayed(measure)(case, *key) for key in keys)
        measured = dict(zip(keys, results, strict=True))
        for member, parameters in MEMBERS.items():
            reference, fastest = 0.0, 0.0
            for name in codes(parameters["norm"]):
                if options.codes not in name and name != "one-hot":
                    continue
                runs = [measured[member, name, options.rows, seed] for seed in range(options.seeds)]
                columns, errors, seconds = zip(*runs, strict=True)
                error, time = float(np.mean(errors)), float(np.median(seconds))
                if name == "one-hot":
                    reference, fastest = error, time
                ratios.setdefault((member, name), []).append(error / reference)
                times.setdefault((member, name), []).append(time / fastest)
                levels = columns[0] - case.rest.shape[1] if name == "one-hot" else ""
                lines.append(
                    (
                        case.name if levels else "",
                        f"{levels:,}" if levels else "",
                        member if levels else "",
                        name,
                        f"{columns[0]:,}",
                        f"{error:.4f}",
                        f"{error / reference - 1:+.1%}",
                        f"{time:.2f}",
                    )
                )
                console.print(*lines[-1], highlight=False)
    summary = [
        (
            member,
            name,
            f"{geometric_mean(values) - 1:+.1%}",
            f"{max(values) - 1:+.1%}",
            f"{1 / geometric_mean(times[member, name]):.1f}",
        )
        for (member, name), values in ratios.items()
    ]
    table = Table("kernel", "code", "error", "worst", "times as fast")
    for row in summary:
        table.add_row(*row)
    console.print(table)
    options.output.mkdir(parents=True, exist_ok=True)
    part = options.only or options.codes
    target = options.output / ("many_levels_part.md" if part else "many_levels.md")
    target.write_text(markdown(lines, summary))
    console.print(f"wrote {target}", highlight=False, soft_wrap=True)


def markdown(lines: list[tuple[str, ...]], summary: list[tuple[str, ...]]) -> str:
    """Return the page: on what and how it was measured, the summary, the table."""
    machine = describe_machine(available_cores())
    # The folder is the reader's own, so it is not part of the command.
    words = ["python", "bench/many_levels.py", *sys.argv[1:]]
    for i, word in enumerate(words):
        if word == "--data":
            words[i + 1] = "FOLDER"
        elif word.startswith("--data="):
            words[i] = "--data=FOLDER"
    return "\n".join(
        [
            "# Codes for a category of many levels",
            "",
            f"`{' '.join(map(shlex.quote, words))}`",
            "",
            f"- {machine['cpu']}, {machine['cores']} cores, {machine['isa_level']}, "
            f"{machine['system']}; Python {machine['python']}, commit {machine['commit']}, "
            f"{machine['date']}",
            "- error: RMSE over the targets' deviation, or error rate, on as many test rows as "
            "training rows; means over seeds. seconds: of the processor, for a fit "
            "of 4 iterations on one thread; medians.",
            "- signs: random, length 1 (norm 2) or at one-hot's mean distance 2 (norm 1). two-hot: "
            "a pair of columns for each level. frequent: one-hot for the most frequent levels, "
            "pairs of the last 64 columns for the others (TableEncoder, beyond 512 levels, with "
            "512). merged: the rest in one column. "
            "blocks: the AGOP between the category and the other columns set to 0.",
            "",
            "| kernel | code | error | worst | times as fast |",
            "|---|---|---:|---:|---:|",
            *("| " + " | ".join(row) + " |" for row in summary),
            "",
            "| " + " | ".join(HEADERS) + " |",
            "|---|---:|---|---|---:|---:|---:|---:|",
            *("| " + " | ".join(row) + " |" for row in lines),
            "",
        ]
    )


if __name__ == "__main__":
    main()
