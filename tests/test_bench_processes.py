"""The benchmark's contenders: their processes, rounds, builds, and what is said meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fastrfm.bench.cases import Case
from fastrfm.bench.contenders import OURS
from fastrfm.bench.contenders.keops_build import building
from fastrfm.bench.machine_rates import MachineRates
from fastrfm.bench.processes import Measurement, Process, ProcessError, interleave, start
from fastrfm.bench.progress import CaseProgress
from fastrfm.bench.protocol import Prepared, Timing


@pytest.fixture(scope="module")
def process() -> Any:
    child = Process(OURS, 1)
    child.receive()
    yield child
    child.close()


@pytest.mark.slow
def test_the_best_rates_count_and_a_forced_blas_does_not_lower_them(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setattr("fastrfm.bench.machine_rates.lane_rate", lambda *_: (1.0, "assumed"))
    measured = MachineRates({OURS: process}, 1, quick=True)
    measured.measure()
    found = measured.best()
    assert len(found.sgemm) == 2
    assert found.for_floors().sgemm == max(found.sgemm.values()) > 1e9


def test_rounds_are_interleaved_and_measured(process: Process) -> None:
    said: list[str] = []
    case = Case("agop", 50, 3)
    processes = {OURS: process, "again": process}
    results = interleave(case, processes, budget=0, notify=said.append)
    assert [len(result.seconds) for result in results.values()] == [3, 3]
    assert all(result.error < 1e-4 for result in results.values())
    rounds = [text.split(": ")[1].split(",")[0] for text in said if "round" in text]
    assert rounds == [OURS, "again"] * 3


def test_a_whole_fit_is_scored(process: Process) -> None:
    case = Case("fit_fixed", 400, 6)
    result = interleave(case, {OURS: process}, budget=0, notify=lambda text: None)[OURS]
    assert len(result.seconds) == 1
    assert 0.05 < result.error < 0.9


def test_a_contender_that_fails_says_why(process: Process) -> None:
    with pytest.raises(ProcessError, match="ValueError: unknown request 'fly'"):
        process.ask("fly")
    failed = interleave(
        Case("nonsense", 10, 2), {OURS: process}, budget=0, notify=lambda text: None
    )[OURS]
    assert failed.seconds == []
    assert failed.reason is not None


def test_a_missing_package_is_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    running, absent = start(["PyTorch"], 1)
    assert running == {}
    assert absent == {"PyTorch": "not installed (no torch here)"}


def test_a_contender_that_cannot_be_loaded_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise PermissionError('no cache here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert start(["PyTorch"], 1)[1] == {
        "PyTorch": "cannot be loaded (PermissionError: no cache here)"
    }


def test_a_slow_call_is_refused_after_a_part_of_its_rows(process: Process) -> None:
    case = Case("agop", 200, 3)
    with pytest.raises(ProcessError, match=r"too slow: about 0 s a call, judged by 4 of 200 rows"):
        process.ask("prepare", case, limit=0.0)
    assert process.ask("prepare", case, limit=60.0).error < 1e-4


class Fake:
    """A process whose calls take as long as it says."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def ask(self, what: str, case: Case | None = None, **options: Any) -> Any:
        answers = {"supports": True, "drop": None, "run": Timing(self.seconds, 1, 0.5)}
        fit = case is not None and case.is_fit
        answers["prepare"] = Prepared(0.0, None if fit else Timing(self.seconds, 2, 0.5))
        return answers[what]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("op", "seconds", "rounds"),
    [
        ("agop", 0.01, 15),
        ("agop", 0.45, 4),  # as many as fit into 2 s
        ("agop", 3.9, 3),
        ("agop", 4.1, 2),
        ("agop", 11.0, 1),  # the checked first run itself
        ("fit_fixed", 0.01, 3),
        ("fit_fixed", 11.0, 1),
    ],
)
def test_slow_contenders_get_fewer_rounds(op: str, seconds: float, rounds: int) -> None:
    processes: dict[str, Any] = {OURS: Fake(0.01), "other": Fake(seconds)}
    results = interleave(Case(op, 100, 3), processes, budget=2.0, notify=lambda text: None)
    assert len(results["other"].seconds) == rounds
    assert len(results[OURS].seconds) == (3 if op == "fit_fixed" else 15)


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("x.cpp: In function f\nx.cpp:1: error: no Python.h", "x.cpp:1: error: no Python.h"),
        ("", "no module x"),
    ],
)
def test_what_stops_a_build_is_said(printed: str, reason: str) -> None:
    def build() -> None:
        with building():
            print(printed)
            raise ImportError("no module x")

    with pytest.raises(RuntimeError, match=f"^compiling failed: {reason}$"):
        build()


@pytest.mark.slow
def test_builds_are_kept_unless_their_process_was_killed(tmp_path: Path) -> None:
    """As PyKeOps does: a list is written at exit, by what was registered after the mark."""
    folder = tmp_path / "fastrfm-bench" / "keops"
    script = """if True:
        import atexit, os, sys
        from fastrfm.bench.contenders.keops_build import build_folder
        folder = build_folder()
        atexit.register(lambda: (folder / "list").write_text(str((folder / "in-use").exists())))
        print(sorted(path.name for path in folder.iterdir()))
        sys.stdout.flush()
        if sys.argv[1] == "killed":
            os._exit(1)
        if sys.argv[1] != "fails":
            sys.modules["pykeops.torch"] = sys  # as if it were imported
    """

    def left_by_the_one_before(end: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", script, end],
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        ).stdout.strip()

    assert left_by_the_one_before("ends") == "['in-use']"
    assert (folder / "list").read_text() == "True"
    assert left_by_the_one_before("killed") == "['in-use', 'list']"
    assert left_by_the_one_before("fails") == "['in-use']"
    assert left_by_the_one_before("ends") == "['in-use']"


@pytest.mark.slow
def test_a_process_may_finish_what_it_does_at_exit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text(
        "import atexit, pathlib, time\n"
        f"written = pathlib.Path({str(tmp_path / 'written')!r})\n"
        "atexit.register(lambda: (time.sleep(0.3), written.touch()))\n"
        "raise ImportError('none')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert start(["PyTorch"], 1)[0] == {}
    assert (tmp_path / "written").exists()


def test_progress_says_how_long_the_rest_takes() -> None:
    console = Console(file=StringIO(), width=100)
    cases = [Case("agop", 100, 3), Case("agop", 101, 3), Case("agop", 10_000, 784, 10)]
    with CaseProgress(cases, console) as progress:
        progress.notify("now")
        progress.finished(cases[0], {OURS: Measurement([0.5]), "xRFM": Measurement(reason="no")})
        assert progress.time_left(3.0) == "about 36 s left"
        assert progress.time_left(60.0) == "about 12 min left"
        progress.finished(cases[1], {})
        progress.finished(cases[2], {})
        assert progress.time_left(60.0) == "about 0 s left"
    assert "1/3 agop p=2 n=100 d=3 c=1: fastrfm 0.5 s, xRFM not timed" in console.file.getvalue()  # type: ignore[attr-defined]
