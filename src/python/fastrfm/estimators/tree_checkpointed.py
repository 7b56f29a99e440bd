"""The checkpoint of a tree: a folder with the state of the fit of each leaf.

What a leaf comes to follows from the data, the parameters and the random numbers of the fit, and a
key made of them is in the name of its file. So a fit that goes on grows the same trees again and
takes the leaves that are done from their files; and what is left of another fit, a process that
still writes included, is not in its way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrfm.estimators.checkpointed import Checkpointing

if TYPE_CHECKING:
    from fastrfm.checkpoints.states import Checkpoint

__all__ = ["LeafCheckpoint", "TreeKeeper"]

# The identity of the fit, and the random numbers at the beginning.
_TREES = "trees.checkpoint"
_LEAF = re.compile(r"leaf-\d{4,}-[0-9a-f]{16}\.checkpoint")


@dataclass(frozen=True)
class LeafCheckpoint:
    """Where the state of a leaf's fit is kept, and when; nowhere without a path."""

    path: Path | None = None
    minutes: float | None = None
    steps: int | None = None

    def state(self) -> Checkpointing:
        """Return the arguments of the leaf's fit, in the process that fits it."""
        if self.path is None:
            return Checkpointing()
        resume_from = self.path if self.path.exists() else None
        # Other leaves are done by now: a full disk is not to end the fit.
        return Checkpointing(self.path, self.minutes, self.steps, resume_from, must_write=False)


class TreeKeeper:
    """Keeps the state of a tree's fit in a folder, and goes on from one; without paths, nothing.

    Parameters
    ----------
    arguments : Checkpointing
        The arguments of `fit`; their paths are of folders.
    rng : RandomState
        As it is at the beginning of the fit.

    Attributes
    ----------
    rng : RandomState
        The generator to draw from.

    Raises
    ------
    TypeError, ValueError
        For arguments that are no paths, or no intervals.
    NotADirectoryError
        If a path is that of a file.
    FileNotFoundError, CheckpointError
        If there is no checkpoint to go on from.
    """

    def __init__(self, arguments: Checkpointing, rng: np.random.RandomState) -> None:
        self._minutes, self._steps = arguments.checked_intervals()
        self._source = _folder("resume_from", arguments.resume_from)
        self._folder = _folder("checkpoint", arguments.checkpoint) or self._source
        self._saved: Checkpoint | None = None
        self.rng = rng
        if self._source is not None:
            # Not before someone asks: it is built on persistence, which is built on the estimators.
            from fastrfm.checkpoints.file_keeper import cannot_resume, read_checkpoint
            from fastrfm.checkpoints.identity import CheckpointError

            self._saved = read_checkpoint(self._source / _TREES)
            try:
                self.rng = self._saved.generator()
            except CheckpointError as error:
                raise cannot_resume(self._source, error) from None
        self._random_numbers = self.rng.get_state(legacy=False)
        self._key = ""

    def begin(self, estimator: Any, data: Callable[[], Mapping[str, Iterable[Any]]]) -> None:
        """Check that what was saved is of this fit, and prepare the folder.

        It is made if need be. Files of leaves in it that are not gone on from are removed.

        Parameters
        ----------
        estimator : TreeRFMRegressor or TreeRFMClassifier
        data : callable
            Returns pieces of arrays, by the names of the arguments of `fit`.

        Raises
        ------
        CheckpointError
            If it is of another one.
        OSError
            If the folder cannot be written.
        """
        if self._folder is None:
            return
        from fastrfm.checkpoints.file_keeper import cannot_resume
        from fastrfm.checkpoints.identity import CheckpointError, identity_of_pieces, key_of
        from fastrfm.checkpoints.states import Checkpoint, checkpoint_state
        from fastrfm.persistence.atomic import replacing
        from fastrfm.persistence.container import write_container

        identity = identity_of_pieces(estimator, data())
        if self._source is not None and self._saved is not None:
            try:
                identity.check(self._saved.identity)
            except CheckpointError as error:
                raise cannot_resume(self._source, error) from None
        if not self._folder.parent.is_dir():
            raise FileNotFoundError(
                f"there is no folder {self._folder.parent} to make {self._folder.name} in; make it "
                "first"
            )
        self._folder.mkdir(exist_ok=True)
        if self._source is None or not os.path.samefile(self._source, self._folder):
            for path in _leaf_files(self._folder):
                path.unlink(missing_ok=True)
            for path in [] if self._source is None else _leaf_files(self._source):
                with replacing(self._folder / path.name) as copy:
                    copyfile(path, copy)
        self._key = key_of(identity, self._random_numbers)
        state = Checkpoint(identity, self._random_numbers)
        write_container(self._folder / _TREES, *checkpoint_state(state))

    def leaf(self, number: int) -> LeafCheckpoint:
        """Return where the state of a leaf is kept, by its number through all trees."""
        if self._folder is None:
            return LeafCheckpoint()
        path = self._folder / f"leaf-{number:04d}-{self._key}.checkpoint"
        return LeafCheckpoint(path, self._minutes, self._steps)


def _leaf_files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if _LEAF.fullmatch(path.name))


def _folder(name: str, path: str | PathLike[str] | None) -> Path | None:
    """Return where an argument points, which a worker's own folder does not change."""
    if path is None:
        return None
    folder = Path(path).absolute()
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(
            f"{name}={os.fspath(path)!r} is a file, and the checkpoint of a tree is a folder with "
            "a file for each leaf; name a folder"
        )
    return folder
