"""The commands fit and predict: from a table to predictions, and what they say of bad tables."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    log_loss,
    mean_absolute_error,
    r2_score,
)
from typer.testing import CliRunner

import fastrfm
from fastrfm import RFMClassifier, RFMRegressor, cli
from fastrfm.commands.scores import classification_scores, regression_scores
from fastrfm.commands.task import make_task
from fastrfm.table_files import DataError

RNG = np.random.default_rng(0)
N = 80
TABLE = pd.DataFrame(
    {
        "size": RNG.standard_normal(N).round(3),
        "rooms": RNG.integers(1, 6, N),
        "[red]": np.array(["yes", "no", None], dtype=object)[RNG.integers(0, 3, N)],
        "code": np.array(["01", "02", "3"])[RNG.integers(0, 3, N)],
        "new": RNG.random(N) < 0.5,
    }
)
TABLE["price"] = TABLE["size"] * 3 + TABLE["rooms"] + (TABLE["code"] == "02")
TABLE["kind"] = np.where(TABLE["price"] > 4, "dear", "cheap")
TABLE["kind"] = TABLE["kind"].where(TABLE["price"] < 7, "[b]")
TABLE["grade"] = TABLE["price"].round().astype(int).clip(0, 6)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    TABLE.to_csv("data.csv", index=False)
    TABLE.to_parquet("data.parquet", index=False)


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli.build_app(), list(arguments))
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return str(result.output)


def fails(*arguments: str) -> str:
    """Return the one sentence on standard error with which a command ends."""
    result = CliRunner().invoke(cli.build_app(), list(arguments))
    assert result.exit_code == 1, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"fastrfm {arguments[0]}: ")
    return lines[0].removeprefix(f"fastrfm {arguments[0]}: ")


QUICK = ("--drop", "kind,grade", "--seed", "3")


def test_from_a_table_to_predictions() -> None:
    shown = run("fit", "data.csv", "--target", "price", *QUICK)
    assert "data.csv: 80 rows, 8 columns" in shown
    assert "regression, since 'price' has 80 different numbers" in shown
    assert "Scores on 16 rows held out, of a model of the other 64:" in shown
    for word in ("R²", "RMSE", "MAE", "always the mean", "[red]", "fitted to all 80 rows"):
        assert word in shown
    size = Path("model.frfm").stat().st_size
    assert 5_000 < size < 20_000
    assert f"wrote model.frfm ({size / 1e3:.0f} kB)" in shown
    assert "next: fastrfm predict model.frfm NEW.csv -o predictions.csv" in shown

    # The saved model is that of all rows.
    table = pd.read_csv("data.csv")
    X = table.drop(columns=["price", "kind", "grade"])
    expected = RFMRegressor(random_state=3).fit(X, table["price"]).predict(X)
    shown = run("predict", "model.frfm", "data.csv", "-o", "out.csv")
    ignored = "ignored the columns 'price', 'kind', 'grade': not among the model's features"
    assert ignored in shown
    assert "wrote out.csv: 80 rows, prediction" in shown
    written = pd.read_csv("out.csv")
    assert list(written) == ["prediction"]
    np.testing.assert_allclose(written["prediction"], expected, rtol=1e-15)

    # Columns go by name; another format, some of the rows.
    X.iloc[:7, ::-1].to_parquet("some.parquet")
    run("predict", "model.frfm", "some.parquet", "-o", "some_out.parquet")
    np.testing.assert_allclose(pd.read_parquet("some_out.parquet")["prediction"], expected[:7])


def test_the_scores_are_of_rows_held_out() -> None:
    shown = run("fit", "data.csv", "--target", "price", *QUICK, "--test-fraction", "0.5")
    model = float(shown.split("R²")[1].split("│")[1])
    assert 0.3 < model < 1.0
    assert "Scores" not in run(
        "fit", "data.csv", "--target", "price", *QUICK, "--test-fraction", "0", "--force"
    )


def test_classes() -> None:
    shown = run("fit", "data.parquet", "--target", "kind", "--drop", "price", "--drop", "grade")
    assert "classification, since the 3 values of 'kind' are no numbers" in shown
    for word in ("accuracy", "balanced accuracy", "log-loss", "class shares"):
        assert word in shown
    run("predict", "model.frfm", "data.parquet", "-o", "out.csv", "--proba")
    written = pd.read_csv("out.csv")
    names = ["probability_[b]", "probability_cheap", "probability_dear"]
    assert list(written) == ["prediction", *names]
    model = fastrfm.load("model.frfm")
    assert isinstance(model, RFMClassifier)
    np.testing.assert_allclose(written[names], model.predict_proba(TABLE.iloc[:, :5]), rtol=1e-15)
    np.testing.assert_array_equal(written["prediction"], model.predict(TABLE.iloc[:, :5]))


def test_text_stays_text_in_a_csv() -> None:
    """A column of "01", "02" looks like numbers to whoever reads a .csv."""
    run("fit", "data.parquet", "--target", "price", *QUICK, "--test-fraction", "0")
    run("predict", "model.frfm", "data.parquet", "-o", "a.parquet")
    run("predict", "model.frfm", "data.csv", "-o", "b.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet("a.parquet"), pd.read_parquet("b.parquet"))
    TABLE.assign(code=TABLE["code"].astype(int)).to_parquet("ints.parquet")
    message = "'code' holds numbers (int64), but the model knows it as text"
    assert fails("predict", "model.frfm", "ints.parquet", "-o", "c.csv") == message


@pytest.mark.parametrize(
    ("target", "kind", "note", "dtype"),
    [
        ("grade", "auto", "classification, since the 7 values of 'grade' are whole numb", np.int64),
        ("grade", "regression", "regression of 'grade', as asked", np.float64),
        ("new", "auto", "classification, since the 2 values of 'new' are no numbers", np.bool_),
        ("kind", "auto", "classification, since the 3 values of 'kind' are no numbers", np.object_),
        ("price", "auto", "regression, since 'price' has 80 different numbers; --ta", np.float64),
        ("rooms", "classification", "classification of 'rooms' into 5 classes, as ask", np.int64),
    ],
)
def test_tasks(target: str, kind: str, note: str, dtype: Any) -> None:
    task = make_task(TABLE, target, kind=kind)
    assert task.notes[0].startswith(note)
    assert task.y.dtype == dtype
    assert task.is_regression == (dtype == np.float64)
    assert target not in task.X.columns


def test_what_is_left_out_is_told() -> None:
    table = TABLE.copy()
    table.loc[3, "price"] = np.nan
    table.loc[5, "price"] = np.inf
    table["name"] = [f"N{i}" for i in range(N)]
    table["grade"] = table["grade"].astype(float)
    table.loc[0, "grade"] = np.nan
    task = make_task(table, "price", weights="rooms", drop=["kind", "code,new"])
    assert list(task.X.columns) == ["size", "[red]", "grade", "name"]
    assert len(task.X) == len(task.y) == N - 2
    assert task.weight is not None
    np.testing.assert_array_equal(task.weight, table["rooms"].drop([3, 5]))
    assert task.notes[0] == "rows left out for want of 'price': 2"
    assert task.notes[2] == (
        "'name' has 78 different values in 78 rows, so hardly two rows share one; --drop name "
        "leaves it out"
    )
    # Whole numbers that a missing one has made floats are labels again.
    labels = make_task(table, "grade").y
    assert labels.dtype == np.int64
    assert len(labels) == N - 1


def test_a_column_that_counts_rows() -> None:
    """What pandas' to_csv writes unless told not to."""
    table = TABLE.assign(**{"Unnamed: 0": np.arange(N)})
    table.loc[[4, 9], "price"] = np.nan
    note = "'Unnamed: 0' only counts the rows; --drop 'Unnamed: 0' leaves it out"
    assert note in make_task(table, "price").notes
    assert len(make_task(TABLE, "price").notes) == 1


