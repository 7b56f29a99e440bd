"""Checkpoints: a fit that goes on comes to the same bits; what cannot go on is told exactly."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastrfm
from cases import Array, plain_regressor
from fastrfm import RFMClassifier, RFMRegressor, backend, ensemble
from fastrfm.checkpoints import CheckpointError
from fastrfm.checkpoints.file_keeper import FileKeeper
from fastrfm.persistence import atomic
from fastrfm.ridge.pcg import CgState, pcg

RNG = np.random.default_rng(0)
X = RNG.standard_normal((450, 4)).astype(np.float32)
Y = np.sin(X[:, :3] * 2) + X[:, :1] * X[:, 1:2]
WEIGHT = RNG.uniform(0.5, 2.0, len(X))
LABELS = np.where(Y[:, 0] > 0.5, "high", np.where(Y[:, 1] > 0, "middle", "low"))


class Killed(BaseException):
    """Stands for a kill: nothing of the fit catches it."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_to_disk", lambda path, flags: None)
    monkeypatch.setattr(ensemble, "SEARCH_ROWS", 150)
    monkeypatch.setattr(ensemble, "FEWEST_JUDGING_ROWS", 100)


def _plain_pcg() -> tuple[Any, tuple[Any, ...]]:
    return plain_regressor(n_iter=2, solver="pcg", tol=1e-5, random_state=3), (X, Y)


def _weighted_without_storing() -> tuple[Any, tuple[Any, ...]]:
    model = plain_regressor(n_iter=1, solver="pcg", memory_limit=5_000_000, random_state=3)
    return model, (X.astype(np.float64), Y[:, 0], WEIGHT)


def _searched() -> tuple[Any, tuple[Any, ...]]:
    return RFMRegressor(solver="pcg", n_iter=1, random_state=np.random.RandomState(5)), (X, Y[:, 0])


def _validated() -> tuple[Any, tuple[Any, ...]]:
    return (
        plain_regressor(n_iter=2, solver="pcg", random_state=3, validation_fraction=0.2),
        (X, Y[:, :2]),
    )


def _classifier() -> tuple[Any, tuple[Any, ...]]:
    # Its folds are recursions too.
    model = RFMClassifier(norm=2.0, n_iter=2, alpha=0.1, diagonal=False, random_state=0)
    return model, (X[:140], np.where(X[:140, 0] * X[:140, 1] > 0, "odd", "even"))


CASES: list[Callable[[], tuple[Any, tuple[Any, ...]]]] = [
    _plain_pcg,
    _weighted_without_storing,
    _searched,
    _validated,
    _classifier,
]


def _told(model: Any) -> list[list[dict[str, Any]]]:
    """Return the histories without what differs: seconds."""
    return [
        [{k: v for k, v in entry.items() if k != "seconds"} for entry in member.history_]
        for member in model.members_
    ]


def assert_same(model: Any, expected: Any) -> None:
    """Check that two models are equal to the last bit, but for seconds."""
    assert len(model.members_) == len(expected.members_)
    assert np.array_equal(model.member_weights_, expected.member_weights_)
    for a, b in zip(model.members_, expected.members_, strict=True):
        for name in ("dual_coef_", "metric_", "agop_", "X_fit_"):
            x, y = getattr(a, name), getattr(b, name)
            assert x.dtype == y.dtype
            assert np.array_equal(x, y), name
        assert (a.alpha_, a.bandwidth_, a.best_iter_) == (b.alpha_, b.bandwidth_, b.best_iter_)
    assert repr(_told(model)) == repr(_told(expected))  # NaN and all
    predict = "predict_proba" if hasattr(model, "classes_") else "predict"
    Z = X[:50]
    assert np.array_equal(getattr(model, predict)(Z), getattr(expected, predict)(Z))


