"""On what the numbers were measured."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import fastrfm

__all__ = ["available_cores", "describe_machine"]


def available_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_machine(threads: int) -> dict[str, Any]:
    """Return CPU, cores, memory, instruction set, BLAS, system, Python, commit and date."""
    config = fastrfm.show_config()
    return {
        "cpu": _cpu_model(),
        "cores": available_cores(),
        "threads": threads,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "isa_level": config["isa_level"],
        "blas": config["blas"],
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": _commit(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _cpu_model() -> str:
    """Return the model, with family and model number: virtual machines often say only "EPYC"."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    entries: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        entries.setdefault(key.strip(), value.strip())  # of the first core
    name = entries.get("model name", platform.machine())
    if "cpu family" in entries:
        name += f" (family {entries['cpu family']}, model {entries.get('model')})"
    return name


def _commit() -> str | None:
    """Return the commit of the checkout that this package lies in, "-dirty" if edited."""
    folder = Path(fastrfm.__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    try:
        if not (Path(git("rev-parse", "--show-toplevel")) / "src/python/fastrfm").is_dir():
            return None  # installed somewhere inside another project's repository
        return git("describe", "--always", "--dirty", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None
