"""Which arrays of a fit are kept in the device's memory."""

from __future__ import annotations

from typing import Any

from fastrfm.cuda.memory import Memory

__all__ = ["on_device", "rows_on_device"]

# Rows are kept there while they take less than this part of what is free; else they stay on the
# host, and every pass streams them.
_PART_OF_ROWS = 0.4


def on_device(memory: Memory | None, array: Any) -> Any:
    """Return `array` in the device's memory, if there is one and an array."""
    return array if memory is None or array is None else memory.to_device(array)


def rows_on_device(memory: Memory | None, X: Any) -> Any:
    """Return the rows of a fit there, or as they are if they would take too much of it."""
    if memory is None or memory.holds(X) or X.nbytes > _PART_OF_ROWS * memory.free_bytes():
        return X
    return memory.to_device(X)
