"""What a long computation tells, and is told, while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastrfm.keeper import Keeper

__all__ = ["SILENT", "Quiet", "Watch", "Work"]


@dataclass(frozen=True)
class Work:
    """How much a recursion has to do, in floating-point operations, iteration by iteration.

    An estimate, good to a factor of two: for progress bars and time limits.
    """

    iterations: tuple[float, ...]

    @property
    def flops(self) -> float:
        """Of all iterations."""
        return sum(self.iterations)

    def of_iteration(self, iteration: int) -> float:
        """Of one; of the last one beyond it."""
        return self.iterations[min(iteration, len(self.iterations) - 1)]


class Watch:
    """Is told what happens, and says whether to go on. This one keeps quiet and never stops.

    The engine and the solvers know no more than this; `fastrfm.estimators.progress` has the one
    that draws a bar, calls the user's callbacks and keeps to a time limit.

    Attributes
    ----------
    keeper : Keeper
        What keeps the state on the way.
    """

    keeper: Keeper = Keeper()

    def expect(self, works: Sequence[Work]) -> None:
        """Hear of recursions that will come."""

    def forget(self, works: Sequence[Work]) -> None:
        """Hear that recursions will not come after all."""

    def begin(self, work: Work) -> None:
        """Hear that a recursion begins."""

    def reserve(self, work: Work | None) -> None:
        """Hear of a recursion that time must be left for; None: of none any more."""

    def affords(self, work: Work) -> bool:
        """Say whether to begin a recursion that could be left out."""
        return True

    def phase(self, name: str) -> None:
        """Hear that a phase begins: "kernel", "solve", "select" or "AGOP"."""

    def residual(self, residual: float) -> None:
        """Hear the relative residual that an iterative solver has reached."""

    def iteration(self, entry: dict[str, Any]) -> None:
        """Hear that an iteration of the recursion is complete; `entry` is the history's."""

    def step(self, entry: dict[str, Any]) -> None:
        """Hear that an iteration is complete which is nobody's history."""

    def may_continue(self) -> bool:
        """Say whether to begin another iteration; without one the best so far is kept."""
        return True


SILENT = Watch()


class Quiet(Watch):
    """Passes everything on to another watch, but iterations as mere steps."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.keeper = watch.keeper
        self.begin = watch.begin  # type: ignore[method-assign]
        self.phase = watch.phase  # type: ignore[method-assign]
        self.residual = watch.residual  # type: ignore[method-assign]
        self.may_continue = watch.may_continue  # type: ignore[method-assign]

    def iteration(self, entry: dict[str, Any]) -> None:
        """Pass it on as a step."""
        self._watch.step(entry)
