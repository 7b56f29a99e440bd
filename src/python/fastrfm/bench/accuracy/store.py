"""The results' file: a line of JSON for each measured cell, appended at once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from fastrfm.bench.accuracy.tasks import Cell

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
        text = json.dumps({**asdict(cell), **result}, allow_nan=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                text = "\n" + text  # the machine stopped in the middle of the line before
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def read(self) -> dict[Cell, Line]:
        """Return the last line of each cell; a line that was cut short is passed over."""
        if not self.path.is_file():
            return {}
        lines = {}
        for text in self.path.read_text().splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            lines[Cell(**{field.name: line[field.name] for field in fields(Cell)})] = line
        return lines
