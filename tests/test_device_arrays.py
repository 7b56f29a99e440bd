"""The ops on arrays of a device: CuPy's, PyTorch's, and the host's by `device`."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastrfm
import oracle
from cases import OPS, Array, assert_accurate, call, coefficients, make_metric
from device import Lent, StandIn
from fastrfm import arrays
from fastrfm.backend import cuda_room

FUNCTIONS = [*OPS, "solve_ridge"]


def sample(dtype: Any = np.float64, n: int = 150, m: int = 140) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((n, 5)).astype(dtype), rng.standard_normal((m, 5)).astype(dtype)
    return X, Z, coefficients(rng, m, 3, dtype)


def run(op: str, X: Any, Z: Any, coef: Any, **options: Any) -> Any:
    """Call any of the functions that take a device."""
    if op == "solve_ridge":
        return fastrfm.solve_ridge(Z, coef, **options)
    return call(fastrfm, op, X, Z, coef, **options)


@pytest.mark.parametrize("form", ["identity", "vector", "low_rank"])
@pytest.mark.parametrize("op", OPS)
def test_arrays_of_the_device_come_back_there(
    cupy: ModuleType, op: str, form: str, dtype: type
) -> None:
    X, Z, coef = sample(dtype)
    options: dict[str, Any] = {"metric": make_metric(form, 5), "bandwidth": 3.0}
    result = call(fastrfm, op, *map(cupy.asarray, (X, Z, coef)), **options)
    assert isinstance(result, cupy.ndarray)
    assert_accurate(op, cupy.asnumpy(result), call(oracle, op, X, Z, coef, **options), dtype)


@pytest.mark.parametrize("op", FUNCTIONS)
def test_the_hosts_arrays_come_back_to_the_host(cupy: ModuleType, op: str) -> None:
    X, Z, coef = sample()
    result = run(op, X, Z, coef, device="cuda")
    assert isinstance(result, np.ndarray)
    np.testing.assert_allclose(result, run(op, X, Z, coef), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("op", FUNCTIONS)
def test_the_cpu_computes_for_the_device_if_asked(cupy: ModuleType, op: str) -> None:
    X, Z, coef = sample()
    result = run(op, *map(cupy.asarray, (X, Z, coef)), device="cpu")
    assert isinstance(result, cupy.ndarray)
    np.testing.assert_array_equal(cupy.asnumpy(result), run(op, X, Z, coef, device="cpu"))


@pytest.mark.parametrize("element", ["float32", "float64", "int8", "uint8", "bool", "int32"])
def test_every_element_type_and_layout(cupy: ModuleType, element: str) -> None:
    X = np.random.default_rng(0).integers(0, 3, (90, 6)).astype(element)
    for view in (lambda a: a, lambda a: a[::-2, 1:], lambda a: a.T[:40]):
        expected = fastrfm.kernel_matrix(view(X), bandwidth=2.0)
        found = fastrfm.kernel_matrix(view(cupy.asarray(X)), bandwidth=2.0)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(cupy.asnumpy(found), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("op", ["kernel_matrix", "kernel_matmul"])
def test_out_is_written_in_place(cupy: ModuleType, op: str) -> None:
    X, Z, coef = sample()
    x, z, v = map(cupy.asarray, (X, Z, coef))
    out = cupy.empty((150, 140 if op == "kernel_matrix" else 3), np.float64)
    assert call(fastrfm, op, x, z, v, out=out) is out
    assert_accurate(op, cupy.asnumpy(out), call(oracle, op, X, Z, coef), np.float64)
    host = np.empty(out.shape)
    assert call(fastrfm, op, X, Z, coef, out=host, device="cuda") is host
    np.testing.assert_array_equal(host, cupy.asnumpy(out))
    square = cupy.zeros((9, 9))
    with pytest.raises(ValueError, match="out shares memory with X"):
        fastrfm.kernel_matrix(square, out=square)


def test_symmetric_products_know_their_rows(cupy: ModuleType) -> None:
    X, _, _ = sample()
    V = coefficients(np.random.default_rng(1), 150, 2, np.float64)
    x, v = cupy.asarray(X), cupy.asarray(V)
    same = cupy.asnumpy(fastrfm.kernel_matmul(x, x, v))
    np.testing.assert_allclose(same, fastrfm.kernel_matmul(X, X, V), rtol=1e-10)
    K = cupy.asnumpy(fastrfm.kernel_matrix(x))
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_array_equal(np.diag(K), 1.0)


@pytest.mark.emulated
@pytest.mark.parametrize("op", OPS)
def test_nothing_is_copied(stand_in_cupy: StandIn, op: str) -> None:
    """But for the numbers that validation asks for, and the AGOP's small result."""
    x, z, v = map(stand_in_cupy.cupy.asarray, sample())
    stand_in_cupy.reset_copies()
    call(fastrfm, op, x, z, v)
    copies = stand_in_cupy.copies
    assert copies.to_host_bytes <= 3 * 8 + (200 if op == "agop" else 0)
    assert copies.to_device_bytes == (200 if op == "agop" else 0)


