"""How far the benchmark is: a bar on a terminal, a line for each case elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fastrfm.bench.cases import Case
from fastrfm.bench.processes import Measurement
from fastrfm.bench.work import work_of

__all__ = ["CaseProgress", "expected_seconds"]

# A rough guess of the seconds of a case, of which only the proportions count: starting, checking
# and the rounds of quick calls take the same in every case; slow peers do this many operations a
# second, in two runs.
FIXED_SECONDS = 6.0
OPERATIONS_PER_SECOND = 3e10
FIT_SECONDS = 60.0


def expected_seconds(case: Case) -> float:
    """Return a rough guess."""
    work = work_of(case)
    if work is None:
        return FIT_SECONDS
    return FIXED_SECONDS + (work.flops + work.lane_operations) / OPERATIONS_PER_SECOND


class CaseProgress:
    """Shows what happens now, how many cases are done and how long the others may take."""

    def __init__(self, cases: Sequence[Case], console: Console) -> None:
        self._console = console
        self._weights = {case: expected_seconds(case) for case in cases}
        self._done: list[Case] = []
        self._bar = Progress(
            SpinnerColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("starting the contenders", total=len(cases), left="")
        self._start = time.perf_counter()

    def __enter__(self) -> CaseProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def notify(self, text: str) -> None:
        """Say what happens now."""
        self._bar.update(self._task, description=text)

    def begin_cases(self) -> None:
        """Start the clock by which the rest is judged."""
        self._start = time.perf_counter()

    def finished(self, case: Case, results: Mapping[str, Measurement]) -> None:
        """Count a case."""
        self._done.append(case)
        left = self.time_left(time.perf_counter() - self._start)
        self._bar.update(self._task, advance=1, left=left)
        if not self._console.is_terminal:
            times = ", ".join(
                f"{name} {result.median:.3g} s" if result.seconds else f"{name} not timed"
                for name, result in results.items()
            )
            self._console.print(
                f"{len(self._done)}/{len(self._weights)} {case.label}: {times}; {left}",
                highlight=False,
                soft_wrap=True,
            )

    def time_left(self, elapsed: float) -> str:
        """Return in words how long the cases that are left may take."""
        done = sum(self._weights[case] for case in self._done)
        left = elapsed / done * (sum(self._weights.values()) - done)
        return f"about {left / 60:.0f} min left" if left >= 90 else f"about {left:.0f} s left"
