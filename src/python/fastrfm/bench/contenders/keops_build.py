"""Where PyKeOps builds its modules, and what is said when one cannot be built.

PyKeOps compiles a module for each formula when it is first used, and lists its modules in a file
that it writes when Python exits. A process that is killed leaves half of either, and from then on
the import fails. So the benchmark has a folder of its own, which it empties after such an end.
PyKeOps also prints what the compiler says, and goes on; `building` raises it.
"""

from __future__ import annotations

import atexit
import io
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

__all__ = ["build_folder", "building"]

IN_USE = "in-use"
IMPORTED = "pykeops.torch"


def build_folder() -> Path:
    """Return the folder, which keeps its modules from one benchmark to the next.

    To be called before PyKeOps is imported: what is registered first at exit runs last, so that
    the mark goes when the list of modules has been written. It stays if the import fails.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "fastrfm-bench" / "keops"
    mark = folder / IN_USE
    if mark.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    atexit.register(_release, mark)
    return folder


def _release(mark: Path) -> None:
    if IMPORTED in sys.modules:
        mark.unlink(missing_ok=True)


@contextmanager
def building() -> Iterator[None]:
    """Do what may compile.

    Raises
    ------
    RuntimeError
        With the compiler's first error, if the module could not be loaded.
    """
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            yield
    except ImportError as error:
        errors = [line.strip() for line in said.getvalue().splitlines() if "error: " in line]
        raise RuntimeError(f"compiling failed: {(errors or [str(error)])[0]}") from error
