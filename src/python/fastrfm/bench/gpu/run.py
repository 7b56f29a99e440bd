"""The stages of a run, in the order of their importance, each within its time."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

import fastrfm
from fastrfm.backend import cuda_room
from fastrfm.bench.gpu.budget import Budget, DeviceLostError, Runner
from fastrfm.bench.gpu.card import describe_card
from fastrfm.bench.gpu.cases import Sizes, full_sizes, rehearsal_sizes
from fastrfm.bench.gpu.ceilings import measure_ceilings
from fastrfm.bench.gpu.contenders import Contender, Ours, open_peers
from fastrfm.bench.gpu.device import CupyDevice, Device, HostDevice, open_emulator
from fastrfm.bench.gpu.fits import measure_fit
from fastrfm.bench.gpu.ops import measure_op
from fastrfm.bench.gpu.report import bars, markdown
from fastrfm.bench.gpu.sanitize import (
    TOOLS,
    command_line,
    find_sanitizer,
    run_command,
    verdict,
    written,
)
from fastrfm.bench.gpu.store import Store
from fastrfm.bench.gpu.suite import run_tests
from fastrfm.bench.gpu.tiers import measure_tiers, suggest
from fastrfm.bench.machine import describe_machine

__all__ = ["STAGES", "STAGE_SECONDS", "Options", "report", "run"]

# After a build: first whether it is right, then the numbers that nothing else can give.
STAGES = ("ceilings", "tests", "ops", "fits", "tiers", "sanitize")
# What a stage may take: not measured yet, but shared out so that two calls of ten minutes, the
# first with the build, take all of them.
STAGE_SECONDS = {
    "ceilings": 30.0,
    "tests": 180.0,
    "ops": 240.0,
    "fits": 300.0,
    "tiers": 90.0,
    "sanitize": 300.0,
}
# What an entry should have left to begin. Not measured yet: the inputs of the largest, the peers'
# six-second calls and three rounds.
NEEDS = {"ceilings": 10.0, "tests": 30.0, "ops": 12.0, "tiers": 5.0, "sanitize": 30.0}
REHEARSED_NEEDS = 0.5
# Of a test run that only shows that pytest is called as it has to be.
REHEARSED_TESTS = ("tests/test_cuda_tiers.py", "-m", "emulated", "-k", "unknown_tier")


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes
    ----------
    root : Path
        Of the checkout.
    output : Path
        A folder.
    stages : sequence of str
        Of `STAGES`.
    peers : sequence of str
        Of `fastrfm.bench.gpu.contenders.PEERS`.
    rehearse, resume : bool
    time_limit : float
        Seconds.
    commit : str or None
    only : str
        Entries of operations, fits and tiers whose label contains all words of this.
    build : dict, optional
        The entry of a build that was made for this run.
    """

    root: Path
    output: Path
    stages: Sequence[str] = STAGES
    peers: Sequence[str] = ()
    rehearse: bool = False
    resume: bool = False
    time_limit: float = inf
    commit: str | None = None
    only: str = ""
    build: dict[str, Any] | None = None


def run(options: Options) -> list[str]:
    """Measure, write ``gpu.json`` and ``gpu.md``, and return what failed.

    Raises
    ------
    RuntimeError, ImportError, FileNotFoundError
        If there is nothing to measure on: says what is missing.
    ValueError
        If the results' file is not one.
    """
    device = _open_device(options)
    store = Store(_results(options))
    peers, versions, absent = open_peers(options.peers, device)
    machine = describe_machine(os.cpu_count() or 1) | {"commit": options.commit}
    card = describe_card(device)
    versions |= {"fastrfm": fastrfm.__version__, "numpy": np.__version__}
    if isinstance(device, CupyDevice):
        versions["cupy"] = device.xp.__version__
    machine |= {"rehearsal": options.rehearse, "gpu": card, "versions": versions, "absent": absent}
    store.describe(machine)
    runner = Runner(
        store,
        {"commit": options.commit, "card": card["card"]},
        Budget(options.time_limit),
        resume=options.resume,
        say=_say,
        synchronize=device.synchronize,
    )
    if options.build is not None:
        build = options.build
        runner.run("build", "wheel", lambda: build, needs=0.0)
    try:
        _Stages(options, device, [Ours(device), *peers], runner).run()
    except DeviceLostError as error:
        runner.failed.append("the device")
        _say(f"stopped: the device is in error {error}")
    report(options)
    for what, value, bar, met in bars(store.content()):
        _say(f"{'met' if met else 'MISSED'}: {what}: {value}, bar {bar}")
    suggestion = suggest([e for e in store.content()["entries"].values() if e["stage"] == "tiers"])
    if suggestion is not None:
        _say(f"suggested kTensorFlops: {suggestion['flops']}, now {suggestion['now']}")
    return runner.failed