def test_objects_as_targets() -> None:
    """Decimals of a parquet file are numbers, and booleans with gaps are booleans."""
    table = TABLE.assign(
        price=[Decimal(f"{price:.2f}") for price in TABLE["price"]],
        new=TABLE["new"].astype(object).where(TABLE["rooms"] > 1),
    )
    table.loc[0, "price"] = None
    task = make_task(table, "price")
    assert task.is_regression
    np.testing.assert_allclose(task.y, TABLE["price"][1:], atol=0.006)
    task = make_task(table, "new")
    assert task.y.dtype == bool
    assert len(task.y) == np.count_nonzero(TABLE["rooms"] > 1)
    assert make_task(TABLE.astype({"new": "boolean"}), "new").y.dtype == bool


def test_a_name_with_a_comma_can_be_dropped() -> None:
    table = TABLE.rename(columns={"code": "a,b"})
    assert "a,b" not in make_task(table, "price", drop=["a,b"]).X.columns


def test_bad_targets_and_columns() -> None:
    def message(table: pd.DataFrame, target: str, **options: Any) -> str:
        with pytest.raises(DataError) as caught:
            make_task(table, target, **options)
        return str(caught.value)

    assert message(TABLE, "cost").startswith("there is no column 'cost'; the columns are: size, ")
    assert message(TABLE, "price", drop=["x"]).startswith("there is no column 'x'; the columns")
    assert message(TABLE, "price", weights="w").startswith("there is no column 'w'; the columns")
    assert "cannot be the target and something else" in message(TABLE, "price", drop=["price"])
    assert message(TABLE, "kind", kind="regression") == (
        "'kind' holds no numbers, so it cannot be a regression's target"
    )
    assert message(TABLE, "size", kind="classification") == (
        "'size' has fractions, so its values are no classes"
    )
    assert message(TABLE[["price"]], "price") == (
        "there is no column left beside the target 'price'"
    )
    same = TABLE.assign(same=1)
    assert "'same' has the same value in all" in message(same, "same")
    assert message(same.assign(same=None), "same") == "no row has a value of 'same'"
    assert message(TABLE, "price", weights="kind") == "the weights in 'kind' are not numbers"
    lists = TABLE.assign(tags=[["a"]] * N)
    assert message(lists, "price") == (
        "'tags' holds neither numbers nor text (unhashable type: 'list'); leave it out: --drop tags"
    )
    assert message(lists, "tags").startswith("'tags' holds neither numbers nor text")
    dates = TABLE.assign(when=pd.Timestamp("2026-01-01"))
    assert message(dates, "price").startswith("'when' holds dates or times (datetime64[")
    assert message(dates, "price").endswith("or leave it out: --drop when")


