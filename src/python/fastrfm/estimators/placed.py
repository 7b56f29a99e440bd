"""Fitted estimators that predict on a device: their centres stay in its memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from fastrfm import backend
from fastrfm.arrays import to_host
from fastrfm.estimators.fitted import FittedMember
from fastrfm.preprocessing import Columns

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Movable"]


class _Decides(Protocol):
    @property
    def columns_(self) -> Columns: ...

    def decide(self, X: NDArray[Any]) -> NDArray[Any]: ...


class Movable:
    """What estimators know of the device that they predict on.

    Attributes
    ----------
    members_ : list of FittedMember
    device_ : {"cpu", "cuda"}
    """

    members_: list[FittedMember]
    device_: str
    _placed: _Placed | None

    def to_device(self, device: str) -> Self:
        """Move a fitted estimator: where it predicts from now on.

        Parameters
        ----------
        device : {"cpu", "cuda"}
            "cuda" is CuPy's current device; the centres stay in its memory until the estimator is
            fitted again, moved back, or gone.

        Returns
        -------
        self : object

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        ValueError
            For another device.
        RuntimeError
            If CUDA cannot be used: says what is missing.
        MemoryError
            If the centres do not fit on the device.
        """
        check_is_fitted(self)
        if device not in ("cpu", "cuda"):
            raise ValueError(f'device must be "cpu" or "cuda"; got {device!r}')
        placed = None
        if device == "cuda":
            room = backend.cuda_room()
            assert room.memory is not None
            with backend.running_on(room):
                placed = _Placed(room.memory.number, _place(self.members_))
        self._go_to(None)
        self.device_, self._placed = device, placed
        return self

    def _go_to(self, number: int | None) -> None:
        """Note a device, None for the CPU; the centres go there when a prediction needs them."""
        self.device_ = "cpu" if number is None else "cuda"
        self._placed = None if number is None else _Placed(number)

    @contextmanager
    def _deciding(self) -> Iterator[Sequence[_Decides]]:
        """Return the members where they predict, in whose room the block runs."""
        placed = self._placed
        if placed is None:
            yield self.members_
            return
        room = backend.cuda_room()
        assert room.memory is not None
        # Whatever device is current now, in this thread.
        with room.memory.using(placed.number), backend.running_on(room):
            if placed.members is None:
                placed.members = _place(self.members_)
            yield placed.members

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: memory of a device is not, and whoever loads it may have none."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        if "_placed" in state:
            state = {**state, "device_": "cpu", "_placed": None}
        return state


@dataclass
class _Placed:
    """A device, and the members there once they are."""

    number: int
    members: list[_PlacedMember] | None = None


class _PlacedMember:
    """A member whose centres and coefficients lie on the device in use."""

    def __init__(self, member: FittedMember) -> None:
        memory = backend.device_memory()
        assert memory is not None
        self._member = member
        self.columns_ = member.columns_
        self._centers = memory.to_device(member.X_fit_)
        self._coef = memory.to_device(member.dual_coef_)

    def decide(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return ``K(X, X_fit_) @ dual_coef_`` for encoded rows; NumPy's."""
        member = self._member
        return to_host(
            backend.kernel_matmul(X, self._centers, self._coef, member._kernel, member._root),
            np.float64,
        )


def _place(members: Sequence[FittedMember]) -> list[_PlacedMember]:
    memory = backend.device_memory()
    assert memory is not None
    try:
        return [_PlacedMember(member) for member in members]
    except MemoryError as error:
        needed = sum(m.X_fit_.nbytes + m.dual_coef_.nbytes for m in members)
        raise MemoryError(
            f"the centres and coefficients take {needed:,} bytes on {memory.device}, where "
            f"{memory.free_bytes():,} are free; free what else lies there, or predict on the CPU: "
            'to_device("cpu")'
        ) from error.with_traceback(None)