def report(options: Options) -> None:
    """Make the page of the results' file, and print it.

    Raises
    ------
    ValueError
        If there is no such file, or it is not one.
    """
    path = _results(options)
    if not path.is_file():
        raise ValueError(f"there is no {path}")
    page = path.with_suffix(".md")
    page.write_text(markdown(Store(path).content()))
    _say(page.read_text())
    _say(f"wrote {page} from {path.name}")


def _results(options: Options) -> Path:
    return options.output / f"gpu{'_rehearsal' if options.rehearse else ''}.json"


class _Stages:
    """The stages' work."""

    def __init__(
        self, options: Options, device: Device, contenders: list[Contender], runner: Runner
    ) -> None:
        self._options, self._device, self._runner = options, device, runner
        self._contenders = contenders
        self._sizes: Sizes = rehearsal_sizes() if options.rehearse else full_sizes()
        self._words = options.only.split()

    def run(self) -> None:
        """Run those that are asked for."""
        for stage in STAGES:
            if stage in self._options.stages:
                getattr(self, f"_{stage}")(self._runner.budget.within(STAGE_SECONDS[stage]))

    def _needs(self, stage: str) -> float:
        return REHEARSED_NEEDS if self._options.rehearse else NEEDS[stage]

    def _asked_for(self, label: str) -> bool:
        return all(word in label.split() for word in self._words)

    def _ceilings(self, budget: Budget) -> dict[str, Any] | None:
        sizes = self._sizes
        return self._runner.run(
            "ceilings",
            "rates",
            lambda: measure_ceilings(self._device, sizes.copy_bytes, sizes.product_side),
            needs=self._needs("ceilings"),
            budget=budget,
        )

    def _tests(self, budget: Budget) -> None:
        selection = REHEARSED_TESTS if self._options.rehearse else ("tests", "-m", "gpu")
        self._device.release()  # the tests' process has the card's memory
        self._runner.run(
            "tests",
            " ".join(selection),
            lambda: run_tests(self._options.root, selection, budget.left()),
            needs=self._needs("tests"),
            budget=budget,
        )

    def _ops(self, budget: Budget) -> None:
        ceilings = self._runner.store.get("ceilings/rates")
        if ceilings is None or ceilings["reason"] is not None:
            ceilings = self._ceilings(budget)
        if ceilings is None or ceilings["reason"] is not None:
            self._runner.say("ops: skipped, no floors without the ceilings")
            return
        for case in self._sizes.ops:
            if self._asked_for(case.label):
                self._runner.run(
                    "ops",
                    case.label,
                    partial(
                        measure_op,
                        case,
                        self._device,
                        self._contenders,
                        ceilings,
                        self._sizes.rounds_seconds,
                    ),
                    needs=self._needs("ops"),
                    budget=budget,
                )

    def _tiers(self, budget: Budget) -> None:
        for case in self._sizes.tiers:
            if self._asked_for(case.label):
                self._runner.run(
                    "tiers",
                    case.label,
                    partial(measure_tiers, case, self._device, self._sizes.rounds_seconds),
                    needs=self._needs("tiers"),
                    budget=budget,
                )

    def _fits(self, budget: Budget) -> None:
        for case in self._sizes.fits:
            if self._asked_for(case.label):
                self._runner.run(
                    "fits",
                    case.label,
                    partial(measure_fit, case, self._device, budget.left()),
                    needs=REHEARSED_NEEDS if self._options.rehearse else case.most_seconds / 2,
                    budget=budget,
                )

    def _sanitize(self, budget: Budget) -> None:
        sanitizer = find_sanitizer(os.environ)
        if self._options.rehearse:
            command = [sys.executable, "-m", "fastrfm.bench.gpu.small_ops", "--rehearse"]
            command.append(str(self._options.root))
            self._runner.run(
                "sanitize",
                "small operations, without it",
                lambda: run_command(command, budget.left()) | {"command": "small_ops --rehearse"},
                needs=REHEARSED_NEEDS,
                budget=budget,
            )
        self._device.release()
        for tool in TOOLS:
            command = command_line(sanitizer or "compute-sanitizer", tool)
            self._runner.run(
                "sanitize",
                tool,
                partial(self._tool, sanitizer, command, budget),
                needs=self._needs("sanitize"),
                budget=budget,
            )

    def _tool(self, sanitizer: str | None, command: list[str], budget: Budget) -> dict[str, Any]:
        if self._options.rehearse:
            return {"command": written(command), "note": "not run in a rehearsal"}
        if sanitizer is None:
            return {"reason": "compute-sanitizer is not on PATH, in $CUDA_HOME or /usr/local/cuda"}
        return verdict(run_command(command, budget.left()))


def _open_device(options: Options) -> Device:
    if options.rehearse:
        return HostDevice(open_emulator(options.root))
    cuda_room()  # says what is missing
    return CupyDevice(importlib.import_module("cupy"))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