def test_a_class_of_one_row() -> None:
    table = TABLE.copy()
    table.loc[:1, "kind"] = ["alone", "alone too"]
    table.to_csv("data.csv", index=False)
    for seed in ("0", "1", "2"):
        run("fit", "data.csv", "--target", "kind", "--drop", "price,grade", "--seed", seed,
            "--force", "--time-limit", "0.1")  # fmt: skip
    assert "alone too" in fastrfm.load("model.frfm").classes_


def test_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    fit = RFMRegressor.fit

    def spy(self: Any, X: Any, y: Any, sample_weight: Any) -> Any:
        asked.append(sample_weight)
        return fit(self, X, y, sample_weight)

    monkeypatch.setattr(RFMRegressor, "fit", spy)
    run("fit", "data.csv", "--target", "price", "--drop", "kind,grade", "--weights", "rooms")
    assert [len(weight) for weight in asked] == [64, 80]
    np.testing.assert_array_equal(asked[1], TABLE["rooms"])
    assert "rooms" not in fastrfm.load("model.frfm").feature_names_in_
    TABLE.assign(rooms=-1.0).to_csv("data.csv", index=False)
    assert "egative" in fails("fit", "data.csv", "--target", "price", "--weights", "rooms",
                              "--model", "b.frfm")  # fmt: skip


