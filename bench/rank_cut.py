"""What cutting the metric's rank is worth on images: python bench/rank_cut.py --data FOLDER

Each ``FOLDER/img/*.npz`` (X: images, y: labels; ``test_mask`` or groups ``identity``, where it has
them) is fitted once for each rank tolerance, by turns, with the estimators' other defaults but the
bandwidth. What an iteration costs and what it predicts stands in a table: on the terminal, and in
``bench/results/rank_cut.md``.

Needs the extra ``bench``.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.model_selection import StratifiedGroupKFold

from fastrfm import RFMClassifier, backend
from fastrfm.bandwidth import BandwidthRule
from fastrfm.bench.machine import available_cores, describe_machine
from fastrfm.preprocessing import TableEncoder
from fastrfm.recursion import RecursionSettings, run_recursion
from fastrfm.selection import Candidate, Verdict
from fastrfm.watch import Watch

Array = NDArray[Any]

DEFAULT = RFMClassifier().rank_tolerance
# Thousands of standardised pixels are further apart than the estimators' default, 10, by so much
# that the kernel would hardly see one image from another, and no cut could change what it says.
BANDWIDTH = "4*median"
FOLDS = 5  # the first is scored, the others are fitted
PHASES = ("solve", "agop", "metric")
HEADERS = ("data", "cut", "it", "rank", "solve", "AGOP", "metric", "accuracy", "change")


@dataclass(frozen=True)
class Images:
    """One data set, split and standardised, with centred class indicators as targets."""

    name: str
    X: Array
    Y: Array
    X_test: Array
    labels_test: Array
    priors: Array

    @property
    def short_name(self) -> str:
        """Its first letters: "mnist" of "mnist_5k"."""
        return re.split(r"[^a-z]", self.name)[0]


@dataclass
class Recorder:
    """A `Selection` that keeps each iteration's test scores and takes the last iteration."""

    X_test: Array
    scores: list[Array] = field(default_factory=list)

    def judge(self, candidate: Candidate) -> Verdict:
        """Note the scores of the test rows."""
        self.scores.append(
            backend.kernel_matmul(
                self.X_test, candidate.X, candidate.ridge.coef, candidate.kernel, candidate.root
            )
        )
        return Verdict(-float(len(self.scores)))

    def is_hopeless(self, score: float, best: float) -> bool:
        """Never: all iterations are to be seen."""
        return False


@dataclass
class Fit:
    """The iterations of one tolerance: ranks, test scores, and for each repeat the seconds."""

    ranks: list[int] = field(default_factory=list)
    scores: list[Array] = field(default_factory=list)
    seconds: list[list[dict[str, float]]] = field(default_factory=list)

    def median_seconds(self, iteration: int, phase: str) -> float:
        """Return the median over the repeats."""
        return median(repeat[iteration][phase] for repeat in self.seconds)

    def total(self, phases: tuple[str, ...] = PHASES) -> float:
        """Return the seconds of all iterations from the first that has a learned metric."""
        return sum(
            self.median_seconds(iteration, phase)
            for iteration in range(1, len(self.ranks))
            for phase in phases
        )


def load(path: Path, rows: int | None) -> Images:
    """Return a data set; at most `rows` rows of it, drawn at random."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    X, labels = arrays["X"].reshape(len(arrays["X"]), -1).astype(np.float32), arrays["y"]
    if "test_mask" in arrays:
        train, test = (np.flatnonzero(arrays["test_mask"] == part) for part in (False, True))
    else:
        groups = arrays.get("identity", np.arange(len(X)))  # nobody must be on both sides
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
        train, test = next(folds.split(X, labels, groups))
    if rows is not None and rows < len(train):
        train = np.random.default_rng(0).choice(train, rows, replace=False)
    scaler = TableEncoder().fit(X[train])
    codes = np.searchsorted(np.unique(labels), labels)
    indicators = np.eye(codes.max() + 1, dtype=np.float32)[codes]
    if indicators.shape[1] == 2:
        indicators = indicators[:, 1:]
    priors = indicators[train].mean(axis=0)
    return Images(
        path.stem,
        scaler.transform(X[train]),
        indicators[train] - priors,
        scaler.transform(X[test]),
        codes[test],
        priors,
    )


class Stopwatch(Watch):
    """Notes when each iteration ended."""

    def __init__(self, ends: list[float]) -> None:
        self.ends = ends

    def iteration(self, entry: dict[str, Any]) -> None:
        """Note the time."""
        self.ends.append(perf_counter())


def run_once(data: Images, tolerance: float, n_iter: int, fit: Fit) -> None:
    """Run the recursion and add what it did to `fit`."""
    recorder = Recorder(data.X_test)
    settings = RecursionSettings(
        bandwidth=BandwidthRule.parse(BANDWIDTH), rank_tolerance=tolerance, n_iter=n_iter
    )
    ends = [perf_counter()]
    result = run_recursion(
        data.X,
        data.Y,
        settings,
        selection=recorder,
        rng=np.random.RandomState(0),
        watch=Stopwatch(ends),
    )
    seconds = []
    for entry, start, end in zip(result.history, ends, ends[1:], strict=False):
        # What is left of an iteration is the step from the AGOP before it to its own metric.
        phases = dict(entry["seconds"])
        seconds.append({**phases, "metric": end - start - sum(phases.values())})
    fit.ranks = [entry["rank"] for entry in result.history]
    fit.scores = recorder.scores
    fit.seconds.append(seconds)


def accuracy(data: Images, scores: Array) -> float:
    """Return the part of the test rows whose class is predicted."""
    f = scores + data.priors
    predicted = f[:, 0] > 0.5 if f.shape[1] == 1 else f.argmax(axis=1)
    return float(np.mean(predicted == data.labels_test))


def rows_of(data: Images, fits: dict[float, Fit]) -> Iterator[tuple[str, ...]]:
    """Yield the table's rows of one data set."""
    reference = next(iter(fits.values()))
    for tolerance, fit in fits.items():
        for iteration, rank in enumerate(fit.ranks):
            change = np.abs(fit.scores[iteration] - reference.scores[iteration]).max()
            yield (
                data.short_name if fit is reference and iteration == 0 else "",
                f"{tolerance:g}" if iteration == 0 else "",
                str(iteration),
                f"{rank:,}",
                *(f"{fit.median_seconds(iteration, phase):.3f}" for phase in PHASES),
                f"{accuracy(data, fit.scores[iteration]):.4f}",
                "" if fit is reference else f"{change:.0e}",
            )


