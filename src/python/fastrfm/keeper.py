"""What keeps the state of a long computation, so that a later run can go on from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastrfm.checkpoints.identity import Identity
    from fastrfm.recursion import RecursionResult, RecursionState
    from fastrfm.ridge.pcg import CgState

__all__ = ["Keeper"]


class Keeper:
    """Is told how far a fit has come, and gives back what an earlier run told. This keeps nothing.

    A fit is a sequence of named recursions, a recursion one of iterations, an iteration one of
    solves. Everything else (encoding, the rows that are drawn, the kernel matrix, preconditioners,
    weights) follows from data, parameters and the state of `rng`, and is done again. The one that
    writes files is `fastrfm.checkpoints`'.
    """

    def begin(self, identity: Callable[[], Identity]) -> None:
        """Hear that a fit begins, and of what it is."""

    def end(self) -> None:
        """Hear that it has ended."""

    def recursion(
        self, name: str, rng: np.random.RandomState, compute: Callable[[], RecursionResult]
    ) -> RecursionResult:
        """Return what the recursion of this name came to in the earlier run, else ``compute()``.

        `rng` is then where it was after it.
        """
        return compute()

    def decide(self, decision: Callable[[], bool]) -> bool:
        """Return whether the fit goes on, between recursions as an earlier run did, else by asking.

        Where a time limit or a callback has ended a fit, what came of it depends on the moment.
        """
        return decision()

    def resumed_iteration(self, rng: np.random.RandomState) -> RecursionState | None:
        """Return the state in which the present recursion is to go on; `rng` is set to that."""
        return None

    def iteration(self, state: RecursionState, rng: np.random.RandomState) -> None:
        """Hear that an iteration begins."""

    def resumed_solve(self) -> CgState | None:
        """Hear that a solve by CG begins; return the state in which it is to go on."""
        return None

    def step(self, state: CgState) -> None:
        """Hear what CG knows after a step; its arrays change after that."""
