"""Where an estimator computes, and data that come from a device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from numpy.typing import NDArray

from fastrfm import backend
from fastrfm.arrays import callers, to_host
from fastrfm.ensemble import work_of_member
from fastrfm.problem import Member, Problem
from fastrfm.ridge.device_plan import make_device_plan
from fastrfm.rooms import Room

__all__ = ["as_given", "device_of", "fit_place", "host_data"]

# Operations of a fit from which "auto" takes CUDA: one second of two CPU cores, about what loading
# CuPy and its libraries takes in a new process. Counted, not measured.
AUTO_FLOPS = 1e11


def device_of(data: Any) -> int | None:
    """Return the CUDA device that data lie on; None: the host."""
    return callers(data=data).device


def host_data(data: Any) -> Any:
    """Return CuPy's arrays and PyTorch's tensors as NumPy's; all else as it is."""
    return to_host(data) if data is not None and _is_foreign(data) else data


def as_given(X: Any, result: NDArray[Any]) -> Any:
    """Return a result as an array of the kind of `X`, where that lies.

    Labels that are no numbers stay NumPy's.
    """
    if not _is_foreign(X) or result.dtype.kind not in "fiub":
        return result
    return callers(X=X).result(result)


@contextmanager
def fit_place(
    device: str, problem: Problem, members: Sequence[Member], data_device: int | None
) -> Iterator[int | None]:
    """Run a block where to fit; yields the CUDA device, None for the CPU.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        "auto" takes CUDA where it can be used, has the memory, and either the data lay there or the
        work is worth it.
    problem : Problem
    members : sequence of Member
    data_device : int or None
        The device that the data lay on, which is then taken; else it is the current one.

    Raises
    ------
    RuntimeError
        For "cuda", if it cannot be used: what is missing.
    """
    with ExitStack() as stack:
        room = backend.CPU
        if device == "cuda":
            room = _cuda(data_device, stack)
        elif device == "auto":
            room = backend.room()
            if room is backend.CPU and (
                data_device is not None or _flops(problem, members) >= AUTO_FLOPS
            ):
                room = _cuda_if_it_can(problem, members, data_device, stack)
        stack.enter_context(backend.running_on(room))
        yield None if room.memory is None else room.memory.number


def _is_foreign(data: Any) -> bool:
    return callers(data=data).library != "numpy"


def _flops(problem: Problem, members: Sequence[Member]) -> float:
    return sum(work_of_member(problem, member, member.settings).flops for member in members)


def _cuda(number: int | None, stack: ExitStack) -> Room:
    """Return the room of a device, None for the current one, which is current until the stack ends.

    Raises
    ------
    RuntimeError
        If it cannot be used.
    """
    room = backend.cuda_room()
    if number is not None and room.memory is not None:
        stack.enter_context(room.memory.using(number))
    return room


def _cuda_if_it_can(
    problem: Problem, members: Sequence[Member], number: int | None, stack: ExitStack
) -> Room:
    """Return CUDA's room, or the CPU's where that cannot be used or has too little memory."""
    try:
        room = _cuda(number, stack)
        assert room.memory is not None
        for member in members:
            X = problem.tables[member.columns]
            make_device_plan(
                len(X),
                X.shape[1],
                problem.Y.shape[1],
                problem.Y.dtype,  # rows may be of small integers
                member.settings.solver,
                member.settings.memory_limit,
                room.memory,
            )
    except (RuntimeError, ImportError, MemoryError, ValueError):
        return backend.CPU
    return room
