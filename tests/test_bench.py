"""The benchmark room: its counts, its checks, its tables and its report."""

from __future__ import annotations

import json
import math
import runpy
import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import fastrfm
import oracle as slow
from fastrfm import cli
from fastrfm.bench import figures, rates, run, table, tables
from fastrfm.bench.cases import ALPHA, Case, Problem, make_problem, select_cases, select_fits
from fastrfm.bench.contenders import OURS, ours
from fastrfm.bench.fits import hold_out, rmse, split_fit
from fastrfm.bench.machine_rates import MeasuredRates
from fastrfm.bench.memory import PeakMemory
from fastrfm.bench.oracle import WrongResultError, check
from fastrfm.bench.processes import Measurement
from fastrfm.bench.protocol import Prepared
from fastrfm.bench.report import make_report
from fastrfm.bench.work import Rates, Work, floor, work_of

SMALL = [
    Case("kernel_matrix", 60, 5),
    Case("kernel_matrix", 60, 5, norm=1.0),
    Case("kernel_matrix", 60, 5, exponent=2.0),
    Case("kernel_matmul", 60, 5, 3),
    Case("agop", 60, 5, 2),
    Case("agop", 60, 5, norm=1.0),
    Case("solve_ridge", 60, 5, 2),
]
RATES = MeasuredRates({OURS: 1e11}, 2e10, 1.5e10, 1e10, 1e11, "measured", "assumed")


def run_at(problem: Problem) -> np.ndarray:
    prepared = ours.prepare(problem)
    return prepared.to_numpy(prepared.call())


def truth(problem: Problem) -> np.ndarray:
    options: dict[str, Any] = problem.kernel
    X, Z, V = problem.X, problem.Z, problem.V
    match problem.case.op:
        case "kernel_matrix":
            return slow.kernel_matrix(X, **options)
        case "kernel_matmul":
            return slow.kernel_matmul(X, Z, V, **options)
        case "agop":
            return slow.agop(X, Z, V, **options)
    return slow.solve_ridge(X, V, alpha=ALPHA, **options)


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.label)
def test_the_check_passes_the_truth_and_our_results(case: Case) -> None:
    problem = make_problem(case)
    assert check(problem, truth(problem), truth, ours=True) < 1e-9
    assert check(problem, run_at(problem), run_at, ours=True) < 1e-4


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.label)
def test_the_check_refuses_wrong_results(case: Case) -> None:
    problem = make_problem(case)
    with pytest.raises(WrongResultError, match="wrong: error"):
        check(problem, 1.1 * truth(problem), lambda p: 1.1 * truth(p), ours=False)
    with pytest.raises(WrongResultError, match="wrong: error nan"):
        check(problem, np.nan * truth(problem), lambda p: np.nan * truth(p), ours=False)
    with pytest.raises(WrongResultError, match="shape"):
        check(problem, truth(problem)[1:], truth, ours=False)


def test_whole_agops_must_agree() -> None:
    G = np.eye(3)
    assert Prepared(0, None, 1.5 * G).differs_from(Prepared(0, None, G)) == 0.5
    assert Prepared(0).differs_from(Prepared(0)) == 0.0


def test_bandwidth_is_the_typical_distance() -> None:
    for norm in (1.0, 2.0):
        problem = make_problem(Case("kernel_matrix", 300, 50, norm=norm))
        D = slow.distances(problem.X[:100], problem.X[100:], norm=norm)
        assert abs(D.mean() / problem.bandwidth - 1) < 0.02


# Counted by hand for n = 4, d = 3, c = 2: 10 pairs with symmetry, 16 without.
@pytest.mark.parametrize(
    ("op", "norm", "expected"),
    [
        ("kernel_matrix", 2.0, Work(60, 0, 48, 64, 150)),
        ("kernel_matrix", 1.0, Work(0, 90, 48, 64, 100)),
        ("kernel_matmul", 2.0, Work(60 + 64, 0, 48 + 32, 32, 150)),
        ("agop", 2.0, Work(96 + 192 + 72, 0, 48 + 32, 36, 16 * 16)),
        ("agop", 1.0, Work(72, 144 + 288, 48 + 32, 36, 16 * 11)),
        ("solve_ridge", 2.0, Work(60 + 64 / 3, 0, 48 + 32, 32, 150)),
    ],
)
def test_work(op: str, norm: float, expected: Work) -> None:
    assert work_of(Case(op, 4, 3, 2, norm=norm)) == expected


