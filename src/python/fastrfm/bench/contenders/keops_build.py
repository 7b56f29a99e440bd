"""Where PyKeOps builds its modules, and what is said when one cannot be built.

PyKeOps compiles a module for each formula when it is first used, drops what the compiler says and
keeps what lies in its folder, even a file that a run stopped half-way has left. So the benchmark
has a folder of its own, which it empties after such a run, and looks for the compiler's words in
what PyKeOps prints.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

__all__ = ["build_folder", "building"]

UNFINISHED = "unfinished"


def build_folder() -> Path:
    """Return the folder, which keeps its modules from one benchmark to the next."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "fastrfm-bench" / "keops"
    if (folder / UNFINISHED).exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def building(folder: Path) -> Iterator[None]:
    """Mark the folder while something may be built in it.

    Raises
    ------
    RuntimeError
        With the compiler's first error, if the module could not be loaded.
    """
    marker = folder / UNFINISHED
    marker.touch()
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            yield
    except ImportError as error:  # the marker stays
        errors = [line.strip() for line in said.getvalue().splitlines() if "error" in line]
        raise RuntimeError(f"compiling failed: {(errors or [str(error)])[0]}") from error
    marker.unlink()
