"""bench/gpu.py: floors and tiers, what is stored, kept and skipped, bars."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastrfm.bench.cases import Case
from fastrfm.bench.gpu.budget import Budget, DeviceLostError, Runner
from fastrfm.bench.gpu.cases import OpCase, floor_seconds, full_sizes
from fastrfm.bench.gpu.contenders import OURS
from fastrfm.bench.gpu.report import bars, markdown
from fastrfm.bench.gpu.store import Store
from fastrfm.bench.gpu.tiers import CROSSOVER_NOW, TIER_VARIABLE, pair_flops, suggest, tier

ROOT = Path(__file__).resolve().parent.parent
STAMP: dict[str, str | None] = {"commit": "c0ffee", "card": "a card"}


# ---- floors and tiers


def test_floors_are_the_larger_of_products_and_bytes() -> None:
    n, d, c = 1000, 16, 3
    pairs = n * (n + 1) / 2
    triangle, square = (
        OpCase(Case("kernel_matrix", n, d)),
        OpCase(Case("kernel_matrix", n, d), False),
    )
    assert floor_seconds(triangle, 1e30, 1e9, 1e9) == pytest.approx(2 * d * pairs / 1e9)
    assert floor_seconds(square, 1e30, 1e9, 1e9) == pytest.approx(2 * d * n * n / 1e9)
    assert floor_seconds(triangle, 1e9, 1e30, 1e9) == pytest.approx(4 * (n * n + n * d) / 1e9)
    assert floor_seconds(square, 1e9, 1e30, 1e9) == pytest.approx(4 * (n * n + 2 * n * d) / 1e9)
    absolute = OpCase(Case("kernel_matrix", n, d, norm=1.0))
    assert floor_seconds(absolute, 1e30, 1e30, 1e9) == pytest.approx(2 * d * pairs / 1e9)
    product = OpCase(Case("kernel_matmul", n, d, c), False)
    assert floor_seconds(product, 1e30, 1e9, 1e9) == pytest.approx(2 * (d + c) * n * n / 1e9)
    sums = OpCase(Case("agop", n, d, c))
    flops = 2 * d * n * n * (1 + c) + c * n * d * d
    assert floor_seconds(sums, 1e30, 1e9, 1e9) == pytest.approx(flops / 1e9)
    signs = OpCase(Case("agop", n, d, c, norm=1.0))
    assert floor_seconds(signs, 1e30, 1e30, 1e9) == pytest.approx((3 + c) * d * n * n / 1e9)


def test_all_shapes_are_there() -> None:
    cases = full_sizes().ops
    assert len({case.label for case in cases}) == len(cases)
    kinds = {(c.case.op, c.case.norm, c.case.d, c.case.c, c.symmetric) for c in cases}
    for norm in (1.0, 2.0):
        for d in (10, 100, 1024):
            assert {
                ("kernel_matrix", norm, d, 1, True),
                ("kernel_matrix", norm, d, 1, False),
            } <= kinds
            for c in (1, 10):
                assert ("agop", norm, d, c, True) in kinds
                for symmetric in (True, False):
                    assert ("kernel_matmul", norm, d, c, symmetric) in kinds
    assert {case.case.n for case in cases} == {30_000}
    assert cases[0].label == "kernel_matrix p=2 n=30,000 d=1024 X=Z"


def tier_entry(flops: int, simt: float, tensor: float) -> dict[str, Any]:
    results = {"simt": {"median": simt}, "tensor": {"median": tensor}}
    return {"stage": "tiers", "reason": None, "flops": flops, "results": results}


def test_the_suggested_crossover_loses_least() -> None:
    assert suggest([]) is None
    entries = [tier_entry(32, 1.0, 2.0), tier_entry(64, 1.5, 1.0), tier_entry(128, 4.0, 2.0)]
    suggestion = suggest(entries)
    assert suggestion is not None
    assert suggestion["flops"] == 64
    assert suggestion["lost"] == pytest.approx(0)
    assert suggestion["lost_now"] == pytest.approx(1.5 ** (1 / 3) - 1)
    never = suggest([tier_entry(256, 1.0, 2.0)])
    assert never is not None
    assert never["flops"] is None
    # One case that is quicker by chance does not decide against two others.
    mixed = suggest([tier_entry(32, 1.1, 1.0), tier_entry(48, 1.0, 2.0), tier_entry(64, 2.0, 1.0)])
    assert mixed is not None
    assert mixed["flops"] == 64


def test_the_crossover_in_use_is_known() -> None:
    source = (ROOT / "src" / "cuda" / "form.cu").read_text()
    found = re.search(r"kTensorFlops = (\d+);", source)
    assert found is not None
    assert int(found[1]) == CROSSOVER_NOW


def test_operations_of_a_pair() -> None:
    assert pair_flops(OpCase(Case("kernel_matrix", 9, 64))) == 128
    assert pair_flops(OpCase(Case("kernel_matmul", 9, 64, 10))) == 128
    assert pair_flops(OpCase(Case("agop", 9, 10, 3))) == 2 * (10 + 3 * 11)


def test_a_tier_is_set_and_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for before in (None, "simt"):
        if before is None:
            monkeypatch.delenv(TIER_VARIABLE, raising=False)
        else:
            monkeypatch.setenv(TIER_VARIABLE, before)
        with tier("tensor"):
            assert os.environ[TIER_VARIABLE] == "tensor"
        assert os.environ.get(TIER_VARIABLE) == before


# ---- what is stored, kept and skipped


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make_runner(path: Path, *, resume: bool = False, budget: Budget | None = None) -> Runner:
    return Runner(Store(path), STAMP, budget or Budget(), resume=resume, say=lambda line: None)


def test_each_entry_is_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "gpu.json"
    runner = make_runner(path)
    runner.run("ops", "a", lambda: {"value": 1}, needs=1)
    assert json.loads(path.read_text())["entries"]["ops/a"]["value"] == 1

    def killed() -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run("ops", "b", killed, needs=1)
    assert list(json.loads(path.read_text())["entries"]) == ["ops/a"]
    assert [each.name for each in path.parent.iterdir()] == ["gpu.json"]


def test_a_failure_is_stored_and_the_next_is_run(tmp_path: Path) -> None:
    runner = make_runner(tmp_path / "gpu.json")

    def fails() -> dict[str, Any]:
        raise RuntimeError("no luck")

    runner.run("ops", "a", fails, needs=1)
    runner.run("ops", "b", lambda: {"reason": "wrong: error 1"}, needs=1)
    runner.run("ops", "c", lambda: {"said": "noise"}, needs=1)
    entries = json.loads((tmp_path / "gpu.json").read_text())["entries"]
    assert [entry["reason"] for entry in entries.values()] == [
        "RuntimeError: no luck", "wrong: error 1", None,
    ]  # fmt: skip
    assert "said" not in entries["ops/c"]
    assert runner.failed == ["ops/a", "ops/b"]


def test_a_lost_device_ends_the_run(tmp_path: Path) -> None:
    def lost() -> None:
        raise RuntimeError("cudaErrorIllegalAddress")

    store = Store(tmp_path / "gpu.json")
    runner = Runner(store, STAMP, Budget(), resume=False, say=lambda line: None, synchronize=lost)
    runner.run("ops", "a", dict, needs=1)
    with pytest.raises(DeviceLostError, match="after ops/b: cudaErrorIllegalAddress"):
        runner.run("ops", "b", lambda: {"reason": "wrong"}, needs=1)
    assert store.get("ops/b") is not None


def test_resume_goes_by_commit_and_card(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    runner = make_runner(path)
    runner.run("ops", "good", lambda: {"value": 1}, needs=1)
    runner.run("ops", "bad", lambda: {"reason": "wrong"}, needs=1)
    again = make_runner(path, resume=True)
    kept = again.run("ops", "good", lambda: {"value": 2}, needs=1)
    assert kept is not None
    assert kept["value"] == 1
    fresh = again.run("ops", "bad", lambda: {"value": 2}, needs=1)
    assert fresh is not None
    assert fresh["value"] == 2
    store = Store(path)
    assert store.has("ops/good", STAMP)
    assert not store.has("ops/other", STAMP)
    for other in (
        {"commit": "c0ffee", "card": "another"},
        {"commit": "another", "card": "a card"},
        {"commit": None, "card": "a card"},
    ):
        assert not store.has("ops/good", other)
    dirty = STAMP | {"commit": "c0ffee-dirty"}
    store.put("ops/good", {"reason": None, **dirty})
    assert not store.has("ops/good", dirty)


def test_what_does_not_fit_the_time_is_skipped(tmp_path: Path) -> None:
    clock = Clock()
    runner = make_runner(tmp_path / "gpu.json", budget=Budget(60, clock))
    stage = runner.budget.within(20)
    assert runner.run("ops", "a", dict, needs=15, budget=stage) is not None
    clock.now += 10
    assert runner.run("ops", "b", dict, needs=15, budget=stage) is None
    assert runner.run("fits", "c", dict, needs=15) is not None
    assert runner.run("fits", "d", dict, needs=60) is None
    content = runner.store.content()
    assert list(content["entries"]) == ["ops/a", "fits/c"]
    assert content["skipped"] == {
        "ops/b": "it needs 15 s, and 10 s are left",
        "fits/d": "it needs 60 s, and 50 s are left",
    }
    assert "- skipped: ops/b, it needs 15 s, and 10 s are left" in markdown(content)
    assert runner.failed == []
    clock.now += 1000
    assert runner.budget.left() == 0
    assert runner.budget.within(5).left() == 0


def test_numbers_that_json_has_not_are_none(tmp_path: Path) -> None:
    runner = make_runner(tmp_path / "gpu.json")
    values = {"a": [np.float32(0.5), float("nan")], "b": np.int64(3), "c": (True, None, Path("d"))}
    runner.run("ops", "a", lambda: {"values": values}, needs=1)
    entry = json.loads((tmp_path / "gpu.json").read_text())["entries"]["ops/a"]
    assert entry["values"] == {"a": [0.5, None], "b": 3, "c": [True, None, "d"]}


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    path.write_text("[1]")
    with pytest.raises(ValueError, match="no results' file: move it away"):
        Store(path)
    path.write_text('{"schema": 7, "entries": {}}')
    with pytest.raises(ValueError, match="has schema 7, not 1: move it away"):
        Store(path)


def op_entry(label: str, ms: float, floor_ms: float, torch_ms: float) -> dict[str, Any]:
    def result(value: float) -> dict[str, Any]:
        return {
            "reason": None, "median": value / 1e3, "error": 1e-7, "accurate": True,
            "peak_bytes": 1000,
        }  # fmt: skip

    return {
        "stage": "ops", "label": label, "reason": None, "floor": floor_ms / 1e3, "commit": "c0ffee",
        "tensor_floor": None, "results": {OURS: result(ms), "PyTorch": result(torch_ms)},
    }  # fmt: skip


def test_bars() -> None:
    large, small = (f"kernel_matrix p=2 n=30,000 d={d}" for d in (1024, 100))
    entries = [
        op_entry(f"{large} X,Z", 20.0, 10.0, 150.0),
        op_entry(f"{small} X=Z", 2.0, 1.5, 9.0),
    ]
    fit = {
        "stage": "fits", "label": "fit n=1,000,000", "reason": None, "fit_seconds": 190.0,
        "most_seconds": 180.0, "predict_seconds": 1.0, "rmse": 0.1, "best_iter": 5,
        "peak_bytes": 10**9, "history": [{"solver": "pcg"}], "commit": "c0ffee",
    }  # fmt: skip
    content = {
        "machine": {}, "skipped": {},
        "entries": {each["label"]: each for each in (*entries, fit)},
    }  # fmt: skip
    assert bars(content) == [
        (f"{large} X,Z", "20.0 ms", "26 ms", True),
        (f"{large} X,Z, PyTorch over ours", "7.5", "10", False),
        (f"{small} X=Z, of floor", "75%", "70%", True),
        ("fit n=1,000,000", "190.0 s", "180 s", False),
    ]
    page = markdown(content)
    assert f"| {large} X,Z | 20.00 | 50% |  | 150.00 | 7.5 |" in page
    assert "| fit n=1,000,000 | 190.0 | 1.00 | 0.1000 | 5 | 1,000 | pcg |" in page
