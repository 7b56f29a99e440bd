"""Checkpoints of trees: finished leaves are kept, and a fit that goes on comes to the same bits."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from threading import Event
from typing import Any

import joblib
import numpy as np
import pytest

import fastrfm
from fastrfm import TreeRFMClassifier, TreeRFMRegressor
from fastrfm.checkpoints import CheckpointError
from fastrfm.checkpoints import file_keeper as keepers
from fastrfm.estimators.leaves import ConstantLeaf
from fastrfm.members import PAPERS
from fastrfm.persistence import atomic

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (400, 4)).astype(np.float32)
Y = 3 * X[:, 0] + np.sin(3 * X[:, 1])
LABELS = np.where(Y + X[:, 2] > 0, "up", "down")
WEIGHT = RNG.uniform(0.5, 2, len(X))
OPTIONS = PAPERS | {
    "n_iter": 2,
    "alpha": 0.1,
    "solver": "pcg",
    "max_leaf_size": 120,
    "n_trees": 2,
    "n_jobs": 1,
    "random_state": 3,
}
PROBE = Path(__file__).with_name("tree_checkpoint_probe.py")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_to_disk", lambda path, flags: None)


def bare_history(leaf: Any) -> list[dict[str, Any]]:
    return [
        {k: v for k, v in entry.items() if k != "seconds"}
        for member in leaf.members_
        for entry in member.history_
    ]


def assert_same(model: Any, expected: Any) -> None:
    """Check that two trees are equal to the last bit, but for seconds."""
    assert model.temperature_ == expected.temperature_
    for tree, other in zip(model.trees_, expected.trees_, strict=True):
        assert np.array_equal(tree.splits.directions, other.splits.directions)
        assert np.array_equal(tree.importances, other.importances)
        for a, b in zip(tree.leaves, other.leaves, strict=True):
            assert type(a) is type(b)
            if isinstance(a, ConstantLeaf):
                continue
            assert np.array_equal(a.dual_coef_, b.dual_coef_)
            assert np.array_equal(a.metric_, b.metric_)
            assert np.array_equal(a.X_fit_, b.X_fit_)
            assert repr(bare_history(a)) == repr(bare_history(b))
    assert np.array_equal(model.predict(X), expected.predict(X))


def stopping_in(leaf: int) -> tuple[list[int], Any]:
    """Return leaves that were heard of, and a callback that interrupts the fit in one of them."""
    heard: list[int] = []

    def callback(entry: dict[str, Any]) -> None:
        heard.append(entry["leaf"])
        if entry["leaf"] == leaf and entry["iteration"] == 1:
            raise KeyboardInterrupt

    return heard, callback


# Of the classifier's leaves the first and the last of each tree have rows of a single class.
def names_in(folder: Path) -> set[str]:
    """Return the names of the files, those of leaves without the key of their fit."""
    return {re.sub("-[0-9a-f]{16}", "", path.name) for path in folder.iterdir()}


def leaves(*numbers: int) -> set[str]:
    return {"trees.checkpoint", *(f"leaf-{number:04d}.checkpoint" for number in numbers)}


CASES = {
    "regressor": (TreeRFMRegressor, Y, None, (0, 3, 7)),
    "weighted classifier": (TreeRFMClassifier, LABELS, WEIGHT, (1, 5, 6)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_leaves_that_are_done_stay_done(case: tuple[Any, ...], tmp_path: Path) -> None:
    kind, y, weight, stops = case
    all_heard, listen = stopping_in(-1)
    whole = kind(**OPTIONS, callbacks=[listen]).fit(X, y, weight)
    assert [len(tree.leaves) for tree in whole.trees_] == [4, 4]
    for leaf in stops:
        folder = tmp_path / f"stopped in {leaf}"
        heard, stop = stopping_in(leaf)
        broken = kind(**OPTIONS, callbacks=[stop])
        with pytest.raises(KeyboardInterrupt):
            broken.fit(X, y, weight, checkpoint=folder, checkpoint_minutes=0)
        assert max(heard) == leaf
        heard, listen = stopping_in(-1)
        resumed = kind(**OPTIONS, callbacks=[listen]).fit(X, y, weight, resume_from=folder)
        assert_same(resumed, whole)
        assert min(heard) == leaf
        assert heard.count(leaf) < all_heard.count(leaf)  # it went on after what it had
        heard.clear()
        again = kind(**OPTIONS, callbacks=[listen]).fit(X, y, weight, resume_from=folder)
        assert_same(again, whole)
        assert not heard


def test_an_undivided_tree(tmp_path: Path) -> None:
    options = OPTIONS | {"max_leaf_size": 500, "n_trees": 1}
    whole = TreeRFMRegressor(**options).fit(X, Y)
    folder = tmp_path / "state"
    _, stop = stopping_in(0)

    def of_plain(entry: dict[str, Any]) -> None:
        stop({**entry, "leaf": 0})

    broken = TreeRFMRegressor(**options, callbacks=[of_plain])
    with pytest.raises(KeyboardInterrupt):
        broken.fit(X, Y, checkpoint=folder, checkpoint_minutes=0)
    told: list[Any] = []
    resumed = TreeRFMRegressor(**options, callbacks=[told.append]).fit(X, Y, resume_from=folder)
    assert_same(resumed, whole)
    assert 0 < len(told) < len(whole.trees_[0].leaves[0].history_)


def test_random_numbers_go_on_too(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    options = OPTIONS | {"random_state": np.random.RandomState(8)}
    whole = TreeRFMRegressor(**options).fit(X, Y, checkpoint=folder)
    assert_same(TreeRFMRegressor(**options).fit(X, Y, resume_from=folder), whole)


def test_leaves_in_other_processes(tmp_path: Path) -> None:
    whole = TreeRFMRegressor(**OPTIONS).fit(X, Y)
    folder = tmp_path / "state"
    _, stop = stopping_in(2)
    with pytest.raises(KeyboardInterrupt):
        TreeRFMRegressor(**OPTIONS, callbacks=[stop]).fit(X, Y, checkpoint=folder)
    assert names_in(folder) == leaves(0, 1, 2)
    heard, listen = stopping_in(-1)
    resumed = TreeRFMRegressor(**OPTIONS | {"n_jobs": 2, "callbacks": [listen]})
    assert_same(resumed.fit(X, Y, resume_from=folder), whole)
    assert names_in(folder) == leaves(*range(8))
    # Of the leaves that were done nothing is told again.
    assert heard
    assert min(heard) == 2


def test_a_fit_that_fails_ends_its_leaves(tmp_path: Path) -> None:
    """Also where its exception is kept, as Python's prompt does, and with it the fit's frames."""
    options = OPTIONS | {"n_jobs": 2, "max_leaf_size": 40}
    heard, stop = stopping_in(1)
    with pytest.raises(KeyboardInterrupt) as error:
        TreeRFMRegressor(**options, callbacks=[stop]).fit(X, Y, checkpoint=tmp_path)
    assert error.traceback
    there = names_in(tmp_path)
    time.sleep(0.5)
    assert names_in(tmp_path) == there
    assert len(there) < 12
    assert max(heard) == 1


def test_threads_of_a_failed_fit_are_not_in_the_way_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them is about to write as the fit fails, and does when the next fit is done."""
    waits, goes_on, has_written = Event(), Event(), Event()
    write = keepers.write_container

    def slow(path: Any, *content: Any) -> None:
        late = Path(path).name.startswith("leaf-0001") and not waits.is_set()
        if late:
            waits.set()
            assert goes_on.wait(60)
        write(path, *content)
        if late:
            has_written.set()

    def stop(entry: dict[str, Any]) -> None:
        heard.append(entry["leaf"])
        assert waits.wait(60)
        raise KeyboardInterrupt

    heard: list[int] = []
    monkeypatch.setattr(keepers, "write_container", slow)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        options = OPTIONS | {"n_jobs": None}
        broken = TreeRFMRegressor(**options, callbacks=[stop])
        with pytest.raises(KeyboardInterrupt):
            broken.fit(X, Y, checkpoint=tmp_path)
        assert not goes_on.is_set()
        other = options | {"alpha": 0.2}
        model = TreeRFMRegressor(**other).fit(X, Y, checkpoint=tmp_path)
        goes_on.set()
        assert has_written.wait(60)
        time.sleep(0.2)
        assert heard == [0]  # the thread has ended
        assert_same(TreeRFMRegressor(**other).fit(X, Y, resume_from=tmp_path), model)


