"""Models come back from their files as they were, and a failed save leaves the file before it."""

from __future__ import annotations

import json
import os
import pickle
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import safetensors.numpy
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

import fastrfm
from cases import plain_classifier, plain_regressor
from fastrfm import RFMClassifier, RFMRegressor
from fastrfm.persistence import container

RNG = np.random.default_rng(0)
N = 60
NUMBERS = RNG.standard_normal((N, 3)).astype(np.float32)
CODES = RNG.integers(0, 3, N)
FRAME = pd.DataFrame(
    {
        "size": NUMBERS[:, 0].astype(np.float64),
        "few": RNG.integers(0, 4, N),
        "gap": np.where(RNG.random(N) < 0.2, np.nan, NUMBERS[:, 1]),
        "constant": 1.5,
        "colour": pd.Categorical(np.array(["red", "grün", "it's"])[CODES]),
        "text": pd.Series(np.where(CODES == 1, None, "a\0\ud800b"), dtype=object),
        "flag": CODES == 2,
        "flag or not": pd.array(np.where(CODES == 0, None, CODES == 1), dtype="boolean"),
    }
)
TARGET = np.sin(NUMBERS[:, 0]) + CODES


def saved(model: Any, path: Path, **options: Any) -> Any:
    model.save(path, **options)
    return fastrfm.load(path)


def assert_same(got: Any, expected: Any, where: str = "model") -> None:
    """Compare all there is, private attributes too, types included."""
    assert type(got) is type(expected), where
    if isinstance(expected, np.ndarray):
        assert got.dtype == expected.dtype, where
        assert got.shape == expected.shape, where
        np.testing.assert_array_equal(got, expected, err_msg=where)
        if expected.dtype == object:
            assert_same(got.tolist(), expected.tolist(), where)
    elif isinstance(expected, dict):
        assert list(got) == list(expected), where
        for key in expected:
            assert_same(got[key], expected[key], f"{where}[{key!r}]")
    elif isinstance(expected, (list, tuple)):
        assert len(got) == len(expected), where
        for i, (one, other) in enumerate(zip(got, expected, strict=True)):
            assert_same(one, other, f"{where}[{i}]")
    elif hasattr(expected, "__dict__") and not isinstance(expected, type):
        assert vars(got).keys() == vars(expected).keys(), where
        for name in vars(expected):
            assert_same(vars(got)[name], vars(expected)[name], f"{where}.{name}")
    elif isinstance(expected, (float, np.floating)) and np.isnan(expected):
        assert np.isnan(got), where
    else:
        assert got == expected, where


def check(model: Any, X: Any, path: Path) -> Any:
    """Save, load and compare; return what was loaded."""
    again = saved(model, path)
    assert_same(again, model)
    names = ["predict"] + ["predict_proba", "decision_function"] * hasattr(model, "classes_")
    for name in names:
        assert_same(getattr(again, name)(X), getattr(model, name)(X), name)
    data = path.read_bytes()
    again.save(path)
    assert path.read_bytes() == data
    return again


REGRESSORS = {
    "default": RFMRegressor(random_state=0),
    "one member": plain_regressor(diagonal=True, n_iter=1),
    "no metric": plain_regressor(n_iter=0, bandwidth="2*median"),
    "as it is": RFMRegressor(standardize=False, n_iter=1, random_state=np.int64(3)),
    "conjugate gradients": plain_regressor(solver="pcg", n_iter=1, alpha=np.float32(0.1)),
}


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors_come_back(name: str, tmp_path: Path) -> None:
    model = clone(REGRESSORS[name]).fit(NUMBERS, TARGET)
    model.set_params(**{k: v.item() for k, v in vars(model).items() if isinstance(v, np.generic)})
    check(model, NUMBERS, tmp_path / "m.frfm")


@pytest.mark.parametrize("frame", [FRAME, pl.from_pandas(FRAME.drop(columns="text"))])
def test_tables_come_back(frame: Any, tmp_path: Path) -> None:
    model = RFMRegressor(random_state=0).fit(frame, TARGET)
    assert len(model.members_) > 1
    again = check(model, frame, tmp_path / "m.frfm")
    assert isinstance(frame, pl.DataFrame) or "ranked" in again._encoders
    # What members share they share again.
    tables = {id(m.X_fit_): m.columns_ for m in again.members_}
    assert len(tables) == len(again._encoders)
    assert again.history_ is again.members_[int(np.argmax(again.member_weights_))].history_


