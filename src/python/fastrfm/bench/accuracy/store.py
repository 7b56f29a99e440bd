"""The results' file: a line of JSON for each measured cell, appended at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from fastrfm.bench.accuracy.tasks import Cell
from fastrfm.bench.lines import append_line, read_lines

__all__ = ["Line", "Store"]

Line = dict[str, Any]


class Store:
    """A file of results; several processes may append to it.

    Parameters
    ----------
    path : Path
        Made when the first line is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, cell: Cell, result: Mapping[str, Any]) -> None:
        """Write a line by a single system call, so that it is there as a whole or not at all."""
        append_line(self.path, {**asdict(cell), **result})

    def read(self) -> dict[Cell, Line]:
        """Return the last line of each cell; a line that was cut short is passed over."""
        lines = {}
        for line in read_lines(self.path):
            lines[Cell(**{field.name: line[field.name] for field in fields(Cell)})] = line
        return lines