def test_warnings_of_other_processes_are_heard() -> None:
    smooth = {"exponent": 2.0, "bandwidth": 100.0, "alpha": 1e-10, "n_iter": 0}
    said = []
    for jobs in (1, 2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            TreeRFMRegressor(**OPTIONS | smooth | {"n_jobs": jobs}).fit(X, Y)
        said.append([(str(warning.message), warning.category) for warning in caught])
    assert any("not positive definite in float32" in message for message, _ in said[0])
    assert said[0] == said[1]


def test_another_folder_gets_what_the_first_has(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    _, stop = stopping_in(3)
    with pytest.raises(KeyboardInterrupt):
        TreeRFMRegressor(**OPTIONS, callbacks=[stop]).fit(X, Y, checkpoint=first)
    second.mkdir()
    (second / f"leaf-0007-{'0' * 16}.checkpoint").write_text("of an earlier fit")
    (second / "notes.txt").write_text("somebody's")
    _, stop = stopping_in(5)
    kept = {path.name: path.read_bytes() for path in first.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        TreeRFMRegressor(**OPTIONS, callbacks=[stop]).fit(
            X, Y, resume_from=first, checkpoint=second
        )
    assert {path.name: path.read_bytes() for path in first.iterdir()} == kept
    assert names_in(second) == {"notes.txt", *leaves(*range(6))}
    heard, listen = stopping_in(-1)
    model = TreeRFMRegressor(**OPTIONS, callbacks=[listen]).fit(X, Y, resume_from=second)
    assert_same(model, TreeRFMRegressor(**OPTIONS).fit(X, Y))
    assert min(heard) == 5
    # a new fit leaves nothing of the old one, and what is not its own
    TreeRFMRegressor(**OPTIONS | {"n_trees": 1}).fit(X, Y, checkpoint=second)
    assert names_in(second) == {"notes.txt", *leaves(*range(4))}


def test_a_disk_that_gets_full_ends_no_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = keepers.write_container

    def full(path: Any, *content: Any) -> None:
        if Path(path).name > "leaf-0002":
            raise OSError(errno.ENOSPC, "No space left on device", os.fspath(path))
        write(path, *content)

    monkeypatch.setattr(keepers, "write_container", full)
    model = TreeRFMRegressor(**OPTIONS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, Y, checkpoint=tmp_path / "state")
    said = "\n".join(str(warning.message) for warning in caught)
    for leaf in range(8):
        told = re.search(rf"leaf-000{leaf}-.* could not be written .*No space left", said)
        assert bool(told) == (leaf >= 2)
    monkeypatch.undo()
    assert_same(model, TreeRFMRegressor(**OPTIONS).fit(X, Y))
    assert_same(TreeRFMRegressor(**OPTIONS).fit(X, Y, resume_from=tmp_path / "state"), model)


def test_what_cannot_go_on_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    model = TreeRFMRegressor(**OPTIONS)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*to resume from"):
        model.fit(X, Y, resume_from=folder)
    with pytest.raises(FileNotFoundError, match=r"no folder .* to make state in"):
        model.fit(X, Y, checkpoint=tmp_path / "missing" / "state")
    with pytest.raises(TypeError, match="resume_from must be a path or None; got 3"):
        model.fit(X, Y, resume_from=3)
    with pytest.raises(ValueError, match="checkpoint_steps must be at least 1"):
        model.fit(X, Y, checkpoint=folder, checkpoint_steps=0)
    assert not folder.exists()
    (tmp_path / "file").write_text("")
    for name in ("checkpoint", "resume_from"):
        with pytest.raises(NotADirectoryError, match=f"{name}='.*file' is a file"):
            model.fit(X, Y, **{name: tmp_path / "file"})
    model.fit(X, Y, checkpoint=folder)
    with pytest.raises(CheckpointError, match="n_trees=2, and this one has n_trees=3"):
        TreeRFMRegressor(**OPTIONS | {"n_trees": 3}).fit(X, Y, resume_from=folder)
    with pytest.raises(CheckpointError, match="estimator=TreeRFMRegressor"):
        TreeRFMClassifier(**OPTIONS).fit(X, LABELS, resume_from=folder)
    with pytest.raises(CheckpointError, match=r"state'.*to another X"):
        TreeRFMRegressor(**OPTIONS).fit(X + np.float32(0.01), Y, resume_from=folder)
    with pytest.raises(CheckpointError, match=r"state'.*to another y"):
        TreeRFMRegressor(**OPTIONS).fit(X, Y + np.float32(1e-3), resume_from=folder)
    with pytest.raises(CheckpointError, match=r"state'.*to another sample_weight"):
        TreeRFMRegressor(**OPTIONS).fit(X, Y, WEIGHT, resume_from=folder)
    with pytest.raises(CheckpointError, match=r"state'.*to another X_val"):
        TreeRFMRegressor(**OPTIONS).fit(X, Y, X_val=X[:150], y_val=Y[:150], resume_from=folder)
    with pytest.raises(CheckpointError, match="random_state=3, and this one has random_state=None"):
        TreeRFMRegressor(**OPTIONS | {"random_state": None}).fit(X, Y, resume_from=folder)
    with pytest.raises(ValueError, match="X has 3 features"):
        TreeRFMRegressor(**OPTIONS).fit(X, Y, X_val=X[:, :3], y_val=Y, checkpoint=folder)
    with pytest.raises(ValueError, match="checkpoint is an empty path"):
        model.fit(X, Y, checkpoint="")
    with pytest.raises(IsADirectoryError, match="is a folder, as the checkpoint of a tree is"):
        fastrfm.RFMRegressor(**PAPERS).fit(X, Y, resume_from=folder)
    # Nothing of that has harmed the checkpoint.
    heard, listen = stopping_in(-1)
    TreeRFMRegressor(**OPTIONS, callbacks=[listen]).fit(X, Y, resume_from=folder)
    assert not heard
    (damaged,) = folder.glob("leaf-0001-*.checkpoint")
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(CheckpointError, match="leaf-0001-"):
        TreeRFMRegressor(**OPTIONS).fit(X, Y, resume_from=folder)


@pytest.mark.slow
def test_kills_at_random_moments_cost_no_bit(tmp_path: Path) -> None:
    def start(folder: Path, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(PROBE), str(folder), *words],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "fitting\n"
        return process

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    with start(whole) as process:
        began = time.monotonic()
        assert process.wait(120) == 0
    seconds = time.monotonic() - began
    rng = np.random.default_rng(0)
    kills = 0
    for _ in range(40):
        with start(killed, "checkpoint") as process:
            try:
                assert process.wait(float(rng.uniform(0.1, 0.5) * seconds)) == 0
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += process.wait() == -signal.SIGKILL
            if process.returncode == 0:
                break
    assert kills >= 2
    assert process.returncode == 0
    assert (killed / "model.frfm").read_bytes() == (whole / "model.frfm").read_bytes()
    assert fastrfm.load(killed / "model.frfm").trees_
