"""What the commands share: outputs that surprise nobody, errors and warnings as sentences."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from fastrfm import backend
from fastrfm.persistence.atomic import check_replaceable
from fastrfm.table_files import DataError

__all__ = ["check_cuda", "check_output", "say", "sentences"]


def check_output(path: Path, *, force: bool, inputs: tuple[Path, ...]) -> None:
    """Refuse, before any work, an output that cannot be written or that someone may want to keep.

    Parameters
    ----------
    path : Path
    force : bool
        Whether a file that is there may be replaced; one of the inputs never is.
    inputs : tuple of Path

    Raises
    ------
    DataError
    """
    try:
        folder = check_replaceable(path).parent
    except (OSError, ValueError) as error:
        raise DataError(str(error)) from error
    if not os.access(folder, os.W_OK):
        raise DataError(f"the folder {folder} cannot be written into")
    for given in inputs:
        if path.exists() and given.exists() and path.samefile(given):
            raise DataError(f"{path} is what is read; name another file to write")
    if path.exists() and not force:
        raise DataError(f"{path} is there already; --force replaces it")


def check_cuda() -> None:
    """Refuse, before any work, a device that cannot be used.

    Raises
    ------
    DataError
    """
    try:
        backend.cuda_room()
    except (RuntimeError, ImportError) as error:
        raise DataError(f"--device cuda: {error}") from error


def say(console: Console, text: str) -> None:
    """Print a line as it is: names of columns may look like rich's markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def sentences(console: Console) -> Iterator[None]:
    """Say the library's warnings, and make its complaints about the data DataErrors."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield
        except (TypeError, ValueError, MemoryError) as error:
            raise DataError(" ".join(str(error).split()) or type(error).__name__) from error
        finally:
            for text in dict.fromkeys(str(warning.message) for warning in caught):
                say(console, f"note: {text}")
