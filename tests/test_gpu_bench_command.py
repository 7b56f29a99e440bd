"""bench/gpu.py: the programs that it calls, its options, and what is missing."""

from __future__ import annotations

import ctypes
import importlib.util
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fastrfm.bench.gpu import sanitize, suite
from fastrfm.bench.gpu.contenders import PEERS, open_peers
from fastrfm.bench.gpu.run import STAGES

ROOT = Path(__file__).resolve().parent.parent
COMMAND = runpy.run_path(str(ROOT / "bench" / "gpu.py"))


# ---- other programs


def test_the_sanitizer_is_looked_for(tmp_path: Path) -> None:
    empty = {"PATH": str(tmp_path)}
    assert sanitize.find_sanitizer(empty, tmp_path / "toolkit") is None
    for folder, variables in (("toolkit", {}), ("home", {"CUDA_HOME": str(tmp_path / "home")})):
        program = tmp_path / folder / "bin" / "compute-sanitizer"
        program.parent.mkdir(parents=True)
        program.touch(0o755)
        found = sanitize.find_sanitizer({**empty, **variables}, tmp_path / "toolkit")
        assert found == str(program)
    on_path = {"PATH": str(tmp_path / "home" / "bin")}
    assert sanitize.find_sanitizer(on_path, tmp_path / "toolkit") == str(program)


def test_the_sanitizer_s_command_line() -> None:
    assert sanitize.command_line("/somewhere/compute-sanitizer", "racecheck") == [
        "/somewhere/compute-sanitizer",
        "--tool=racecheck",
        "--error-exitcode=99",
        "--print-limit=20",
        sys.executable,
        "-m",
        "fastrfm.bench.gpu.small_ops",
    ]


@pytest.mark.parametrize(
    ("said", "errors", "reason"),
    [
        ("========= ERROR SUMMARY: 0 errors", 0, None),
        ("========= ERROR SUMMARY: 1 error", 1, "1 errors"),
        ("========= RACECHECK SUMMARY: 2 hazards displayed (2 errors, 0 warnings)", 2, "2 errors"),
        ("killed", None, "no summary in what it said"),
    ],
)
def test_the_sanitizer_s_verdict(said: str, errors: int | None, reason: str | None) -> None:
    entry = sanitize.verdict({"said": said, "reason": None})
    assert (entry["errors"], entry["reason"]) == (errors, reason)


def test_programs_end_in_time_and_say_why() -> None:
    python = [sys.executable, "-c"]
    good = sanitize.run_command([*python, "print(1)"], 60)
    assert (good["status"], good["said"], good["reason"]) == (0, "1\n", None)
    assert good["command"] == "python -c 'print(1)'"
    bad = sanitize.run_command([*python, "raise SystemExit(3)"], 60)
    assert bad["reason"] == "exit status 3"
    late = sanitize.run_command([*python, "import time; time.sleep(60)"], 0.3)
    assert late["reason"] == "not done in 0 s"


def test_tests_that_cannot_run_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = suite.run_tests(tmp_path, (), 60)
    assert entry["reason"] == f"not run: there is no folder tests in {tmp_path}"
    find_spec = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name == "pytest_timeout" else find_spec(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    entry = suite.run_tests(ROOT, (), 60)
    assert entry["reason"] == "not run: pytest-timeout not installed (pip install pytest-timeout)"


@pytest.mark.parametrize(
    ("numbers", "counts", "reason"),
    [
        ((5, 1, 1, 1), (2, 2, 1), "2 of 5 tests failed"),
        ((3, 0, 0, 3), (0, 0, 3), "no test ran, 3 were skipped"),
        ((3, 0, 0, 1), (2, 0, 1), None),
    ],
)
def test_tests_are_counted(
    numbers: tuple[int, ...], counts: tuple[int, int, int], reason: str | None
) -> None:
    names = ("tests", "failures", "errors", "skipped")
    attributes = " ".join(f'{name}="{n}"' for name, n in zip(names, numbers, strict=True))
    entry = suite.counted(f"<testsuites><testsuite {attributes} /></testsuites>")
    assert (entry["passed"], entry["failed"], entry["skipped"]) == counts
    assert entry["reason"] == reason


# ---- the command


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the driver away."""

    def fails(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", fails)


@pytest.mark.usefixtures("no_driver")
def test_without_a_gpu_it_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    find_spec = importlib.util.find_spec
    absent = {"cupy", "pybind11"}

    def without(name: str, *rest: Any) -> Any:
        return None if name in absent else find_spec(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDACXX", raising=False)
    monkeypatch.setitem(COMMAND["missing"].__globals__, "NVCC_FOLDER", str(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        COMMAND["main"](["--output", str(tmp_path)])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "no NVIDIA driver: libcuda.so.1 is not there\n" in said
    assert "cupy is not installed: pip install 'cupy-cuda13x[ctk]'\n" in said
    assert "pybind11 is not installed: pip install 'pybind11'\n" in said
    assert f"no nvcc on PATH, in {tmp_path} or named by CUDACXX\n" in said
    assert "--rehearse runs the whole programme without a GPU\n" in said
    assert list(tmp_path.iterdir()) == []
    # Without the build its tools are not asked for, but its result is.
    absent |= {"fastrfm"}
    lacks = COMMAND["missing"](["ops"])
    assert "fastrfm is not installed: --stage build installs this checkout" in lacks
    assert not [lack for lack in lacks if "pybind11" in lack or "nvcc" in lack]


def test_stages_and_rivals_are_those_of_the_package() -> None:
    assert COMMAND["STAGES"] == ("build", *STAGES)
    assert COMMAND["PEERS"] == tuple(PEERS)


def test_it_needs_nothing_but_python_to_say_so() -> None:
    """Before the build there may be no NumPy: neither the import nor the check uses it."""
    code = "import runpy, sys; runpy.run_path(sys.argv[1]); assert 'numpy' not in sys.modules"
    command = [sys.executable, "-S", "-c", code, str(ROOT / "bench" / "gpu.py")]
    subprocess.run(command, check=True)


@pytest.mark.parametrize(
    ("capability", "architecture"),
    [((9, 0), "90a-real"), ((8, 6), "86-real"), ((10, 0), "100-real")],
)
def test_a_build_is_for_this_card(
    capability: tuple[int, int], architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMAKE_ARGS", "-DA=1")
    environment = COMMAND["build_environment"](capability)
    assert environment == {
        "FASTRFM_CUDA": "ON",
        "CMAKE_ARGS": f"-DA=1 -DFASTRFM_CUDA_ARCHITECTURES={architecture}",
    }
    command = COMMAND["build_command"]()
    assert {"--no-build-isolation", "--no-deps", str(ROOT)} <= set(command)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--time-limit", "0"], "--time-limit must be positive, got 0"),
        (["--stage", "polish"], "invalid choice: 'polish'"),
        (["--peers", "keops"], "invalid choice: 'keops'"),
    ],
)
def test_wrong_options(
    arguments: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        COMMAND["parse"](arguments)
    assert message in capsys.readouterr().err


def test_rivals_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastrfm.bench.gpu import contenders

    def absent(package: str) -> str:
        raise contenders.PackageNotFoundError(package)

    monkeypatch.setattr(contenders, "installed_version", absent)
    peers, versions, reasons = open_peers(["torch", "kermac"], None)  # type: ignore[arg-type]
    assert peers == []
    assert versions == {"torch": None, "kermac": None}
    assert reasons == {
        "torch": "torch not installed",
        "kermac": "torch and kermac not installed",
    }
