"""BLAS on one thread, where its bits must not depend on their number."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]


def one_blas_thread() -> AbstractContextManager[Any]:
    """Return a context in which NumPy's and SciPy's BLAS have one thread each."""
    limiter: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limiter


@cache
def _controller() -> ThreadpoolController:
    # Looking for the loaded libraries takes milliseconds, more than a small fit; setting their
    # number of threads takes none. NumPy and SciPy have loaded theirs by the first call.
    return ThreadpoolController()