def findings(data: Images, fits: dict[float, Fit]) -> Iterator[str]:
    """Yield a sentence for each tolerance but the first, which the others are compared with."""
    (first, reference), *others = fits.items()
    n, d = data.X.shape
    for tolerance, fit in others:
        last, uncut = fit.ranks[-1], reference.ranks[-1]
        passes = reference.total(("solve", "agop")) / fit.total(("solve", "agop"))
        metric = fit.total(("metric",)) / fit.total()
        yield (
            f"{data.name} ({n:,} x {d:,}): rank {last:,} at tolerance {tolerance:g} against "
            f"{uncut:,} at {first:g}; iterations with a learned metric: solve and AGOP "
            f"{passes:.2f} times as fast, with the metric step "
            f"{reference.total() / fit.total():.2f} times; that step takes {metric:.0%} of what "
            "is left"
        )


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--tolerances", type=float, nargs="+", default=[0.0, DEFAULT])
    parser.add_argument("--only", default="", metavar="WORD", help="sets with this in their name")
    parser.add_argument("--rows", type=int, metavar="N", help="at most N training rows")
    parser.add_argument("--iterations", type=int, default=3, metavar="N", help="metric updates")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="of each fit")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).with_name("results"), metavar="DIR"
    )
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    options, console = parse(), Console()
    paths = sorted((options.data / "img").glob("*.npz"))
    paths = [path for path in paths if options.only in path.stem]
    if not paths:
        sys.exit(f"rank_cut: no .npz with {options.only!r} in its name in {options.data / 'img'}")
    table = Table(title="seconds, accuracy and largest change of a score")
    for header in HEADERS:
        table.add_column(header, justify="left" if header == "data" else "right", no_wrap=True)
    lines: list[tuple[str, ...]] = []
    sentences: list[str] = []
    for path in paths:
        data = load(path, options.rows)
        fits = {tolerance: Fit() for tolerance in options.tolerances}
        for repeat in range(options.repeats):
            for tolerance, fit in fits.items():
                console.print(f"{data.name}: tolerance {tolerance:g}, repeat {repeat + 1}")
                run_once(data, tolerance, options.iterations, fit)
        rows = list(rows_of(data, fits))
        for row in rows:
            table.add_row(*row, end_section=row is rows[-1])
        lines += rows
        sentences += findings(data, fits)
    console.print(table)
    for sentence in sentences:
        console.print(sentence, highlight=False, soft_wrap=True)
    options.output.mkdir(parents=True, exist_ok=True)
    stem = "rank_cut" if not options.only and options.rows is None else "rank_cut_part"
    target = options.output / f"{stem}.md"
    target.write_text(markdown(lines, sentences))
    console.print(f"wrote {target}", highlight=False, soft_wrap=True)


def markdown(lines: list[tuple[str, ...]], sentences: list[str]) -> str:
    """Return the page: on what and how it was measured, what was found, the table."""
    machine = describe_machine(available_cores())
    # The folder is the reader's own, so it is not part of the command.
    words = ["python", "bench/rank_cut.py", *sys.argv[1:]]
    for i, word in enumerate(words):
        if word == "--data":
            words[i + 1] = "FOLDER"
        elif word.startswith("--data="):
            words[i] = "--data=FOLDER"
    return "\n".join(
        [
            "# The rank cut on images",
            "",
            f"`{' '.join(map(shlex.quote, words))}`",
            "",
            f"- {machine['cpu']}, {machine['cores']} cores, {machine['isa_level']}, "
            f"{machine['system']}; Python {machine['python']}, commit {machine['commit']}, "
            f"{machine['date']}",
            f"- Bandwidth {BANDWIDTH}. cut: the rank tolerance; it: the iteration. solve, AGOP, "
            "metric: seconds, medians over interleaved repeats; metric is the step from the AGOP "
            "of the iteration before to this one's root, on one BLAS thread. "
            "accuracy: on test rows; change: the largest one of a test row's score, against the "
            "first tolerance at the same iteration.",
            *(f"- {sentence}" for sentence in sentences),
            "",
            "| " + " | ".join(HEADERS) + " |",
            "|---|" + "---:|" * (len(HEADERS) - 1),
            *("| " + " | ".join(row) + " |" for row in lines),
            "",
        ]
    )


if __name__ == "__main__":
    main()
