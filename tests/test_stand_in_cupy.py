"""CuPy's stand-in computes as NumPy does, and refuses and counts as CuPy does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastrfm
import oracle
from cases import OPS, Array, assert_accurate, call
from cupy_probe import described
from device import Lent, StandIn, require_no_more_alive
from fastrfm import backend
from fastrfm.backend import cuda_room, running_on
from fastrfm.cuda import Cuda, CupyMemory
from stand_in_cupy import modules
from stand_in_cupy.machine import Copies

pytestmark = pytest.mark.emulated


@pytest.mark.parametrize("late", [False, True], ids=["copies-at-once", "late-copies"])
@pytest.mark.parametrize("op", OPS)
def test_ops_run_through_cupy(stand_in_cupy: StandIn, op: str, late: bool, dtype: type) -> None:
    stand_in_cupy.set_late_copies(late)
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((70, 5)).astype(dtype), rng.standard_normal((40, 5)).astype(dtype)
    coef = rng.standard_normal((40, 3)).astype(dtype)
    options: dict[str, Any] = {"metric": np.diag([1.0, 2, 3, 4, 5]) + 0.1, "bandwidth": 3.0}
    with running_on(cuda_room()):
        result: Array = call(fastrfm, op, X, Z, coef, **options)
    assert_accurate(op, result, call(oracle, op, X, Z, coef, **options), dtype)
    assert stand_in_cupy.copies.to_host == 1
    assert stand_in_cupy.copies.to_device == (3 if op == "kernel_matrix" else 4)
    assert 0 < stand_in_cupy.peak_bytes() > stand_in_cupy.live_bytes() == 0
    assert ("gradient_sums" if op == "agop" else op, 0) in stand_in_cupy.log


def test_arrays_are_counted(stand_in_cupy: StandIn) -> None:
    cupy, pool = stand_in_cupy.cupy, stand_in_cupy.cupy.get_default_memory_pool()
    a = cupy.empty((10, 10), cupy.float32)
    assert np.isnan(a.get()).all()
    assert stand_in_cupy.live_bytes() == pool.used_bytes() == 512
    view = a[1:].T
    assert stand_in_cupy.live_arrays() == 1
    b = a + 1
    assert stand_in_cupy.live_bytes() == 1024 == stand_in_cupy.peak_bytes()
    del a, b
    assert stand_in_cupy.live_arrays() == 1, "a view keeps its memory"
    del view
    assert stand_in_cupy.live_bytes() == 0
    assert (pool.n_free_blocks(), pool.free_bytes()) == (2, 1024)
    free, total = cupy.cuda.runtime.memGetInfo()
    assert free == total - 1024, "what the pool keeps is not free for others"
    pool.free_all_blocks()
    assert cupy.cuda.Device().mem_info == (total, total)
    assert stand_in_cupy.peak_bytes() == 1024
    stand_in_cupy.reset_peak()
    assert stand_in_cupy.peak_bytes() == 0


def test_memory_runs_out(stand_in_cupy: StandIn) -> None:
    cupy = stand_in_cupy.cupy
    stand_in_cupy.set_total_memory(10_240)
    held = cupy.empty(4096, cupy.uint8)
    cupy.empty(4096, cupy.uint8)
    assert cupy.cuda.runtime.memGetInfo() == (2048, 10_240)
    larger = cupy.empty(6144, cupy.uint8)
    assert cupy.cuda.runtime.memGetInfo()[0] == 0, "the pool gave back what it kept"
    message = "Out of memory allocating 1,024 bytes (allocated so far: 10,240 bytes)."
    with pytest.raises(cupy.cuda.memory.OutOfMemoryError, match=re.escape(message)):
        cupy.zeros(513, cupy.uint8)
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)
    with cupy.cuda.Device(1):
        cupy.zeros(10_000)
    del held, larger
    cupy.get_default_memory_pool().set_limit(1024)
    with pytest.raises(MemoryError, match="limit set to: 1,024 bytes"):
        cupy.empty(2048, cupy.uint8)


def test_layouts_that_copy_take_memory(stand_in_cupy: StandIn) -> None:
    """What CuPy copies on the device on its way: to the host, or into a library's order."""
    cupy = stand_in_cupy.cupy
    a = cupy.asarray(np.asfortranarray(np.ones((64, 8))))
    assert stand_in_cupy.peak_bytes() == 4096
    a.get()
    assert stand_in_cupy.peak_bytes() == 8192
    stand_in_cupy.reset_peak()
    a.get(order="F")
    a.get(out=np.empty((64, 8), order="F"))
    assert stand_in_cupy.peak_bytes() == 4096


