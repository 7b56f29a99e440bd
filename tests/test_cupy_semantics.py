"""What fastrfm relies on of CuPy: the stand-in must do it, and on a GPU the original too."""

from __future__ import annotations

import operator
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Host = NDArray[Any]

RNG = np.random.default_rng(0)
OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
]  # fmt: skip
TYPES = ["float32", "float64", "int32", "int64", "int8", "uint8"]


def matrix(dtype: str = "float64", shape: tuple[int, ...] = (4, 3)) -> Host:
    values = RNG.uniform(1, 9, shape)
    return values.astype(dtype)


def assert_equals(actual: Any, expected: Any, rtol: float = 1e-6) -> None:
    """Hold an array of the device to one of the host, its dtype and shape too."""
    assert type(actual).__module__ == "cupy"
    host = actual.get()
    assert host.dtype == np.asarray(expected).dtype
    assert host.shape == np.shape(expected)
    np.testing.assert_allclose(host, expected, rtol=rtol)


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="NumPy's old promotion")
@pytest.mark.parametrize("function", OPERATORS, ids=lambda function: function.__name__)
def test_operators_promote_as_numpy_does(
    cupy: ModuleType, function: Callable[[Any, Any], Any]
) -> None:
    scalars = [2, 2.5, np.float32(2), np.float64(2), np.int64(3), np.uint8(3)]
    for dtype in TYPES:
        a = matrix(dtype)
        on_device = cupy.asarray(a)
        for other in TYPES:
            b = matrix(other, (3,))
            assert_equals(function(on_device, cupy.asarray(b)), function(a, b))
            assert_equals(function(on_device, cupy.asarray(b)[0]), function(a, b[:1][0]))
        for scalar in scalars:
            assert_equals(function(on_device, scalar), function(a, scalar))
            assert_equals(function(scalar, on_device), function(scalar, a))


def test_in_place_operators(cupy: ModuleType) -> None:
    for change in (operator.iadd, operator.isub, operator.imul, operator.itruediv):
        a, b = matrix("float32"), matrix("float64", (3,))
        on_device = cupy.asarray(a)
        assert change(on_device, cupy.asarray(b)) is on_device
        assert_equals(on_device, change(a, b))
    integers = cupy.arange(3)
    with pytest.raises(TypeError):
        integers += 0.5


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "any", "all", "argmax", "argmin"])
def test_reductions_give_arrays(cupy: ModuleType, name: str, axis: int | None) -> None:
    for dtype in ["float32", "int8", "uint8"]:
        a = matrix(dtype)
        assert_equals(getattr(cupy.asarray(a), name)(axis=axis), getattr(a, name)(axis=axis))
        if hasattr(cupy, name):
            assert_equals(getattr(cupy, name)(cupy.asarray(a), axis), getattr(a, name)(axis=axis))
    kept = cupy.asarray(matrix()).sum(axis=1, keepdims=True)
    assert kept.shape == (4, 1)


FUNCTIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "sqrt": lambda m, a, b: m.sqrt(a),
    "exp": lambda m, a, b: m.exp(-a),
    "abs": lambda m, a, b: abs(m.abs(-a) - a),
    "maximum": lambda m, a, b: m.maximum(a, 3),
    "minimum": lambda m, a, b: m.minimum(a, a[0]),
    "clip": lambda m, a, b: m.clip(a, 2, None),
    "where": lambda m, a, b: m.where(a > 4, a, 0.0),
    "isfinite": lambda m, a, b: m.isfinite(m.where(a > 4, a, float("inf"))),
    "isnan": lambda m, a, b: m.isnan(a * float("nan")),
    "einsum": lambda m, a, b: m.einsum("ij,ij->i", a, a),
    "dot": lambda m, a, b: m.dot(a, b),
    "matmul": lambda m, a, b: m.matmul(a, b) + a @ b,
    "inner": lambda m, a, b: a[0] @ a[1],
    "diag": lambda m, a, b: m.diag(a[0]) + m.diag(m.diag(a[:3])),
    "diagonal": lambda m, a, b: m.diagonal(a),
    "trace": lambda m, a, b: m.trace(a),
    "concatenate": lambda m, a, b: m.concatenate([a, a[:2]]),
    "stack": lambda m, a, b: m.stack([a, a], axis=1),
    "tril": lambda m, a, b: m.tril(a, -1),
    "take": lambda m, a, b: m.take(a, m.asarray([2, 0]), axis=1),
    "flatnonzero": lambda m, a, b: m.flatnonzero(a > 5),
    "nonzero": lambda m, a, b: m.nonzero(a > 5)[1],
    "argsort": lambda m, a, b: m.argsort(a, axis=0),
    "norm": lambda m, a, b: m.linalg.norm(a) + m.linalg.norm(a, axis=0),
    "eigvalsh": lambda m, a, b: m.linalg.eigvalsh(a.T @ a),
    "cholesky": lambda m, a, b: m.linalg.cholesky(a.T @ a),
    "arange": lambda m, a, b: m.arange(5),
    "eye": lambda m, a, b: m.eye(3, 4, 1, dtype=m.float32),
    "full": lambda m, a, b: m.full((2, 3), 1.5),
    "ones": lambda m, a, b: m.ones(3) + m.zeros_like(a[0]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_numpys_values(cupy: ModuleType, name: str) -> None:
    a, b = matrix(), matrix(shape=(3, 5))
    expected = FUNCTIONS[name](np, a, b)
    assert_equals(FUNCTIONS[name](cupy, cupy.asarray(a), cupy.asarray(b)), expected, 1e-10)


def test_ufuncs_take_outputs(cupy: ModuleType) -> None:
    a = cupy.asarray(matrix())
    out = cupy.empty_like(a)
    assert cupy.multiply(a, 2, out=out) is out
    assert cupy.add(out, a, out) is out
    np.testing.assert_allclose(out.get(), 3 * a.get())
    with pytest.raises(TypeError):
        cupy.multiply(a, 2.5, out=cupy.empty(a.shape, cupy.int32))
    cupy.multiply(a, 2.5, out=cupy.empty(a.shape, cupy.int32), casting="unsafe")
    with pytest.raises(TypeError, match=r"must be cupy\.ndarray"):
        cupy.multiply(a, 2, out=np.empty(a.shape))
    with pytest.raises(ValueError, match="shape"):
        cupy.multiply(a, 2, out=cupy.empty(3))


INDICES: list[tuple[Any, bool]] = [  # and whether they give a view
    (1, True),
    (-1, True),
    ((1, 2), True),
    ((slice(None), 1), True),
    (slice(None, None, -2), True),
    ((Ellipsis, 0), True),
    ((slice(1, 3), None, slice(0, 2)), True),
    (np.int64(2), True),
    ([0, 2], False),
    (np.array([0, 2]), False),
    ((slice(None), np.array([0, 2])), False),
    ((np.array([0, 2]), np.array([1, 0])), False),
    (np.array([True, False, True, True]), False),
    ([], False),
]


@pytest.mark.parametrize(("index", "view"), INDICES, ids=str)
@pytest.mark.parametrize("device_index", [False, True])
def test_indices(cupy: ModuleType, index: Any, view: bool, device_index: bool) -> None:
    def moved(part: Any) -> Any:
        return cupy.asarray(part) if isinstance(part, np.ndarray) and device_index else part

    a = matrix()
    on_device = cupy.asarray(a)
    there = tuple(map(moved, index)) if isinstance(index, tuple) else moved(index)
    picked = on_device[there]
    assert_equals(picked, a[index])
    assert (picked.base is on_device) == view
    on_device[there] = 7
    a[index] = 7
    assert_equals(on_device, a)
    on_device[there] = cupy.asarray(np.broadcast_to(2.5, a[index].shape))
    a[index] = 2.5
    assert_equals(on_device, a)


def test_masks_of_the_shape(cupy: ModuleType) -> None:
    a = matrix()
    on_device = cupy.asarray(a)
    assert_equals(on_device[on_device > 4], a[a > 4])
    on_device[on_device > 4] = 0
    assert_equals(on_device, np.where(a > 4, 0, a))


def test_layouts(cupy: ModuleType) -> None:
    """Results are C-contiguous whatever the arguments; copies have the order asked for."""
    a = cupy.asarray(np.asfortranarray(matrix()))
    assert a.flags.f_contiguous
    assert not a.flags.c_contiguous
    for result in (
        a + 1,
        cupy.sqrt(a),
        a @ cupy.eye(3),
        a.copy(),
        a[[0, 1]],
        cupy.where(a > 1, a, 0),
    ):
        assert result.flags.c_contiguous, result.strides
    assert a.astype("float32").flags.f_contiguous
    assert cupy.zeros_like(a).flags.f_contiguous
    assert a.astype("float64", copy=False) is a
    assert a.astype("float64", order="C", copy=False).flags.c_contiguous
    assert cupy.ascontiguousarray(a).flags.c_contiguous
    assert cupy.asarray(a, order="F") is a
    assert a.T.flags.c_contiguous
    assert a.T.base is a
    assert not a.T.flags.owndata
    assert a.get().flags.c_contiguous
    assert a.get(order="A").flags.f_contiguous
    assert a[::2, ::-1].strides == (16, -32)
    assert a.data.ptr % 512 == 0
    assert a[1:].data.ptr == a.data.ptr + 8
    assert a[:, :2].reshape(-1).base is None
    c = cupy.asarray(matrix())
    assert c.reshape(3, 4).base is c
    assert c.ravel().base is c
    assert cupy.shares_memory(c, c[1:])
    assert cupy.may_share_memory(c, c[1:])
    assert not cupy.may_share_memory(c, a)
    k = cupy.asarray(matrix(shape=(2, 3, 4))).transpose(1, 0, 2)
    assert k.astype("float32").strides == (16, 48, 4)


REFUSALS: dict[str, tuple[Callable[[Any, Any, Host], Any], type[Exception], str]] = {
    "implicit conversion": (
        lambda m, a, h: np.asarray(a), TypeError,
        "Implicit conversion to a NumPy array is not allowed",
    ),
    "array + numpy": (lambda m, a, h: a + h, TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    "numpy + array": (lambda m, a, h: h + a, TypeError, "Unsupported type <class 'numpy.ndarray'>"),
    "array == numpy": (lambda m, a, h: a == h, TypeError, "Unsupported type"),
    "array += numpy": (
        lambda m, a, h: operator.iadd(a, h), TypeError, "Unsupported type <class 'numpy.ndarray'>",
    ),
    "numpy += array": (lambda m, a, h: operator.iadd(h, a), TypeError, "."),
    "array @ numpy": (lambda m, a, h: a @ h.T, TypeError, "Argument 'b' has incorrect type"),
    "dot": (lambda m, a, h: a.dot(h.T), TypeError, "Argument 'b' has incorrect type"),
    "maximum": (lambda m, a, h: m.maximum(a, h), TypeError, "Unsupported type"),
    "sqrt": (lambda m, a, h: m.sqrt(h), TypeError, "Unsupported type"),
    "nonzero": (lambda m, a, h: m.nonzero(h), TypeError, "."),
    "ascontiguousarray": (lambda m, a, h: m.ascontiguousarray(h), TypeError, "Argument 'a'"),
    "stack": (lambda m, a, h: m.stack([a, h]), TypeError, "Argument 'a' has incorrect type"),
    "cholesky": (
        lambda m, a, h: m.linalg.cholesky(h), np.linalg.LinAlgError, r"only supports cupy\.ndarray",
    ),
    "array + str": (lambda m, a, h: a + "auto", TypeError, "."),
    "setitem numpy": (
        lambda m, a, h: operator.setitem(a, slice(None), h), ValueError,
        "non-scalar numpy.ndarray cannot be used for fill",
    ),
    "hash": (lambda m, a, h: hash(a), TypeError, "unhashable"),
    "as index": (lambda m, a, h: [1, 2][m.arange(1)[0]], TypeError, "must be integers"),
    "range": (lambda m, a, h: range(m.arange(1)[0]), TypeError, "integer"),
    "truth": (lambda m, a, h: bool(a), ValueError, r"ambiguous. Use a\.any\(\) or a\.all\(\)"),
    "float": (lambda m, a, h: float(a), TypeError, "."),
    "item": (lambda m, a, h: a.item(), ValueError, "array of size 1"),
    "len": (lambda m, a, h: len(a[0, 0]), TypeError, "unsized"),
    "iter": (lambda m, a, h: iter(a[0, 0]), TypeError, "0-d"),
    "out of bounds": (
        lambda m, a, h: a[9], IndexError, "Index 9 is out of bounds for axis 0 with size 4",
    ),
    "too many": (lambda m, a, h: a[0, 0, 0], IndexError, "too many indices for array"),
    "two masks": (
        lambda m, a, h: a[m.ones(4, bool), m.ones(3, bool)], ValueError,
        "CuPy only supports slices that consist of one boolean array",
    ),
    "float index": (lambda m, a, h: a[m.ones(2)], IndexError, "integer or boolean"),
    "astype casting": (lambda m, a, h: a.astype("f", casting="safe"), TypeError, "casting"),
    "dtype": (lambda m, a, h: m.asarray(np.array(["a"])), ValueError, "Unsupported dtype"),
    "set dtype": (
        lambda m, a, h: a.set(h.astype("f")), TypeError, "float32 array cannot be set to float64",
    ),
    "set shape": (lambda m, a, h: a.set(h[0]), ValueError, "Shape mismatch"),
    "set array": (lambda m, a, h: a.set(a), TypeError, "Only numpy.ndarray can be set"),
    "get dtype": (
        lambda m, a, h: a.get(out=h.astype("f")), TypeError, "cannot be obtained from float64",
    ),
    "get shape": (lambda m, a, h: a.get(out=h[0]), ValueError, "Shape mismatch"),
    "get strided": (
        lambda m, a, h: a.get(out=np.empty((8, 6))[::2, ::2]), RuntimeError, "non-contiguous",
    ),
    "copy=False": (
        lambda m, a, h: m.asarray(h, copy=False), ValueError, "Unable to avoid copy",
    ),
    "negative": (lambda m, a, h: m.empty(-1), ValueError, "Negative dimensions"),
    "dlpack of the host": (lambda m, a, h: m.from_dlpack(h), TypeError, "CPU arrays cannot"),
    "square": (lambda m, a, h: m.linalg.cholesky(a), np.linalg.LinAlgError, "square"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(cupy: ModuleType, case: str) -> None:
    function, error, message = REFUSALS[case]
    host = matrix()
    with pytest.raises(error, match=message):
        function(cupy, cupy.asarray(host), host)


def test_to_and_from_the_host(cupy: ModuleType) -> None:
    a = matrix()
    on_device = cupy.asarray(a)
    assert cupy.asarray(on_device) is on_device
    assert cupy.asnumpy(a) is a
    for order in "CF":
        out = np.empty(a.shape, order=order)
        assert cupy.asnumpy(on_device, out=out) is out
        np.testing.assert_array_equal(out, a)
    one = on_device[1, 1]
    assert one.item() == float(one) == one.tolist() == a[1, 1]
    assert int(one) == int(a[1, 1])
    assert bool(one > 0)
    assert type(one.item()) is float
    on_device.set(2 * a)
    np.testing.assert_array_equal(on_device.get(), 2 * a)
    on_device.fill(3)
    np.testing.assert_array_equal(on_device.get(), np.full_like(a, 3))
    assert cupy.asarray([1.0, 2]).dtype == np.float64
    assert cupy.asarray(2.5).shape == ()


def test_other_libraries_share_memory(cupy: ModuleType) -> None:
    a = cupy.asarray(matrix())
    for shared in (
        cupy.from_dlpack(a),
        cupy.from_dlpack(a[::2, 1:]),
        cupy.asarray(SimpleNamespace(__cuda_array_interface__=a.__cuda_array_interface__)),
        cupy.asarray(SimpleNamespace(__cuda_array_interface__=a.T.__cuda_array_interface__)),
    ):
        assert cupy.shares_memory(shared, a)
        assert shared.device == a.device
        shared[0, 0] += 1
    np.testing.assert_allclose(a[0, 0].get(), cupy.from_dlpack(a).get()[0, 0])
    interface = a.__cuda_array_interface__
    assert interface["version"] == 3
    assert interface["data"] == (a.data.ptr, False)
    assert interface["strides"] is None
    assert interface["typestr"] == "<f8"
    assert tuple(map(int, a.__dlpack_device__())) == (2, a.device.id)


def test_devices_streams_and_pools(cupy: ModuleType) -> None:
    cuda = cupy.cuda
    device = cuda.Device()
    assert device.id == cuda.runtime.getDevice()
    assert device == cuda.Device(device.id)
    assert cuda.runtime.getDeviceCount() > device.id
    assert isinstance(cuda.runtime.getDeviceProperties(device.id)["name"], bytes)
    assert int(device.compute_capability) >= 75
    free, total = cuda.runtime.memGetInfo()
    assert 0 < free <= total
    assert device.mem_info[1] == total
    pool = cupy.get_default_memory_pool()
    used = pool.used_bytes()
    held = cupy.empty(1000, cupy.int8)
    assert pool.used_bytes() == used + 1024
    assert pool.total_bytes() == pool.used_bytes() + pool.free_bytes()
    del held
    assert pool.used_bytes() == used
    pool.free_all_blocks()
    with cuda.Stream(non_blocking=True) as stream:
        assert cuda.get_current_stream().ptr == stream.ptr != 0
        a = cupy.asarray(matrix())
        host = cupy.asnumpy(a, blocking=False)
        event = stream.record()
    assert cuda.get_current_stream().ptr == 0
    event.synchronize()
    stream.synchronize()
    np.testing.assert_array_equal(host, a.get())
    pinned = cuda.alloc_pinned_memory(100)
    view = np.frombuffer(pinned, np.float64, 3)
    view[:] = 1
    assert pinned.ptr == view.ctypes.data


def test_events_measure_the_time_between_them(cupy: ModuleType) -> None:
    start, end, untimed = cupy.cuda.Event(), cupy.cuda.Event(), cupy.cuda.Event(disable_timing=True)
    start.record()
    a = cupy.zeros(1 << 20)
    end.record()
    untimed.record()
    end.synchronize()
    assert 0 <= cupy.cuda.get_elapsed_time(start, end) < 1e5
    assert a.size == 1 << 20
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="InvalidResourceHandle"):
        cupy.cuda.get_elapsed_time(start, untimed)
