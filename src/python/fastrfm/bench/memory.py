"""Peak resident memory of a piece of work in this process."""

from __future__ import annotations

import ctypes
import resource
from pathlib import Path

__all__ = ["PeakMemory"]

METHOD = (
    "highest resident set of the contender's own process during the operation, less what was "
    "resident before it (inputs and libraries)"
)


class PeakMemory:
    """Bytes that became resident since `reset`, at their highest.

    The kernel's own high-water mark (VmHWM) is set back to the present value before the work
    through /proc/self/clear_refs. Where that is not allowed, `resource.getrusage` gives the
    highest of the whole life of the process, so that only a new record shows.
    """

    def __init__(self) -> None:
        self._before = 0

    def reset(self) -> None:
        """Begin: free what the allocators hold back, then note what is resident."""
        # glibc keeps freed blocks; later work would seem to need nothing.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            pass
        self._before = _status("VmRSS") or _highest()

    def peak(self) -> int:
        """Return the bytes."""
        return max(0, (_status("VmHWM") or _highest()) - self._before)


def _status(name: str) -> int | None:
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def _highest() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
