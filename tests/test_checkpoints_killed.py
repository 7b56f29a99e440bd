"""Fits in processes that are killed (SIGKILL) at random moments, and go on to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fastrfm.checkpoints.file_keeper import read_checkpoint

PROBE = Path(__file__).with_name("checkpoint_probe.py")
LONGEST = 120.0  # seconds of a fit, on a machine that does much else


def _start(folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(PROBE), str(folder), *words],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "fitting\n"
    return process


@pytest.fixture(name="whole", scope="module")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, float]:
    """The bytes of the model of a fit that nobody killed, and its seconds."""
    folder = tmp_path_factory.mktemp("whole")
    with _start(folder) as process:
        began = time.monotonic()
        assert process.wait(LONGEST) == 0
    return (folder / "model.frfm").read_bytes(), time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_kills_at_random_moments_cost_no_bit(
    seed: int, whole: tuple[bytes, float], tmp_path: Path
) -> None:
    expected, seconds = whole
    rng = np.random.default_rng(seed)
    kills = 0
    for _ in range(30):
        with _start(tmp_path, "checkpoint") as process:
            try:
                # Now and then a run comes to its end.
                process.wait(float(rng.uniform(0, 0.6 * seconds)))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                if process.wait() == 0:  # it came to its end just then
                    break
                assert process.returncode == -signal.SIGKILL
                kills += 1
                # Whatever the moment, what is there is whole.
                if (tmp_path / "state").exists():
                    read_checkpoint(tmp_path / "state")
            else:
                assert process.returncode == 0
                break
    else:
        with _start(tmp_path, "checkpoint") as process:
            assert process.wait(LONGEST) == 0
    assert kills
    assert (tmp_path / "model.frfm").read_bytes() == expected
