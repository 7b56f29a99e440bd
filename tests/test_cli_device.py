"""``--device`` of the commands."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from device import StandIn
from fastrfm import backend
from test_cli_fit_predict import TABLE, fails, run

QUICK = ("--target", "price", "--drop", "kind,grade", "--test-fraction", "0")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    TABLE.to_csv("data.csv", index=False)


@pytest.mark.emulated
def test_fit_and_predict_there(stand_in_cupy: StandIn) -> None:
    run("fit", "data.csv", *QUICK, "--device", "cpu", "--model", "cpu.frfm")
    stand_in_cupy.reset_copies()
    run("fit", "data.csv", *QUICK, "--device", "cuda", "--model", "cuda.frfm")
    assert ("kernel_matrix", 0) in stand_in_cupy.log
    run("predict", "cpu.frfm", "data.csv", "-o", "cpu.csv")
    stand_in_cupy.reset_copies()
    run("predict", "cuda.frfm", "data.csv", "-o", "cuda.csv", "--device", "cuda")
    assert ("kernel_matmul", 0) in stand_in_cupy.log
    found, expected = (pd.read_csv(f"{name}.csv")["prediction"] for name in ("cuda", "cpu"))
    pd.testing.assert_series_equal(found, expected, rtol=1e-6)


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "cuda_build", lambda: None)
    said = fails("fit", "data.csv", *QUICK, "--device", "cuda")
    assert said.startswith("--device cuda: this build of fastrfm has no CUDA")
    assert not Path("model.frfm").exists()
    run("fit", "data.csv", *QUICK)
    said = fails("predict", "model.frfm", "data.csv", "-o", "out.csv", "--device", "cuda")
    assert said.startswith("--device cuda: this build of fastrfm has no CUDA")
    assert not Path("out.csv").exists()


@pytest.mark.parametrize("command", ["fit", "predict"])
def test_no_such_device(command: str) -> None:
    arguments = {
        "fit": ("data.csv", *QUICK),
        "predict": ("model.frfm", "data.csv", "-o", "out.csv"),
    }[command]
    said = run(command, *arguments, "--device", "gpu", code=2)
    assert "--device is one of" in said
