"""Whether CUDA can be used here, and what is missing if not."""

from __future__ import annotations

import importlib
import re
from typing import Any

__all__ = ["open_cupy"]


def open_cupy(build: Any | None) -> Any:
    """Return CuPy, having found that it and `build`, `fastrfm._cuda`, can run on its device.

    Raises
    ------
    RuntimeError
        If anything is missing or too old.
    ImportError
        If CuPy is there and does not load.
    """
    if build is None:
        raise RuntimeError(
            "this build of fastrfm has no CUDA: its module fastrfm._cuda is missing. Install a "
            "wheel for Linux or Windows from the package index, or build from source with the CUDA "
            'toolkit and FASTRFM_CUDA=ON; device="cpu" needs neither'
        )
    driver, runtime = build.driver_version(), build.runtime_version()
    if not driver:
        raise RuntimeError(
            "no NVIDIA driver is loaded: install one for CUDA "
            f"{runtime // 1000} or newer and see that nvidia-smi lists a GPU"
        )
    if driver // 1000 < runtime // 1000:
        raise RuntimeError(
            f"the NVIDIA driver is for CUDA {_version(driver)}, and this build of fastrfm for "
            f"{_version(runtime)}: install a driver for CUDA {runtime // 1000} or newer"
        )
    if build.device_count() == 0:
        raise RuntimeError(
            "there is no CUDA device that this process can use: see that nvidia-smi lists one and "
            "that CUDA_VISIBLE_DEVICES, if it is set, names it"
        )
    extra = f"cuda{runtime // 1000}"
    try:
        cupy = importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise
        raise RuntimeError(
            f'CuPy is not installed; pip install "fastrfm[{extra}]" has it'
        ) from None
    _check_architecture(cupy, build.architectures)
    return cupy


def _check_architecture(cupy: Any, architectures: str) -> None:
    """Raise `RuntimeError` if the build has no code that the current device can run.

    `architectures` are CMake's, as "80-real;90a-real;100-virtual". Code for a device runs on later
    ones of the same major version, except an "a", which runs there only; "virtual" and plain ones
    are compiled for any later device when they are loaded.
    """
    device = int(cupy.cuda.Device().compute_capability)
    built = re.findall(r"(\d+)([af]?)(-real|-virtual|)", architectures)
    for number, special, kind in built:
        code = int(number)
        if special:
            runs = device == code if special == "a" else code <= device < code // 10 * 10 + 10
        elif kind == "-real":
            runs = code <= device < code // 10 * 10 + 10
        else:
            runs = code <= device
        if runs:
            return
    if not built:  # the emulator's
        return
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())
    name = properties["name"].decode()
    oldest = min(int(number) for number, _, _ in built)
    raise RuntimeError(
        f"{name} has compute capability {device // 10}.{device % 10}, and this "
        f"build of fastrfm has code for {architectures}: "
        + (
            f"it needs a GPU of {oldest // 10}.{oldest % 10} or newer; "
            if device < oldest
            else "none of it runs there; install a newer fastrfm, or "
        )
        + f"build from source with FASTRFM_CUDA_ARCHITECTURES={device}"
    )


def _version(version: int) -> str:
    """Text of a version as CUDA counts it: 1000 major + 10 minor."""
    return f"{version // 1000}.{version % 1000 // 10}"
