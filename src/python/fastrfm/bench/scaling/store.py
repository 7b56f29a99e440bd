"""The results' file: a line of JSON for each measured point and round, there at once or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from statistics import median
from typing import Any

from fastrfm.bench.lines import append_line, read_lines
from fastrfm.bench.scaling.points import Point

__all__ = ["Line", "Store", "medians"]

Line = dict[str, Any]


class Store:
    """A file of lines.

    Parameters
    ----------
    path : Path
        Made when the first line is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, point: Point, turn: int, result: Mapping[str, Any]) -> None:
        """Write a line by a single system call, so that it is there as a whole or not at all."""
        append_line(self.path, {**point.fields(), "round": turn, **result})

    def read(self) -> dict[tuple[Point, int], Line]:
        """Return the last line of each point and round; one that was cut short is passed over."""
        lines = {}
        for line in read_lines(self.path):
            point = Point(**{field.name: line[field.name] for field in fields(Point)})
            lines[point, line["round"]] = line
        return lines


def medians(lines: Mapping[tuple[Point, int], Line]) -> dict[Point, Line]:
    """Return a line for each point: medians of the rounds' numbers, the first round's all else.

    A point none of whose rounds went well keeps the first one's "reason".
    """
    rounds: dict[Point, list[Line]] = {}
    for point, turn in sorted(lines, key=lambda key: key[1]):
        rounds.setdefault(point, []).append(lines[point, turn])
    found = {}
    for point, group in rounds.items():
        good = [line for line in group if line["reason"] is None] or group[:1]
        numbers = {
            name: median(line[name] for line in good)
            for name, value in good[0].items()
            if isinstance(value, float)
        }
        found[point] = {**good[0], **numbers, "rounds": len(good)}
    return found