def test_weights_and_many_outputs(tmp_path: Path) -> None:
    Y = np.stack([TARGET, TARGET**2, np.ones(N)], axis=1)
    weights = RNG.uniform(0, 2, N)
    check(plain_regressor().fit(NUMBERS, Y, weights), NUMBERS, tmp_path / "m.frfm")
    check(plain_regressor().fit(NUMBERS, Y[:, :1]), NUMBERS, tmp_path / "m.frfm")


@pytest.mark.parametrize(
    "classes",
    [
        np.array(["a", "bc", "ß"]),
        np.array(["a", "bc", "ß"], dtype=object),
        np.array(["no", "yes"]),
        np.array([-1, 1]),
        np.array([2, 3, 2**60]),
        np.array([3, 4, 200], dtype=np.uint8),
        np.array([1, 2], dtype=np.float32),
        np.array([False, True]),
        np.array(["2026-01-01", "2026-02-01", "2027-01-01"], dtype="datetime64[D]"),
    ],
    ids=lambda classes: f"{classes.dtype}-{len(classes)}",
)
def test_labels_of_all_kinds(classes: Any, tmp_path: Path) -> None:
    labels = classes[CODES % len(classes)]
    model = RFMClassifier(n_iter=1, random_state=0).fit(NUMBERS, labels)
    again = check(model, NUMBERS, tmp_path / "m.frfm")
    assert again.predict(NUMBERS).dtype == labels.dtype


def test_labels_of_a_frame(tmp_path: Path) -> None:
    labels = pd.Series(["x", "y", "z"], dtype="string")[CODES].reset_index(drop=True)
    check(plain_classifier(n_iter=1).fit(FRAME, labels), FRAME, tmp_path / "m.frfm")


@pytest.mark.parametrize(
    "levels",
    [
        [3, 1, 2**40],
        [0.1, 1.5, -3.0],
        [0.1, None, -3.0],
        ["b", "a", None],
        [True, False, True],
        [True, False, None],
        [2**70, 1, 2],
    ],
    ids=str,
)
def test_levels_of_all_kinds(levels: list[Any], tmp_path: Path) -> None:
    column = np.array(levels, dtype=object)[CODES]
    X = np.stack([NUMBERS[:, 0].astype(object), column], axis=1)
    model = plain_regressor(categorical_features=[1], n_iter=1).fit(X, TARGET)
    check(model, X, tmp_path / "m.frfm")


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.float32, np.float64])
def test_levels_of_an_array_keep_their_dtype(dtype: type, tmp_path: Path) -> None:
    X = np.stack([CODES, RNG.integers(0, 4, N)], axis=1).astype(dtype)
    check(plain_regressor(categorical_features=[1]).fit(X, TARGET), X, tmp_path / "m.frfm")


def test_many_levels(tmp_path: Path) -> None:
    X = np.stack([np.arange(1300) // 2, np.arange(1300) % 7], axis=1)
    model = plain_regressor(categorical_features=[0], n_iter=0).fit(X, X[:, 1] % 3)
    again = check(model, X, tmp_path / "m.frfm")
    assert again._encoders["standard"]._categories[0].width == 512
    # One-hot columns are stored as what is not 0 in them.
    tables = sum(a.nbytes for a in arrays_of(tmp_path / "m.frfm", "categories").values())
    assert tables < 50_000


def arrays_of(path: Path, word: str = "") -> dict[str, Any]:
    arrays = safetensors.numpy.load_file(path)
    return {name: array for name, array in arrays.items() if word in name}


@pytest.mark.parametrize(
    "parameters",
    [
        {"categorical_features": ["colour", "text", "flag", "flag or not"]},
        {"categorical_features": ("colour", "text", "flag", "flag or not")},
        {"categorical_features": np.array([4, 5, 6, 7])},
        {"categorical_features": np.arange(8) > 3},
        {"categorical_features": np.array(["colour", "text", "flag", "flag or not"])},
        {"bandwidth": "3*median", "memory_limit": 2**40, "time_limit": 1e3, "verbose": 0},
    ],
)
def test_parameters(parameters: dict[str, Any], tmp_path: Path) -> None:
    model = plain_regressor(n_iter=0).set_params(**parameters).fit(FRAME, TARGET)
    check(model, FRAME, tmp_path / "m.frfm")


@pytest.mark.parametrize("chosen", [FRAME.columns[4:], range(4, 8)])
def test_a_column_index_becomes_a_list(chosen: Any, tmp_path: Path) -> None:
    model = plain_regressor(n_iter=0, categorical_features=chosen)
    again = saved(model.fit(FRAME, TARGET), tmp_path / "m.frfm")
    assert again.categorical_features == list(chosen)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 1.0, 1: 2, 2: np.float64(0.5)}])
