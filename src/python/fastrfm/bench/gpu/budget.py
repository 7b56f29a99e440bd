"""Entries that are measured one after the other, within a time, each on its own risk."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from math import inf
from typing import Any

from fastrfm.bench.gpu.store import Entry, Stamp, Store

__all__ = ["Budget", "DeviceLostError", "Runner"]


class DeviceLostError(Exception):
    """The device is in an error from which this process cannot return."""


class Budget:
    """Seconds from now on.

    Parameters
    ----------
    seconds : float
        inf: no end.
    clock : callable
    """

    def __init__(self, seconds: float = inf, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Return the seconds that are left, at least 0."""
        return max(0.0, self._end - self._clock())

    def within(self, seconds: float) -> Budget:
        """Return a budget that ends with this one, or earlier."""
        return Budget(min(seconds, self.left()), self._clock)


class Runner:
    """Does the work of entries and stores what comes of it.

    Parameters
    ----------
    store : Store
    stamp : Stamp
        Goes into every entry.
    budget : Budget
        Of the whole run.
    resume : bool
        Leave out what the store has of this stamp.
    say : callable
        Takes a line for whoever waits.
    synchronize : callable, optional
        Raises if the device is in error.
    """

    def __init__(
        self,
        store: Store,
        stamp: Stamp,
        budget: Budget,
        *,
        resume: bool,
        say: Callable[[str], None],
        synchronize: Callable[[], None] | None = None,
    ) -> None:
        self.store = store
        self.budget = budget
        self.failed: list[str] = []
        self.say = say
        self._stamp, self._resume, self._synchronize = stamp, resume, synchronize

    def run(
        self,
        stage: str,
        label: str,
        work: Callable[[], dict[str, Any]],
        *,
        needs: float,
        budget: Budget | None = None,
    ) -> Entry | None:
        """Return the entry "stage/label", measured or kept; None: it was skipped.

        Parameters
        ----------
        stage, label : str
        work : callable
            Returns what was measured, for JSON; a "reason" in it that is not None says that it
            went wrong. What it raises becomes the reason.
        needs : float
            Seconds without which it is not begun.
        budget : Budget, optional
            Of the stage.

        Raises
        ------
        DeviceLostError
            If the device is in error afterwards.
        """
        key = f"{stage}/{label}"
        if self._resume and self.store.has(key, self._stamp):
            self.say(f"{key}: kept")
            return self.store.get(key)
        left = min(self.budget.left(), (budget or self.budget).left())
        if left < needs:
            self.store.skip(key, f"it needs {needs:.0f} s, and {left:.0f} s are left")
            self.say(f"{key}: skipped, needs {needs:.0f} s of {left:.0f} s left")
            return None
        started = time.monotonic()
        entry: Entry = {"stage": stage, "label": label, "reason": None}
        try:
            entry |= work()
        # One failure must not cost what comes after it: device minutes are few.
        except Exception as error:
            entry["reason"] = f"{type(error).__name__}: {error}".strip()
        if entry["reason"] is None:
            entry.pop("said", None)  # of interest, and perhaps with paths in it, if it went wrong
        entry["seconds"] = time.monotonic() - started
        entry["date"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
        entry |= self._stamp
        self.store.put(key, entry)
        if entry["reason"] is not None:
            self.failed += [] if key in self.failed else [key]
        self.say(f"{key}: {entry['reason'] or 'done'} ({entry['seconds']:.1f} s)")
        if entry["reason"] is not None and self._synchronize is not None:
            try:
                self._synchronize()
            except Exception as error:
                raise DeviceLostError(f"after {key}: {error}") from error
        return entry
