"""BLAS on one thread, where its bits must not depend on their number."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import RLock
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Return a context in which NumPy's and SciPy's BLAS have one thread each.

    Most BLAS libraries have one number of threads for the whole process, and the contexts of
    several Python threads overlap: it stays one until the last of them is left, and is then what
    it was before the first.
    """
    before = _hold.take()
    try:
        yield
    finally:
        _hold.drop(before)


class _Hold:
    """The contexts that are open, and what is to be restored after the last of them."""

    def __init__(self) -> None:
        self.lock = RLock()
        self._open = 0
        self._before: list[tuple[Any, int]] = []

    def take(self) -> list[tuple[Any, int]]:
        """Open a context; return the calling thread's own numbers, which `drop` restores."""
        with self.lock:
            own = [(blas, blas.num_threads) for blas in _libraries() if _is_per_thread(blas)]
            if self._open == 0:
                self._before = [
                    (blas, blas.num_threads) for blas in _libraries() if not _is_per_thread(blas)
                ]
            self._open += 1
            for blas in _libraries():
                _set(blas, 1)
        return own

    def drop(self, own: list[tuple[Any, int]]) -> None:
        """Close a context."""
        with self.lock:
            self._open -= 1
            for blas, threads in own if self._open else own + self._before:
                _set(blas, threads)

    def after_fork_in_child(self) -> None:
        """Close the contexts, which are of threads that the child does not have."""
        if self._open:
            self._open = 0
            for blas, threads in self._before:
                _set(blas, threads)
        self.lock.release()


_hold = _Hold()
if hasattr(os, "register_at_fork"):
    # The lock is taken before, so that the child does not find it locked or a change half made.
    os.register_at_fork(
        before=_hold.lock.acquire,
        after_in_parent=_hold.lock.release,
        after_in_child=_hold.after_fork_in_child,
    )


@cache
def _libraries() -> list[Any]:
    # Looking for the loaded libraries takes milliseconds, more than a small fit; setting their
    # number of threads takes none. NumPy and SciPy have loaded theirs by the first call.
    controller = ThreadpoolController().select(user_api="blas")
    libraries: list[Any] = controller.lib_controllers
    return libraries


def _is_per_thread(blas: Any) -> bool:
    """Whether each Python thread has its own number: MKL as threadpoolctl sets it, and OpenMP."""
    return blas.internal_api == "mkl" or getattr(blas, "threading_layer", None) == "openmp"


def _set(blas: Any, threads: int) -> None:
    # From 3.8 on threadpoolctl ignores a Python thread that sets OpenBLAS's number while another
    # one is inside a threadpool_limits; the bits of a fit must not depend on that.
    setter = getattr(blas, "_real_set_num_threads", blas.set_num_threads)
    setter(threads)
