"""``fastrfm demo``: the main job on real data, with a table, figures and a finding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from threadpoolctl import threadpool_limits

from fastrfm.demo import compare, figures
from fastrfm.demo.data import DataSet, bundled_sets, read_file
from fastrfm.demo.findings import finding
from fastrfm.table_files import DataError

# On sets this small more threads gain little (digits on two idle cores, HistGradientBoosting:
# 1.2 s with one, 1.0 s with two), and where other work wants the cores they wait for each other:
# there the same fit took 10 to 25 s. The same for all models.
THREADS = 1


@dataclass(frozen=True)
class DemoOptions:
    """What ``fastrfm demo`` was asked for.

    Attributes
    ----------
    output : Path
        Folder for the figures; made if need be.
    file, target : Path and str, or None
        The user's own data, in place of the bundled sets.
    folds, repeats : int
        Of the cross-validation.
    alpha : float
        Ridge of the kernel ridge regression and of the one RFM.
    """

    output: Path
    file: Path | None = None
    target: str | None = None
    folds: int = 5
    repeats: int = 2
    alpha: float = 1e-3


def run_demo(options: DemoOptions, console: Console) -> None:
    """Compare the models on each set, draw what was learned and say it.

    Raises
    ------
    DataError
        If the user's file cannot be used.
    """
    if options.file is None:
        sets = bundled_sets()
    else:
        sets = [read_file(options.file, str(options.target), folds=options.folds)]
    for data in sets:
        for note in data.notes:
            console.print(f"{data.name}: {note}", highlight=False)
    # Before the work, not after it, should the folder turn out not to be writable.
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the folder {options.output} cannot be made: {error}") from error

    table = _table(options)
    scores: dict[str, NDArray[np.float64]] = {}
    fitted: list[tuple[DataSet, Any]] = []
    with threadpool_limits(THREADS), _progress(console) as progress:
        fits = (len(compare.MODELS) * options.repeats + 1) * options.folds + 1
        task = progress.add_task("", total=len(sets) * fits)

        def advance() -> None:
            progress.advance(task)

        for data in sets:
            progress.update(task, description=f"{data.name}: cross-validation")
            results = compare.compare(
                data,
                alpha=options.alpha,
                folds=options.folds,
                repeats=options.repeats,
                advance=advance,
            )
            _add_rows(table, data, results)
            progress.update(task, description=f"{data.name}: score by iteration")
            scores[data.name] = compare.scores_by_iteration(
                data, alpha=options.alpha, folds=options.folds, advance=advance
            )
            progress.update(task, description=f"{data.name}: fit to all rows")
            fitted.append((data, compare.fit_all(data, alpha=options.alpha)))
            advance()

    console.print(table)
    for data, model in fitted:
        console.print(finding(data, model), highlight=False, soft_wrap=True)
    labels = {data.name: _score_name(data) for data in sets}
    for path in _draw(fitted, scores, labels, options.output):
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)


def _draw(
    fitted: list[tuple[DataSet, Any]],
    scores: dict[str, NDArray[np.float64]],
    labels: dict[str, str],
    folder: Path,
) -> list[Path]:
    """Write the figures: of each image set, of the first tabular set, of all iterations."""
    matplotlib.use("Agg")  # files are written, no window is opened
    paths = []
    tabular_drawn = False
    for data, model in fitted:
        path = folder / f"{data.name.replace(' ', '_')}.png"
        if data.image_shape is not None:
            figures.image_figure(data, model, path)
        elif not tabular_drawn:
            figures.metric_figure(data, model, path)
            tabular_drawn = True
        else:
            continue
        paths.append(path)
    path = folder / "score_by_iteration.png"
    figures.iteration_figure(scores, labels, path)
    return [*paths, path]


def _table(options: DemoOptions) -> Table:
    table = Table(
        title=f"{options.repeats} x {options.folds}-fold cross-validation, same folds for all",
        caption="bold: the best mean; seconds: with one thread",
    )
    table.add_column("data")
    table.add_column("model")
    table.add_column("mean ± sd", justify="right")
    table.add_column("seconds per fit", justify="right")
    return table


def _add_rows(table: Table, data: DataSet, results: dict[str, compare.Result]) -> None:
    best = max(np.mean(result.scores) for result in results.values())
    about = [data.name, f"{len(data.y):,} x {len(data.feature_names)}", _score_name(data), ""]
    for line, (name, result) in zip(about, results.items(), strict=True):
        mean = np.mean(result.scores)
        style = "bold" if mean == best else ""
        table.add_row(
            line,
            Text(name, style),
            Text(f"{mean:.3f} ± {np.std(result.scores):.3f}", style),
            f"{np.mean(result.seconds):.3f}",
            end_section=name == compare.BOOSTING,
        )


def _score_name(data: DataSet) -> str:
    return "R²" if data.is_regression else "accuracy"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<36}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("fits"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