def test_copies_are_counted(stand_in_cupy: StandIn) -> None:
    cupy = stand_in_cupy.cupy
    a = cupy.asarray(np.ones((3, 4)))
    assert (stand_in_cupy.copies.to_device, stand_in_cupy.copies.to_device_bytes) == (1, 96)
    stand_in_cupy.reset_copies()
    b = cupy.asarray(a) @ a.T + cupy.eye(3)
    assert stand_in_cupy.copies == Copies()
    float(b[0, 0])
    b[np.array([1])] = 0
    assert stand_in_cupy.copies == Copies(1, 8, 1, 8)
    assert ("to_host", 0) in stand_in_cupy.log


def test_numpys_functions_are_refused(stand_in_cupy: StandIn) -> None:
    """CuPy runs its own for them; code that runs here says which it means."""
    a = stand_in_cupy.cupy.ones(3)
    for function in (np.sqrt, np.concatenate, np.sum, np.linalg.norm):
        with pytest.raises(TypeError, match=r"numpy\.\w+ is called with an array of CuPy's"):
            function([a, a] if function is np.concatenate else a)
    for function in (stand_in_cupy.cupy.sum, stand_in_cupy.cupy.linalg.norm):
        with pytest.raises(TypeError, match=r"expected .* got numpy\.ndarray"):
            function(np.ones(3))
    for other in (None, "auto", [1, 2, 3]):
        with pytest.raises(TypeError, match="returned NotImplemented"):
            _ = a == other


def test_devices_do_not_mix(stand_in_cupy: StandIn) -> None:
    cupy = stand_in_cupy.cupy
    a = cupy.ones(3)
    with cupy.cuda.Device(1):
        b = cupy.ones(3)
        assert b.device.id == cupy.cuda.runtime.getDevice() == 1
        with pytest.raises(ValueError, match=r"resides \(0\) is different .* device \(1\)"):
            b + a
    assert cupy.cuda.runtime.getDevice() == 0
    assert b.get().sum() == 3
    assert (cupy.asarray(b) + a).get().tolist() == [2, 2, 2]
    assert (stand_in_cupy.live_bytes(0), stand_in_cupy.live_bytes(1)) == (512, 512)
    with pytest.raises(RuntimeError, match="cudaErrorInvalidDevice: invalid device ordinal"):
        cupy.cuda.Device(2).use()


@pytest.mark.parametrize("how", ["stream", "event", "device", "runtime"])
def test_late_copies_need_waiting(stand_in_cupy: StandIn, how: str) -> None:
    stand_in_cupy.set_late_copies()
    cupy = stand_in_cupy.cupy
    stream = cupy.cuda.Stream(non_blocking=True)
    source, out = np.ones(3), np.zeros(3)
    with stream:
        a = cupy.asarray(source)
        assert ("to_device", stream.ptr) in stand_in_cupy.log
    assert np.isnan(a.get()).all(), "another stream does not wait"
    with stream:
        b = 2 * a  # in the stream's order: needs no waiting
        cupy.asnumpy(b, out=out, blocking=False)
        b.fill(7)
        event = stream.record()
    assert out.tolist() == [0, 0, 0]
    {
        "stream": stream.synchronize,
        "event": event.synchronize,
        "device": cupy.cuda.Device().synchronize,
        "runtime": lambda: cupy.cuda.runtime.streamSynchronize(stream.ptr),
    }[how]()
    assert out.tolist() == [2, 2, 2]
    assert event.done


def test_late_copies_read_what_the_source_is_then(stand_in_cupy: StandIn) -> None:
    stand_in_cupy.set_late_copies()
    cupy = stand_in_cupy.cupy
    source = np.ones(3)
    b = cupy.asarray(source, blocking=True)
    a = cupy.asarray(source)
    source[:] = 5
    assert a.get().tolist() == [5, 5, 5]
    assert b.get().tolist() == [1, 1, 1]


def test_streams_wait_for_events(stand_in_cupy: StandIn) -> None:
    stand_in_cupy.set_late_copies()
    cupy = stand_in_cupy.cupy
    first, second = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
    with first:
        a = cupy.asarray(np.ones(3))
        event = first.record()
    with second:
        assert np.isnan((a + 1).get()).all()
        second.wait_event(event)
        assert (a + 1).get().tolist() == [2, 2, 2]


def test_the_null_stream_waits_for_blocking_streams(stand_in_cupy: StandIn) -> None:
    stand_in_cupy.set_late_copies()
    cupy = stand_in_cupy.cupy
    with cupy.cuda.Stream():
        a = cupy.asarray(np.ones(3))
    assert a.get().tolist() == [1, 1, 1]


