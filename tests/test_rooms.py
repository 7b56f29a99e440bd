"""Which room runs an op, and what the CUDA room hands to it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastrfm
from backends import HostMemory
from cases import OPS, Array, call
from fastrfm import backend
from fastrfm.backend import running_on
from fastrfm.cuda import Cuda
from fastrfm.kernels import Kernel
from fastrfm.rooms import Cpu

pytestmark = pytest.mark.core


RANK_TWO = np.zeros((4, 4))
RANK_TWO[:2, :2] = [[2, 1], [1, 2]]


class Watched(Cpu):
    """The CPU's room, which notes the ops that run in it."""

    def __init__(self) -> None:
        super().__init__(backend._cpu)
        self.seen: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("kernel_", "gradient")):
            self.seen.append(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize("op", OPS)
def test_an_op_runs_in_the_room_in_use(op: str) -> None:
    X, coef = np.eye(3), np.ones((3, 1))
    room = Watched()
    call(fastrfm, op, X, X, coef)
    with running_on(room):
        call(fastrfm, op, X, X, coef)
    call(fastrfm, op, X, X, coef)
    assert room.seen == ["gradient_sums" if op == "agop" else op]


def test_rooms_nest_and_an_error_leaves_them() -> None:
    outer, inner = Watched(), Watched()
    X = np.eye(3)
    with running_on(outer):
        with pytest.raises(ZeroDivisionError), running_on(inner):
            raise ZeroDivisionError
        fastrfm.kernel_matrix(X)
    fastrfm.kernel_matrix(X)
    assert outer.seen == ["kernel_matrix"]
    assert inner.seen == []


def test_other_threads_keep_their_room() -> None:
    room = Watched()
    with running_on(room), ThreadPoolExecutor(1) as threads:
        threads.submit(fastrfm.kernel_matrix, np.eye(3)).result()
    assert room.seen == []


def test_packed_and_landmark_ops_stay_on_the_cpu() -> None:
    room = Watched()
    X = np.random.default_rng(0).standard_normal((7, 3))
    with running_on(room):
        packed = backend.packed_kernel_matrix(X, Kernel(), None)
        V = backend.packed_matmul(packed, np.ones((7, 1)))
        backend.landmark_gram(X)
    assert room.seen == []
    np.testing.assert_allclose(V, fastrfm.kernel_matrix(X) @ np.ones((7, 1)))


class Recorder:
    """Stands for `_cuda`: keeps the arguments of each op."""

    def __init__(self) -> None:
        self.arguments: dict[str, tuple[Any, ...]] = {}

    def Points(self, *arguments: Any) -> Any:  # noqa: N802
        return SimpleNamespace(arguments=arguments)

    Root = Points

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.arguments.setdefault(name, arguments)


class OnStream(HostMemory):
    """Memory with a stream to tell."""

    stream = 4711


def recorded(op: str, X: Array, Z: Array | None, **options: Any) -> tuple[Any, ...]:
    """Return what the op of `_cuda` is called with."""
    recorder = Recorder()
    coef = np.ones((len(X if Z is None else Z), 2), np.float32)
    with running_on(Cuda(recorder, OnStream())), np.errstate(invalid="ignore"):
        call(fastrfm, op, X, Z, coef, **options)  # type: ignore[arg-type]
    return recorder.arguments["gradient_sums" if op == "agop" else op]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.uint8])
def test_points_go_as_they_lie(op: str, dtype: type) -> None:
    big = np.ones((9, 8), dtype)
    X, Z = big[::-2, ::2], np.broadcast_to(big[0, :4], (6, 4))
    arguments = recorded(op, X, Z)
    size = np.dtype(dtype).itemsize
    name = np.dtype(dtype).name
    start = big.ctypes.data + 64 * size
    assert arguments[0].arguments == (start, name, 5, 4, -16 * size, 2 * size)
    assert arguments[1].arguments == (big.ctypes.data, name, 6, 4, 0, size)
    assert arguments[-1] == OnStream.stream
    assert ("float64" if dtype == np.float64 else "float32") in arguments


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(
    ("metric", "shape"),
    [(None, None), (np.ones(4), (4,)), (RANK_TWO, (4, 2))],
    ids=["identity", "diagonal", "full"],
)
def test_roots_go_with_their_shape(op: str, metric: Any, shape: tuple[int, ...] | None) -> None:
    roots = [
        a
        for a in recorded(op, np.eye(4), np.eye(4)[:2], metric=metric)
        if a is not None and isinstance(a, SimpleNamespace)
    ][2:]  # after X and Z
    assert [root.arguments[1:] for root in roots] == ([] if shape is None else [shape])


def test_symmetry_is_for_the_ops_that_use_it() -> None:
    """Z is left out where it is X itself: the same rows of the same memory, not equal rows."""
    X = np.eye(4)
    assert recorded("kernel_matrix", X, None)[1] is None
    assert recorded("kernel_matmul", X, X)[1] is None
    assert recorded("kernel_matmul", X, X[:])[1] is None
    for other in (X.copy(), X[::-1], X.T, X[:3], X[:, ::-1]):
        Z = recorded("kernel_matmul", X, other)[1]
        assert Z is not None
        assert Z.arguments[0] == other.ctypes.data
    for op in ("gradients", "agop"):
        x, z = recorded(op, X, X)[:2]
        assert x is z
