"""The demonstration: what is written is what was learned."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from rich.console import Console
from sklearn.datasets import load_diabetes, load_digits

from cases import plain_classifier
from fastrfm.demo import DemoOptions, compare, run_demo
from fastrfm.demo.data import bundled_sets, read_file
from fastrfm.members import PAPERS
from fastrfm.table_files import DataError

pytestmark = pytest.mark.core

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


def shown(options: DemoOptions) -> str:
    """Run the demonstration and return what it prints."""
    output = io.StringIO()
    run_demo(options, Console(file=output, width=200))
    return output.getvalue()


@pytest.mark.slow
def test_the_demonstration(tmp_path: Path) -> None:
    text = shown(DemoOptions(tmp_path / "figures", folds=2, repeats=1))
    for name in ("digits", "breast cancer", "diabetes", "wine"):
        assert f"On {name}," in text
    for name in compare.MODELS:
        assert len(re.findall(rf"│ {name} +│ +\d\.\d+ ± \d\.\d+ +│ +\d+\.\d+ │", text)) == 4
    for name in ("digits.png", "breast_cancer.png", "score_by_iteration.png"):
        image = plt.imread(tmp_path / "figures" / name)
        assert image.shape[1] > 1000
        assert image[..., :3].std() > 0.05

    # A reader's check of the sentence on digits.
    X, y = load_digits(return_X_y=True)
    shares = plain_classifier(random_state=0).fit(X.astype(np.float32), y).feature_importances_
    few = np.searchsorted(np.cumsum(np.sort(shares)[::-1]), 0.8) + 1
    assert f"On digits, {few} of 64 pixels carry 80% of the AGOP's trace" in text
    dull = (X.std(axis=0) > 0) & (X.std(axis=0) < 1)
    assert f"the {dull.sum()} pixels that vary" in text
    assert f"carry {shares[dull].sum():.1%}, although" in text
    assert shares[dull].sum() < 0.5 * dull.mean()


def test_the_models_differ_only_in_feature_learning() -> None:
    models = compare.models(bundled_sets()[0], alpha=0.5)
    learned, plain = (models[name].get_params() for name in (compare.ONE_RFM, compare.KERNEL_RIDGE))
    assert {name for name in learned if learned[name] != plain[name]} == {"n_iter"}
    assert plain["n_iter"] == 0
    untouched = type(models[compare.RFM])(random_state=0)
    assert models[compare.RFM].get_params() == untouched.get_params()


def test_score_by_iteration_is_the_held_out_score() -> None:
    """The last column is what the last predictor scores on the test rows of each fold."""
    for data in bundled_sets()[2:]:
        scores = compare.scores_by_iteration(data, alpha=1.0, folds=2, advance=lambda: None)
        assert scores.shape == (2, 6)
        for row, (train, test) in zip(
            scores, compare.splits(data, folds=2, repeats=1), strict=True
        ):
            plain = compare.rfm(data, **PAPERS | {"alpha": 1.0, "n_iter": 0}).fit(
                data.X[train], data.y[train]
            )
            assert row[0] == pytest.approx(plain.score(data.X[test], data.y[test]), abs=1e-3)


def frame() -> pd.DataFrame:
    """Return 120 rows of numbers and text with gaps; y depends on the text."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X = X[["bmi", "bp"]].head(120).copy()
    X["colour"] = np.where(np.arange(120) % 3 == 0, "red", "blue")
    X["y"] = 10.0 * (X["colour"] == "red") + 20 * X["bmi"] + y.head(120) / 1000
    X.loc[3, "bmi"] = np.nan
    X.loc[4, "bmi"] = np.inf
    X.loc[5, "colour"] = None
    X.loc[6, "y"] = np.nan
    return X


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_of_ones_own(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    table = frame()
    if suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path)
    text = shown(DemoOptions(tmp_path / "figures", path, "y", folds=2, repeats=1))
    assert "mine: rows left out for want of a target: 1" in text
    assert "119 x 5" in text  # bmi, bp, and three levels of colour
    assert re.search(r"On mine, \d of 5 features carry 80% .* colour_", text)
    names = {figure.name for figure in (tmp_path / "figures").iterdir()}
    assert names == {"mine.png", "score_by_iteration.png"}


def test_the_task_follows_the_target(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rng = np.random.default_rng(0)
    columns = {
        "x": rng.standard_normal(90),
        "price": np.arange(90) * 7,
        "grade": np.arange(90) % 3,
        "flag": np.arange(90) % 2 == 0,
        "kind": np.where(np.arange(90) < 1, "rare", np.where(np.arange(90) % 2, "a", "b")),
    }
    pd.DataFrame(columns).to_csv(path, index=False)
    assert read_file(path, "price", folds=5).is_regression
    assert not read_file(path, "grade", folds=5).is_regression
    assert not read_file(path, "flag", folds=5).is_regression
    kind = read_file(path, "kind", folds=5)
    assert set(kind.y) == {"a", "b"}
    assert kind.notes == ["classes left out for having fewer than 5 rows: 1"]


def test_a_long_file_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastrfm.demo.data.MAX_ROWS", 50)
    path = tmp_path / "long.csv"
    frame().to_csv(path, index=False)
    data = read_file(path, "y", folds=2)
    assert len(data.y) == 50
    assert data.notes[-1] == "took 50 of 119 rows, drawn at random"


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with pytest.raises(DataError, match="there is no file"):
        read_file(path, "y", folds=2)
    path.write_text("")
    with pytest.raises(DataError, match="cannot be read: No columns to parse"):
        read_file(path, "y", folds=2)
    path.write_text("a,y\n1,2\n")
    with pytest.raises(DataError, match="there is no column 'z'; the columns are: a, y"):
        read_file(path, "z", folds=2)
    path.write_text("a,y\n" + "1,2\n" * 4)
    with pytest.raises(DataError, match="'y' has fewer than two classes with 2 rows each"):
        read_file(path, "y", folds=2)
    path.write_text("y\n1\n")
    with pytest.raises(DataError, match="there is no column beside the target 'y'"):
        read_file(path, "y", folds=2)
    other = tmp_path / "table.xls"
    other.write_text("a")
    with pytest.raises(DataError, match=r"table\.xls is neither \.csv nor \.parquet"):
        read_file(other, "y", folds=2)
    broken = tmp_path / "table.parquet"
    broken.write_text("not parquet")
    with pytest.raises(DataError, match="cannot be read"):
        read_file(broken, "y", folds=2)


def test_a_level_and_a_column_of_the_same_name(tmp_path: Path) -> None:
    rows = ["color,color_red,y"]
    rows += [f"{'red' if i % 3 else 'blue'},{i % 5},{i / 7}" for i in range(30)]
    path = tmp_path / "colors.csv"
    path.write_text("\n".join(rows))
    data = read_file(path, "y", folds=2)
    assert data.is_regression  # fractions are no classes, however few
    assert len(set(data.feature_names)) == 3


def test_few_rows_are_told_before_few_classes(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match=r"1 usable rows; 5 folds need 10"):
        read_file(path, "y", folds=5)