@pytest.fixture(name="killing")
def _killing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Fits are killed at the write of which the number stands in the list, from 0."""
    countdown = [10**9]
    write = FileKeeper._write

    def counted(self: FileKeeper, unfinished: Any) -> None:
        write(self, unfinished)
        countdown[0] -= 1
        if countdown[0] < 0:
            raise Killed

    monkeypatch.setattr(FileKeeper, "_write", counted)
    return countdown


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_fit_goes_on_to_the_same_bits(
    case: Callable[[], tuple[Any, tuple[Any, ...]]], tmp_path: Path, killing: list[int]
) -> None:
    model, data = case()
    expected = model.fit(*data)
    path = tmp_path / "state"
    model, data = case()
    model.fit(*data, checkpoint=path, checkpoint_minutes=0)
    writes = 10**9 - killing[0]
    assert_same(model, expected)
    assert writes > 5
    for number in {1, writes // 2, writes - 3}:
        model, data = case()
        killing[0] = number
        with pytest.raises(Killed):
            model.fit(*data, checkpoint=path, checkpoint_minutes=0)
        assert not hasattr(model, "members_")
        killing[0] = 10**9
        model, data = case()
        assert_same(model.fit(*data, resume_from=path, checkpoint_minutes=0), expected)
        # What has ended gives its result.
        model, data = case()
        assert_same(model.fit(*data, resume_from=path), expected)


def test_a_fit_may_be_killed_again_and_again(tmp_path: Path, killing: list[int]) -> None:
    model, data = _plain_pcg()
    expected = model.fit(*data)
    path = tmp_path / "state"
    resume: dict[str, Any] = {}
    for _ in range(100):
        model, data = _plain_pcg()
        killing[0] = 3
        try:
            model.fit(*data, checkpoint=path, checkpoint_steps=2, **resume)
        except Killed:
            resume = {"resume_from": path}
        else:
            break
    assert_same(model, expected)
    assert resume


def test_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    write = FileKeeper._write
    monkeypatch.setattr(
        FileKeeper, "_write", lambda self, un: (written.append(un), write(self, un))
    )

    def fit(**options: Any) -> list[Any]:
        written.clear()
        model, data = _plain_pcg()
        model.fit(*data, checkpoint=tmp_path / "state", **options)
        return list(written)

    assert len(fit(checkpoint_minutes=None)) == 2  # the first and the last
    assert len(fit()) == 2
    every = fit(checkpoint_minutes=None, checkpoint_steps=1)
    steps = [un for un in every if un is not None and un.cg is not None]
    third = fit(checkpoint_minutes=None, checkpoint_steps=3)
    assert len(steps) // 3 - 1 <= len(third) - 2 <= len(steps) // 3 + 1
    assert len(fit(checkpoint_minutes=0)) > len(steps)


def test_pcg_goes_on_from_a_copy_of_its_state() -> None:
    rng = np.random.default_rng(0)
    A = rng.standard_normal((60, 60))
    A = A @ A.T + 0.1 * np.eye(60)
    targets = rng.standard_normal((60, 3)) * [1.0, 1e-3, 1.0]
    targets[:, 2] = A @ np.ones(60)
    seen: list[CgState] = []

    def keep(state: CgState) -> bool:
        arrays = {
            name: np.array(value) if isinstance(value, np.ndarray) else value
            for name, value in vars(state).items()
        }
        seen.append(CgState(**arrays))
        return False

    def run(**options: Any) -> Any:
        return pcg(lambda P: A @ P, targets, lambda R: R / np.diag(A)[:, None], tol=1e-9, **options)

    whole = run(on_step=keep)
    assert len({len(state.active) for state in seen}) > 1
    for state in seen[:: max(1, len(seen) // 10)]:
        rest = run(resume_from=state)
        assert np.array_equal(rest.coef, whole.coef)
        assert (rest.residual, rest.iterations) == (whole.residual, whole.iterations)


@pytest.fixture(name="state", scope="module")
def _state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoints") / "state"
    plain_regressor(n_iter=1, random_state=0).fit(X[:60], Y[:60], checkpoint=path)
    return path


def _refused(message: str, path: Path, *data: Any, **parameters: Any) -> None:
    data = data or (X[:60], Y[:60])
    model = plain_regressor(**{"n_iter": 1, "random_state": 0} | parameters)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=re.escape(f"cannot resume from '{path}': {message}")):
        model.fit(*data, resume_from=path)
    assert path.read_bytes() == before


def test_a_checkpoint_of_another_fit_is_refused(state: Path) -> None:
    again = "give it what it had, or fit anew without resume_from"
    _refused(f"it is of a fit with n_iter=1, and this one has n_iter=2; {again}", state, n_iter=2)
    _refused(
        f"it is of a fit with random_state=0, and this one has random_state=1; {again}",
        state,
        random_state=1,
    )
    _refused(
        "it is of a fit with random_state=0, and this one has random_state=None or a generator; "
        f"{again}",
        state,
        random_state=None,
    )
    same = "pass the same data in the same order, or fit anew without resume_from"
    other = X[:60].copy()
    other[3, 2] += 1e-3
    _refused(f"it is of a fit to another X; {same}", state, other, Y[:60])
    _refused(f"it is of a fit to another y; {same}", state, X[:60], 2 + Y[:60] ** 2)
    _refused(f"it is of a fit to another sample_weight; {same}", state, X[:60], Y[:60], WEIGHT[:60])
    model = plain_regressor(n_iter=1, random_state=0)
    with pytest.raises(CheckpointError, match="it is of a fit to another X_val; pass the same"):
        model.fit(X[:60], Y[:60], X_val=X[60:80], y_val=Y[60:80], resume_from=state)
    with pytest.raises(CheckpointError, match="estimator=RFMRegressor, and this one has estimator"):
        RFMClassifier().fit(X[:60], LABELS[:60], resume_from=state)
    # What does not matter may differ.
    plain_regressor(n_iter=1, random_state=0, verbose=0, callbacks=[print], device="cpu").fit(
        X[:60], Y[:60], resume_from=state
    )


def test_damaged_checkpoints_are_told(state: Path, tmp_path: Path) -> None:
    content = state.read_bytes()
    path = tmp_path / "damaged"
    remedy = "copy it again from where it was written, or fit anew without resume_from"
    path.write_bytes(content[:-10])
    size = len(content)
    _refused(f"it is truncated: {size - 10:,} bytes are there of {size:,} bytes; {remedy}", path)
    path.write_bytes(content[:50])
    _refused(f"it is truncated: 50 bytes are there; {remedy}", path)
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    _refused(f"it is altered: its content does not match its checksum; {remedy}", path)
    path.write_bytes(b"")
    source = "give the path that was the checkpoint of a fit"
    _refused(f"it is empty; {source}", path)
    path.write_bytes(b"PK\x03\x04 and so on, for long enough to be read as a header of such a file")
    _refused(
        f"it is not a checkpoint of a fastrfm fit, but a zip file (such as .npz); {source}", path
    )
    plain_regressor(n_iter=0).fit(X[:60], Y[:60]).save(path)
    _refused("it is a model, not a checkpoint; load it with fastrfm.load, or give the path", path)
    with pytest.raises(fastrfm.ModelFileError, match="it is a checkpoint of a fit"):
        fastrfm.load(state)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(at=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans())
def test_no_damage_goes_unseen(state: Path, at: int, byte: int, cut: bool) -> None:
    content = bytearray(state.read_bytes())
    at %= len(content)
    changed = content[:at] if cut else content
    if not cut:
        changed[at] = byte
    path = state.with_name("damaged")
    path.write_bytes(changed)
    model = plain_regressor(n_iter=1, random_state=0)
    if changed == state.read_bytes():
        return
    with pytest.raises(CheckpointError):
        model.fit(X[:60], Y[:60], resume_from=path)


def test_a_checkpoint_of_another_version_is_refused(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastrfm.checkpoints import states

    version = states.__version__
    monkeypatch.setattr(states, "__version__", "99.0")
    _refused(
        f"it was written by fastrfm {version}, and this is fastrfm 99.0, whose fit need not go on "
        "to the same; go on with that version, or fit anew without resume_from",
        state,
    )


def test_wrong_arguments(tmp_path: Path) -> None:
    model = plain_regressor(n_iter=0)

    def fit(**options: Any) -> None:
        model.fit(X[:20], Y[:20], **options)

    with pytest.raises(TypeError, match="checkpoint must be a path or None; got 3"):
        fit(checkpoint=3)
    with pytest.raises(TypeError, match="resume_from must be a path or None; got b'x'"):
        fit(resume_from=b"x")
    with pytest.raises(ValueError, match="checkpoint_minutes must be at least 0 and finite; got -"):
        fit(checkpoint=tmp_path / "state", checkpoint_minutes=-1)
    with pytest.raises(ValueError, match="checkpoint_steps must be at least 1; got 0"):
        fit(checkpoint=tmp_path / "state", checkpoint_steps=0)
    with pytest.raises(TypeError, match="checkpoint_steps must be an integer or None; got"):
        fit(checkpoint=tmp_path / "state", checkpoint_steps=1.5)
    with pytest.raises(ValueError, match="resume_from is an empty path"):
        fit(resume_from="")
    with pytest.raises(IsADirectoryError, match="is a folder, as the checkpoint of a tree is"):
        fit(resume_from=tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        fit(checkpoint=tmp_path / "nowhere" / "state")
    missing = tmp_path / "state"
    with pytest.raises(
        FileNotFoundError,
        match=re.escape(f"there is no checkpoint {str(missing)!r} to resume from; fit without"),
    ):
        fit(resume_from=missing)
    assert not hasattr(model, "members_")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError()])
def test_a_full_disk_does_not_end_a_fit(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = _plain_pcg()
    expected = model.fit(*data)
    from fastrfm.checkpoints import file_keeper

    write, count = file_keeper.write_container, [0]

    def full(*arguments: Any) -> None:
        count[0] += 1
        if count[0] > 3:
            raise error
        write(*arguments)

    monkeypatch.setattr(file_keeper, "write_container", full)
    path = tmp_path / "state"
    model, data = _plain_pcg()
    reason = re.escape(str(error) or "MemoryError")
    with pytest.warns(RuntimeWarning, match=f"{reason}.*the fit goes on, and what was there stays"):
        model.fit(*data, checkpoint=path, checkpoint_steps=5)
    assert_same(model, expected)
    # It has tried no more often than it would have written.
    tried, count[0] = count[0], -1_000
    model, data = _plain_pcg()
    model.fit(*data, checkpoint=tmp_path / "other", checkpoint_steps=5)
    assert tried == count[0] + 1_000 > 4
    monkeypatch.undo()
    model, data = _plain_pcg()
    assert_same(model.fit(*data, resume_from=path), expected)


def test_a_fit_that_cannot_begin_leaves_the_file(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise RuntimeError("CUDA is not here")

    monkeypatch.setattr(backend, "cuda_room", missing)
    before = state.read_bytes()
    model = plain_regressor(n_iter=1, random_state=0, device="cuda")
    with pytest.raises(RuntimeError, match="CUDA"):
        model.fit(X[:60], Y[:60], checkpoint=state)
    assert state.read_bytes() == before


def test_the_state_of_the_global_generator_is_kept(tmp_path: Path, killing: list[int]) -> None:
    data: tuple[Array, Array] = (X, Y[:, 0])
    path = tmp_path / "state"
    killing[0] = 4
    with pytest.raises(Killed):
        plain_regressor(n_iter=1, agop_samples=100).fit(
            *data, checkpoint=path, checkpoint_minutes=0
        )
    killing[0] = 10**9
    models = [
        plain_regressor(n_iter=1, agop_samples=100).fit(*data, resume_from=path, checkpoint=path)
        for _ in range(2)
    ]
    assert_same(models[0], models[1])
