"""bench/accuracy.py: splits, forms, child processes, the results' file, ranks and the report."""

from __future__ import annotations

import json
import runpy
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from fastrfm.bench.accuracy import analysis, forms, kernel_ridge, reference, report, worker
from fastrfm.bench.accuracy.analysis import error_table, much_worse, normalised, pairwise, ranks
from fastrfm.bench.accuracy.data import Caps, Rows, Split, find_sets, load_split, n_splits
from fastrfm.bench.accuracy.run import installed, is_outdated, make_tasks, run_tasks, to_do
from fastrfm.bench.accuracy.scores import score
from fastrfm.bench.accuracy.store import Line, Store
from fastrfm.bench.accuracy.tasks import Cell, Task, run_in_child

NAN = float("nan")
OURS, PEER, REFERENCE = "fastrfm", "kernel-ridge", "reference-rfm"
VERSIONS = {name: {"fastrfm": "1"} for name in (OURS, PEER, REFERENCE)}
STAMP = {"cpu": "a CPU", "cores": 2, "isa_level": "avx2", "python": "3.12", "commit": "c0ffee"}
COMMAND = runpy.run_path(str(Path(__file__).parent.parent / "bench" / "accuracy.py"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a set of each kind: numbers, a category, missing values, ready-made folds."""
    path = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    n = 80
    X = rng.standard_normal((n, 3)).astype(np.float32)
    X[:, 2] = rng.integers(0, 3, n)
    y = (X[:, 0] + (X[:, 2] == 1)).astype(np.float32)
    labels = (y > 0.3).astype(np.int16) + 4  # not from 0
    holes = X.copy()
    holes[::9, 1] = np.nan
    categorical = np.array([False, False, True])
    folds = {"fold": np.arange(n) % 10, "cat_mask": categorical}
    masks = np.arange(n)[:, None] % 4 == np.arange(4)
    tune = {"tune": 1 + np.arange(n) % 2, "kfold_train": ~masks, "kfold_test": masks}
    for name, arrays in {
        "reg/line": {"X": holes, "y": y, **folds},
        "cls/step": {"X": holes, "y": labels, **folds},
        "uci121/step": {"X": X, "y": labels, "cat_mask": ~categorical & categorical, **tune},
        "img/tiny": {"X": rng.integers(0, 255, (n, 2, 2)).astype(np.uint8), "y": labels},
    }.items():
        (path / name).parent.mkdir(exist_ok=True)
        np.savez(path / f"{name}.npz", **arrays)
    return path


def task(folder: Path, name: str = "reg/line", contender: str = PEER, splits: Any = (0,)) -> Task:
    return Task(str(folder), name, splits, contender, 1, Caps(40, 20))


# ---- sets, splits, forms


def test_sets_are_found_by_kind_and_by_name(folder: Path) -> None:
    assert find_sets(folder) == ["reg/line", "cls/step", "uci121/step", "img/tiny"]
    assert find_sets(folder, ("reg", "cls", "uci121"), ["step"]) == ["cls/step", "uci121/step"]
    assert find_sets(folder, names=["cls/step"]) == ["cls/step"]
    with pytest.raises(ValueError, match="no set 'nothing' of kind reg in"):
        find_sets(folder, ("reg",), ["nothing"])
    with pytest.raises(ValueError, match=r"no reg/\*\.npz or cls/\*\.npz in nowhere"):
        find_sets(Path("nowhere"), ("reg", "cls"))


@pytest.mark.parametrize(
    ("name", "splits", "test_rows"),
    [("reg/line", 5, 16), ("cls/step", 5, 16), ("uci121/step", 4, 20), ("img/tiny", 4, 20)],
)
def test_splits_cover_each_row_once(folder: Path, name: str, splits: int, test_rows: int) -> None:
    assert n_splits(folder, name) == splits
    seen = []
    for number in range(splits):
        split = load_split(folder, name, number, Caps())
        assert (len(split.train.y), len(split.test.y)) == (80 - test_rows, test_rows)
        seen.append(split.test.X)
    original = np.load(folder / f"{name}.npz")["X"].reshape(80, -1).astype(np.float32)
    np.testing.assert_array_equal(np.sort(np.concatenate(seen), axis=0), np.sort(original, axis=0))
    with pytest.raises(ValueError, match=f"{name} has the splits 0 to {splits - 1}, got {splits}"):
        load_split(folder, name, splits, Caps())


def test_caps_draw_the_same_rows_each_time(folder: Path) -> None:
    whole = load_split(folder, "cls/step", 1, Caps())
    part = load_split(folder, "cls/step", 1, Caps(10, 5))
    np.testing.assert_array_equal(part.train.X, whole.train.X[:10])
    np.testing.assert_array_equal(part.test.y, whole.test.y[:5])


def test_a_large_set_is_tested_by_single_folds(tmp_path: Path) -> None:
    (tmp_path / "reg").mkdir()
    arrays = {"X": np.zeros((1_000, 1)), "y": np.arange(1_000), "fold": np.arange(1_000) % 10}
    np.savez(tmp_path / "reg/a.npz", **arrays)
    assert n_splits(tmp_path, "reg/a") == 10
    assert set(load_split(tmp_path, "reg/a", 3, Caps()).test.y % 10) == {3}
    del arrays["fold"]
    np.savez(tmp_path / "reg/b.npz", **arrays)
    with pytest.raises(ValueError, match=r"reg/b\.npz has none of the arrays 'fold'"):
        n_splits(tmp_path, "reg/b")


def test_classes_are_those_of_the_training_rows(tmp_path: Path) -> None:
    (tmp_path / "cls").mkdir()
    y = np.repeat([7, 9, 11, 12], 5)
    fold = np.where(y == 9, 0, 5)  # only in the first test part
    fold[[0, 19]] = 0
    np.savez(tmp_path / "cls/a.npz", X=y[:, None], y=y, fold=fold)
    split = load_split(tmp_path, "cls/a", 0, Caps())
    assert split.n_classes == 3
    known = {7.0: 0, 9.0: -1, 11.0: 1, 12.0: 2}
    for rows in (split.train, split.test):
        assert [known[x] for x in rows.X[:, 0]] == rows.y.tolist()


X_MIXED = np.array([[1, 0], [np.nan, 2], [3, np.nan], [5, 2]], np.float32)
MASK = np.array([False, True])


def test_one_hot_form() -> None:
    one_hot = forms.make_one_hot(MASK, standardize=True).fit(X_MIXED)
    assert forms.one_hot_blocks(one_hot, MASK) == (1, [3])
    Z = one_hot.transform(np.array([[np.nan, 2], [3, 1]], np.float32))
    np.testing.assert_allclose(Z, [[0, 0, 1, 0], [0, 0, 0, 0]], atol=1e-7)  # unknown level: none
    numbers = forms.make_one_hot(np.array([False]), standardize=False).fit(X_MIXED[:, :1])
    assert forms.one_hot_blocks(numbers, np.array([False])) == (1, [])


def test_frames_keep_what_is_missing() -> None:
    frame = forms.as_catboost_wants(X_MIXED, MASK)
    assert frame["x1"].tolist() == ["0", "2", "missing", "2"]
    assert np.isnan(frame["x0"][1])
    form = forms.as_fastrfm_wants(X_MIXED, MASK)
    frame = form(np.array([[np.nan, 2], [0, 1], [0, np.nan]], np.float32))
    assert frame["x1"].cat.categories.tolist() == ["0", "2", "1"]
    assert frame["x1"].isna().tolist() == [False, False, True]
    assert np.isnan(frame["x0"][0])
    X, options = forms.as_lightgbm_wants(X_MIXED, MASK)
    assert X is X_MIXED
    assert options == {"categorical_feature": [1]}


# ---- scores and the contenders built here


def test_scores() -> None:
    train = Rows(np.zeros((4, 1)), np.array([1.0, 3.0, 1.0, 3.0]))  # deviation 1
    split = Split(train, Rows(np.zeros((2, 1)), np.array([1.0, 2.0])), np.array([False]), 0)
    assert score(split, np.array([1.0, 4.0])) == pytest.approx({"rmse": np.sqrt(2)})
    with pytest.raises(ValueError, match="not finite"):
        score(split, np.array([NAN, 1.0]))
    with pytest.raises(ValueError, match=r"shape \(3,\), expected \(2,\)"):
        score(split, np.zeros(3))
    classes = Split(train, Rows(np.zeros((3, 1)), np.array([0, 1, -1])), np.array([False]), 2)
    p = np.array([[0.5, 0.5], [1.0, 0.0], [0.1, 0.9]])
    found = score(classes, p)
    assert found["error_rate"] == pytest.approx(2 / 3)  # the unknown class is a mistake
    tiny = np.finfo(np.float32).eps
    assert found["log_loss"] == pytest.approx(-(np.log(0.5) + np.log(tiny)) / 2, rel=1e-6)


@pytest.mark.core
def test_kernel_ridge_leaves_one_out_like_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((25, 3)), rng.standard_normal((25, 2))
    D = np.sqrt(((X[:, None] - X[None]) ** 2).sum(axis=2))
    K = np.exp(-D / 2.0)
    for alpha, error in kernel_ridge.leave_one_out(X, Y, 2.0):
        model = KernelRidge(alpha=alpha, kernel="precomputed")
        left_out = cross_val_predict(model, K, Y, cv=LeaveOneOut())
        assert error == pytest.approx(np.mean((left_out - Y) ** 2), rel=1e-6)
    model = kernel_ridge.fit(X, 5 + 100 * np.sin(X[:, 0]), 0)
    precise = KernelRidge(alpha=model.alpha, kernel="precomputed")
    target = 5 + 100 * np.sin(X[:, 0])
    fitted = precise.fit(np.exp(-D / model.bandwidth), target - target.mean())
    expected = fitted.predict(np.exp(-D / model.bandwidth)) + target.mean()
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-4)


@pytest.mark.core
def test_the_reference_tunes_on_the_tuning_rows(folder: Path) -> None:
    (result,) = worker.measure(task(folder, "uci121/step", REFERENCE))
    chosen = result["chosen"]
    assert set(chosen) == {"accuracy", "alpha", "unit_rows", "iteration"}
    assert chosen["alpha"] in reference.ALPHAS
    assert chosen["accuracy"] > 0.7
    assert result["scores"]["error_rate"] < 0.3
    assert result["seconds"]["fit"] > 0


@pytest.mark.core
@pytest.mark.parametrize("contender", [OURS, PEER])
@pytest.mark.parametrize("name", ["reg/line", "cls/step"])
def test_contenders_learn(folder: Path, contender: str, name: str) -> None:
    (result,) = worker.measure(task(folder, name, contender))
    error = result["scores"]["rmse" if name == "reg/line" else "error_rate"]
    assert 0 < error < 0.5 or (error == 0 and name != "reg/line")
    assert (result["n_train"], result["n_test"], result["failure"]) == (40, 16, None)


def test_a_failing_fit_is_told_and_the_next_split_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(split: Split, threads: int) -> Any:
        raise RuntimeError("no way")

    monkeypatch.setitem(worker.CONTENDERS, PEER, fail)
    results = list(worker.measure(task(folder, splits=(0, 1))))
    assert len(results) == 2
    assert report.short_reason(results[0]["failure"]) == "RuntimeError: no way"


# ---- child processes


def child(code: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", "import os, sys, time, signal; sys.stdin.read(); " + code)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "its process ended, by SIGKILL"),
        ("sys.exit(3)", "its process ended, with code 3"),
        ("pass", "its process ended without an answer"),
        (
            "sys.stderr.write('oh'); sys.stderr.flush(); time.sleep(60)",
            "took longer than 0.5 s\noh",
        ),
    ],
)
def test_what_becomes_of_a_child_is_its_result(folder: Path, code: str, message: str) -> None:
    limit = 0.5 if "sleep" in code else 30.0
    ((_, result),) = run_in_child(task(folder), limit, child(code))
    assert result == {"failure": message}


def test_what_was_done_before_a_crash_is_kept(folder: Path) -> None:
    code = "print('{\"failure\": null}'); print('{\"fai'); sys.stdout.flush(); os.abort()"
    found = dict(run_in_child(task(folder, splits=(0, 1)), 30.0, child(code)))
    assert [result["failure"] for result in found.values()] == [
        None,
        "its process ended, by SIGABRT",
    ]


def test_an_interrupt_ends_the_children_and_leaves_no_result(folder: Path, tmp_path: Path) -> None:
    store, started = Store(tmp_path / "a.jsonl"), threading.Event()

    def runner(task: Task) -> Iterator[tuple[Cell, dict[str, Any]]]:
        if task.set == "cls/step":  # beside the one that sleeps
            started.wait()
            raise KeyboardInterrupt
        threading.Timer(0.2, started.set).start()
        yield from run_in_child(task, 60.0, child("time.sleep(60)"))

    tasks = [task(folder, "cls/step"), task(folder, "reg/line")]
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        run_tasks(tasks, runner, store, STAMP, VERSIONS, jobs=2, quiet=True)
    assert time.perf_counter() - start < 30
    assert store.read() == {}


# ---- the results' file


def line(error: float | None, key: str = "error_rate", **more: Any) -> Line:
    result: Line = {**STAMP, "threads": 1, "versions": {"fastrfm": "1"}, "failure": None}
    if error is None:
        return {**result, "failure": "took longer than 1 s", **more}
    scores = {key: error, "log_loss": 2 * error} if key == "error_rate" else {key: error}
    return {**result, "scores": scores, "n_test": 100, "seconds": {"fit": 1.0}, **more}


def test_the_store_keeps_the_last_line_and_passes_over_torn_ones(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "a.jsonl")
    assert store.read() == {}
    cell = Cell("reg/a", 0, OURS, None, 5)
    store.append(cell, {"failure": "x"})
    with store.path.open("a") as file:
        file.write('{"set": "reg/b", "spl')
    store.append(cell, {"failure": None})
    assert [entry["failure"] for entry in store.read().values()] == [None]
    assert len(store.path.read_text().splitlines()) == 3
    with pytest.raises(ValueError, match="JSON compliant"):
        store.append(cell, {"score": NAN})


def test_a_rerun_does_what_is_missing(folder: Path, tmp_path: Path) -> None:
    sets = ["reg/line", "uci121/step"]
    tasks = make_tasks(folder, sets, [OURS, REFERENCE], splits=9, caps=Caps(40, 20), threads=1)
    assert [(t.set, t.splits) for t in tasks if t.contender == REFERENCE] == [
        ("uci121/step", (0, 1, 2, 3))
    ]
    assert [t.splits for t in tasks if t.set == "reg/line"] == [(s,) for s in range(5)]
    store, asked = Store(tmp_path / "a.jsonl"), []

    def runner(task: Task) -> Iterator[tuple[Cell, dict[str, Any]]]:
        asked.append(task)
        for cell in task.cells:
            yield cell, {"failure": "broken" if cell.split == 1 else None}

    run_tasks(tasks[:4], runner, store, STAMP, VERSIONS, jobs=2, quiet=True)
    left = to_do(tasks, store.read(), lambda line: True)
    assert left == tasks[4:]
    run_tasks(left, runner, store, STAMP, VERSIONS, quiet=True)
    assert len(asked) == len(tasks)
    assert to_do(tasks, store.read(), lambda line: True) == []

    def current(line: Line) -> bool:
        return not is_outdated(line, VERSIONS, "c0ffee")

    failed = to_do(tasks, store.read(), current)
    assert {split for task in failed for split in task.splits if task.contender == OURS} == {1}
    newer = to_do(tasks, store.read(), lambda line: not is_outdated(line, VERSIONS, "abc"))
    assert [t for t in newer if t.contender == OURS] == [t for t in tasks if t.contender == OURS]


def test_contenders_must_exist() -> None:
    versions, absent = installed([OURS])
    assert (set(versions), absent) == ({OURS}, {})
    with pytest.raises(ValueError, match="no contender 'nobody'; there are fastrfm, xrfm"):
        installed(["nobody"])


# ---- ranks, ratios, report

ERRORS = np.array([[1.0, 2.0, 3.0], [4.0, 2.0, 2.0], [NAN, 1.0, 5.0], [0.5, 0.5, 0.5]])


def test_ranks_and_normalised_errors_by_hand() -> None:
    np.testing.assert_array_equal(ranks(ERRORS), [[1, 2, 3], [3, 1.5, 1.5], [3, 1, 2], [2, 2, 2]])
    np.testing.assert_array_equal(
        normalised(ERRORS), [[0, 0.5, 1], [1, 0, 0], [1, 0, 1], [0, 0, 0]]
    )
    wins, ties = pairwise(ERRORS)
    np.testing.assert_array_equal(wins, [[0, 1, 1], [2, 0, 2], [2, 0, 0]])
    np.testing.assert_array_equal(ties, [[4, 1, 1], [1, 4, 2], [1, 2, 4]])


def hand_made() -> dict[Cell, Line]:
    """Errors of fastrfm, a peer and the reference: two splits of a, failures, an unfinished set."""
    cells: dict[tuple[str, int, str], Line] = {
        ("uci121/a", 0, OURS): line(0.2),
        ("uci121/a", 1, OURS): line(0.4),
        ("uci121/a", 0, PEER): line(0.1),
        ("uci121/a", 1, PEER): line(0.1),
        ("uci121/a", 0, REFERENCE): line(0.25),
        ("cls/b", 0, OURS): line(0.0),
        ("cls/b", 0, PEER): line(0.05),
        ("cls/c", 0, OURS): line(None),
        ("cls/c", 0, PEER): line(0.3),
        ("cls/d", 0, OURS): line(0.3),
        ("reg/e", 0, OURS): line(0.1, "rmse"),
        ("reg/e", 0, PEER): line(0.4, "rmse"),
    }
    return {Cell(*where, None, None): result for where, result in cells.items()}


def test_the_summary_by_hand() -> None:
    table = error_table(hand_made(), ("cls", "uci121"))
    assert (table.sets, table.incomplete) == (["cls/b", "cls/c", "uci121/a"], ["cls/d"])
    assert (table.contenders, table.splits) == ([OURS, PEER], [1, 1, 2])
    np.testing.assert_allclose(table.errors, [[0, 0.05], [NAN, 0.3], [0.3, 0.1]])
    ours, peer = analysis.summarise(table)
    assert (ours.mean_rank, peer.mean_rank) == (pytest.approx(5 / 3), pytest.approx(4 / 3))
    assert (ours.mean_normalised, peer.mean_normalised) == (2 / 3, 1 / 3)
    assert (ours.mean_error, peer.mean_error) == (pytest.approx(0.15), pytest.approx(0.075))
    assert (ours.mean_log_loss, peer.mean_log_loss) == (pytest.approx(0.3), pytest.approx(0.15))
    assert (ours.failed, peer.failed, ours.ratio) == (1, 0, 1)
    # Of b: 0.05 to half a test row of 100; c is left out.
    assert peer.ratio == pytest.approx(np.sqrt(0.05 / 0.005 * 0.1 / 0.3))
    found = much_worse(table)
    assert found == [("cls/c", np.inf, PEER), ("uci121/a", pytest.approx(3), PEER)]
    points = analysis.against_reference(hand_made())
    np.testing.assert_allclose(points[OURS], [5])  # split 0 alone is common
    np.testing.assert_allclose(points[PEER], [15])


def test_the_page(tmp_path: Path) -> None:
    page = report.markdown(hand_made())
    for part in (
        "## Regression, 1 set",
        "## Classification, 3 sets",
        "best peer's on 2 of 3 sets (67%): cls/c (inf x kernel-ridge), uci121/a (3.00 x kernel-r",
        "Left out, not measured for all: cls/d.",
        "| kernel-ridge | 1 | +15.00 | +15.00 | 1-0-0 |",
        "| cls/c | 1 | failed | **0.3000** |",
        "- fastrfm, cls/c, split 0: took longer than 1 s",
        "commit: c0ffee",
    ):
        assert part in page


@pytest.mark.slow
@pytest.mark.core
def test_the_command_measures_resumes_and_reports(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(folder), "--sets", "line", "--contenders", PEER, "--threads", "1"]
    options = ["--splits", "1", "--max-rows", "40", "--out", str(tmp_path)]
    for done in (0, 1):
        COMMAND["main"]([*arguments, *options])
        assert f"1 tasks on 1 sets, {done} done before" in capsys.readouterr().out
    (text,) = (tmp_path / "accuracy.jsonl").read_text().splitlines()
    result = json.loads(text)
    assert result["failure"] is None, result["failure"]
    assert result["scores"]["rmse"] < 0.5
    assert result["peak_bytes"] > 1e6
    assert {"versions", "commit", "threads", "cpu", "seconds", "scores"} <= set(result)
    for name in ("accuracy.md", "accuracy.png"):
        (tmp_path / name).unlink()
    COMMAND["main"](["--report", "--out", str(tmp_path)])
    assert "## Regression, 1 set" in (tmp_path / "accuracy.md").read_text()
    assert (tmp_path / "accuracy.png").stat().st_size > 1_000
    with pytest.raises(SystemExit):
        COMMAND["main"](["--report", "--max-rows", "7", "--out", str(tmp_path)])
    assert "there are --max-rows 40 --max-test 10000 (1 lines)" in capsys.readouterr().out


def test_the_command_needs_data(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        COMMAND["main"]([])
    assert "--data is needed, or --report" in capsys.readouterr().err
