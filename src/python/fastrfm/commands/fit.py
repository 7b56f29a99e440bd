"""``fastrfm fit``: honest scores on rows held out, and a model of all rows in a file."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sklearn.utils import check_random_state

from fastrfm.commands.common import check_cuda, check_output, say, sentences
from fastrfm.commands.scores import classification_scores, regression_scores
from fastrfm.commands.task import Task, make_task
from fastrfm.estimators import RFMClassifier, RFMRegressor
from fastrfm.selection import hold_out
from fastrfm.table_files import DataError, read_table

__all__ = ["FitOptions", "run_fit"]

Model = RFMRegressor | RFMClassifier

# Features that are listed, the most important first.
LISTED = 10


@dataclass(frozen=True)
class FitOptions:
    """What ``fastrfm fit`` was asked for.

    Attributes
    ----------
    data : Path
        The table.
    target : str
        The column of it to predict.
    model : Path
        The file to write.
    task : {"auto", "regression", "classification"}
    report : Path or None
        An HTML file to write.
    test_fraction : float
        Part of the rows that are held out for the scores; 0: no scores.
    drop : tuple of str
    weights : str or None
        The column of sample weights.
    seed : int
    time_limit : float or None
        Seconds for each of the two fits.
    device : {"auto", "cpu", "cuda"}
    force : bool
        Replace files that are there.
    """

    data: Path
    target: str
    model: Path = Path("model.frfm")
    task: str = "auto"
    report: Path | None = None
    test_fraction: float = 0.2
    drop: tuple[str, ...] = ()
    weights: str | None = None
    seed: int = 0
    time_limit: float | None = None
    device: str = "auto"
    force: bool = False


@dataclass(frozen=True)
class _Judged:
    """A model of a part of the rows, and what it says of the others."""

    y_true: NDArray[Any]
    prediction: NDArray[Any]
    probabilities: NDArray[np.float64] | None
    n_fitted: int
    sample_weight: NDArray[np.float64] | None
    scores: list[tuple[str, float, float]]


def run_fit(options: FitOptions, console: Console) -> None:
    """Judge a model on rows held out, fit one to all rows and save it.

    Raises
    ------
    DataError
        If the table, or a file to write, cannot be used.
    OSError
        If a file cannot be written.
    """
    if options.device == "cuda":
        check_cuda()
    for path in filter(None, (options.model, options.report)):
        check_output(path, force=options.force, inputs=(options.data,))
    if options.report is not None and options.report.resolve() == options.model.resolve():
        raise DataError(f"--model and --report are both {options.report}; name another file")
    report = None if options.report is None else _report_module()
    table = read_table(options.data)
    say(console, f"{options.data}: {len(table):,} rows, {table.shape[1]} columns")
    task = make_task(
        table, options.target, kind=options.task, drop=options.drop, weights=options.weights
    )
    for note in task.notes:
        say(console, note)

    judged = None
    if options.test_fraction > 0:
        judged = _judge(task, options, console)
        _print_scores(task, judged, console)
        say(console, f"Now the model to save, fitted to all {len(task.y):,} rows.")
    model = _fitted(task, np.arange(len(task.y)), options, console)
    _print_features(model, console)
    model.save(options.model)
    say(console, f"wrote {options.model} ({options.model.stat().st_size / 1e3:,.0f} kB)")
    if report is not None and options.report is not None:
        held_out = None
        if judged is not None:
            held_out = report.HeldOut(
                judged.y_true,
                judged.prediction,
                judged.probabilities,
                judged.n_fitted,
                judged.sample_weight,
            )
        with sentences(console):
            report.write_report(
                options.report,
                model,
                task.X,
                task.y,
                target=options.target,
                held_out=held_out,
                source=str(options.data),
                sample_weight=task.weight,
                random_state=options.seed,
            )
        say(console, f"wrote {options.report}")
    say(
        console,
        f"next: fastrfm predict {options.model} NEW{options.data.suffix} -o predictions.csv",
    )


def _report_module() -> Any:
    """Return `fastrfm.report`, before the work, should something be missing for it."""
    try:
        for needed in ("jinja2", "matplotlib"):  # which it imports late
            importlib.import_module(needed)
        return importlib.import_module("fastrfm.report")
    except ImportError as error:
        raise DataError(f'--report needs {error.name}: pip install "fastrfm[demo]"') from error


def _fitted(task: Task, rows: NDArray[np.intp], options: FitOptions, console: Console) -> Model:
    estimator = RFMRegressor if task.is_regression else RFMClassifier
    model = estimator(
        random_state=options.seed,
        time_limit=options.time_limit,
        device=options.device,
        verbose=int(sys.stderr.isatty()),
    )
    weight = None if task.weight is None else task.weight[rows]
    with sentences(console):
        model.fit(task.X.iloc[rows], task.y[rows], weight)
    return model


def _judge(task: Task, options: FitOptions, console: Console) -> _Judged:
    """Fit to a part of the rows and score the model on the others."""
    n = len(task.y)
    if not 0 < round(options.test_fraction * n) < n:
        raise DataError(
            f"--test-fraction {options.test_fraction:g} of {n:,} rows leaves none on one side; "
            "--test-fraction 0 fits to all rows, without scores"
        )
    labels = None if task.is_regression else task.y
    rng = check_random_state(options.seed)
    rows, held_out = hold_out(n, options.test_fraction, labels, rng)
    if labels is not None:
        # What has only one row can be fitted, but not judged.
        alone = ~np.isin(labels[held_out], labels[rows])
        rows, held_out = np.concatenate([rows, held_out[alone]]), held_out[~alone]
        if not len(held_out):
            raise DataError(
                f"the classes of {options.target!r} have too few rows to hold any out; "
                "--test-fraction 0 fits to all rows, without scores"
            )
    weight = None if task.weight is None else task.weight[held_out]
    if weight is not None and not weight.any():
        raise DataError(f"all rows held out with --seed {options.seed} have weight 0")
    model = _fitted(task, rows, options, console)
    X, y = task.X.iloc[held_out], task.y[held_out]
    fitted_weight = None if task.weight is None else task.weight[rows]
    with sentences(console):
        prediction = model.predict(X)
        if isinstance(model, RFMRegressor):
            mean = float(np.average(task.y[rows], weights=fitted_weight))
            scores = regression_scores(y, prediction, mean, weight)
            return _Judged(y, prediction, None, len(rows), weight, scores)
        probabilities = model.predict_proba(X)
        codes = np.searchsorted(model.classes_, task.y[rows])
        shares = np.bincount(codes, fitted_weight, len(model.classes_))
        scores = classification_scores(
            y, prediction, probabilities, model.classes_, shares / shares.sum(), weight
        )
    return _Judged(y, prediction, probabilities, len(rows), weight, scores)


def _print_scores(task: Task, judged: _Judged, console: Console) -> None:
    say(
        console,
        f"Scores on {len(judged.y_true):,} rows held out, of a model of the other "
        f"{judged.n_fitted:,}:",
    )
    table = Table("score")
    table.add_column("model", justify="right")
    table.add_column("always the mean" if task.is_regression else "class shares", justify="right")
    for name, value, constant in judged.scores:
        table.add_row(name, f"{value:.4g}", f"{constant:.4g}")
    console.print(table)


def _print_features(model: Model, console: Console) -> None:
    shares = model.feature_importances_
    order = np.argsort(-shares, kind="stable")[:LISTED]
    shown = f"the first {len(order)} of {len(shares):,}" if len(order) < len(shares) else "all"
    say(console, f"What it depends on (each feature's part of the AGOP's trace), {shown}:")
    table = Table("feature")
    table.add_column("part", justify="right")
    for feature in order:
        table.add_row(Text(str(model.feature_names_in_[feature])), f"{shares[feature]:.1%}")
    console.print(table)
