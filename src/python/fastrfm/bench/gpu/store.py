"""The results' file: JSON, replaced as a whole after every entry: a killed run loses one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["SCHEMA", "Entry", "Stamp", "Store"]

# Of the file; a file of another number is not read but refused.
SCHEMA = 1
# stage, label, reason (None: it went well), seconds, date, commit, card, and what was measured.
Entry = dict[str, Any]
# What an entry has to agree in to be taken for this run's.
Stamp = dict[str, str | None]


class Store:
    """Entries by "stage/label", and the machine of the last run.

    Parameters
    ----------
    path : Path
        Made with its folder when the first entry is written. Entries that are there stay until
        they are measured again.

    Raises
    ------
    ValueError
        If the file is not one of these.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._machine: dict[str, Any] = {}
        self._skipped: dict[str, str] = {}
        self._entries: dict[str, Entry] = {}
        if not path.is_file():
            return
        try:
            content = json.loads(path.read_text())
            schema = content["schema"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no results' file: move it away ({error})") from error
        if schema != SCHEMA:
            raise ValueError(f"{path} has schema {schema}, not {SCHEMA}: move it away")
        self._entries = content["entries"]
        self._machine, self._skipped = content["machine"], content["skipped"]

    def describe(self, machine: dict[str, Any]) -> None:
        """Begin a run: set what it is on."""
        self._machine, self._skipped = machine, {}

    def get(self, key: str) -> Entry | None:
        """Return an entry."""
        return self._entries.get(key)

    def has(self, key: str, stamp: Stamp) -> bool:
        """Return whether an entry went well and carries this stamp.

        A stamp without a commit, or of one with edits, is like no other.
        """
        commit = stamp["commit"]
        if commit is None or commit.endswith("-dirty"):
            return False
        entry = self._entries.get(key)
        return (
            entry is not None
            and entry["reason"] is None
            and all(entry.get(name) == value for name, value in stamp.items())
        )

    def put(self, key: str, entry: Entry) -> None:
        """Set an entry, and write the file."""
        self._entries[key] = _plain(entry)
        self._skipped.pop(key, None)
        self.write()

    def skip(self, key: str, why: str) -> None:
        """Note that an entry was not measured; what is there of another run stays."""
        self._skipped[key] = why
        self.write()

    def content(self) -> dict[str, Any]:
        """Return what the file holds."""
        return {
            "schema": SCHEMA,
            "machine": self._machine,
            "skipped": self._skipped,
            "entries": self._entries,
        }

    def write(self) -> None:
        """Replace the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.content(), indent=1, allow_nan=False) + "\n")
        os.replace(part, self.path)


def _plain(value: Any) -> Any:
    """Return what JSON can hold: finite numbers (others become None), texts, lists, dicts."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return str(value)
