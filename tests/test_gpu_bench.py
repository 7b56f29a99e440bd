"""bench/gpu.py: the rehearsal on the emulator, and the device that CuPy has."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastrfm
from backends import FOLDER, emulator
from device import StandIn
from fastrfm.bench.cases import Case, make_problem
from fastrfm.bench.gpu.cases import OpCase, rehearsal_sizes
from fastrfm.bench.gpu.contenders import OURS, Ours, open_peers
from fastrfm.bench.gpu.device import CupyDevice, HostDevice, open_emulator
from fastrfm.bench.gpu.ops import measure_op
from fastrfm.bench.gpu.report import markdown
from fastrfm.bench.gpu.run import STAGES
from fastrfm.bench.gpu.small_ops import check_all
from fastrfm.bench.gpu.truth import Truth

ROOT = Path(__file__).resolve().parent.parent
COMMAND = runpy.run_path(str(ROOT / "bench" / "gpu.py"))
CEILINGS = {"copy": 1e9, "fill": 1e9, "sgemm": 1e9, "tf32": 4e9, "tf32_reason": None}
SMALL = OpCase(Case("kernel_matrix", 9, 2))


@pytest.fixture(scope="module")
def host() -> HostDevice:
    """Return the emulator's device."""
    return HostDevice(emulator())


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run all of it once, without rivals, and return the folder of its results."""
    folder = tmp_path_factory.mktemp("gpu")
    variables = {"FASTRFM_EMULATOR_DIR": str(FOLDER), "PATH": os.environ["PATH"]}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        COMMAND["main"](["--rehearse", "--output", str(folder), "--commit", "c0ffee", "--peers"])
    return folder


def content_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "gpu_rehearsal.json").read_text())
    return content


NUMBER = (int, float)
FIELDS: dict[str, dict[str, Any]] = {
    "ceilings": {"copy": NUMBER, "fill": NUMBER, "sgemm": NUMBER},
    "tests": {"passed": int, "failed": int, "skipped": int, "command": str},
    "ops": {"floor": NUMBER, "results": dict},
    "fits": {
        "fit_seconds": NUMBER, "predict_seconds": NUMBER, "most_seconds": NUMBER, "rmse": NUMBER,
        "peak_bytes": int, "best_iter": int, "history": list,
    },
    "tiers": {"flops": int, "results": dict},
    "sanitize": {"command": str},
}  # fmt: skip
RESULT = {
    "median": NUMBER, "min": NUMBER, "max": NUMBER, "runs": int, "peak_bytes": int,
    "error": NUMBER, "accurate": bool,
}  # fmt: skip


# ---- the rehearsal


@pytest.mark.slow
@pytest.mark.emulated
def test_a_rehearsal_fills_every_field(rehearsal: Path) -> None:
    content = content_of(rehearsal)
    assert content["schema"] == 1
    assert content["skipped"] == {}
    machine = content["machine"]
    assert machine["rehearsal"] is True
    assert machine["commit"] == "c0ffee"
    assert {"cpu", "cores", "python", "date", "gpu", "versions", "absent"} <= machine.keys()
    for key, entry in content["entries"].items():
        assert key == f"{entry['stage']}/{entry['label']}"
        assert entry["reason"] is None
        assert entry["commit"] == "c0ffee"
        assert entry["seconds"] >= 0
        for name, kind in FIELDS[entry["stage"]].items():
            assert isinstance(entry[name], kind), (key, name)
        if entry["stage"] == "ops":
            (result,) = entry["results"].values()
            for name, kind in RESULT.items():
                assert isinstance(result[name], kind), (key, name)
            assert 0 < result["min"] <= result["median"] <= result["max"]
    assert {entry["stage"] for entry in content["entries"].values()} == set(STAGES)
    sizes = rehearsal_sizes()
    labels = {case.label for case in (*sizes.ops, *sizes.fits)}
    assert labels <= {entry["label"] for entry in content["entries"].values()}
    (tests,) = (entry for entry in content["entries"].values() if entry["stage"] == "tests")
    assert tests["passed"] == 1
    assert "junitxml" not in tests["command"]


@pytest.mark.slow
@pytest.mark.emulated
def test_the_page_is_made_again_from_the_file(
    rehearsal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "gpu_rehearsal"
    (tmp_path / f"{name}.json").write_bytes((rehearsal / f"{name}.json").read_bytes())
    COMMAND["main"](["--rehearse", "--report", "--output", str(tmp_path)])
    page = (tmp_path / f"{name}.md").read_text()
    assert page == (rehearsal / f"{name}.md").read_text()
    with pytest.raises(SystemExit):
        COMMAND["main"](["--report", "--output", str(tmp_path)])
    assert f"bench/gpu.py: there is no {tmp_path / 'gpu.json'}" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.emulated
def test_a_rehearsal_counts_memory(rehearsal: Path) -> None:
    entry = content_of(rehearsal)["entries"]["ops/kernel_matrix p=2 n=40 d=64 X=Z"]
    assert entry["results"][OURS]["peak_bytes"] >= 4 * 40 * 40


@pytest.mark.slow
@pytest.mark.emulated
def test_the_page_shows_all(rehearsal: Path) -> None:
    page = (rehearsal / "gpu_rehearsal.md").read_text()
    assert "A rehearsal on the emulator: the times say nothing" in page
    assert "suggested kTensorFlops" in page
    for case in rehearsal_sizes().ops:
        assert f"| {case.label} |" in page
    assert page == markdown(content_of(rehearsal))
    assert str(ROOT) not in page.replace(str(rehearsal), "")


@pytest.mark.slow
@pytest.mark.emulated
def test_sanitizer_commands_are_in_the_results(rehearsal: Path) -> None:
    entries = content_of(rehearsal)["entries"]
    for tool in ("memcheck", "racecheck", "initcheck", "synccheck"):
        command = entries[f"sanitize/{tool}"]["command"]
        assert f"--tool={tool} " in command
        assert command.endswith(" -m fastrfm.bench.gpu.small_ops")
        assert sys.executable not in command


@pytest.mark.slow
@pytest.mark.emulated
def test_resume_keeps_what_is_there(
    rehearsal: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTRFM_EMULATOR_DIR", str(FOLDER))
    before = content_of(rehearsal)["entries"]
    arguments = ["--rehearse", "--resume", "--output", str(rehearsal), "--peers"]
    COMMAND["main"]([*arguments, "--commit", "c0ffee"])
    assert content_of(rehearsal)["entries"] == before
    said = capsys.readouterr().out
    assert said.count(": kept\n") == len(before)
    only = ["--stage", "tiers", "--only", "kernel_matrix d=8"]
    COMMAND["main"]([*arguments, *only, "--commit", "another"])
    after = content_of(rehearsal)["entries"]
    changed = [key for key in before if after[key] != before[key]]
    assert changed == ["tiers/kernel_matrix p=2 n=40 d=8 X=Z"]
    assert "some entries are of other commits: c0ffee" in capsys.readouterr().out


@pytest.mark.emulated
def test_a_rival_is_measured_beside_us(host: HostDevice) -> None:
    pytest.importorskip("torch")
    peers, versions, absent = open_peers(["torch"], host)
    assert [peer.name for peer in peers] == ["PyTorch", "PyTorch TF32"]
    assert versions["torch"] is not None
    assert absent == {}
    for op in ("kernel_matrix", "kernel_matmul", "agop"):
        entry = measure_op(OpCase(Case(op, 9, 2)), host, [Ours(host), *peers], CEILINGS, 0.0)
        assert entry["reason"] is None
        assert list(entry["results"]) == [OURS, "PyTorch", "PyTorch TF32"]
        for result in entry["results"].values():
            assert result["accurate"]
            assert result["runs"] == 3
        assert (entry["agreement"] is None) == (op != "agop")


@pytest.mark.emulated
def test_what_a_rival_cannot_do_is_noted(host: HostDevice) -> None:
    class Broken(Ours):
        name = "broken"

        def prepare(self, problem: Any) -> Any:
            raise MemoryError("out of memory\nwith advice")

    entry = measure_op(SMALL, host, [Ours(host), Broken(host)], CEILINGS, 0.0)
    assert entry["reason"] is None
    assert entry["results"]["broken"] == {"reason": "MemoryError: out of memory"}


@pytest.mark.emulated
def test_a_wrong_result_is_a_failure(host: HostDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    right = fastrfm.kernel_matrix
    monkeypatch.setattr(fastrfm, "kernel_matrix", lambda *a, **o: right(*a, **o) + np.float32(1e-3))
    entry = measure_op(SMALL, host, [Ours(host)], CEILINGS, 0.0)
    assert entry["reason"] == "wrong: error 1.0e-03, allowed 1e-05"
    with pytest.raises(AssertionError, match=r"kernel_matrix X,Z, float32, \(5, 3, 2, 1\), p=2"):
        check_all(host, [(5, 3, 2, 1)])


@pytest.mark.emulated
def test_small_operations_agree_with_the_formulas(host: HostDevice) -> None:
    assert check_all(host, [(5, 3, 2, 1)]) == 144


def test_a_missing_emulator_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTRFM_EMULATOR_DIR", raising=False)
    with pytest.raises(FileNotFoundError, match=r"_cuda_emulated in .*`make emulator` builds it"):
        open_emulator(tmp_path)


# ---- CuPy's device, by its stand-in


@pytest.mark.emulated
def test_cupy_device_counts_and_times(stand_in_cupy: StandIn) -> None:
    device = CupyDevice(stand_in_cupy.cupy)
    a = device.to_device(np.arange(6, dtype=np.float32))
    result, peak = device.peak(lambda: device.empty((1000,)) * 0 + 1)
    assert 4000 <= peak <= 4 * 4096
    assert 0 < device.seconds(lambda: a + 1) < 10
    np.testing.assert_array_equal(device.to_host(a[device.to_device(np.array([4, 1]))]), [4, 1])
    assert device.to_host(result).shape == (1000,)


@pytest.mark.emulated
@pytest.mark.parametrize("norm", [1.0, 2.0])
@pytest.mark.parametrize("op", ["kernel_matrix", "kernel_matmul", "agop"])
def test_truth_is_the_same_by_cupy(stand_in_cupy: StandIn, op: str, norm: float) -> None:
    problem = make_problem(Case(op, 30, 4, 2, norm=norm))
    truths = [
        Truth(problem, CupyDevice(stand_in_cupy.cupy)),
        Truth(problem, HostDevice(emulator())),
    ]
    np.testing.assert_allclose(truths[0].expected, truths[1].expected, rtol=1e-12)
    points = problem.at_rows(truths[0].rows)
    public = {"kernel_matrix": (points.X, points.Z)}.get(op, (points.X, points.Z, points.V))
    assert truths[0].error(getattr(fastrfm, op)(*public, **problem.kernel)) < 1e-5
