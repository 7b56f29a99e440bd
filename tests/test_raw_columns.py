"""int8 and uint8 stay int8 and uint8, memory-mapped float32 stays on the disk: the same fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastrfm
from cases import Array, plain_classifier, plain_regressor
from fastrfm import RFMRegressor
from fastrfm.memory import bytes_in_memory, within_memory_limit
from fastrfm.preprocessing import TableEncoder

RNG = np.random.default_rng(0)
SCALES = np.array([1.0, 5.0, 30.0, 100.0, 0.0])  # the last column is constant
RAW = np.clip(np.rint(RNG.standard_normal((400, 5)) * SCALES / 2 + 100), 0, 255).astype(np.uint8)
Z = (RAW - RAW.mean(axis=0)) / np.where(RAW.std(axis=0) > 0, RAW.std(axis=0), 1)
Y = np.sin(2 * Z[:, 1]) + Z[:, 2] * Z[:, 3]
TRAIN, TEST = slice(0, 300), slice(300, None)
KERNELS: list[dict[str, Any]] = [
    {"norm": 2.0, "solver": "cholesky"},
    {"norm": 2.0, "solver": "pcg"},
    {"norm": 2.0, "diagonal": True},
    {"norm": 1.0, "diagonal": True},
    {"norm": 2.0, "n_iter": 0, "bandwidth": "3*median"},
    {"norm": 2.0, "standardize": False, "bandwidth": "3*median", "n_iter": 1},
]


def _close(a: Array, b: Array, tolerance: float = 2e-3) -> None:
    assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


@pytest.mark.parametrize("options", KERNELS, ids=str)
@pytest.mark.parametrize("element", [np.uint8, np.int8])
def test_small_integers_are_fitted_as_their_floats(options: dict[str, Any], element: type) -> None:
    options = {"n_iter": 2, "bandwidth": 3.0, "random_state": 0} | options
    raw = RAW if element == np.uint8 else (RAW.astype(np.int16) - 128).astype(np.int8)
    model = plain_regressor(**options).fit(raw[TRAIN], Y[TRAIN])
    expected = plain_regressor(**options).fit(raw[TRAIN].astype(np.float32), Y[TRAIN])
    assert model.X_fit_.dtype == element
    assert np.shares_memory(model.X_fit_, raw)
    assert expected.X_fit_.dtype == np.float32
    _close(model.predict(raw[TEST]), expected.predict(raw[TEST]))
    _close(model.feature_importances_, expected.feature_importances_)
    assert abs(model.bandwidth_ / expected.bandwidth_ - 1) < 1e-3
    assert model.metric_.shape == expected.metric_.shape
    assert model.agop_.shape == expected.agop_.shape
    # What is public predicts, too.
    f = fastrfm.kernel_matmul(
        raw[TEST],
        model.X_fit_,
        model.dual_coef_,
        metric=model.metric_,
        norm=model.norm_,
        exponent=model.exponent_,
        bandwidth=model.bandwidth_,
    )
    _close(model.predict(raw[TEST]), f[:, 0] * Y[TRAIN].std() + Y[TRAIN].mean())


def test_rows_of_other_types_are_predicted() -> None:
    model = plain_regressor(n_iter=1, random_state=0).fit(RAW[TRAIN], Y[TRAIN])
    expected = model.predict(RAW[TEST])
    for rows in (RAW[TEST].astype(np.float32), RAW[TEST].astype(np.float64), RAW[TEST].tolist()):
        assert np.array_equal(model.predict(rows), expected)
    missing = RAW[TEST].astype(np.float64)
    missing[:, 1] = np.nan
    at_mean = RAW[TEST].astype(np.float64)
    at_mean[:, 1] = RAW[TRAIN, 1].mean()
    _close(model.predict(missing), model.predict(at_mean), 1e-5)
    missing[3, 2] = np.inf
    with pytest.raises(ValueError, match="contains infinity in column 'x2', first in row 3"):
        model.predict(missing)


def test_many_classes_of_images() -> None:
    labels = np.digitize(Y, np.quantile(Y, [0.25, 0.5, 0.75]))
    options: dict[str, Any] = {"n_iter": 1, "random_state": 0, "validation_fraction": 0.2}
    model = plain_classifier(**options).fit(RAW[TRAIN], labels[TRAIN])
    expected = plain_classifier(**options).fit(RAW[TRAIN].astype(np.float32), labels[TRAIN])
    _close(model.predict_proba(RAW[TEST]), expected.predict_proba(RAW[TEST]), 0.02)


def test_weights_and_searches() -> None:
    weight = RNG.uniform(0.2, 1.0, 300)
    options: dict[str, Any] = {"norm": 2, "n_iter": 1, "random_state": 0, "standardize": False}
    model = RFMRegressor(**options).fit(RAW[TRAIN], Y[TRAIN], weight)
    assert model.X_fit_.dtype == np.uint8
    expected = RFMRegressor(**options).fit(RAW[TRAIN].astype(np.float32), Y[TRAIN], weight)
    _close(model.predict(RAW[TEST]), expected.predict(RAW[TEST]))


def test_what_is_not_only_standardised_is_encoded() -> None:
    def is_raw(X: Any, allow_raw: bool = True, **options: Any) -> bool:
        return TableEncoder(**options).fit(X, allow_raw=allow_raw).is_raw_

    assert is_raw(RAW)
    assert not is_raw(RAW, allow_raw=False)
    assert not is_raw(RAW.astype(np.float32))
    assert not is_raw(RAW.astype(np.int16))
    assert not is_raw(RAW, scaling="compressed")
    assert not is_raw(RAW, scaling="ranked")
    assert not is_raw(RAW, categorical_features=[0])
    # The root of a full metric is not symmetric with units in it.
    full = plain_regressor(norm=1.0, diagonal=False, n_iter=1).fit(RAW[TRAIN], Y[TRAIN])
    assert full.X_fit_.dtype == np.float32
    assert RFMRegressor(n_iter=0).fit(RAW[:50], Y[:50]).X_fit_.dtype == np.float32


def test_a_saved_model_of_raw_columns_is_the_same(tmp_path: Path) -> None:
    for options in ({"n_iter": 2}, {"n_iter": 0}, {"n_iter": 1, "standardize": False}):
        model = plain_regressor(random_state=0, bandwidth="3*median")
        model.set_params(**options).fit(RAW[TRAIN], Y[TRAIN])
        model.save(tmp_path / "model", centers_dtype="float16")
        again = fastrfm.load(tmp_path / "model")
        assert again.X_fit_.dtype == np.uint8
        assert np.array_equal(again.predict(RAW[TEST]), model.predict(RAW[TEST]))
        assert np.array_equal(again.metric_, model.metric_)
        assert np.array_equal(again.feature_importances_, model.feature_importances_)
        assert np.array_equal(
            again._encoders["standard"].units_, model._encoders["standard"].units_
        )


@pytest.mark.parametrize("standardize", [True, False])
def test_a_memory_map_stays_on_the_disk(tmp_path: Path, standardize: bool) -> None:
    np.save(tmp_path / "X.npy", RAW.astype(np.float32))
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    options: dict[str, Any] = {
        "n_iter": 2,
        "bandwidth": "3*median",
        "solver": "pcg",
        "random_state": 0,
        "standardize": standardize,
    }
    model = plain_regressor(**options).fit(X[TRAIN], Y[TRAIN])
    assert np.shares_memory(model.X_fit_, X)
    expected = plain_regressor(**options).fit(np.array(X[TRAIN]), Y[TRAIN])
    assert not np.shares_memory(expected.X_fit_, X)
    _close(model.predict(X[TEST]), expected.predict(X[TEST]))
    resumed = plain_regressor(**options)
    resumed.fit(X[TRAIN], Y[TRAIN], checkpoint=tmp_path / "state")
    resumed = plain_regressor(**options).fit(X[TRAIN], Y[TRAIN], resume_from=tmp_path / "state")
    assert np.array_equal(resumed.dual_coef_, model.dual_coef_)
    model.save(tmp_path / "model")
    assert np.array_equal(fastrfm.load(tmp_path / "model").predict(X[TEST]), model.predict(X[TEST]))


def test_a_memory_map_with_missing_numbers_is_encoded(tmp_path: Path) -> None:
    X = RAW.astype(np.float32)
    X[3, 1] = np.nan
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    model = plain_regressor(n_iter=0).fit(mapped[TRAIN], Y[TRAIN])
    expected = plain_regressor(n_iter=0).fit(X[TRAIN], Y[TRAIN])
    assert np.array_equal(model.dual_coef_, expected.dual_coef_)


def test_a_memory_map_does_not_count_towards_the_limit(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", RAW.astype(np.float32))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert bytes_in_memory(mapped) == bytes_in_memory(np.asarray(mapped)[3:]) == 0
    assert bytes_in_memory(RAW[TRAIN]) == RAW[TRAIN].nbytes
    # What the fit makes is checked as before: a full metric of so many columns, not a diagonal one.
    model = plain_regressor(memory_limit=40_000_000)
    settings = model._settings(model._kinds()[0], None)
    options: dict[str, Any] = {"n": 1_000, "d": 1_000, "c": 1, "dtype": "float32", "judged": False}
    with pytest.raises(MemoryError, match="memory_limit=40,000,000"):
        within_memory_limit(settings, **options, tables=0)
    diagonal = replace(settings, diagonal=True)
    assert within_memory_limit(diagonal, **options, tables=0).reserved_bytes < 100_000
    with pytest.raises(MemoryError, match="memory_limit=40,000,000"):
        within_memory_limit(diagonal, **options, tables=40_000_000)
