"""Tables in files: what pandas would read as another table is refused, by name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fastrfm.table_files import DataError, read_table, write_table


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a,y\nfirst,1,2\nsecond,4,5\n",
            "the rows of t.csv have more fields than its header has names; name all columns",
        ),
        (
            "a;y\n1,5;2\n",
            "the rows of t.csv have more fields than its header has names; name all columns",
        ),
        ("a,a,y\n1,2,3\n", "t.csv has more than one column of the name 'a'; rename one"),
        ("a;y\n1;2\n", "t.csv is separated by ';'; save it with commas between its columns"),
        ("a\ty\n1\t2\n", r"t.csv is separated by '\t'; save it with commas between its columns"),
        ("a,y\n", "t.csv has no rows"),
        ("", "t.csv cannot be read: No columns to parse from file"),
    ],
)
def test_what_is_refused(
    content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(content)
    with pytest.raises(DataError) as raised:
        read_table("t.csv")
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "content",
    [
        "a;b\n1\n",
        ",,y\n0,1,2\n",
        '"a,b",y\n"1,5",2\n',
        "\n\na,y\n1,2\n",
        "a,y\n1\n",
        "a.1,a\n1,2\n",
    ],
)
def test_what_is_not(content: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(content)
    assert len(read_table(tmp_path / "t.csv")) == 1


def test_rows_that_end_with_a_separator(tmp_path: Path) -> None:
    """Their columns are not moved by one."""
    (tmp_path / "t.csv").write_text("a,y\n0,1,\n1,2,\n")
    table = read_table(tmp_path / "t.csv")
    assert table.to_dict("list") == {"a": [0, 1], "y": [1, 2]}


def test_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("größe,y\n1,2\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"t\.csv cannot be read: .*; save it as UTF-8$"):
        read_table(tmp_path / "t.csv")


def test_suffixes_in_capitals(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1, 2]})
    for name in ("T.CSV", "T.PARQUET"):
        write_table(table, tmp_path / name)
        pd.testing.assert_frame_equal(read_table(tmp_path / name), table)
