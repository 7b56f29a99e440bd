"""A file is replaced as a whole, or stays as it was."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

__all__ = ["check_replaceable", "replacing"]


def check_replaceable(path: str | PathLike[str]) -> Path:
    """Return the path that is to be written: `path`, or where it points if it is a link.

    Raises
    ------
    FileNotFoundError
        If its folder does not exist.
    IsADirectoryError
        If it is a folder.
    ValueError
        If it is neither a file nor missing (a device, a pipe).
    """
    real = Path(os.path.realpath(path))
    if not real.parent.is_dir():
        raise FileNotFoundError(
            f"there is no folder {real.parent} to write {real.name} into; make it first"
        )
    if real.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    if real.exists() and not real.is_file():
        raise ValueError(f"{path} is not a regular file, and what it is would be replaced")
    return real


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[Path]:
    """Yield the path of a new, empty file, which takes the place of `path` when the block ends.

    The new file lies in the same folder, so that one rename puts it there, and has reached the
    disk before that. If the block raises (a full disk, Ctrl-C), the new file is removed and
    whatever was at `path` stays. Permissions are those that the umask gives a new file.

    Parameters
    ----------
    path : str or path-like
        A link is followed.

    Raises
    ------
    OSError, ValueError
        As `check_replaceable` does, and where the folder cannot be written.
    """
    target = check_replaceable(path)
    # Its name is not made from the target's, which may be as long as names can be.
    temporary = target.with_name(f".fastrfm-{secrets.token_hex(8)}.tmp")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        _to_disk(temporary, os.O_RDONLY)
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        # A full disk: a write knows no names.
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = os.fspath(path)
        raise
    # Some network file systems refuse this; the file itself is complete in any case.
    with suppress(OSError):
        _to_disk(target.parent, os.O_RDONLY | os.O_DIRECTORY)


def _to_disk(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
