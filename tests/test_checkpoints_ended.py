"""Ended fits, files that never fall behind, and parameters that are the same in other types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases import Array
from fastrfm import RFMClassifier, RFMRegressor, ensemble
from fastrfm.checkpoints import CheckpointError, Identity
from fastrfm.checkpoints.file_keeper import FileKeeper, read_checkpoint
from fastrfm.persistence import atomic
from fastrfm.recursion import RecursionResult, RecursionState
from fastrfm.ridge.pcg import CgState

RNG = np.random.default_rng(0)
X = RNG.standard_normal((450, 4)).astype(np.float32)
Y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2]


class Killed(BaseException):
    """Stands for a kill: nothing of the fit catches it."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_to_disk", lambda path, flags: None)
    monkeypatch.setattr(ensemble, "SEARCH_ROWS", 150)
    monkeypatch.setattr(ensemble, "FEWEST_JUDGING_ROWS", 100)


def _stop_after(calls: int) -> Any:
    heard: list[Any] = []

    def callback(entry: dict[str, Any]) -> bool:
        heard.append(entry)
        return len(heard) >= calls

    return callback


@pytest.mark.filterwarnings("ignore:the fit was ended before")
@pytest.mark.parametrize("calls", [1, 3, 10])
def test_a_fit_that_a_callback_ended_gives_its_result(calls: int, tmp_path: Path) -> None:
    def model(**options: Any) -> RFMRegressor:
        return RFMRegressor(n_iter=2, random_state=0, **options)

    ended = model(callbacks=[_stop_after(calls)]).fit(X, Y, checkpoint=tmp_path / "state")
    whole = model().fit(X, Y)
    assert len(ended.dual_coef_) < len(whole.dual_coef_)
    heard: list[Any] = []
    for _ in range(2):
        again = model(callbacks=[heard.append]).fit(X, Y, resume_from=tmp_path / "state")
        assert not heard
        assert len(again.members_) == len(ended.members_)
        assert np.array_equal(again.predict(X), ended.predict(X))


def test_a_fit_that_had_no_time_gives_its_result(tmp_path: Path) -> None:
    """Of a classifier, whose folds are left out then, too."""
    labels = np.where(Y > 0, "high", "low")[:140]
    # No less could be done.
    ended = RFMClassifier(n_iter=1, random_state=0, time_limit=1e-9)
    ended.fit(X[:140], labels, checkpoint=tmp_path / "state")
    again = RFMClassifier(n_iter=1, random_state=0).fit(
        X[:140], labels, resume_from=tmp_path / "state"
    )
    assert len(again.members_) == len(ended.members_) == 1
    assert np.array_equal(again.predict_proba(X), ended.predict_proba(X))


def _state_of_cg() -> CgState:
    z = np.zeros((3, 1))
    return CgState(z, np.arange(1), z, z, z[0], 0, 1, 0.5)


def test_a_file_keeps_the_latest_solve_until_a_run_comes_to_it(tmp_path: Path) -> None:
    """Where an iteration tries several ridges: else runs of one solve each would never end."""
    path = tmp_path / "state"

    def kept(solves: int) -> list[int]:
        """Let a run be killed after so many solves; return which the file has after each."""
        saved = read_checkpoint(path) if path.exists() else None
        rng = np.random.RandomState(0)
        keeper = FileKeeper(path, 0.0, 1, rng, saved, path)
        keeper.begin(lambda: Identity({}, {}))
        found = []

        def iterate() -> RecursionResult:
            state = keeper.resumed_iteration(rng)
            keeper.iteration(state or RecursionState(0, None, None, (1.0,), [], None), rng)
            for _ in range(solves):
                keeper.resumed_solve()
                keeper.step(_state_of_cg())
                unfinished = read_checkpoint(path).unfinished
                assert unfinished is not None
                found.append(unfinished.solve)
            raise Killed

        with pytest.raises(Killed):
            keeper.recursion("search of member 0", rng, iterate)
        return found

    assert kept(3) == [1, 2, 3]
    assert kept(1) == [3]
    assert kept(2) == [3, 3]
    assert kept(4) == [3, 3, 3, 4]


def test_equal_parameters_may_be_of_other_types(tmp_path: Path) -> None:
    table = (2 * X[:60]).round()
    path = tmp_path / "state"

    def fit(norm: Any, categories: Any, **options: Any) -> Array:
        model = RFMRegressor(norm=norm, n_iter=0, categorical_features=categories, random_state=0)
        coef: Array = model.fit(table, Y[:60], **options).dual_coef_
        return coef

    expected = fit(2, [np.int64(1), 2], checkpoint=path)
    for norm, categories in ((2.0, (1, 2)), (np.float32(2), np.array([1, 2])), (2, [1, 2])):
        assert np.array_equal(fit(norm, categories, resume_from=path), expected)
    for norm, categories in ((1.5, [1, 2]), (2, [1]), (2, [True, False, True, False])):
        with pytest.raises(CheckpointError, match="it is of a fit with "):
            fit(norm, categories, resume_from=path)


def test_equal_class_weights_may_be_written_in_other_ways(tmp_path: Path) -> None:
    path, labels = tmp_path / "state", (X[:60, 0] > 0).astype(int)

    def fit(class_weight: Any, **options: Any) -> Array:
        model = RFMClassifier(norm=2, n_iter=0, class_weight=class_weight, random_state=0)
        coef: Array = model.fit(X[:60], labels, **options).dual_coef_
        return coef

    expected = fit({0: 1, 1: 2}, checkpoint=path)
    assert np.array_equal(fit({1: 2.0, 0: 1.0}, resume_from=path), expected)
    with pytest.raises(
        CheckpointError, match=r"class_weight=\{0: 1, 1: 2\}, and this one has class"
    ):
        fit({0: 2, 1: 1}, resume_from=path)