@pytest.mark.parametrize(("c", "gradient"), [(1, 4), (2, 6), (3, 7), (10, 14)])
def test_the_sign_of_a_difference_has_three_values(c: int, gradient: int) -> None:
    work = work_of(Case("agop", 4, 3, c, norm=1.0))
    assert work is not None
    assert work.lane_operations == (3 + gradient) * 3 * 16


@pytest.mark.parametrize(
    ("work", "roofline", "with_values"),
    [
        (Work(8.0, 3.0, 5.0, 5.0, 6.0), 3.0, 5.0),  # arithmetic
        (Work(1.0, 0.0, 5.0, 5.0, 3.0), 2.0, 2.0),  # reading and writing
        (Work(1.0, 0.0, 0.0, 12.0, 3.0), 3.0, 3.0),  # writing
    ],
)
def test_floor_is_the_largest_of_arithmetic_and_traffic(
    work: Work, roofline: float, with_values: float
) -> None:
    least = floor(work, Rates(sgemm=4.0, copy=5.0, write=4.0, lanes=3.0))
    assert (least.roofline, least.with_values) == (roofline, with_values)


def test_no_floor_where_it_is_not_known() -> None:
    assert work_of(Case("fit_fixed", 10, 2)) is None
    assert work_of(Case("kernel_matrix", 10, 2, norm=1.5)) is None


def test_cases_are_distinct_and_can_be_selected() -> None:
    for mode in ("quick", "ops"):
        labels = [case.label for case in select_cases(mode)]
        assert len(set(labels)) == len(labels)
    assert {case.op for case in select_cases("ops", only="agop d=100")} == {"agop"}


def a_folder(path: Path, n: int = 500) -> Path:
    """Write tables as `fastrfm bench --fits --data` wants them."""
    rng = np.random.default_rng(0)
    (path / "reg").mkdir()
    for name in tables.REAL:
        X = 5 + 3 * rng.standard_normal((n, 5))
        X[:, 2] = 1.0
        y = 100 + X[:, 0] * X[:, 1]
        np.savez(path / "reg" / f"{name}.npz", X=X, y=y, fold=np.arange(n) % 10)
    return path


def test_fits_are_of_tables_that_are_standardised_by_their_training_rows(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    assert [(case.table, case.n, case.d) for case in select_fits(folder)] == [
        ("uci_pol", 450, 5),
        ("uci_elevators", 450, 5),
        ("", 30_000, 32),
    ]
    assert [case.n for case in select_fits(folder, rows=200)] == [200, 200, 200]
    assert [case.label for case in select_fits(None, rows=200)] == [
        "fit_fixed made_up p=2 n=200 d=32"
    ]
    problem = make_problem(select_fits(folder, rows=200, only="pol")[0], folder)
    (X, y), (X_test, y_test) = split_fit(problem)
    assert (X.shape, y.shape, X_test.shape, y_test.shape) == ((200, 5), (200,), (50, 5), (50,))
    assert abs(y.mean()) < 1e-6
    assert abs(y.std() - 1) < 1e-6
    assert (X[:, 2] == 0).all()
    (X_fit, _), (X_val, y_val) = hold_out((X, y))
    assert (len(X_fit), len(X_val), len(y_val)) == (160, 40, 40)
    assert rmse(problem, y_test + 0.5) == pytest.approx(0.5)


def test_a_table_that_is_missing_or_faulty_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no reg/uci_pol\.npz in"):
        select_fits(tmp_path)
    folder = a_folder(tmp_path)
    np.savez(folder / "reg/uci_pol.npz", X=np.ones((3, 2)), y=np.ones(3))
    with pytest.raises(ValueError, match=r"reg/uci_pol\.npz has no array 'fold'"):
        select_fits(folder)


def test_peak_memory_sees_what_was_freed_again() -> None:
    memory = PeakMemory()
    memory.reset()
    np.ones(2**24, np.uint8).sum()
    assert 15e6 < memory.peak() < 40e6


def test_rates_are_plausible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "QUICK_COPY_BYTES", 2**22)
    assert 1e8 < rates.copy_rate(2, quick=True) < 1e13
    assert 1e8 < rates.fill_rate(2, quick=True) < 1e13
    rate, method = rates.write_rate(2, quick=True)
    assert method == "measured by a compiled loop" or not any(map(shutil.which, rates.COMPILERS))
    assert 1e8 < rate < 1e13
    monkeypatch.setattr(rates, "COMPILERS", ())
    rate, method = rates.write_rate(2, quick=True)
    assert (1e8 < rate < 1e13, method) == (True, "measured by NumPy's fill")
    assert rates.lane_rate(1, 8e9) == (4e9, "assumed: the multiply-adds of sgemm")
    assert rates.sgemm_rate(lambda size: size / 3072, quick=False) == 2 * 3072**3