def test_scores_of_regression() -> None:
    y, prediction, weight = RNG.random(20), RNG.random(20), RNG.random(20)
    rows = regression_scores(y, prediction, 0.4, weight)
    assert [name for name, _, _ in rows] == ["R²", "RMSE", "MAE"]
    assert rows[0][1] == pytest.approx(r2_score(y, prediction, sample_weight=weight))
    assert rows[1][1] == pytest.approx(np.sqrt(np.average((y - prediction) ** 2, weights=weight)))
    assert rows[2][2] == pytest.approx(
        mean_absolute_error(y, np.full(20, 0.4), sample_weight=weight)
    )
    assert [name for name, _, _ in regression_scores(y[:1], y[:1], 0.0)] == ["RMSE", "MAE"]


def test_scores_of_classes() -> None:
    classes = np.array(["a", "b", "c"], dtype=object)
    y, prediction = classes[RNG.integers(0, 3, 30)], classes[RNG.integers(0, 3, 30)]
    p, weight = RNG.dirichlet([1, 1, 1], 30), RNG.random(30)
    shares = np.array([0.2, 0.5, 0.3])
    rows = classification_scores(y, prediction, p, classes, shares, weight)
    expected = [
        ("accuracy", accuracy_score(y, prediction, sample_weight=weight)),
        ("balanced accuracy", balanced_accuracy_score(y, prediction, sample_weight=weight)),
        ("log-loss", log_loss(y, p, sample_weight=weight)),
    ]
    assert [row[:2] for row in rows] == [(name, pytest.approx(value)) for name, value in expected]
    assert rows[0][2] == pytest.approx(np.average(y == "b", weights=weight))
    assert rows[1][2] == pytest.approx(1 / 3)
    # A class that is held out by no row, but predicted, is a mistake and no warning.
    rows = classification_scores(y[y != "c"], prediction[y != "c"], p[y != "c"], classes, shares)
    assert 0 <= rows[1][1] <= 1


def test_files_are_not_overwritten_by_surprise() -> None:
    Path("model.frfm").write_text("precious")
    message = "model.frfm is there already; --force replaces it"
    assert fails("fit", "data.csv", "--target", "price") == message
    assert Path("model.frfm").read_text() == "precious"
    assert "is what is read; name another" in fails(
        "fit", "data.csv", "--target", "price", "--model", "data.csv", "--force"
    )
    run("fit", "data.csv", "--target", "price", *QUICK, "--test-fraction", "0", "--force")
    Path("out.csv").write_text("precious")
    message = "out.csv is there already; --force replaces it"
    assert fails("predict", "model.frfm", "data.csv", "-o", "out.csv") == message
    assert Path("out.csv").read_text() == "precious"
    run("predict", "model.frfm", "data.csv", "-o", "out.csv", "--force")
    assert len(pd.read_csv("out.csv")) == N
    for given in ("data.csv", "./data.csv"):
        assert fails("predict", "model.frfm", "data.csv", "-o", given, "--force") == (
            "data.csv is what is read; name another file to write"
        )


