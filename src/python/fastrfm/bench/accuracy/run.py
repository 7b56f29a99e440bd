"""Who still has to be measured on what, and doing it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fastrfm.bench.accuracy.contenders import OURS, PACKAGES, REFERENCE
from fastrfm.bench.accuracy.data import Caps, n_splits
from fastrfm.bench.accuracy.report import short_reason
from fastrfm.bench.accuracy.store import Line, Store
from fastrfm.bench.accuracy.tasks import Cell, Task, end_running

__all__ = ["ALL", "installed", "is_outdated", "make_tasks", "run_tasks", "to_do"]

ALL = tuple(PACKAGES)
# Between the lines that the progress bar writes where no terminal shows it.
LOG_SECONDS = 30.0
Runner = Callable[[Task], Iterator[tuple[Cell, dict[str, Any]]]]


def installed(contenders: Sequence[str]) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Return the versions of those that can be measured, and why the others cannot.

    Raises
    ------
    ValueError
        For an unknown contender.
    """
    versions, absent = {}, {}
    for name in contenders:
        if name not in PACKAGES:
            raise ValueError(f"no contender {name!r}; there are {', '.join(ALL)}")
        try:
            versions[name] = {package: version(package) for package in PACKAGES[name]}
        except PackageNotFoundError as error:
            absent[name] = f"{error.name} is not installed"
    return versions, absent


def make_tasks(
    folder: Path,
    sets: Sequence[str],
    contenders: Sequence[str],
    *,
    splits: int,
    caps: Caps,
    threads: int,
) -> list[Task]:
    """Return all tasks: every set's first split before any set's second one.

    Parameters
    ----------
    folder : Path
    sets, contenders : sequence of str
    splits : int
        For each set, or as many as it has.
    caps : Caps
    threads : int
        For each contender.
    """
    tasks = []
    counts = {name: min(splits, n_splits(folder, name)) for name in sets}
    for split in range(splits):
        for name, count in counts.items():
            if split >= count:
                continue
            for contender in contenders:
                numbers: tuple[int, ...] = (split,)
                if contender == REFERENCE:
                    if split > 0 or not name.startswith("uci121/"):
                        continue
                    numbers = tuple(range(count))  # they share one choice of parameters
                tasks.append(Task(str(folder), name, numbers, contender, threads, caps))
    return tasks


def is_outdated(line: Line, versions: Mapping[str, Mapping[str, str]], commit: str | None) -> bool:
    """Return whether a line failed, or was made by another version, of fastrfm another commit."""
    contender = line["contender"]
    if line["failure"] is not None or line["versions"] != versions[contender]:
        return True
    return bool(contender == OURS and line["commit"] != commit)


def to_do(
    tasks: Sequence[Task], done: Mapping[Cell, Line], skip: Callable[[Line], bool]
) -> list[Task]:
    """Return the tasks of which a cell has no line, or one that `skip` does not accept."""
    return [
        task for task in tasks if not all(cell in done and skip(done[cell]) for cell in task.cells)
    ]


def run_tasks(
    tasks: Sequence[Task],
    runner: Runner,
    store: Store,
    stamp: Mapping[str, Any],
    versions: Mapping[str, Mapping[str, str]],
    *,
    jobs: int = 1,
    quiet: bool = False,
) -> None:
    """Run tasks, `jobs` at a time, and append each result to the store at once.

    Parameters
    ----------
    tasks : sequence of Task
    runner : callable
        Yields the results of a task's cells, see `fastrfm.bench.accuracy.tasks.run_in_child`.
    store : Store
    stamp : mapping
        What each line carries of the machine.
    versions : mapping
        For each contender, of its packages.
    jobs : int
    quiet : bool
        No progress bar.
    """
    lock, stopped = threading.Lock(), threading.Event()
    seen = sys.stderr.isatty()  # a line now and then is enough for a log
    interval = 0.1 if seen else LOG_SECONDS
    with (
        tqdm(
            total=len(tasks), unit="task", smoothing=0, mininterval=interval, disable=quiet
        ) as bar,
        ThreadPoolExecutor(jobs) as pool,
    ):

        def run(task: Task) -> None:
            with lock:
                bar.set_postfix_str(f"{task.set} {task.contender}", refresh=seen)
            for cell, result in runner(task):
                if stopped.is_set():  # its end is not its own failure
                    return
                now = datetime.now(timezone.utc).isoformat(timespec="seconds")
                line = {**stamp, "threads": task.threads, "date": now, **result}
                line["versions"] = versions[task.contender]
                store.append(cell, line)
                if result["failure"] is not None:
                    what = f"{cell.contender} on {cell.set}, split {cell.split}"
                    with lock:
                        bar.write(f"failed: {what}: {short_reason(result['failure'])}")
            with lock:
                bar.update()

        futures = [pool.submit(run, task) for task in tasks]
        try:
            for future in futures:
                future.result()
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            end_running()
            raise
