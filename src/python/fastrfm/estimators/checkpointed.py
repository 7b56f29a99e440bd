"""`fit` with a checkpoint: its arguments, and the keeper that they ask for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from typing import Any

import numpy as np

from fastrfm.keeper import Keeper
from fastrfm.validation import check_number

__all__ = ["Checkpointing"]


@dataclass(frozen=True)
class Checkpointing:
    """The arguments of `fit` of these names.

    `must_write`: whether a first file that cannot be written is an error, not a warning.
    """

    checkpoint: str | PathLike[str] | None = None
    checkpoint_minutes: float | None = None
    checkpoint_steps: int | None = None
    resume_from: str | PathLike[str] | None = None
    must_write: bool = True

    def keeper(self, rng: np.random.RandomState) -> tuple[Keeper, np.random.RandomState]:
        """Return what keeps the state of the fit, and the generator to draw from.

        Raises
        ------
        TypeError, ValueError
            For arguments that are no paths, or no intervals.
        FileNotFoundError, CheckpointError
            If there is no checkpoint to go on from.
        """
        minutes, steps = self.checked_intervals()
        path = self.resume_from if self.checkpoint is None else self.checkpoint
        if path is None:
            return Keeper(), rng
        # Not before someone asks: it is built on persistence, which is built on the estimators.
        from fastrfm.checkpoints.file_keeper import FileKeeper, cannot_resume, read_checkpoint
        from fastrfm.checkpoints.identity import CheckpointError

        if self.resume_from is None:
            return FileKeeper(path, minutes, steps, rng, must_write=self.must_write), rng
        saved = read_checkpoint(self.resume_from)
        try:
            rng = saved.generator()
        except CheckpointError as error:
            raise cannot_resume(self.resume_from, error) from None
        keeper = FileKeeper(
            path, minutes, steps, rng, saved, self.resume_from, must_write=self.must_write
        )
        return keeper, rng

    def checked_intervals(self) -> tuple[float | None, int | None]:
        """Check all arguments; return the minutes and the steps between two checkpoints.

        Raises
        ------
        TypeError, ValueError
        """
        for name in ("checkpoint", "resume_from"):
            path = getattr(self, name)
            if path is not None and not isinstance(path, (str, PathLike)):
                raise TypeError(f"{name} must be a path or None; got {path!r}")
            if path is not None and not os.fspath(path):
                raise ValueError(f"{name} is an empty path")
        minutes = self.checkpoint_minutes
        if minutes is not None:
            minutes = check_number("checkpoint_minutes", minutes, low=0, low_ok=True)
        return minutes, _checked_steps(self.checkpoint_steps)


def _checked_steps(steps: Any) -> int | None:
    if steps is None:
        return None
    if isinstance(steps, (bool, np.bool_)) or not isinstance(steps, Integral):
        raise TypeError(f"checkpoint_steps must be an integer or None; got {steps!r}")
    if steps < 1:
        raise ValueError(f"checkpoint_steps must be at least 1; got {steps}")
    return int(steps)