def test_class_weights(class_weight: Any, tmp_path: Path) -> None:
    model = plain_classifier(n_iter=0, class_weight=class_weight).fit(NUMBERS, CODES)
    again = saved(model, tmp_path / "m.frfm")
    assert again.class_weight == class_weight
    labels = np.array(["a", "b", "c"])[CODES]
    model = plain_classifier(n_iter=0, class_weight={"a": 3, "b": 1, "c": 1}).fit(NUMBERS, labels)
    check(model, NUMBERS, tmp_path / "m.frfm")


def test_what_lives_in_the_process_is_none(tmp_path: Path) -> None:
    model = plain_regressor(n_iter=0, callbacks=[print.__class__])
    model.set_params(callbacks=[len], random_state=np.random.RandomState(0))
    again = saved(model.fit(NUMBERS, TARGET), tmp_path / "m.frfm")
    assert again.callbacks is None
    assert again.random_state is None


def test_a_loaded_model_goes_on(tmp_path: Path) -> None:
    model = RFMRegressor(random_state=0).fit(NUMBERS, TARGET)
    again = saved(model, tmp_path / "m.frfm")
    assert_same(pickle.loads(pickle.dumps(again)), model)
    again.fit(NUMBERS, TARGET)
    np.testing.assert_array_equal(again.predict(NUMBERS), model.predict(NUMBERS))
    assert clone(again).get_params() == model.get_params()
    again.X_fit_[0] = 0  # as of a fitted one, arrays are the user's


def test_a_history_keeps_nan_and_numbers_as_keys(tmp_path: Path) -> None:
    model = RFMRegressor(random_state=0).fit(NUMBERS, TARGET)
    model.members_[0].history_.append({"score": np.nan, "alphas": {0.1: np.inf}, "pair": (1, "a")})
    again = saved(model, tmp_path / "m.frfm")
    assert_same(again.members_[0].history_, model.members_[0].history_)


def test_other_programs_read_the_arrays(tmp_path: Path) -> None:
    model = RFMRegressor(random_state=0).fit(NUMBERS, TARGET)
    model.save(tmp_path / "m.frfm")
    arrays = arrays_of(tmp_path / "m.frfm")
    np.testing.assert_array_equal(arrays["members.0.X_fit_"], model.members_[0].X_fit_)
    np.testing.assert_array_equal(arrays["member_weights_"], model.member_weights_)
    # Nothing twice.
    contents = [(a.dtype, a.shape, a.tobytes()) for a in arrays.values()]
    assert len(set(contents)) == len(contents)


def rms(values: Any) -> float:
    return float(np.sqrt(np.mean(values**2)))


def test_half_precision(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((1000, 20)).astype(np.float32)
    y = np.sin(X[:, 0]) + X[:, 1]
    model = plain_regressor(n_iter=1).fit(X, y)
    model.save(tmp_path / "whole.frfm")
    again = saved(model, tmp_path / "half.frfm", centers_dtype="float16")
    sizes = [(tmp_path / name).stat().st_size for name in ("half.frfm", "whole.frfm")]
    assert sizes[0] < 0.62 * sizes[1]
    assert again.X_fit_.dtype == np.float32
    np.testing.assert_array_equal(again.X_fit_, model.X_fit_.astype(np.float16))
    # Of rows that were not fitted; a few coefficients make up for what rounding changes.
    X_new = rng.standard_normal((500, 20)).astype(np.float32)
    change = rms(again.predict(X_new) - model.predict(X_new)) / y.std()
    again.members_[0].dual_coef_[:] = model.members_[0].dual_coef_
    uncorrected = rms(again.predict(X_new) - model.predict(X_new)) / y.std()
    assert 0 < change < min(1e-3, uncorrected / 2)
    again = fastrfm.load(tmp_path / "half.frfm")
    # Half precision is exact the second time.
    assert_same(saved(again, tmp_path / "half.frfm", centers_dtype="float16"), again)


def test_half_precision_of_a_kernel_that_sees_nothing(tmp_path: Path) -> None:
    model = plain_regressor(bandwidth=1e-30, n_iter=0).fit(NUMBERS, TARGET)
    assert np.isfinite(saved(model, tmp_path / "m.frfm", centers_dtype="float16").dual_coef_).all()


def test_half_precision_has_a_range(tmp_path: Path) -> None:
    X = NUMBERS.copy()
    X[7, 2] = -70_000
    model = plain_regressor(standardize=False, n_iter=0).fit(X, TARGET)
    message = (
        "X_fit_ holds -70000 in the column 'x2', beyond the range of float16, 65504; save without "
        "centers_dtype, or fit with standardize=True"
    )
    with pytest.raises(ValueError, match=message):
        model.save(tmp_path / "m.frfm", centers_dtype="float16")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="centers_dtype must be None or 'float16'; got 'int8'"):
        model.save(tmp_path / "m.frfm", centers_dtype="int8")  # type: ignore[arg-type]


