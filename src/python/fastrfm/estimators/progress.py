"""Telling the user, and the user's callbacks, about each iteration of a fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Callback = Callable[[dict[str, Any]], None]

_logger = logging.getLogger("fastrfm")


@contextmanager
def iteration_log(n_iter: int, verbose: int, callbacks: Iterable[Callback]) -> Iterator[Callback]:
    """Give a function that takes a history entry, logs it and passes it to the callbacks.

    With `verbose` the entries go to the logger ``fastrfm`` at level INFO: at 1 a line for
    each iteration, at 2 with the seconds of each phase. If nobody has configured logging,
    they appear on standard error for as long as the fit takes.
    """

    def notify(entry: dict[str, Any]) -> None:
        if verbose:
            _logger.info(_line(entry, n_iter, phases=verbose > 1))
        for callback in callbacks:
            callback(entry)

    if not verbose or _logger.isEnabledFor(logging.INFO):
        yield notify
        return
    level, handler = _logger.level, logging.StreamHandler()
    configured = _logger.hasHandlers()
    _logger.setLevel(logging.INFO)
    if not configured:
        _logger.addHandler(handler)
    try:
        yield notify
    finally:
        _logger.setLevel(level)
        _logger.removeHandler(handler)


def _line(entry: dict[str, Any], n_iter: int, *, phases: bool) -> str:
    seconds = entry["seconds"]
    line = (
        f"iteration {entry['iteration']}/{n_iter}: score {entry['score']:.5g}, "
        f"residual {entry['residual']:.1e}, bandwidth {entry['bandwidth']:.4g}, "
        f"rank {entry['rank']}, {sum(seconds.values()):.2f} s"
    )
    if phases:
        line += " (" + ", ".join(f"{name} {s:.2f}" for name, s in seconds.items()) + ")"
    return line
