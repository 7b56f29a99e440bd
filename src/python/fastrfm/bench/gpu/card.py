"""On what the numbers were measured: the card, its driver, the machine, and all versions."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

from fastrfm.bench.gpu.device import Device

__all__ = ["describe_card"]

# nvidia-smi's name -> ours. Read only: a bench must not change a card's settings.
QUERIES = {
    "clocks.sm": "clock_sm_mhz",
    "clocks.mem": "clock_memory_mhz",
    "clocks.max.sm": "clock_sm_max_mhz",
    "clocks.max.mem": "clock_memory_max_mhz",
    "power.limit": "power_limit_w",
    "temperature.gpu": "temperature_c",
    "driver_version": "driver",
}
QUERY_SECONDS = 20.0


def describe_card(device: Device) -> dict[str, Any]:
    """Return name, memory, compute capability, CUDA versions, and what nvidia-smi can read."""
    runtime = getattr(getattr(device.xp, "cuda", None), "runtime", None)
    if runtime is None:
        return {"card": "none: a rehearsal on the emulator"}
    number = runtime.getDevice()
    properties = runtime.getDeviceProperties(number)
    name = properties["name"]
    card = {
        "card": name.decode() if isinstance(name, bytes) else name,
        "memory_bytes": int(properties["totalGlobalMem"]),
        "multiprocessors": int(properties["multiProcessorCount"]),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "cuda_runtime": _version(runtime.runtimeGetVersion()),
        "cuda_driver": _version(runtime.driverGetVersion()),
    }
    return card | _nvidia_smi(number)


def _nvidia_smi(number: int) -> dict[str, Any]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return {"clocks": "not read: nvidia-smi is not on PATH"}
    command = [program, f"--id={number}", f"--query-gpu={','.join(QUERIES)}"]
    try:
        done = subprocess.run(
            [*command, "--format=csv,noheader,nounits"],
            check=True,
            capture_output=True,
            text=True,
            timeout=QUERY_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return {"clocks": f"not read: {error}"}
    values = [value.strip() for value in done.stdout.splitlines()[0].split(",")]
    return dict(zip(QUERIES.values(), values, strict=False))


def _version(version: int) -> str:
    """Text of a version as CUDA counts it: 1000 major + 10 minor."""
    return f"{version // 1000}.{version % 1000 // 10}"
