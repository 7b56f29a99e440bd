"""bench/scaling.py: points, the lines' file, exponents, the model's arithmetic, a tiny run."""

from __future__ import annotations

import json
import runpy
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrfm.bench.scaling import findings, measure, model, run
from fastrfm.bench.scaling.exponents import fit_power_law
from fastrfm.bench.scaling.model import Rates, Size, predict
from fastrfm.bench.scaling.points import AXES, KINDS, Point, grid_of_rows, points_of
from fastrfm.bench.scaling.store import Line, Store, medians

COMMAND = runpy.run_path(str(Path(__file__).parent.parent / "bench" / "scaling.py"))
STAMP = {
    "cpu": "a CPU",
    "cores": 2,
    "isa_level": "avx2",
    "python": "3.12",
    "commit": "c0ffee",
    "date": "2026-01-01T00:00:00+00:00",
}
ROUNDING = 1e-9


def a_line(cpu_seconds: float, **more: Any) -> Line:
    """Return what a point that went well left behind."""
    measured = {"seconds": cpu_seconds, "cpu_seconds": cpu_seconds}
    measured |= {"peak": 2e8, "peak_work": 1e6 * cpu_seconds}
    return {"reason": None, **measured, "load": 1.0, **STAMP, **more}


# Rates of a machine on which fits take exactly what the model says.
RATES = Rates(pair=1e-9, agop_pair=2e-9, gram=1e-10, landmark=3e-10)


def made_up_points(sizes: list[int]) -> dict[Point, Line]:
    """Return points of a machine with `RATES`, whose loose solves take n^0.1 steps."""
    points = {}
    for n in sizes:
        rank, loose, tight = 100, 10 * (n / 1e4) ** 0.1, 20 * (n / 1e4) ** 0.2
        size = Size(n, 32, 1, rank, min(n, 20_000), 1_000, (loose, loose, tight))
        pairs = n * (n + 1) / 2
        solves = [{"iterations": steps, "rank": rank} for steps in size.steps]
        points[Point("product", n, threads=2)] = a_line(pairs * RATES.pair)
        points[Point("agop", n, threads=2)] = a_line(4_000 * n * RATES.agop_pair)
        points[Point("landmarks", n, threads=2)] = a_line(
            n * rank * RATES.pair + n * rank**2 * RATES.gram,
            rank=rank,
            apply_cpu_seconds=n * rank * RATES.landmark,
        )
        phases = {"solve_seconds": 1.0, "select_seconds": 0.1, "agop_seconds": 0.2}
        fit = a_line(predict(size, RATES).total, solves=solves, **phases)
        points[Point("fit", n, threads=2)] = fit
    return points


