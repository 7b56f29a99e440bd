"""How fast this machine is at what a roofline is made of: products, memory, vector instructions."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fastrfm import backend

__all__ = ["copy_rate", "fill_rate", "lane_rate", "sgemm_rate", "write_rate"]

REPEATS = 5
COPY_BYTES = 2**28  # each way; several times any cache
QUICK_COPY_BYTES = 2**26
FLAGS = {
    "avx512": ["-mavx512f", "-mprefer-vector-width=512"],
    "avx2": ["-mavx2", "-mfma"],
    "baseline": [],
}
COMPILERS = ("c++", "g++", "clang++")


def sgemm_rate(seconds_of: Callable[[int], float], *, quick: bool) -> float:
    """Return the best flops a second of a square float32 product."""
    size = 1536 if quick else 3072
    seconds_of(256)  # starts the threads
    return 2.0 * size**3 / min(seconds_of(size) for _ in range(REPEATS))


def copy_rate(threads: int, *, quick: bool) -> float:
    """Return bytes read and written a second, together, by a copy with all threads."""
    size = QUICK_COPY_BYTES if quick else COPY_BYTES
    source, target = (np.ones(size // 4, np.float32) for _ in range(2))
    sources, targets = (np.array_split(array, threads) for array in (source, target))
    return 2 * size / _best(lambda i: np.copyto(targets[i], sources[i]), threads)


def fill_rate(threads: int, *, quick: bool) -> float:
    """Return bytes a second into memory that the system has not handed out yet."""
    size = QUICK_COPY_BYTES if quick else COPY_BYTES
    seconds = []
    for _ in range(REPEATS):
        parts = np.array_split(np.empty(size // 4, np.float32), threads)
        seconds.append(_best(lambda i, parts=parts: parts[i].fill(1), threads, repeats=1))  # type: ignore[misc]
    return size / min(seconds)


def lane_rate(threads: int, sgemm: float) -> tuple[float, str]:
    """Return lane operations a second, and how they were found.

    A C++ loop that does nothing else is compiled and run. Without a compiler the rate is taken to
    be that of sgemm's multiply-adds (half its flops): two vector instructions a cycle, as x86-64
    processors since 2013 have for either.
    """
    answer = _run_compiled("vector_rate", threads)
    if answer is None:
        return sgemm / 2, "assumed: the multiply-adds of sgemm"
    return answer, "measured by a compiled loop"


def write_rate(threads: int, *, quick: bool) -> tuple[float, str]:
    """Return bytes a second written into memory that is already there, and how they were found.

    A compiled loop writes both through the caches and past them (non-temporal stores), and the
    better counts: which one it is differs between processors. Without a compiler NumPy's fill,
    which goes through the caches, stands in.
    """
    size = QUICK_COPY_BYTES if quick else COPY_BYTES
    answer = _run_compiled("write_rate", threads, size)
    if answer is not None:
        return answer, "measured by a compiled loop"
    parts = np.array_split(np.ones(size // 4, np.float32), threads)
    return size / _best(lambda i: parts[i].fill(2), threads), "measured by NumPy's fill"


def _run_compiled(name: str, *arguments: int) -> float | None:
    """Compile ``name.cpp`` for the ISA level in use and return what it prints; None: cannot."""
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        return None
    source = Path(__file__).with_name(f"{name}.cpp")
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / name)
        flags = ["-O3", "-std=c++17", "-pthread", *FLAGS[backend.isa_level()]]
        try:
            subprocess.run(
                [compiler, *flags, str(source), "-o", program], check=True, capture_output=True
            )
            answer = subprocess.run(
                [program, *map(str, arguments)], check=True, capture_output=True, text=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
    return float(answer.stdout)


def _best(part: Callable[[int], object], threads: int, repeats: int = REPEATS) -> float:
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(abs, range(threads)))  # starts the threads
        for _ in range(repeats):
            start = time.perf_counter()
            list(pool.map(part, range(threads)))
            seconds.append(time.perf_counter() - start)
    return min(seconds)
