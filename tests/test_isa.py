"""FASTRFM_ISA: each instruction set that the machine has is right, any other is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastrfm.backend
from cases import KERNEL_TOLERANCE, OPS, SUM_TOLERANCE

LEVELS = ("baseline", "avx2", "avx512")
HERE = Path(__file__).parent


def run_under(level: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this Python with FASTRFM_ISA set to the level."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "FASTRFM_ISA": level},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# One is enough to see that the variable is heard: CI runs all tests of the core at each level.
@pytest.mark.parametrize(
    "level",
    [pytest.param(level, marks=[pytest.mark.slow] * (level != "avx2")) for level in LEVELS],
)
def test_each_level_agrees_with_the_oracle(level: str) -> None:
    if level not in fastrfm.backend.supported_isa_levels():
        pytest.skip(f"this machine does not have {level}")
    done = run_under(level, str(HERE / "isa_probe.py"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["isa"] == level
    assert len(report["worst"]) == 2 * len(OPS)
    for key, error in report["worst"].items():
        op, dtype = key.split("-")
        allowed = KERNEL_TOLERANCE[dtype] if op == "kernel_matrix" else SUM_TOLERANCE[dtype]
        assert error <= allowed, key


def test_the_level_in_use_is_supported() -> None:
    supported = fastrfm.backend.supported_isa_levels()
    assert "baseline" in supported
    assert set(supported) <= set(LEVELS)
    assert fastrfm.backend.isa_level() in supported


def test_without_the_variable_the_best_level_is_used() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "FASTRFM_ISA"}
    show = "import fastrfm.backend as b; print(b.isa_level())"
    done = subprocess.run(
        [sys.executable, "-c", show], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == max(fastrfm.backend.supported_isa_levels(), key=LEVELS.index)


@pytest.mark.parametrize("value", ["sse9", "AVX-2", "native"])
def test_unknown_level_is_refused_by_name(value: str) -> None:
    done = run_under(value, "-c", "import fastrfm")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError")
    for word in ("FASTRFM_ISA", value, *LEVELS):
        assert word in last


@pytest.mark.parametrize("level", LEVELS)
def test_level_the_machine_lacks_is_refused_by_name(level: str) -> None:
    supported = fastrfm.backend.supported_isa_levels()
    if level in supported:
        pytest.skip(f"this machine has {level}")
    done = run_under(level, "-c", "import fastrfm")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError")
    for word in ("FASTRFM_ISA", level, *supported):
        assert word in last