class TestExponents:
    @settings(deadline=None, max_examples=25)
    @given(
        exponent=st.floats(-1, 3),
        factor=st.floats(1e-6, 1e6),
        seed=st.integers(0, 2**16),
    )
    def test_recovers_a_power_law_with_noise(
        self, exponent: float, factor: float, seed: int
    ) -> None:
        x = np.geomspace(1e4, 2e5, 30)
        noise = np.exp(0.03 * np.random.default_rng(seed).standard_normal(30))
        law = fit_power_law(x.tolist(), (factor * x**exponent * noise).tolist())
        assert abs(law.exponent - exponent) < 0.05
        # The interval is symmetric, and six standard errors away it would never be.
        assert law.low < law.exponent < law.high
        assert law.low - 0.02 < exponent < law.high + 0.02
        low, high = law.interval(1e7)
        assert low < law(1e7) < high

    def test_the_interval_covers_as_often_as_it_says(self) -> None:
        rng = np.random.default_rng(0)
        x = np.geomspace(1, 100, 6)
        laws = [
            fit_power_law(x.tolist(), (x**2 * np.exp(0.1 * rng.standard_normal(6))).tolist())
            for _ in range(400)
        ]
        covered = np.mean([law.low < 2 < law.high for law in laws])
        assert 0.92 < covered < 0.98
        at = [law.interval(1e4) for law in laws]
        assert 0.92 < np.mean([low < 1e8 < high for low, high in at]) < 0.98

    def test_an_exact_law_has_no_width(self) -> None:
        law = fit_power_law([1, 2, 4], [3, 12, 48])
        assert law.exponent == pytest.approx(2)
        assert law.factor == pytest.approx(3)
        assert law.interval(8) == pytest.approx((192, 192))

    @pytest.mark.parametrize(
        ("x", "y", "message"),
        [
            ([1, 2], [1, 2], "3 points or more, as many y as x; got 2"),
            ([1, 2, 3], [1, 2], "as many y as x"),
            ([1, 2, 3], [1, 2, 0], "positive x and y"),
            ([2, 2, 2], [1, 2, 3], "x that differ"),
        ],
    )
    def test_refuses_what_has_no_exponent(
        self, x: list[float], y: list[float], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            fit_power_law(x, y)


class TestModel:
    def test_one_device_by_hand(self) -> None:
        size = Size(n=100, d=3, c=2, rank=10, agop_rows=50, judging_rows=20, steps=(4.0, 6.0))
        found = predict(size, Rates(pair=1.0, agop_pair=2.0, gram=3.0, landmark=5.0))
        assert found.product == 5_050  # 100 * 101 / 2 pairs
        assert found.gather == 0
        assert found.apply == 5_000  # 100 * 10 * 5
        assert found.setup == 31_000  # 100 * 10 * 1 + 100 * 10^2 * 3
        assert found.agop == 10_000  # 50 * 100 * 2
        # (6 + 8) products, (5 + 7) applications, two of the others, 20 rows judged once
        assert found.total == 14 * 5_050 + 12 * 5_000 + 2 * 31_000 + 2 * 10_000 + 2_000
        # rows, V, landmarks' kernel, CG's vectors, two r x r
        assert found.memory == 1_200 + 800 + 4_000 + 14_400 + 1_600

    def test_four_devices_by_hand(self) -> None:
        size = Size(n=100, d=3, c=2, rank=10, agop_rows=50, judging_rows=20, steps=(4.0,))
        rates = {"pair": 1.0, "agop_pair": 2.0, "gram": 3.0, "landmark": 5.0}
        both = predict(size, Rates(**rates, symmetric=False, devices=4, link=10.0))
        assert both.product == 2_500  # 100^2 / 4
        assert both.gather == 150  # 3/4 * 100 * 5 * 4 bytes / 10
        assert both.total == 6 * (2_500 + 150) + 5 * 1_250 + 7_750 + 2_500
        assert both.memory == 900 + 800 + (4_000 + 14_400) / 4 + 1_600
        half = predict(size, Rates(**rates, symmetric=True, devices=4, link=10.0))
        assert half.product == 5_050 / 4
        assert half.gather == 210  # sums of c columns travel too

    def test_an_h100_by_hand(self) -> None:
        # As in the counts before the code: 2 ps a pair of 100 features on tensor cores.
        options = {"devices": 8, "link": 450e9, "symmetric": True, "efficiency": 1.0}
        rates = model.gpu_rates(100, 1, **options)
        assert rates.pair == pytest.approx(2e-12)
        assert rates.agop_pair == pytest.approx(4e-12)
        assert rates.gram == pytest.approx(1 / 34e12)
        assert rates.landmark == pytest.approx(8 / 3e12)
        half = model.gpu_rates(100, 1, **{**options, "efficiency": 0.5})
        assert half.pair == pytest.approx(4e-12)
        assert half.link == 225e9
        # 8 features: not on tensor cores, and the special functions take longest.
        assert model.gpu_rates(8, 1, **options).pair == pytest.approx(2 / 3.7e12)
        assert model.gpu_rates(60, 1, **options).pair == pytest.approx(130 / 60e12)

    def test_steps_of_all_solves(self) -> None:
        assert model.per_solve(10, 30, 2) == (10, 10, 10, 30)
        assert model.fewer_landmarks(10_000, 500) == (1, 1, 1)
        low, likely, high = model.fewer_landmarks(40_000, 250)
        assert (low, likely, high) == pytest.approx((4**0.415, 2, 4**0.585))


class TestFindings:
    def test_the_model_finds_a_fit_that_keeps_to_it(self) -> None:
        found = findings.validate(made_up_points([10_000, 14_000, 20_000, 28_000]))
        assert found is not None
        assert (found.n, found.below) == (28_000, 20_000)
        assert found.predicted == pytest.approx(found.measured, rel=ROUNDING)
        assert found.steps_predicted == pytest.approx(found.steps)

    def test_the_largest_fit_is_unseen(self) -> None:
        points = made_up_points([10_000, 14_000, 20_000, 28_000])
        expected = findings.validate(points)
        for kind in ("product", "agop", "landmarks"):
            points[Point(kind, 28_000, threads=2)]["cpu_seconds"] *= 10
        changed = findings.validate(points)
        assert expected is not None
        assert changed is not None
        assert changed.predicted == expected.predicted

    def test_too_few_points_say_nothing(self) -> None:
        points = made_up_points([10_000, 14_000, 20_000])
        assert findings.validate(points) is None
        assert findings.extrapolate({}) == []

    def test_exponents_of_each_kind(self) -> None:
        laws = findings.exponents(made_up_points([10_000, 14_000, 20_000, 28_000]))
        assert laws["product", "n", "cpu_seconds"].exponent == pytest.approx(2, abs=1e-3)
        assert laws["agop", "n", "cpu_seconds"].exponent == pytest.approx(1)
        assert laws["fit", "n", "steps"].exponent == pytest.approx(0.2)
        assert laws["fit", "n", "loose steps"].exponent == pytest.approx(0.1)

    def test_other_sizes_threads_and_workers_stay_out(self) -> None:
        points = made_up_points([10_000, 14_000, 20_000])
        expected = findings.along(points, "product", "n")
        points[Point("product", 10_000, d=64, threads=2)] = a_line(99)
        points[Point("product", 10_000, threads=1)] = a_line(99)
        points[Point("product", 10_000, threads=2, workers=2)] = a_line(99)
        points[Point("product", 28_000, threads=2)] = {"reason": "failed", **STAMP}
        assert findings.along(points, "product", "n") == expected

    def test_the_extrapolation_grows_from_best_to_worst(self) -> None:
        found = findings.extrapolate(made_up_points([10_000, 14_000, 20_000, 28_000]))
        assert len(found) == 2 * len(model.LINKS) * 3
        for best, likely, worst in zip(found[::3], found[1::3], found[2::3], strict=True):
            assert best.prediction.total < likely.prediction.total < worst.prediction.total
        by_nvlink, by_pcie = (
            next(one for one in found if one.link == link) for link in model.LINKS
        )
        assert by_nvlink.prediction.gather < by_pcie.prediction.gather


class TestPoints:
    def test_rows_are_root_two_apart(self) -> None:
        assert grid_of_rows(60_000) == [10_000, 14_000, 20_000, 28_000, 40_000, 57_000]
        assert grid_of_rows(9_000) == []

    def test_each_point_once_and_the_quickest_first(self) -> None:
        points = points_of(AXES, 20_000)
        assert len(points) == len(set(points))
        assert {point.kind for point in points} == set(KINDS)
        assert all(a.work() <= b.work() for a, b in pairwise(points))
        assert max(point.n for point in points_of(AXES, 300)) == 300

    def test_targets_are_standardised(self) -> None:
        X, Y = measure.made_up(2_000, 8, 3)
        assert X.dtype == Y.dtype == np.float32
        assert Y.shape == (2_000, 3)
        np.testing.assert_allclose(Y.std(axis=0), 1, rtol=1e-4)
        assert np.abs(np.corrcoef(Y.T) - np.eye(3)).max() < 0.9


class TestStore:
    def test_a_line_that_was_cut_short_costs_itself_only(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "new" / "scaling.jsonl")
        first, second = Point("product", 10), Point("fit", 20, d=4)
        store.append(first, 0, a_line(1.0))
        with store.path.open("a") as file:
            file.write('{"kind": "agop", "n"')
        store.append(second, 1, a_line(2.0))
        assert [*store.read()] == [(first, 0), (second, 1)]

    def test_medians_are_of_rounds_that_went_well(self) -> None:
        point, failed = Point("product", 10), Point("agop", 10)
        lines = {(point, k): a_line(seconds) for k, seconds in enumerate((1.0, 9.0, 2.0))}
        lines[point, 3] = {"reason": "killed"}
        lines[failed, 0] = {"reason": "killed"}
        found = medians(lines)
        assert (found[point]["cpu_seconds"], found[point]["rounds"]) == (2.0, 3)
        assert found[failed]["reason"] == "killed"

    def test_a_rerun_measures_what_is_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done = []

        def child(point: Point, seconds: float) -> Line:
            done.append(point.kind)
            if point.kind == "dask":
                return {"reason": "Dask is not installed", "missing": True}
            return {"reason": "killed"} if done.count("agop") == 1 == len(done) else a_line(0.1)

        monkeypatch.setattr(run, "_in_child", child)
        store = Store(tmp_path / "scaling.jsonl")
        said: list[str] = []
        points = [Point(kind, 10) for kind in ("agop", "product", "dask")]
        assert run.run_points(points, store, STAMP, say=said.append, rounds=1) == 1
        assert done == ["agop", "product", "dask"]
        assert run.run_points(points, store, STAMP, say=said.append, rounds=2) == 0
        # What went wrong or was missing again, then a second round of what is there.
        assert done[3:] == ["agop", "dask", "agop", "product"]
        assert said[0] == "round 1, agop n=10 d=32 c=1, 1 threads: killed"

    def test_what_takes_long_has_one_round(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "_in_child", lambda point, seconds: a_line(6.0))
        store = Store(tmp_path / "scaling.jsonl")
        run.run_points([Point("fit", 10)], store, STAMP, say=lambda line: None)
        assert len(store.read()) == 1


@pytest.mark.slow
@pytest.mark.core
def test_a_tiny_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    store = Store(tmp_path / "scaling.jsonl")
    points = [Point("fit", 2_200, d=8), Point("dask", 300, d=8, workers=1)]
    assert run.run_points(points, store, STAMP, say=lambda line: None, rounds=1) == 0
    fit, dask = (store.read()[point, 0] for point in points)
    assert [solve["stored"] for solve in fit["solves"]] == [False] * 3
    assert fit["solves"][-1]["residual"] < 1e-3
    assert 0 < fit["peak_work"] < fit["peak"]
    assert fit["cpu_seconds"] > 0
    assert dask["reason"] is None or dask["missing"]

    for n in (10_000, 14_000, 20_000, 28_000):
        for point, line in made_up_points([n]).items():
            store.append(point, 0, line)
    monkeypatch.setattr(sys, "argv", ["scaling.py", "--report", "--output", str(tmp_path)])
    assert COMMAND["main"]() == 0
    assert "scaling.md" in capsys.readouterr().out
    page = (tmp_path / "scaling.md").read_text()
    assert "with that fit's own steps" in page
    assert "an error of +0.0%" in page or "an error of -0.0%" in page
    assert "no GPU has measured this" in page
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
    json.loads(store.path.read_text().splitlines()[0])


def test_a_report_of_nothing_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["scaling.py", "--report", "--output", str(tmp_path)])
    with pytest.raises(SystemExit):
        COMMAND["main"]()
    assert f"there is no {tmp_path / 'scaling.jsonl'}: run without --report" in (
        capsys.readouterr().err
    )
