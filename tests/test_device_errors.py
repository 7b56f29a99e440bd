"""What is told when arrays and devices do not go together, or a device cannot be used."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastrfm
from device import Lent, StandIn
from fastrfm import RFMRegressor, backend
from fastrfm.cuda.presence import open_cupy
from test_config import fake_build

X = np.random.default_rng(0).standard_normal((20, 3))
V = np.ones((20, 1))


@pytest.mark.emulated
def test_arrays_in_several_places(stand_in_cupy: StandIn) -> None:
    cupy = stand_in_cupy.cupy
    x = cupy.asarray(X)
    message = "X is on CUDA device 0 and Z on the CPU; move one of them: "
    message += "with cupy.cuda.Device(0): cupy.asarray(Z)"
    with pytest.raises(ValueError, match=re.escape(message)):
        fastrfm.kernel_matrix(x, X)
    with cupy.cuda.Device(1):
        other = cupy.asarray(V)
    message = "X is on CUDA device 0 and V on CUDA device 1; move one of them: "
    message += "with cupy.cuda.Device(0): cupy.asarray(V)"
    with pytest.raises(ValueError, match=re.escape(message)):
        fastrfm.kernel_matmul(x, x, other)
    message = "out is on CUDA device 0 and X on the CPU; move one of them: "
    message += "with cupy.cuda.Device(0): cupy.asarray(X)"
    with pytest.raises(ValueError, match=re.escape(message)):
        fastrfm.kernel_matrix(X, out=cupy.empty((20, 20)))
    message = 'out is on CUDA device 0 and device="cpu"; leave one of them out'
    with pytest.raises(ValueError, match=re.escape(message)):
        fastrfm.kernel_matrix(x, out=cupy.empty((20, 20)), device="cpu")


@pytest.mark.emulated
def test_a_device_other_than_the_current_one_is_used(stand_in_cupy: StandIn) -> None:
    cupy = stand_in_cupy.cupy
    with cupy.cuda.Device(1):
        x = cupy.asarray(X)
    K = fastrfm.kernel_matrix(x)
    assert K.device.id == 1
    with cupy.cuda.Device(1):
        np.testing.assert_allclose(K.get(), fastrfm.kernel_matrix(X), rtol=0, atol=1e-10)


@pytest.mark.emulated
def test_bad_arrays_of_the_device_are_told_as_those_of_the_host(stand_in_cupy: StandIn) -> None:
    cupy = stand_in_cupy.cupy
    bad = X.copy()
    bad[3, 1] = np.nan
    for array in (bad, X[0], X[:0], X.astype(complex)):
        with pytest.raises((TypeError, ValueError)) as of_host:
            fastrfm.kernel_matrix(array)
        with pytest.raises(type(of_host.value), match=re.escape(str(of_host.value))):
            fastrfm.kernel_matrix(cupy.asarray(array))


@pytest.mark.parametrize("device", ["gpu", "cuda:0", 0, True])
def test_no_such_device(device: Any) -> None:
    with pytest.raises(ValueError, match=r'device must be one of "cpu", "cuda"; got'):
        fastrfm.kernel_matrix(X, device=device)
    with pytest.raises(ValueError, match="device"):
        RFMRegressor(device=device).fit(X, X[:, 0])
    model = RFMRegressor(n_iter=0).fit(X, X[:, 0])
    with pytest.raises(ValueError, match='device must be "cpu" or "cuda"; got'):
        model.to_device(device)


def test_an_array_of_a_device_where_there_is_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "cuda_build", lambda: None)
    with pytest.raises(RuntimeError, match="this build of fastrfm has no CUDA"):
        fastrfm.kernel_matrix(X, device="cuda")
    with pytest.raises(RuntimeError, match="this build of fastrfm has no CUDA"):
        RFMRegressor(device="cuda").fit(X, X[:, 0])
    model = RFMRegressor(n_iter=0).fit(X, X[:, 0])
    with pytest.raises(RuntimeError, match="this build of fastrfm has no CUDA"):
        model.to_device("cuda")
    assert model.device_ == "cpu", "an error changes nothing"


@pytest.mark.emulated
@pytest.mark.parametrize(
    ("capability", "architectures", "message"),
    [
        ((8, 0), "80-real 90a-real 90-virtual", None),
        ((8, 9), "80-real 90a-real 90-virtual", None),
        ((9, 0), "80-real 90a-real 90-virtual", None),
        ((10, 0), "80-real 90a-real 90-virtual", None),
        ((9, 0), "90a-real", None),
        ((9, 0), "80", None),
        ((10, 3), "100f-real", None),
        ((7, 5), "80-real 90-virtual", "compute capability 7.5.* needs a GPU of 8.0 or newer"),
        ((9, 0), "80-real", "compute capability 9.0.* none of it runs there"),
        ((10, 0), "90a-real", "none of it runs there.*FASTRFM_CUDA_ARCHITECTURES=100"),
    ],
)
def test_a_gpu_that_the_build_has_no_code_for(
    stand_in_cupy: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    architectures: str,
    message: str | None,
) -> None:
    build = fake_build()
    build.architectures = architectures
    cuda = stand_in_cupy.cupy.cuda
    monkeypatch.setattr(cuda.runtime, "getDeviceProperties", lambda device: {"name": b"Some GPU"})
    monkeypatch.setattr(
        cuda,
        "Device",
        lambda: SimpleNamespace(compute_capability=f"{capability[0]}{capability[1]}"),
    )
    if message is None:
        assert open_cupy(build) is stand_in_cupy.cupy
    else:
        with pytest.raises(RuntimeError, match=f"^Some GPU has .*{message}"):
            open_cupy(build)


@pytest.mark.emulated
def test_foreign_arrays_need_cupy(stand_in_cupy: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    lent = Lent(X)
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    with pytest.raises(RuntimeError, match=r'CuPy is not installed; pip install "fastrfm\[cuda'):
        fastrfm.kernel_matrix(lent)
