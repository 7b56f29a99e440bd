"""The machine's rates, measured by the contenders' processes before and after the cases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from fastrfm.bench.contenders import OURS
from fastrfm.bench.processes import BLAS_OVERRIDES, Process
from fastrfm.bench.rates import lane_rate, write_rate
from fastrfm.bench.work import Rates

__all__ = ["MachineRates", "MeasuredRates"]

NUMPY, PYTORCH = "NumPy", "PyTorch"


@dataclass(frozen=True)
class MeasuredRates:
    """The best rates of the run.

    Attributes
    ----------
    sgemm : dict
        Flops a second, by whose BLAS; the best one makes the roofline.
    copy, write, fresh_fill : float
        Bytes a second: read and written by a copy; written to memory that is there; written to
        memory not handed out before.
    lanes : float
        Lane operations a second.
    write_method, lanes_method : str
        How those were found.
    """

    sgemm: dict[str, float]
    copy: float
    write: float
    fresh_fill: float
    lanes: float
    write_method: str
    lanes_method: str

    def for_floors(self) -> Rates:
        """Return what floors are computed with."""
        return Rates(max(self.sgemm.values()), self.copy, self.write, self.lanes)


class MachineRates:
    """Measures; of several times the best counts.

    Parameters
    ----------
    running : mapping of str to Process
        `OURS`, and the others that run.
    threads : int
    quick : bool
        Smaller products.
    """

    def __init__(self, running: Mapping[str, Process], threads: int, *, quick: bool) -> None:
        self._running, self._threads, self._quick = running, threads, quick
        self._sgemm: dict[str, float] = {}
        self._copy = self._write = self._fill = self._lanes = 0.0
        self._write_method = self._lanes_method = ""

    def measure(self) -> None:
        """Measure all; keep what is better than before."""
        ours = self._running[OURS]
        self._measure_sgemm(NUMPY, ours)
        if PYTORCH in self._running:
            self._measure_sgemm(PYTORCH, self._running[PYTORCH])
        # A roofline is the machine's, not that of the processor which a variable names.
        overrides = [variable for variable in BLAS_OVERRIDES if variable in os.environ]
        if overrides:
            process = Process(OURS, self._threads, overrides=False)
            try:
                process.receive()
                self._measure_sgemm(f"{NUMPY} without {', '.join(overrides)}", process)
            finally:
                process.close()
        copy, fill = ours.ask("memory_rates", threads=self._threads, quick=self._quick)
        self._copy, self._fill = max(copy, self._copy), max(fill, self._fill)
        write, self._write_method = write_rate(self._threads, quick=self._quick)
        self._write = max(write, self._write)
        lanes, self._lanes_method = lane_rate(self._threads, max(self._sgemm.values()))
        self._lanes = max(lanes, self._lanes)

    def best(self) -> MeasuredRates:
        """Return the best of each."""
        return MeasuredRates(
            self._sgemm,
            self._copy,
            self._write,
            self._fill,
            self._lanes,
            self._write_method,
            self._lanes_method,
        )

    def _measure_sgemm(self, name: str, process: Process) -> None:
        rate = process.ask("sgemm", quick=self._quick)
        self._sgemm[name] = max(rate, self._sgemm.get(name, 0.0))
