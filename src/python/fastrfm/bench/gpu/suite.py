"""The test suite's part for a GPU, by pytest in a process of its own."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastrfm.bench.gpu.sanitize import run_command

__all__ = ["NEEDED", "counted", "run_tests"]

# Module -> package: what the tests import, and what the settings in pyproject.toml are for.
NEEDED = {"pytest": "pytest", "pytest_timeout": "pytest-timeout", "hypothesis": "hypothesis"}


def run_tests(root: Path, selection: Sequence[str], seconds: float) -> dict[str, Any]:
    """Return how many tests passed, failed and were skipped.

    Parameters
    ----------
    root : Path
        Of the checkout. The fastrfm that is installed is tested, not the checkout's.
    selection : sequence of str
        Arguments of pytest.
    seconds : float

    Returns
    -------
    entry : dict
        "reason" is not None if a test failed, none ran, or pytest could not run.
    """
    counts: dict[str, Any] = {"passed": None, "failed": None, "skipped": None}
    missing = [package for module, package in NEEDED.items() if not _there(module)]
    if missing:
        names = " and ".join(missing)
        return counts | {"reason": f"not run: {names} not installed (pip install {names})"}
    if not (root / "tests" / "conftest.py").is_file():
        return counts | {"reason": f"not run: there is no folder tests in {root}"}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += [f"--junitxml={report}", *selection]
        entry = counts | run_command(command, seconds, root)
        if not report.is_file():
            return entry | {"reason": entry["reason"] or "pytest wrote no report"}
        # The file is this run's alone.
        entry["command"] = entry["command"].replace(f"--junitxml={report} ", "")
        found = counted(report.read_text())
        return entry | found | {"reason": found["reason"] or entry["reason"]}


def counted(report: str) -> dict[str, Any]:
    """Return what a report in JUnit's form says: the counts, and what is wrong with them."""
    suite = next(ElementTree.fromstring(report).iter("testsuite"))
    total, failures, errors, skipped = (
        int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    passed = total - failed - skipped
    reason = None
    if failed:
        reason = f"{failed} of {total} tests failed"
    elif not passed:
        reason = f"no test ran, {skipped} were skipped"
    return {"passed": passed, "failed": failed, "skipped": skipped, "reason": reason}


def _there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