def test_predict_says_what_is_wrong() -> None:
    run("fit", "data.csv", "--target", "price", *QUICK, "--test-fraction", "0")
    TABLE.drop(columns=["size", "code"]).to_csv("less.csv", index=False)
    assert fails("predict", "model.frfm", "less.csv", "-o", "out.csv") == (
        "less.csv lacks the columns 'size', 'code', which the model was fitted to; it has the "
        "columns 'rooms', '[red]', 'new', 'price', 'kind', 'grade'"
    )
    TABLE.assign(size="big").to_csv("text.csv", index=False)
    assert fails("predict", "model.frfm", "text.csv", "-o", "out.csv").startswith(
        "column 'size': could not convert string to float: 'big'"
    )
    assert "--proba is for classifiers" in fails(
        "predict", "model.frfm", "data.csv", "-o", "out.csv", "--proba"
    )
    assert "out.txt is neither .csv nor .parquet" in fails(
        "predict", "model.frfm", "data.csv", "-o", "out.txt"
    )
    assert "there is no folder" in fails("predict", "model.frfm", "data.csv", "-o", "no/out.csv")
    assert "data.csv cannot be loaded: it is not a fastrfm model" in fails(
        "predict", "data.csv", "data.csv", "-o", "out.csv"
    )
    assert fails("predict", "none.frfm", "data.csv", "-o", "out.csv") == (
        "none.frfm: No such file or directory"
    )
    assert fails("predict", "model.frfm", "none.csv", "-o", "out.csv") == (
        "there is no file none.csv"
    )
    TABLE.iloc[:0].to_csv("empty.csv", index=False)
    assert fails("predict", "model.frfm", "empty.csv", "-o", "out.csv") == "empty.csv has no rows"
    assert not Path("out.csv").exists()


def test_a_model_without_names() -> None:
    X = TABLE[["size", "rooms"]].to_numpy()
    RFMRegressor(n_iter=0).fit(X, np.stack([X[:, 0], X[:, 1]], axis=1)).save("model.frfm")
    TABLE[["size", "rooms"]].to_csv("two.csv", index=False)
    shown = run("predict", "model.frfm", "two.csv", "-o", "out.csv")
    assert "note: the model knows no names of columns; taken in their order" in shown
    assert list(pd.read_csv("out.csv")) == ["prediction_0", "prediction_1"]
    assert fails("predict", "model.frfm", "data.csv", "-o", "b.csv") == (
        "data.csv has 8 columns, but the model was fitted to 2 that have no names; give just "
        "those, in their order"
    )


def test_fit_says_what_is_wrong() -> None:
    assert "there is no column 'cost'" in fails("fit", "data.csv", "--target", "cost")
    assert "there is no file none.csv" in fails("fit", "none.csv", "--target", "cost")
    assert "--test-fraction 0.001 of 80 rows leaves none on one side" in fails(
        "fit", "data.csv", "--target", "price", "--test-fraction", "0.001"
    )
    TABLE.assign(size=np.inf).to_csv("data.csv", index=False)
    assert "infinity in column 'size'" in fails("fit", "data.csv", "--target", "price")
    assert "is one of auto, regression, classification" in run(
        "fit", "data.csv", "--target", "price", "--task", "guess", code=2
    )
    assert "Missing option '--target'" in run("fit", "data.csv", code=2)
    assert not Path("model.frfm").exists()


@dataclass(frozen=True)
class HeldOut:
    """Stands for fastrfm.report.HeldOut."""

    y_true: Any
    prediction: Any
    probabilities: Any
    n_fitted: int
    sample_weight: Any


