"""Build, test and measure on an NVIDIA GPU: python bench/gpu.py

Stages (``--stage``, several allowed): ``build`` installs this checkout with its CUDA kernels for
the card that is there; ``ceilings`` measures copies and matrix products; ``tests`` runs the tests
marked ``gpu``; ``ops`` times K, K V and the AGOP of 30,000 rows by fastrfm, PyTorch (float32, and
TF32 allowed), xRFM and kermac; ``fits`` fits 60,000 and 1,000,000 rows; ``tiers`` compares plain
float32 with tensor cores and suggests the crossover; ``sanitize`` runs compute-sanitizer over every
operation.

Each entry is written to ``gpu.json`` as soon as it is there, and ``gpu.md`` is made from it at the
end. ``--resume`` leaves out what ``gpu.json`` has of this commit and card, ``--time-limit`` what
would not be done in time. ``--rehearse`` runs all of it in small on the kernels compiled for the
CPU (``make emulator``), without a GPU, and writes ``gpu_rehearsal.json`` and ``.md``.

Before the build there may be nothing but Python, so that the command line is argparse's and this
file needs the standard library alone; all else is `fastrfm.bench.gpu`.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BUILD = "build"
STAGES = (BUILD, "ceilings", "tests", "ops", "fits", "tiers", "sanitize")
PEERS = ("torch", "xrfm", "kermac")
# Module -> package, of `pip install --no-build-isolation` and of the bench itself.
BUILD_NEEDS = {
    "pip": "pip",
    "scikit_build_core": "scikit-build-core",
    "pybind11": "pybind11",
    "cmake": "cmake",
    "ninja": "ninja",
}
NEEDS = {
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "narwhals": "narwhals",
    "safetensors": "safetensors",
    "threadpoolctl": "threadpoolctl",
    "tqdm": "tqdm",
    "cupy": "cupy-cuda13x[ctk]",
}
PROGRAMS = ("cmake", "ninja")
NVCC_FOLDER = "/usr/local/cuda/bin"
# Not measured yet: 16 cores compile for one architecture.
BUILD_SECONDS = 300.0
# cuDeviceGetAttribute's numbers of the compute capability.
MAJOR, MINOR = 75, 76
SAID_LINES = 30


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--stage", choices=(*STAGES, "all"), nargs="+", default=["all"])
    add("--rehearse", action="store_true", help="in small, on the CPU, without a build")
    add("--resume", action="store_true", help="leave out what was measured of this commit and card")
    add("--time-limit", type=float, default=inf, metavar="S", help="seconds for all [no limit]")
    add("--peers", choices=PEERS, nargs="*", default=list(PEERS), help="rivals [all]")
    add("--only", default="", metavar="WORDS", help="cases with all these words in their names")
    add("--report", action="store_true", help="only make gpu.md from gpu.json")
    add("--output", type=Path, default=ROOT / "bench" / "results", metavar="FOLDER")
    add("--commit", help="name of what is measured, where this is no checkout [git's]")
    options = parser.parse_args(arguments)
    if not options.time_limit > 0:
        parser.error(f"--time-limit must be positive, got {options.time_limit:g}")
    return options


def compute_capability() -> tuple[int, int]:
    """Return that of the first GPU, asked of the driver itself.

    Raises
    ------
    RuntimeError
        If there is no driver or no GPU.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise RuntimeError("no NVIDIA driver: libcuda.so.1 is not there") from None
    count = ctypes.c_int(0)
    status = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if status or not count.value:
        raise RuntimeError(f"no GPU that this process can use (the driver's status {status})")
    values = []
    for attribute in (MAJOR, MINOR):
        value = ctypes.c_int(0)
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, 0)
        values.append(value.value)
    return values[0], values[1]