class Careless(CupyMemory):
    """Copies to the device on a stream that no op waits for."""

    def to_device(self, array: Array) -> Any:
        with self._cupy.cuda.Stream(non_blocking=True):
            return super().to_device(array)


def test_ops_come_after_the_copies_of_their_stream_only(stand_in_cupy: StandIn) -> None:
    stand_in_cupy.set_late_copies()
    X = np.ones((3, 2))
    for memory, in_time in ((CupyMemory, True), (Careless, False)):
        with running_on(Cuda(backend.cuda_build(), memory(stand_in_cupy.cupy))):
            K = fastrfm.kernel_matrix(X, 2 * X)
        assert np.isfinite(K).all() == in_time


def test_ops_take_device_memory_alone(stand_in_cupy: StandIn) -> None:
    """The emulator could read the host's memory too, and what was freed."""
    ops, host = backend.cuda_build(), np.ones((3, 2))
    with pytest.raises(RuntimeError, match="cudaErrorIllegalAddress"):
        ops.Points(host.ctypes.data, "float64", 3, 2, 16, 8)
    freed = stand_in_cupy.cupy.ones(3).data.ptr
    with pytest.raises(RuntimeError, match="an illegal memory access was encountered"):
        ops.Root(freed, 3)


def test_memory_of_other_libraries_is_used_as_it_is(stand_in_cupy: StandIn) -> None:
    cupy, host = stand_in_cupy.cupy, np.arange(6.0).reshape(2, 3)
    assert cupy.from_dlpack(Lent(np.ones(3), device=1)).device.id == 1
    for array in (cupy.from_dlpack(Lent(host)), cupy.asarray(Lent(host[::-1].T))):
        assert array.device.id == 0
        array *= 2
        backend.cuda_build().Root(array.data.ptr, 2)
    np.testing.assert_array_equal(host, 4 * np.arange(6.0).reshape(2, 3))
    assert stand_in_cupy.live_arrays() == 0
    assert stand_in_cupy.copies == Copies()


def test_a_workspace_must_be_large_enough(stand_in_cupy: StandIn) -> None:
    cupy = stand_in_cupy.cupy
    cusolver = sys.modules["cupy_backends.cuda.libs.cusolver"]
    handle = cupy.cuda.device.get_cusolver_handle()
    a, info = cupy.eye(5), cupy.empty(1, cupy.int32)
    size = cusolver.dpotrf_bufferSize(handle, 0, 5, a.data.ptr, 5)
    for claimed, given, error in [
        (size - 1, size, "CUSOLVER_STATUS_INVALID_VALUE"),
        (size, size - 1, "cudaErrorIllegalAddress"),
    ]:
        work = cupy.empty(given)
        arguments = (handle, 0, 5, a.data.ptr, 5, work.data.ptr, claimed, info.data.ptr)
        with pytest.raises(RuntimeError, match=error):
            cusolver.dpotrf(*arguments)


def test_what_a_test_leaves_alive_must_be_told(stand_in_cupy: StandIn) -> None:
    stand_in_cupy.cupy.left_here = stand_in_cupy.cupy.empty(1000, stand_in_cupy.cupy.int8)
    stand_in_cupy.keeps = 1000
    with pytest.raises(AssertionError, match="1024 bytes of device memory are still alive"):
        require_no_more_alive(stand_in_cupy.live_bytes(), 0)


def test_real_cupy_has_what_the_stand_in_has() -> None:
    """The same names, parameters and defaults; the stand-in may lack some, at the end."""
    pytest.importorskip("cupy")
    stand_ins = modules()
    probe = Path(__file__).with_name("cupy_probe.py")
    done = subprocess.run(
        [sys.executable, probe, *stand_ins], capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and "\nImportError: " in done.stderr:
        pytest.skip(f"CuPy without CUDA's libraries: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    real = json.loads(done.stdout)
    differences = [
        f"{name}: {stand_in} is no part of {real[name]}" if name in real else f"{name} is missing"
        for name, stand_in in described(stand_ins).items()
        if name not in real or not is_part(stand_in, real[name])
    ]
    assert not differences, "\n".join(differences)


def is_part(stand_in: Any, real: Any) -> bool:
    """Return whether all calls that the stand-in takes are calls of the real one."""
    if stand_in is None or real is None or isinstance(stand_in, str) or isinstance(real, str):
        return stand_in == real or None in (stand_in, real)
    if real["any"]:
        return True
    own = list(stand_in["positional"].items())
    same_places = own == list(real["positional"].items())[: len(own)]
    taken = real["positional"] | real["keyword"]
    return same_places and stand_in["keyword"].items() <= taken.items()
