"""One contender on one set: what is asked of a child process, and what comes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from fastrfm.bench.accuracy.data import Caps
from fastrfm.bench.processes import THREAD_VARIABLES

__all__ = ["WORKER", "Cell", "Task", "end_running", "run_in_child", "task_from_json"]

WORKER = (sys.executable, "-m", "fastrfm.bench.accuracy.worker")
# Of what a child wrote before it failed.
KEPT_CHARACTERS = 2_000
_running: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True)
class Cell:
    """Where a result belongs: a row of the results' file for each."""

    set: str
    split: int
    contender: str
    max_rows: int | None
    max_test: int | None


@dataclass(frozen=True)
class Task:
    """A contender on some splits of a set: one, or all that share a choice of parameters."""

    folder: str
    set: str
    splits: tuple[int, ...]
    contender: str
    threads: int
    caps: Caps

    @property
    def cells(self) -> list[Cell]:
        """Where its results belong."""
        return [
            Cell(self.set, split, self.contender, self.caps.max_rows, self.caps.max_test)
            for split in self.splits
        ]


def run_in_child(
    task: Task, timeout: float, command: Sequence[str] = WORKER
) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """Run a task in a process of its own, and return a result for each of its cells.

    Parameters
    ----------
    task : Task
    timeout : float
        Seconds for each cell. The child is ended when all of them have passed.
    command : sequence of str
        Reads a task as JSON from standard input, and writes a line of JSON for each split.

    Yields
    ------
    cell : Cell
    result : dict
        What the child said, or ``{"failure": why it said nothing}``.
    """
    environment = dict(os.environ)
    environment.update(dict.fromkeys(THREAD_VARIABLES, str(task.threads)))
    limit = timeout * len(task.splits)
    # Files rather than pipes: what was written before a crash or the limit is kept.
    with tempfile.TemporaryFile() as answers, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=answers,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )
        _running.add(child)
        failure = None
        try:
            child.communicate(json.dumps(asdict(task)).encode(), timeout=limit)
        except subprocess.TimeoutExpired:
            failure = f"took longer than {limit:g} s"
        finally:
            _end(child)
            _running.discard(child)
        if failure is None and child.returncode:
            failure = f"its process ended, {_reason(child.returncode)}"
        answers.seek(0)
        errors.seek(0)
        results = dict(zip(task.cells, _lines(answers.read()), strict=False))
        said = errors.read().decode(errors="replace")[-KEPT_CHARACTERS:].strip()
    for cell in task.cells:
        if cell in results:
            yield cell, results[cell]
        else:
            text = failure or "its process ended without an answer"
            yield cell, {"failure": f"{text}\n{said}".strip()}


def end_running() -> None:
    """End the children of all threads: an interrupt reaches none of them."""
    for child in list(_running):
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and all that it started."""
    if child.poll() is None:
        with suppress(ProcessLookupError):  # it has just ended
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _reason(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"


def _lines(data: bytes) -> Iterator[dict[str, Any]]:
    """Yield the complete lines."""
    for line in data.decode().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


def task_from_json(text: str) -> Task:
    """Return the task that a parent wrote."""
    fields = json.loads(text)
    fields["splits"] = tuple(fields["splits"])
    fields["caps"] = Caps(**fields["caps"])
    return Task(**fields)
