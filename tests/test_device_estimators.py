"""Estimators on a device: the same fits, moved, pickled, saved, and data that come from one."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris

import fastrfm
from cases import plain_classifier, plain_regressor
from device import StandIn
from fastrfm import RFMClassifier, RFMRegressor, backend
from fastrfm.estimators import device as device_module
from fastrfm.estimators.base import BaseRFM

X, Y = (a[:160] for a in load_diabetes(return_X_y=True))
CLASSES_X, CLASSES_Y = (a[::2] for a in load_iris(return_X_y=True))


def regressor(**parameters: Any) -> RFMRegressor:
    return plain_regressor(**{"alpha": 1.0, "n_iter": 2, "random_state": 0} | parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {"norm": "auto", "alpha": "auto"},
        {"solver": "cholesky"},
        {"solver": "pcg", "tol": 1e-8},
        {"diagonal": True, "norm": 1.0, "exponent": 1.0},
        {"validation_fraction": 0.2},
        {"agop_samples": 60, "center_gradients": True},
    ],
    ids=["default", "cholesky", "pcg", "diagonal", "held-out", "sampled"],
)
def test_a_fit_there_is_the_fit_here(cupy: ModuleType, parameters: dict[str, Any]) -> None:
    expected = regressor(device="cpu", **parameters).fit(X, Y)
    model = regressor(device="cuda", **parameters).fit(X, Y)
    assert (expected.device_, model.device_) == ("cpu", "cuda")
    found = model.predict(X)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, expected.predict(X), rtol=1e-5)
    for name in ("metric_", "dual_coef_", "X_fit_", "agop_", "feature_importances_"):
        assert isinstance(getattr(model, name), np.ndarray)
    np.testing.assert_allclose(model.metric_, expected.metric_, atol=1e-5)


@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 2.0, 75)])
def test_classes(cupy: ModuleType, weights: Any) -> None:
    labels = np.array(["a", "b", "c"])[CLASSES_Y]
    expected = plain_classifier(device="cpu", random_state=0).fit(CLASSES_X, labels, weights)
    model = plain_classifier(device="cuda", random_state=0).fit(CLASSES_X, labels, weights)
    np.testing.assert_array_equal(model.predict(CLASSES_X), expected.predict(CLASSES_X))
    np.testing.assert_allclose(
        model.predict_proba(CLASSES_X), expected.predict_proba(CLASSES_X), atol=1e-5
    )


def test_data_of_the_device(cupy: ModuleType) -> None:
    """Fitted there by "auto" whatever the work; predictions come back there."""
    weights = np.ones(160)
    model = regressor().fit(cupy.asarray(X), cupy.asarray(Y), cupy.asarray(weights))
    assert model.device_ == "cuda"
    found = model.predict(cupy.asarray(X))
    assert isinstance(found, cupy.ndarray)
    np.testing.assert_allclose(cupy.asnumpy(found), model.predict(X))
    assert model.score(cupy.asarray(X), cupy.asarray(Y)) == pytest.approx(model.score(X, Y))

    classifier = plain_classifier().fit(cupy.asarray(CLASSES_X), cupy.asarray(CLASSES_Y))
    x = cupy.asarray(CLASSES_X)
    for method in ("predict", "predict_proba", "decision_function"):
        found = getattr(classifier, method)(x)
        assert isinstance(found, cupy.ndarray)
        np.testing.assert_array_equal(cupy.asnumpy(found), getattr(classifier, method)(CLASSES_X))
    assert classifier.score(x, cupy.asarray(CLASSES_Y)) > 0.9
    named = plain_classifier().fit(CLASSES_X, np.array(["a", "b", "c"])[CLASSES_Y])
    assert isinstance(named.predict(x), np.ndarray), "strings stay on the host"


def test_a_model_moves(cupy: ModuleType, tmp_path: Path) -> None:
    model = regressor(device="cpu").fit(X, Y)
    expected = model.predict(X)
    assert model.to_device("cuda") is model
    assert model.device_ == "cuda"
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-9)
    model.save(tmp_path / "model.frfm")
    for other in (pickle.loads(pickle.dumps(model)), fastrfm.load(tmp_path / "model.frfm")):
        assert other.device_ == "cpu"
        np.testing.assert_array_equal(other.predict(X), expected)
    assert not hasattr(clone(model), "device_")
    np.testing.assert_array_equal(model.to_device("cpu").predict(X), expected)


@pytest.mark.emulated
def test_centres_stay_there_until_the_model_goes(stand_in_cupy: StandIn) -> None:
    model = regressor(device="cuda").fit(X, Y)
    assert stand_in_cupy.live_bytes() == 0, "a fit leaves nothing"
    model.predict(X[:5])
    held = stand_in_cupy.live_bytes()
    assert held >= model.X_fit_.nbytes + model.dual_coef_.nbytes
    stand_in_cupy.reset_copies()
    model.predict(X[:5])
    assert stand_in_cupy.copies.to_device_bytes < model.X_fit_.nbytes
    assert stand_in_cupy.live_bytes() == held
    model.to_device("cpu")
    assert stand_in_cupy.live_bytes() == 0
    model.to_device("cuda")
    assert stand_in_cupy.live_bytes() == held
    del model
    assert stand_in_cupy.live_bytes() == 0


@pytest.mark.emulated
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_the_device_of_the_data_is_the_models(stand_in_cupy: StandIn, device: str) -> None:
    """Whatever is current later; another thread begins with device 0."""
    cupy = stand_in_cupy.cupy
    with cupy.cuda.Device(1):
        x = cupy.asarray(X)
    held = stand_in_cupy.live_bytes(1)
    model = regressor(device=device).fit(x, Y)
    assert model.device_ == "cuda"
    found = model.predict(x)
    assert found.device.id == 1
    assert stand_in_cupy.live_bytes(1) >= held + model.X_fit_.nbytes
    assert stand_in_cupy.live_bytes(0) == 0
    expected = model.predict(X)
    with cupy.cuda.Device(1):
        model.to_device("cuda")
        np.testing.assert_array_equal(model.predict(X), expected)
    np.testing.assert_array_equal(model.predict(X), expected)


@pytest.mark.emulated
def test_centres_that_do_not_fit(stand_in_cupy: StandIn) -> None:
    model = regressor(device="cpu").fit(X, Y)
    stand_in_cupy.set_total_memory(8_192)
    with pytest.raises(MemoryError, match=r"centres and coefficients take 14,080 bytes on CUDA"):
        model.to_device("cuda")
    assert model.device_ == "cpu"
    assert stand_in_cupy.live_bytes() == 0


@pytest.mark.emulated
def test_auto_takes_the_device_where_it_pays(
    stand_in_cupy: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert regressor().fit(X, Y).device_ == "cpu"
    monkeypatch.setattr(device_module, "AUTO_FLOPS", 1e6)
    assert regressor().fit(X, Y).device_ == "cuda"
    assert regressor(device="cpu").fit(X, Y).device_ == "cpu"
    stand_in_cupy.set_total_memory(50_000)
    assert regressor().fit(X, Y).device_ == "cpu", "there is too little memory"
    with pytest.raises(MemoryError, match="CUDA device 0"):
        regressor(device="cuda").fit(X, Y)
    stand_in_cupy.set_total_memory(1 << 30)
    monkeypatch.setattr(backend, "cuda_build", lambda: None)
    assert regressor().fit(X, Y).device_ == "cpu", "there is no CUDA"


@pytest.mark.emulated
def test_auto_counts_in_the_precision_of_the_solve(
    stand_in_cupy: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in that of the rows: those of int8 are solved in float32."""
    monkeypatch.setattr(device_module, "AUTO_FLOPS", 0.0)
    raw = np.random.default_rng(0).integers(-99, 99, (700, 4)).astype(np.int8)
    model = regressor(solver="cholesky", n_iter=0)
    assert model.fit(raw, raw[:, 0]).device_ == "cuda"
    stand_in_cupy.set_total_memory(3 * 700**2)  # K takes 4
    assert model.fit(raw, raw[:, 0]).device_ == "cpu"


@pytest.mark.emulated
@pytest.mark.usefixtures("stand_in_cupy")
def test_a_room_that_is_in_use_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with backend.running_on(backend.cuda_room()):
        assert regressor().fit(X, Y).device_ == "cuda"
        assert regressor(device="cpu").fit(X, Y).device_ == "cpu"


@pytest.mark.parametrize("cls", [RFMRegressor, RFMClassifier])
def test_the_device_is_a_parameter(cls: type[BaseRFM]) -> None:
    assert cls().get_params()["device"] == "auto"
    assert clone(cls(device="cpu")).device == "cpu"


def test_tensors_of_the_host() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    model = regressor().fit(torch.as_tensor(X), torch.as_tensor(Y))
    found = model.predict(torch.as_tensor(X))
    assert isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found.numpy(), model.predict(X))
    assert model.score(torch.as_tensor(X), torch.as_tensor(Y)) == pytest.approx(model.score(X, Y))
