"""A keeper that writes checkpoints to a file, and goes on from one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from time import perf_counter

import numpy as np

from fastrfm.checkpoints.identity import CheckpointError, Identity
from fastrfm.checkpoints.states import (
    Checkpoint,
    Finished,
    Unfinished,
    checkpoint_of,
    checkpoint_state,
)
from fastrfm.keeper import Keeper
from fastrfm.persistence.container import CHECKPOINT_WORDS, read_container, write_container
from fastrfm.persistence.errors import ModelFileError
from fastrfm.recursion import RecursionResult, RecursionState
from fastrfm.ridge.pcg import CgState

__all__ = ["FileKeeper", "read_checkpoint"]

Path = str | PathLike[str]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, verified by its checksum.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is none, or a folder.
    CheckpointError
        If the file is none, or not as it was written.
    """
    try:
        return checkpoint_of(*read_container(path, CHECKPOINT_WORDS))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"there is no checkpoint {os.fspath(path)!r} to resume from; fit without resume_from"
        ) from error
    except IsADirectoryError as error:
        raise IsADirectoryError(
            f"resume_from={os.fspath(path)!r} is a folder, as the checkpoint of a tree is, and "
            "that of another fit is a file; name the file"
        ) from error
    except (CheckpointError, ModelFileError) as error:
        raise cannot_resume(path, error) from error


def cannot_resume(path: Path, reason: object) -> CheckpointError:
    """Return the error that says so."""
    return CheckpointError(f"cannot resume from {os.fspath(path)!r}: {reason}")


class FileKeeper(Keeper):
    """Writes the state of a fit every so many minutes, or so many steps of CG.

    Parameters
    ----------
    path : str or path-like
        Replaced as a whole each time.
    minutes : float or None
    steps : int or None
        None: time alone decides.
    rng : RandomState
        As it is at the beginning of the fit.
    saved : Checkpoint, optional
        What an earlier run came to.
    saved_path : str or path-like, optional
        What messages call it.
    must_write : bool, default=True
        Whether a first file that cannot be written is an error, not a warning.
    """

    def __init__(
        self,
        path: Path,
        minutes: float | None,
        steps: int | None,
        rng: np.random.RandomState,
        saved: Checkpoint | None = None,
        saved_path: Path = "",
        *,
        must_write: bool = True,
    ) -> None:
        self._path = path
        self._seconds = np.inf if minutes is None else 60.0 * minutes
        self._steps = np.inf if steps is None else steps
        self._random_numbers = rng.get_state(legacy=False)
        self._saved = saved
        self._saved_path = saved_path
        self._must_write = must_write
        self._finished: dict[str, Finished] = {} if saved is None else dict(saved.finished)
        self._resuming = None if saved is None else saved.unfinished
        self._decided = [] if saved is None else list(saved.decisions)  # by the earlier run
        self._decisions: list[bool] = []
        self._current: Unfinished | None = None
        self._pending: Unfinished | None = None  # of the current recursion, not yet gone on from
        self._solves = 0
        self._steps_since = 0
        self._written = perf_counter()

    def begin(self, identity: Callable[[], Identity]) -> None:
        """Check that what was saved is of this fit, and write a first file.

        Raises
        ------
        CheckpointError
            If it is of another fit.
        OSError, ValueError
            If the file cannot be written, and must be.
        """
        self._identity = identity()
        if self._saved is not None:
            try:
                self._identity.check(self._saved.identity)
            except CheckpointError as error:
                raise cannot_resume(self._saved_path, error) from None
            self._saved = None
        if self._must_write:
            self._write(self._resuming)
        else:
            self._write_or_warn(self._resuming)

    def recursion(
        self, name: str, rng: np.random.RandomState, compute: Callable[[], RecursionResult]
    ) -> RecursionResult:
        """Return what the recursion of this name came to in the earlier run, else ``compute()``.

        `rng` is then where it was after it.
        """
        if name in self._finished:
            rng.set_state(self._finished[name].random_numbers)
            return self._finished[name].result
        self._current, self._solves = Unfinished(name), 0
        # With a time limit another run may take another way.
        same = self._resuming is not None and self._resuming.name == name
        self._pending, self._resuming = self._resuming if same else None, None
        result = compute()
        self._finished[name] = Finished(result, rng.get_state(legacy=False))
        self._current = self._pending = None
        if self._is_due():
            self._write_or_warn(None)
        return result

    def decide(self, decision: Callable[[], bool]) -> bool:
        """Return whether the fit goes on, between recursions as an earlier run did, else by asking.

        So a fit that has ended gives the same result again, whatever has ended it.
        """
        if self._current is not None:
            return decision()
        decided = self._decided.pop(0) if self._decided else decision()
        self._decisions.append(decided)
        return decided

    def resumed_iteration(self, rng: np.random.RandomState) -> RecursionState | None:
        """Return the state in which the present recursion is to go on; `rng` is set to that."""
        if self._pending is None or self._pending.state is None:
            return None
        assert self._pending.random_numbers is not None
        rng.set_state(self._pending.random_numbers)
        return self._pending.state

    def iteration(self, state: RecursionState, rng: np.random.RandomState) -> None:
        """Hear that an iteration begins."""
        assert self._current is not None
        self._current = Unfinished(self._current.name, state, rng.get_state(legacy=False))
        self._solves = 0
        pending = None if self._pending is None else self._pending.state
        if pending is None or pending.iteration != state.iteration:
            self._pending = None
        if self._is_due():
            # What the file has of a solve in this iteration must stay there.
            self._write_or_warn(self._current if self._pending is None else self._pending)

    def resumed_solve(self) -> CgState | None:
        """Hear that a solve by CG begins; return the state in which it is to go on."""
        self._solves += 1
        if self._pending is None or self._pending.solve != self._solves:
            return None
        state, self._pending = self._pending.cg, None
        return state

    def step(self, state: CgState) -> None:
        """Hear what CG knows after a step; its arrays change after that."""
        self._steps_since += 1
        # The file may have a later solve of this iteration, from which another run can go on.
        is_behind = self._pending is not None and self._pending.cg is not None
        if self._current is not None and not is_behind and self._is_due():
            self._write_or_warn(replace(self._current, solve=self._solves, cg=state))

    def end(self) -> None:
        """Write that all is done."""
        self._write_or_warn(None)

    def _is_due(self) -> bool:
        late = perf_counter() - self._written >= self._seconds
        return late or self._steps_since >= self._steps

    def _write_or_warn(self, unfinished: Unfinished | None) -> None:
        try:
            self._write(unfinished)
        except (OSError, MemoryError) as error:
            # Hours of work are not to be lost for that; the next try is an interval later.
            self._written, self._steps_since = perf_counter(), 0
            reason = str(error) or type(error).__name__
            warnings.warn(
                f"the checkpoint {os.fspath(self._path)!r} could not be written ({reason}); the "
                "fit goes on, and what was there stays",
                RuntimeWarning,
                stacklevel=2,
            )

    def _write(self, unfinished: Unfinished | None) -> None:
        checkpoint = Checkpoint(
            self._identity,
            self._random_numbers,
            self._finished,
            unfinished,
            # Of those that this run has not come to yet, too, the results are in the file.
            [*self._decisions, *self._decided],
        )
        write_container(self._path, *checkpoint_state(checkpoint))
        self._written, self._steps_since = perf_counter(), 0
