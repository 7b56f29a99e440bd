"""``fastrfm predict``: a saved model's predictions for a table, in a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from fastrfm.commands.common import check_cuda, check_output, say, sentences
from fastrfm.estimators import (
    RFMClassifier,
    RFMRegressor,
    TreeRFMClassifier,
    TreeRFMRegressor,
)
from fastrfm.persistence import load
from fastrfm.table_files import DataError, check_suffix, is_number, read_table, write_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PredictOptions", "run_predict"]

Model = RFMRegressor | RFMClassifier | TreeRFMRegressor | TreeRFMClassifier
CLASSIFIERS = (RFMClassifier, TreeRFMClassifier)

# Names of columns that a note lists; there may be thousands.
LISTED = 5


@dataclass(frozen=True)
class PredictOptions:
    """What ``fastrfm predict`` was asked for.

    Attributes
    ----------
    model, data : Path
        What to read.
    output : Path
        What to write, .csv or .parquet.
    proba : bool
        Whether to write the probabilities of the classes too.
    device : {"cpu", "cuda"}
    force : bool
        Replace a file that is there.
    """

    model: Path
    data: Path
    output: Path
    proba: bool = False
    device: str = "cpu"
    force: bool = False


def run_predict(options: PredictOptions, console: Console) -> None:
    """Predict each row of a table.

    Raises
    ------
    DataError
        If the table does not go with the model, or the output cannot be used.
    ModelFileError
        If the model's file is none.
    OSError
        If a file cannot be read or written.
    """
    import pandas as pd

    check_suffix(options.output)
    check_output(options.output, force=options.force, inputs=(options.model, options.data))
    if options.device == "cuda":
        check_cuda()
    model = load(options.model)
    is_classifier = isinstance(model, CLASSIFIERS)
    if options.proba and not is_classifier:
        raise DataError("--proba is for classifiers, and this is the model of a regression")
    text = _features_of(model, str)
    X = _features(read_table(options.data, text=text), model, options.data, console)
    for name in text:
        if name in X.columns and is_number(X[name]) and X[name].notna().any():
            raise DataError(
                f"{name!r} holds numbers ({X[name].dtype}), but the model knows it as text"
            )
    for name in _features_of(model, bool):
        texts = [value for value in X[name].unique() if isinstance(value, str)]
        if texts:  # then "True" is text too, and no value known
            strange = min(texts, key=lambda value: value in ("True", "False"))
            raise DataError(
                f"{name!r} holds text such as {strange!r}, but the model knows it as true or false"
            )
    with sentences(console):
        model.to_device(options.device)
        y = model.predict(X)
        columns: dict[str, Any] = (
            {"prediction": y}
            if y.ndim == 1
            else {f"prediction_{i}": column for i, column in enumerate(y.T)}
        )
        if options.proba and isinstance(model, CLASSIFIERS):
            probabilities = model.predict_proba(X)
            names = [f"probability_{label}" for label in model.classes_.tolist()]
            columns |= dict(zip(names, probabilities.T, strict=True))
    write_table(pd.DataFrame(columns), options.output)
    say(console, f"wrote {options.output}: {len(y):,} rows, {', '.join(columns)}")


def _features_of(model: Model, kind: type) -> list[str]:
    """Return the features that are categories of strings, or booleans, where they have names."""
    if not hasattr(model, "feature_names_in_"):
        return []
    if isinstance(model, (RFMRegressor, RFMClassifier)):
        categories = next(iter(model._encoders.values()))._categories
    else:
        categories = model._split_encoder._categories
    return [
        str(model.feature_names_in_[feature])
        for feature, category in categories.items()
        if len(category.levels) and all(isinstance(v, kind) for v in category.levels.tolist())
    ]


def _features(table: pd.DataFrame, model: Model, data: Path, console: Console) -> Any:
    """Return the model's columns of the table, in its order."""
    if not hasattr(model, "feature_names_in_"):
        if table.shape[1] != model.n_features_in_:
            raise DataError(
                f"{data} has {table.shape[1]} columns, but the model was fitted to "
                f"{model.n_features_in_} that have no names; give just those, in their order"
            )
        say(console, "note: the model knows no names of columns; taken in their order")
        return table
    names = [str(name) for name in model.feature_names_in_]
    there = set(table.columns)
    missing = [name for name in names if name not in there]
    if missing:
        raise DataError(
            f"{data} lacks {_listed(missing)}, which the model was fitted to; it has "
            f"{_listed(list(map(str, table.columns)), most=50)}"
        )
    ignored = [str(name) for name in table.columns if name not in set(names)]
    if ignored:
        say(console, f"note: ignored {_listed(ignored)}: not among the model's features")
    return table[names]


def _listed(names: list[str], *, most: int = LISTED) -> str:
    shown = ", ".join(map(repr, names[:most]))
    more = len(names) - most
    what = "the column" if len(names) == 1 else "the columns"
    return f"{what} {shown}" + (f" and {more:,} more" if more > 0 else "")