def a_report() -> dict[str, Any]:
    case = Case("kernel_matrix", 1_000, 10)
    measured = {
        case: {
            OURS: Measurement([1e-3, 2e-3, 3e-3], 4_000_000, 1e-6),
            "PyTorch": Measurement([0.01, 0.02, 0.04], 12_000_000, 1e-3),
            "xRFM": Measurement(reason="wrong: error 5.0e-01, allowed 1e-02"),
        },
        replace(case, n=2_000, sweep=True): {OURS: Measurement([4e-3], 1, 1e-6)},
    }
    machine = {
        "cpu": "a CPU",
        "cores": 2,
        "threads": 2,
        "isa_level": "avx2",
        "system": "Linux",
        "python": "3.12",
        "commit": None,
        "date": "2026-01-01",
    }
    versions = {OURS: "fastrfm 0.1", "PyTorch": "torch 2", "xRFM": "xrfm 0"}
    return make_report("ops", machine, versions, {"PyKeOps": "not installed"}, RATES, measured)


def test_report() -> None:
    report = a_report()
    json.dumps(report, allow_nan=False)
    results = report["cases"][0]["results"]
    assert results["PyTorch"]["ratio"] == 10
    assert results[OURS]["median"] == 2e-3
    least = 4 * 1_000**2 / 1.5e10  # written; more than read and written at the copy rate
    assert math.isclose(results[OURS]["roofline_fraction"], least / 2e-3)
    assert "roofline_fraction" not in results["PyTorch"]
    assert results["xRFM"]["reason"].startswith("wrong")


@pytest.mark.parametrize("width", [80, 140])
def test_table(width: int) -> None:
    console = Console(width=width, record=True, file=StringIO())
    console.print(table.rich_table(a_report(), width))
    text = console.export_text()
    for part in ("kernel_matrix p=2", "n=1,000 d=10", "10.00", "not timed", "2,000"):
        assert (part in text) == (part != "2,000")
    assert ("0.0100 - 0.0400" in text) == (width == 140)


def test_markdown_and_plot(tmp_path: Path) -> None:
    report = a_report()
    assert "| PyTorch | 0.0200 | 0.0100 - 0.0400 | 10.00 | 12 |" in table.markdown(report)
    assert "skipped: PyKeOps, not installed" in table.markdown(report)
    assert "not timed: xRFM, kernel_matrix p=2 n=1,000 d=10: wrong: error" in table.markdown(report)
    assert figures.draw(report, tmp_path / "a.png")
    report["cases"].pop()
    assert not figures.draw(report, tmp_path / "b.png")