def test_a_scaler_of_targets_is_stored_as_numbers(tmp_path: Path) -> None:
    model = plain_regressor(n_iter=0).fit(NUMBERS, TARGET, RNG.uniform(1, 2, N))
    scaler = saved(model, tmp_path / "m.frfm")._target_scaler
    assert isinstance(scaler, StandardScaler)
    assert_same(scaler, model._target_scaler)


# ---- what cannot be saved


def test_unfitted(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        RFMRegressor().save(tmp_path / "m.frfm")


def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    model = plain_regressor(n_iter=0).fit(NUMBERS, TARGET)
    model.members_[0].agop_[0, 0] = np.nan
    message = r"this RFMRegressor cannot be saved: the model.members\[0\].agop is not finite"
    with pytest.raises(ValueError, match=message):
        model.save(tmp_path / "m.frfm")
    assert not list(tmp_path.iterdir())


def test_what_would_be_lost_is_refused(tmp_path: Path) -> None:
    model = plain_regressor(n_iter=0).fit(NUMBERS, TARGET)
    model.note_ = "mine"  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="this RFMRegressor has the attribute 'note_', which a"):
        model.save(tmp_path / "m.frfm")
    del model.note_  # type: ignore[attr-defined]
    model.categorical_features = [object()]
    with pytest.raises(TypeError, match=r"parameters\.categorical_features holds <object"):
        model.save(tmp_path / "m.frfm")

    class Mine(RFMRegressor):
        pass

    with pytest.raises(TypeError, match="only RFMRegressor and RFMClassifier themselves"):
        Mine(n_iter=0, norm=2.0).fit(NUMBERS, TARGET).save(tmp_path / "m.frfm")
    assert not list(tmp_path.iterdir())


# ---- the file is replaced as a whole or not at all


@pytest.fixture(name="model", scope="module")
def _model() -> RFMRegressor:
    return plain_regressor(n_iter=1).fit(NUMBERS, TARGET)


def test_paths(model: RFMRegressor, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*none to write m.frfm into"):
        model.save(tmp_path / "none" / "m.frfm")
    with pytest.raises(IsADirectoryError, match="is a folder; name a file in it"):
        model.save(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is not a regular file"):
        model.save(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError):
        fastrfm.load(tmp_path / "none.frfm")
    with pytest.raises(IsADirectoryError):
        fastrfm.load(tmp_path)
    model.save(str(tmp_path / ("n" * 255)))
    (tmp_path / "link").symlink_to("real")
    model.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert_same(fastrfm.load(str(tmp_path / "real")), model)


def test_permissions_are_those_of_the_umask(model: RFMRegressor, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        model.save(tmp_path / "m.frfm")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "m.frfm").stat().st_mode) == 0o640


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Make a write beyond `size` fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_file_before(model: RFMRegressor, tmp_path: Path) -> None:
    path = tmp_path / "m.frfm"
    model.save(path)
    before = path.read_bytes()
    other = plain_regressor(n_iter=0).fit(NUMBERS, TARGET)
    with files_of_at_most(1000), pytest.raises(OSError, match=r"File too large: .*m\.frfm"):
        other.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_the_file_before(
    model: RFMRegressor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.frfm"
    path.write_bytes(b"before")

    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(container.np, "ascontiguousarray", interrupted)
    with pytest.raises(KeyboardInterrupt):
        container.write_container(path, {}, {"a": np.ones(3)})
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("level", ["the same", "baseline"])
def test_a_new_process_loads_it(level: str, model: RFMRegressor, tmp_path: Path) -> None:
    """With other instructions, as on other hardware, too."""
    model.save(tmp_path / "m.frfm")
    np.save(tmp_path / "X.npy", NUMBERS)
    program = """
import sys, numpy as np, fastrfm
model = fastrfm.load(sys.argv[1] + "/m.frfm")
assert "pickle" not in vars(sys.modules["fastrfm.persistence"])
print(model.predict(np.load(sys.argv[1] + "/X.npy")).tolist())
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    environment = {**os.environ, **({} if level == "the same" else {"FASTRFM_ISA": level})}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    predictions = json.loads(done.stdout)
    if level == "the same":
        assert predictions == model.predict(NUMBERS).tolist()
    np.testing.assert_allclose(predictions, model.predict(NUMBERS), rtol=0, atol=1e-4)
