"""Where a public function computes: what `device` says, and its arrays' own place.

By default that is where the arrays lie; what lies on the host may be computed on either device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from fastrfm import backend
from fastrfm.arrays import Caller, callers, is_on_device, to_host

__all__ = ["Placement", "check_device", "placed"]

DEVICES = ("cpu", "cuda")


def check_device(device: Any, *, more: tuple[str, ...] = ()) -> None:
    """Raise `ValueError` unless `device` is the name of one, or None."""
    if device is not None and (not isinstance(device, str) or device not in (*more, *DEVICES)):
        names = ", ".join(f'"{name}"' for name in (*more, *DEVICES))
        raise ValueError(f"device must be one of {names}; got {device!r}")


class Placement:
    """The arrays of one call of a public function, on their way in and out."""

    def __init__(self, caller: Caller, *, on_host: bool) -> None:
        self._caller = caller
        self._on_host = on_host
        self._taken: dict[int, Any] = {}

    def take(self, array: Any) -> Any:
        """Return an argument as NumPy's or CuPy's, the same one for the same one."""
        if array is None:
            return None
        key = id(array)
        if key not in self._taken:
            foreign = self._on_host and self._caller.library != "numpy"
            self._taken[key] = to_host(array) if foreign else self._caller.native(array)
        return self._taken[key]

    def take_out(self, out: Any) -> Any:
        """Return what the result is to be written to, or None."""
        return self._caller.native_out(out)

    def give(self, result: Any, out: Any = None) -> NDArray[Any]:
        """Return a result as the caller's kind of array; `out` where it was passed."""
        if self._caller.device is None and is_on_device(result):
            result = to_host(result)
        given: NDArray[Any] = self._caller.result(result) if out is None else out
        return given


@contextmanager
def placed(device: str | None, *, out: Any = None, **arrays: Any) -> Iterator[Placement]:
    """Run the ops of a block where `device` says, or where the arrays lie.

    Parameters
    ----------
    device : {"cpu", "cuda"} or None
        None: where the arrays lie.
    out : array or None
        What the result is to be written to.
    **arrays
        All others, by the names of the arguments.

    Raises
    ------
    TypeError, ValueError
        If the arrays are of several libraries or places, or `device` is none.
    RuntimeError
        If CUDA is to be used and cannot: what is missing.
    """
    check_device(device)
    caller = callers(**arrays, out=out)
    if device == "cpu":
        if out is not None and caller.device is not None:
            raise ValueError(
                f'out is on CUDA device {caller.device} and device="cpu"; leave one of them out'
            )
        with backend.running_on(backend.CPU):
            yield Placement(caller, on_host=True)
    elif caller.device is not None:
        with caller.running(), backend.running_on(backend.cuda_room()):
            yield Placement(caller, on_host=False)
    elif device == "cuda":
        with backend.running_on(backend.cuda_room()):
            yield Placement(caller, on_host=False)
    else:
        yield Placement(caller, on_host=False)