def missing(stages: Sequence[str]) -> list[str]:
    """Return all that a run on a GPU lacks, in words."""
    found = []
    try:
        compute_capability()
    except RuntimeError as error:
        found.append(str(error))
    needs = {**NEEDS, **(BUILD_NEEDS if BUILD in stages else {})}
    for module, package in needs.items():
        there = importlib.util.find_spec(module) is not None or (
            module in PROGRAMS and shutil.which(module) is not None
        )
        if not there:
            found.append(f"{module} is not installed: pip install '{package}'")
    if BUILD in stages:
        nvcc = shutil.which("nvcc") or shutil.which("nvcc", path=NVCC_FOLDER)
        if nvcc is None and "CUDACXX" not in os.environ:
            found.append(f"no nvcc on PATH, in {NVCC_FOLDER} or named by CUDACXX")
    elif importlib.util.find_spec("fastrfm") is None:
        found.append("fastrfm is not installed: --stage build installs this checkout")
    return found


def build_command() -> list[str]:
    """Return how this checkout is installed."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
    return [*pip, "--no-build-isolation", "--no-deps", "--force-reinstall", str(ROOT)]


def build_environment(capability: tuple[int, int]) -> dict[str, str]:
    """Return what makes a build have CUDA, for this card alone: each architecture takes minutes."""
    major, minor = capability
    # 9.0 has instructions that only its own "a" offers (src/cuda/CMakeLists.txt).
    architecture = f"{major}{minor}{'a' if (major, minor) == (9, 0) else ''}-real"
    chosen = f"-DFASTRFM_CUDA_ARCHITECTURES={architecture}"
    given = os.environ.get("CMAKE_ARGS", "")
    return {"FASTRFM_CUDA": "ON", "CMAKE_ARGS": f"{given} {chosen}".strip()}


def build(seconds: float) -> dict[str, Any]:
    """Install the checkout, and return the entry of it."""
    environment = build_environment(compute_capability())
    print("build:", *(f"{name}='{value}'" for name, value in environment.items()), flush=True)
    started = time.monotonic()
    try:
        done = subprocess.run(
            build_command(),
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=min(seconds, BUILD_SECONDS),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SystemExit(f"bench/gpu.py: no build in {min(seconds, BUILD_SECONDS):.0f} s") from None
    if done.returncode:
        print(*done.stdout.splitlines()[-SAID_LINES:], sep="\n")
        raise SystemExit("bench/gpu.py: the build failed, see above")
    took = time.monotonic() - started
    print(f"build: done ({took:.0f} s)", flush=True)
    architecture = environment["CMAKE_ARGS"].rpartition("=")[2]
    return {"note": f"{took:.0f} s for {architecture}", "build_seconds": took}


def commit_of(root: Path) -> str | None:
    """Return the commit of a checkout, "-dirty" if edited; None: git does not say."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stages; exits with 1 if one of them failed, with 2 if it cannot run."""
    options = parse(arguments)
    end = time.monotonic() + options.time_limit
    asked = STAGES if "all" in options.stage else options.stage
    built = None
    if not options.rehearse and not options.report:
        lacks = missing(asked)
        if lacks:
            print("bench/gpu.py: nothing to measure on:", *lacks, sep="\n  ", file=sys.stderr)
            print("--rehearse runs the whole programme without a GPU", file=sys.stderr)
            raise SystemExit(2)
        if BUILD in asked:
            built = build(end - time.monotonic())
            importlib.invalidate_caches()
    # Not before the build: it installs this.
    from fastrfm.bench.gpu.run import Options, report, run

    chosen = Options(
        root=ROOT,
        output=options.output,
        stages=[stage for stage in asked if stage != BUILD],
        peers=options.peers,
        rehearse=options.rehearse,
        resume=options.resume,
        time_limit=max(0.0, end - time.monotonic()),
        commit=options.commit or commit_of(ROOT),
        only=options.only,
        build=built,
    )
    failed: list[str] = []
    try:
        if options.report:
            report(chosen)
        else:
            failed = run(chosen)
    except (RuntimeError, ImportError, FileNotFoundError, ValueError) as error:
        print(f"bench/gpu.py: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    if failed:
        print("failed:", *failed, sep="\n  ", file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
