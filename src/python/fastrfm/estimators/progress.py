"""Telling the user, and the user's callbacks, how a fit gets on; and ending it in time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

from fastrfm.keeper import Keeper
from fastrfm.watch import Watch, Work

Callback = Callable[[dict[str, Any]], Any]

_logger = logging.getLogger("fastrfm")
# Of the time for a next step, as much again as it is expected to take.
_MARGIN = 1.1
# Seconds between two pictures of the bar.
_REFRESH = 0.1


class FitWatch(Watch):
    """A progress bar, log lines, callbacks, and a time limit.

    Parameters
    ----------
    verbose : int
        From 1 on a bar on standard error, with the phase, the residual and the time left; from 2 on
        also a line for each iteration, to the logger ``fastrfm`` at level INFO.
    callbacks : iterable of callable
        Each is called with each entry of the history; one that returns True ends the fit, which
        keeps the best so far.
    time_limit : float or None
        Seconds, from now on.
    keeper : Keeper
    """

    def __init__(
        self,
        verbose: int,
        callbacks: Iterable[Callback],
        time_limit: float | None,
        keeper: Keeper,
    ) -> None:
        self.keeper = keeper
        self._start = perf_counter()
        self._verbose = verbose
        self._callbacks = list(callbacks)
        self._time_limit = time_limit
        self._bar: tqdm[Any] | None = None
        self._done = 0.0  # flops of the iterations that are complete
        self._total = 0.0
        self._work: Work | None = None
        self._iteration = 0
        self._of_work = 0.0  # flops done of the present recursion
        self._last = self._start
        self._rate = 0.0  # seconds per flop, of the last iteration
        self._reserved = 0.0
        self._shown = 0.0
        self.stopped: str | None = None

    @contextmanager
    def running(self) -> Iterator[FitWatch]:
        """Show the bar, and log, until the block ends."""
        with logging_to_someone(self._verbose > 1):
            if self._verbose:
                self._bar = tqdm(
                    total=1.0,
                    desc="fastrfm",
                    bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
                )
            try:
                yield self
            finally:
                if self._bar is not None:
                    self._bar.close()
                    self._bar = None

    def expect(self, works: Sequence[Work]) -> None:
        """Count on further recursions."""
        self._total += sum(work.flops for work in works)
        self._show()

    def forget(self, works: Sequence[Work]) -> None:
        """Count on them no more."""
        self._total -= sum(work.flops for work in works)

    def begin(self, work: Work) -> None:
        """Begin a recursion; what the one before it left undone is no longer to be done."""
        self._end_work()
        self._work, self._of_work, self._iteration = work, 0.0, 0
        self._last = perf_counter()

    def reserve(self, work: Work | None) -> None:
        """Leave time for the work."""
        self._reserved = 0.0 if work is None else work.flops

    def affords(self, work: Work) -> bool:
        """Whether `work` can be done in the time that is left."""
        return self.keeper.decide(lambda: self.stopped is None and self._has_time_for(work.flops))

    def phase(self, name: str) -> None:
        """Show the phase."""
        if self._bar is not None:
            self._bar.set_description_str(f"fastrfm: {name}", refresh=False)
            self._show()

    def residual(self, residual: float) -> None:
        """Show the residual of an iterative solve."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"residual {residual:.1e}", refresh=False)
            self._show()

    def iteration(self, entry: dict[str, Any]) -> None:
        """Log the iteration and hand it to the callbacks."""
        self.step(entry)
        if self._verbose > 1:
            _logger.info(_line(entry))
        for callback in self._callbacks:
            answer = callback(entry)
            if isinstance(answer, bool | np.bool_) and answer:
                self.stopped = "a callback"

    def step(self, entry: dict[str, Any]) -> None:
        """Count the iteration as done."""
        now = perf_counter()
        if self._work is not None:
            flops = self._work.of_iteration(self._iteration)
            self._rate = (now - self._last) / flops
            self._of_work += flops
            self._done += flops
            self._iteration += 1
        self._last = now
        self.residual(entry["residual"])

    def may_continue(self) -> bool:
        """Whether neither a callback nor the time limit is against another iteration."""
        return self.keeper.decide(self._has_more)

    def end(self) -> None:
        """Nothing more is to be done."""
        self.keeper.end()
        self._end_work()
        self._total = self._done
        self._show()

    def _has_more(self) -> bool:
        if self.stopped is not None:
            return False
        return self._work is None or self._has_time_for(self._work.of_iteration(self._iteration))

    def _has_time_for(self, flops: float) -> bool:
        if self._time_limit is None:
            return True
        needed = _MARGIN * (flops + self._reserved) * self._rate
        return perf_counter() - self._start + needed <= self._time_limit

    def _end_work(self) -> None:
        if self._work is not None:
            self._total -= self._work.flops - self._of_work
            self._work = None

    def _show(self) -> None:
        if self._bar is not None and self._total > 0:
            self._bar.n = min(1.0, self._done / self._total)
            now = perf_counter()
            if now - self._shown > _REFRESH or self._bar.n == 1.0:
                self._shown = now
                self._bar.refresh()


@contextmanager
def logging_to_someone(wanted: bool) -> Iterator[None]:
    """Let INFO through, to standard error if nobody has configured logging."""
    if not wanted or _logger.isEnabledFor(logging.INFO):
        yield
        return
    level, handler = _logger.level, logging.StreamHandler()
    configured = _logger.hasHandlers()
    _logger.setLevel(logging.INFO)
    if not configured:
        _logger.addHandler(handler)
    try:
        yield
    finally:
        _logger.setLevel(level)
        _logger.removeHandler(handler)


def _line(entry: dict[str, Any]) -> str:
    seconds = entry["seconds"]
    phases = ", ".join(f"{name} {s:.2f}" for name, s in seconds.items())
    return (
        f"norm {entry['norm']:g}, exponent {entry['exponent']:g}, {entry['rows']:,} rows, "
        f"iteration {entry['iteration']}: score {entry['score']:.5g}, alpha {entry['alpha']:.1e}, "
        f"residual {entry['residual']:.1e}, bandwidth {entry['bandwidth']:.4g}, "
        f"rank {entry['rank']}, {sum(seconds.values()):.2f} s ({phases})"
    )