@pytest.mark.emulated
def test_the_callers_stream_is_used(stand_in_cupy: StandIn) -> None:
    cupy = stand_in_cupy.cupy
    x = cupy.asarray(sample()[0])
    stream = cupy.cuda.Stream()
    stand_in_cupy.reset_copies()
    with stream:
        fastrfm.kernel_matrix(x)
    assert ("kernel_matrix", stream.ptr) in stand_in_cupy.log


@pytest.mark.emulated
@pytest.mark.parametrize("op", FUNCTIONS)
def test_no_memory_is_left_behind(stand_in_cupy: StandIn, op: str) -> None:
    arrays = list(map(stand_in_cupy.cupy.asarray, sample()))
    before = stand_in_cupy.live_bytes()
    result = run(op, *arrays)
    assert stand_in_cupy.live_bytes() == before + -(-result.nbytes // 512) * 512


@pytest.mark.emulated
@pytest.mark.parametrize("op", OPS)
def test_other_libraries_arrays_are_taken_by_the_interface(stand_in_cupy: StandIn, op: str) -> None:
    X, Z, coef = sample()
    result = call(fastrfm, op, Lent(X), Lent(Z), Lent(coef))
    assert isinstance(result, stand_in_cupy.cupy.ndarray)
    assert_accurate(op, result.get(), call(oracle, op, X, Z, coef), np.float64)
    assert stand_in_cupy.copies.to_device_bytes == (200 if op == "agop" else 0)


class FakeTensor(Lent):
    """A tensor of PyTorch's on a CUDA device, as far as it is asked."""

    def __init__(self, host: Array, device: int = 0, *, grad: bool = False) -> None:
        super().__init__(host, device)
        self.device = SimpleNamespace(type="cuda", index=device)
        self.dtype = host.dtype
        self.shape = host.shape
        self.requires_grad = grad


@pytest.fixture
def fake_torch(stand_in_cupy: StandIn, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a PyTorch there with tensors on a device, and stream 77 as its current one."""
    taken: list[Any] = []

    def from_dlpack(array: Any) -> FakeTensor:
        taken.append(array)
        return FakeTensor(array.get())

    torch = SimpleNamespace(
        Tensor=FakeTensor,
        bfloat16="bfloat16",
        bool=np.dtype(bool),
        float32=np.dtype(np.float32),
        as_tensor=lambda array, device: FakeTensor(array, int(device.removeprefix("cuda:"))),
        from_dlpack=from_dlpack,
        cuda=SimpleNamespace(current_stream=lambda device: SimpleNamespace(cuda_stream=77)),
        taken=taken,
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    return torch


@pytest.mark.emulated
@pytest.mark.parametrize("op", FUNCTIONS)
def test_tensors_come_back_as_tensors_on_their_stream(
    stand_in_cupy: StandIn, fake_torch: Any, op: str
) -> None:
    X, Z, coef = sample()
    result = run(op, FakeTensor(X), FakeTensor(Z), FakeTensor(coef))
    assert isinstance(result, FakeTensor)
    if op != "agop":  # whose result comes from the host
        assert isinstance(fake_torch.taken[-1], stand_in_cupy.cupy.ndarray)
    np.testing.assert_allclose(result.host, run(op, X, Z, coef), rtol=1e-9, atol=1e-9)
    streams = {stream for name, stream in stand_in_cupy.log if name in (*OPS, "gradient_sums")}
    assert streams == {77}
    fake_torch.taken.clear()


@pytest.mark.emulated
@pytest.mark.usefixtures("fake_torch")
@pytest.mark.parametrize("op", FUNCTIONS)
def test_tensors_on_the_cpu_if_asked_need_no_cupy(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        arrays, "_host_tensor", lambda tensor: SimpleNamespace(numpy=lambda: tensor.host)
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "cupy"]:
        monkeypatch.setitem(sys.modules, name, None)
    X, Z, coef = sample()
    result = run(op, *(FakeTensor(a, 1) for a in (X, Z, coef)), device="cpu")
    assert isinstance(result, FakeTensor)
    assert result.device.index == 1
    np.testing.assert_array_equal(result.host, run(op, X, Z, coef, device="cpu"))


@pytest.mark.emulated
@pytest.mark.parametrize("op", FUNCTIONS)
def test_the_cpus_results_go_to_the_callers_device(stand_in_cupy: StandIn, op: str) -> None:
    cupy = stand_in_cupy.cupy
    with cupy.cuda.Device(1):
        arrays_there = list(map(cupy.asarray, sample()))
    for device in ("cpu", None):
        assert run(op, *arrays_there, device=device).device.id == 1


@pytest.mark.emulated
@pytest.mark.usefixtures("stand_in_cupy", "fake_torch")
def test_a_tensor_that_requires_grad_is_refused() -> None:
    with pytest.raises(TypeError, match=r"a tensor requires grad.*\.detach\(\)"):
        fastrfm.kernel_matrix(FakeTensor(np.eye(3), grad=True))


@pytest.mark.parametrize("element", ["float32", "float64", "int8", "bool", "bfloat16"])
def test_tensors_of_the_host(element: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    X = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]]).to(getattr(torch, element))
    K = fastrfm.kernel_matrix(X, bandwidth=2.0)
    expected = fastrfm.kernel_matrix(X.to(torch.float64).numpy(), bandwidth=2.0)
    assert isinstance(K, torch.Tensor)
    assert K.dtype == (torch.float64 if element == "float64" else torch.float32)
    np.testing.assert_allclose(K.numpy(), expected, atol=1e-6)
    out = torch.empty((3, 3), dtype=K.dtype)
    assert fastrfm.kernel_matrix(X, bandwidth=2.0, out=out) is out
    assert torch.equal(out, K)
    with pytest.raises(TypeError, match="out must be of float32 or float64; got a tensor of torch"):
        fastrfm.kernel_matrix(X, bandwidth=2.0, out=torch.empty((3, 3), dtype=torch.bfloat16))
    G = fastrfm.agop(X, X, torch.ones(3, 1), metric=torch.eye(2), sample_weight=torch.ones(3))
    assert isinstance(G, torch.Tensor)


@pytest.mark.gpu
@pytest.mark.parametrize("op", FUNCTIONS)
def test_tensors_of_a_gpu(op: str) -> None:
    cuda_room()
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    X, Z, coef = sample()
    result = run(op, *(torch.as_tensor(a, device="cuda") for a in (X, Z, coef)))
    assert result.device.type == "cuda"
    np.testing.assert_allclose(result.cpu().numpy(), run(op, X, Z, coef), rtol=1e-8, atol=1e-8)