@pytest.mark.slow
def test_the_command_writes_its_files(tmp_path: Path) -> None:
    arguments = ["bench", "--quick", "--peers", "", "--only", "solve n=2,000", "--threads", "1"]
    result = CliRunner().invoke(cli.build_app(), [*arguments, "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "part.json").read_text())
    assert [case["label"] for case in report["cases"]] == ["solve_ridge p=2 n=2,000 d=32 c=1"]
    assert report["versions"] == {OURS: f"fastrfm {fastrfm.__version__}"}
    assert report["machine"]["threads"] == 1


@pytest.mark.slow
def test_the_command_fits_tables(tmp_path: Path) -> None:
    arguments = ["bench", "--fits", "--data", str(a_folder(tmp_path)), "--rows", "200"]
    result = CliRunner().invoke(
        cli.build_app(), [*arguments, "--peers", "", "--output", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "part.json").read_text())
    assert [case["table"] for case in report["cases"]] == [*tables.REAL, ""]
    for case in report["cases"][:2]:
        assert 0 < case["results"][OURS]["error"] < 0.2  # of targets without noise
    assert not (tmp_path / "out" / "part.png").exists()
    assert (
        "| fit_fixed uci_pol p=2 n=200 d=5 | fastrfm |"
        in (tmp_path / "out" / "part.md").read_text()
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quick", "--fits"], "exclude each other"),
        (["--rows", "200"], "belong to --fits"),
        (["--data", "nowhere"], "belong to --fits"),
        (["--fits", "--data", "nowhere"], "no reg/uci_pol.npz in nowhere"),
        (["--peers", "nobody"], "no peer 'nobody'"),
        (["--only", "nothing"], "no case"),
    ],
)
def test_wrong_options(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        cli.build_app(), ["bench", *arguments, "--output", str(tmp_path / "out")]
    )
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


README = runpy.run_path(str(Path(__file__).parent.parent / "bench" / "readme.py"))


def test_the_readme_says_what_was_measured() -> None:
    text = (README["ROOT"] / "README.md").read_text()
    assert text.count(README["MARKS"][0]) == text.count(README["MARKS"][1]) == 1
    wanted = README["replace"](text, README["make_section"](README["RESULTS"]))
    section = README["make_accuracy_section"](README["RESULTS"])
    wanted = README["replace"](wanted, section, README["ACCURACY_MARKS"])
    assert text == wanted, "python bench/readme.py makes them equal"


def test_the_readmes_accuracy_section(tmp_path: Path) -> None:
    section = README["make_accuracy_section"]
    assert "No results" in section(tmp_path)
    table = "| contender | rank |\n|---|---:|\n| fastrfm | 1.00 |\n"
    report = f"# A\n\n- commit: abc\n\n## Regression, 2 sets\n\n{table}\nWins\n\n"
    report += f"## Classification, cls alone, 1 sets\n\n{table}"
    (tmp_path / "accuracy.md").write_text(report)
    found = section(tmp_path)
    assert found.startswith("Commit abc;")
    assert found.count(table) == 1
    assert "**Regression, 2 sets**" in found


def test_the_readme_section(tmp_path: Path) -> None:
    assert "No results" in README["make_section"](tmp_path)
    report = a_report()
    (tmp_path / "ops.json").write_text(json.dumps(report))
    fit = Case("fit_fixed", 450, 5, table="uci_pol")
    results = {OURS: Measurement([2.0], 4_000_000, 0.1), "xRFM": Measurement([5.0], 8, 0.2)}
    common = report["machine"], report["versions"], {}, RATES
    (tmp_path / "fits.json").write_text(json.dumps(make_report("fits", *common, {fit: results})))
    section = README["make_section"](tmp_path)
    reached = f"{4 * 1_000**2 / 1.5e10 / 2e-3:.0%}"
    row = f"| kernel_matrix p=2 n=1,000 d=10 | 0.002 | {reached} | not timed | 10.0 |  |  |"
    assert row in section
    assert "n=2,000" not in section  # part of the plot only
    assert "| uci_pol, 450 x 5 | fastrfm | 2.0 |  | 4 | 0.1000 |" in section
    assert "|  | xRFM | 5.0 | 2.5 | 0 | 0.2000 |" in section
    assert "a CPU, 2 threads, avx2, Python 3.12" in section
    begin, end = README["MARKS"]
    assert README["replace"](f"a\n{begin}old{end}b", "new\n") == f"a\n{begin}new\n{end}b"


def test_results_go_to_the_checkout_or_to_a_folder_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run.default_output() == Path("fastrfm-bench")
    (tmp_path / "src/python/fastrfm/bench").mkdir(parents=True)
    assert run.default_output() == Path("bench/results")