@pytest.mark.parametrize("fraction", ["0.25", "0"])
def test_a_report(fraction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def write_report(path: Path, model: Any, X: Any, y: Any, **options: Any) -> None:
        asked.append((path, model, X, y, options))

    module = types.ModuleType("fastrfm.report")
    vars(module).update(HeldOut=HeldOut, write_report=write_report)
    monkeypatch.setitem(sys.modules, "fastrfm.report", module)
    shown = run("fit", "data.csv", "--target", "kind", "--drop", "price,grade", "--seed", "3",
                "--report", "r.html", "--test-fraction", fraction,
                "--weights", "rooms")  # fmt: skip
    assert "wrote r.html" in shown
    path, model, X, y, options = asked[0]
    assert path == Path("r.html")
    assert isinstance(model, RFMClassifier)
    assert len(X) == len(y) == N
    assert options["target"] == "kind"
    assert options["source"] == "data.csv"
    # As the model was fitted, and as the scores on the console are weighted.
    assert np.array_equal(options["sample_weight"], TABLE["rooms"])
    assert options["random_state"] == 3
    held_out = options["held_out"]
    if fraction == "0":
        assert held_out is None
    else:
        assert held_out.n_fitted == 60
        assert len(held_out.y_true) == len(held_out.prediction) == 20
        assert held_out.probabilities.shape == (20, 3)
        assert held_out.sample_weight.shape == (20,)


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_what_a_report_needs_is_looked_for_before_the_work(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    message = fails("fit", "data.csv", "--target", "price", "--report", "r.html")
    assert message.startswith(f"--report needs {missing}: pip install")
    assert not Path("model.frfm").exists()


def test_a_report_does_not_replace_the_model() -> None:
    message = fails("fit", "data.csv", "--target", "price", "--model", "a", "--report", "./a")
    assert message == "--model and --report are both a; name another file"


def test_a_target_called_self() -> None:
    table = TABLE[["size", "rooms"]].assign(price=TABLE["price"]).rename(columns={"price": "self"})
    task = make_task(table, "self")
    assert list(task.X) == ["size", "rooms"]
    assert list(table) == ["size", "rooms", "self"]


def test_a_target_of_numbers_and_some_text() -> None:
    table = TABLE.assign(price=[*map(str, TABLE["price"][:-2]), "?", "unknown"])
    with pytest.raises(DataError) as raised:
        make_task(table, "price")
    assert str(raised.value) == (
        "'price' holds numbers, but also text such as '?'; remove that, or --task classification "
        "takes each different value as a class"
    )
    assert not make_task(table, "price", kind="classification").is_regression
    dollars = TABLE.assign(price=TABLE["price"].map("${:,.4f}".format))
    with pytest.raises(DataError) as raised:
        make_task(dollars, "price")
    assert str(raised.value) == (
        f"'price' is text such as {dollars['price'][0]!r}, and hardly two rows share one; write "
        "numbers as 1234.5, or --task classification takes each different value as a class"
    )
    # Labels may well look like numbers.
    assert make_task(TABLE.assign(code=TABLE["code"].replace("3", "x")), "code").y.dtype == object


def test_labels_beyond_int64() -> None:
    labels = np.array([2**63 - 10, 2**63 + 10] * (N // 2), np.uint64)
    np.testing.assert_array_equal(make_task(TABLE.assign(grade=labels), "grade").y, labels)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_bad_weights_are_named(bad: float) -> None:
    table = TABLE.assign(w=[bad] + [1.0] * (N - 1))
    message = "^the weights in 'w' are negative, infinite or missing somewhere$"
    with pytest.raises(DataError, match=message):
        make_task(table, "price", weights="w")


def test_a_flag_that_became_text() -> None:
    """One strange value makes text of a .csv's whole column, in which True is not True."""
    run("fit", "data.csv", "--target", "price", *QUICK, "--test-fraction", "0")
    new = [*map(str, TABLE["new"][:-1]), "maybe"]
    TABLE.assign(new=new).to_csv("text.csv", index=False)
    assert fails("predict", "model.frfm", "text.csv", "-o", "out.csv") == (
        "'new' holds text such as 'maybe', but the model knows it as true or false"
    )
    TABLE.assign(new=[*TABLE["new"][:-1], None]).to_csv("gap.csv", index=False)
    run("predict", "model.frfm", "gap.csv", "-o", "out.csv")


def test_a_report_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastrfm.report", None)
    message = fails("fit", "data.csv", "--target", "price", "--report", "r.html")
    assert message.startswith("--report needs ")
    assert message.endswith('pip install "fastrfm[demo]"')
    Path("r.html").write_text("precious")
    message = fails("fit", "data.csv", "--target", "price", "--report", "r.html")
    assert message == "r.html is there already; --force replaces it"


def test_warnings_are_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    fit = RFMRegressor.fit

    def warned(self: Any, *arguments: Any) -> Any:
        warnings.warn("the residual is 0.2", ConvergenceWarning, stacklevel=1)
        return fit(self, *arguments)

    monkeypatch.setattr(RFMRegressor, "fit", warned)
    shown = run("fit", "data.csv", "--target", "price", *QUICK, "--test-fraction", "0")
    assert "note: the residual is 0.2" in shown
