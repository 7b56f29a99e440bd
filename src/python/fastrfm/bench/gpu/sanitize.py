"""compute-sanitizer over `small_ops`: where it is, how it is called, what it says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["TOOLS", "command_line", "find_sanitizer", "run_command", "verdict", "written"]

# Out-of-bounds and misaligned accesses; hazards in shared memory; reads of memory that nothing
# wrote; barriers that not all threads reach.
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
ERROR_EXIT = 99
PRINT_LIMIT = 20
NAME = "compute-sanitizer"
TOOLKIT = Path("/usr/local/cuda")
KEPT_CHARACTERS = 4000
_SUMMARY = re.compile(r"(?:ERROR|RACECHECK) SUMMARY: (\d+) (?:error|hazard)")


def find_sanitizer(environment: Mapping[str, str], toolkit: Path = TOOLKIT) -> str | None:
    """Return its path: from PATH, $CUDA_HOME/bin, or the toolkit's usual place; None: absent."""
    found = shutil.which(NAME, path=environment.get("PATH", ""))
    if found is not None:
        return found
    folders = [Path(environment[name]) for name in ("CUDA_HOME",) if environment.get(name)]
    for folder in (*folders, toolkit):
        found = shutil.which(NAME, path=str(folder / "bin"))
        if found is not None:
            return found
    return None


def command_line(sanitizer: str, tool: str) -> list[str]:
    """Return the command for a tool."""
    return [
        sanitizer,
        f"--tool={tool}",
        f"--error-exitcode={ERROR_EXIT}",
        f"--print-limit={PRINT_LIMIT}",
        sys.executable,
        "-m",
        "fastrfm.bench.gpu.small_ops",
    ]


def written(command: Sequence[str]) -> str:
    """Return a command for a published page: programs without the paths of this machine."""
    parts = ["python" if part == sys.executable else part for part in command]
    return shlex.join([Path(parts[0]).name, *parts[1:]])


def run_command(
    command: Sequence[str], seconds: float, folder: Path | None = None
) -> dict[str, Any]:
    """Run a program and return its command, exit status and the end of what it said.

    "reason" is not None if it did not end well or in time.
    """
    entry: dict[str, Any] = {"command": written(command), "status": None}
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=min(seconds, 1e6),  # more than subprocess takes
            cwd=folder,
            env=dict(os.environ),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode(errors="replace")
        return entry | {"said": said[-KEPT_CHARACTERS:], "reason": f"not done in {seconds:.0f} s"}
    said = done.stdout.decode(errors="replace")
    entry |= {"status": done.returncode, "said": said[-KEPT_CHARACTERS:]}
    return entry | {"reason": f"exit status {done.returncode}" if done.returncode else None}


def verdict(entry: dict[str, Any]) -> dict[str, Any]:
    """Add "errors", the number in the tool's summary, and its reason if it is not 0."""
    summary = _SUMMARY.search(entry["said"])
    errors = int(summary[1]) if summary else None
    reason = entry["reason"]
    if errors is None:
        reason = reason or "no summary in what it said"
    elif errors:
        reason = f"{errors} errors"
    return entry | {"errors": errors, "reason": reason}
