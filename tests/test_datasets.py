"""open_parquet: the numbers that pandas reads, on the disk; what it refuses, by its message."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cases import plain_regressor
from fastrfm import datasets
from fastrfm.datasets import open_parquet

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "a": RNG.standard_normal(300),
        "y": RNG.standard_normal(300),
        "b": RNG.standard_normal(300).astype(np.float32),
        "c": RNG.integers(0, 200, 300),
    }
)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "BATCH_ROWS", 70)


def _written(table: pd.DataFrame, folder: Path, **options: Any) -> Path:
    table.to_parquet(folder / "table.parquet", row_group_size=90, **options)
    return folder / "table.parquet"


def test_rows_are_those_of_the_table(tmp_path: Path) -> None:
    table = TABLE.copy()
    table.loc[5, "a"] = np.nan
    X, y, names = open_parquet(_written(table, tmp_path), "y", out=tmp_path / "X.npy")
    assert names == ["a", "b", "c"]
    assert isinstance(X, np.memmap)
    assert X.dtype == np.float32
    np.testing.assert_array_equal(X, table[names].to_numpy(np.float32))
    np.testing.assert_array_equal(y, table["y"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["X.npy", "table.parquet"]


@pytest.mark.parametrize("element", ["int8", "uint8"])
def test_small_integers_stay_so(tmp_path: Path, element: str) -> None:
    table = (
        TABLE[["c", "y"]].assign(c=lambda t: t["c"] % 100, d=3).astype({"c": element, "d": element})
    )
    path = _written(table, tmp_path)
    X, y, _ = open_parquet(path, "y", out=tmp_path / "X.npy")
    assert X.dtype == element
    np.testing.assert_array_equal(X, table[["c", "d"]].to_numpy())
    model = plain_regressor(n_iter=1, random_state=0).fit(X, y)
    assert np.shares_memory(model.X_fit_, X)
    table["c"] = table["c"].astype(element.replace("i", "I").replace("uI", "UI"))
    table.loc[4, "c"] = pd.NA
    X, _, _ = open_parquet(_written(table, tmp_path), "y", out=tmp_path / "X.npy")
    assert X.dtype == np.float32
    assert np.isnan(X[4, 0])


def test_what_is_refused(tmp_path: Path) -> None:
    path, out = _written(TABLE, tmp_path), tmp_path / "X.npy"
    out.write_bytes(b"before")

    def refused(error: type[Exception], message: str, table: pd.DataFrame, target: str) -> None:
        with pytest.raises(error, match=re.escape(message)):
            open_parquet(_written(table, tmp_path), target, out=out)
        assert out.read_bytes() == b"before"

    refused(ValueError, f"{path} has no column 'z' to be the target; it has a, y, b, c", TABLE, "z")
    refused(ValueError, f"{path} has no column but the target 'y'", TABLE[["y"]], "y")
    refused(ValueError, f"{path} has no rows", TABLE[:0], "y")
    words = TABLE.assign(word="x")
    refused(TypeError, "the column 'word' is of the type ", words, "y")
    missing = TABLE.copy()
    missing.loc[123, "y"] = np.nan
    missing["y"] = missing["y"].astype("Float64")
    refused(ValueError, "the target 'y' is missing in row 123 (rows count from 0)", missing, "y")
    with pytest.raises(ValueError, match=re.escape("out must end in .npy; got ")):
        open_parquet(path, "y", out=tmp_path / "X.bin")
    with pytest.raises(FileNotFoundError):
        open_parquet(tmp_path / "none.parquet", "y", out=out)
