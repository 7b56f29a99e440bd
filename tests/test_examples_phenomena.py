"""Scripts of examples/ that check a claim of a paper: their quick modes, and what they share."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = {
    "low_rank": (),
    "spurious_features": (),
    "simplicity_bias": (),
    "lottery_ticket": (),
    "grokking": (),
    "deep_rfm": (),
    "data_separation": ("torch",),
    "neural_feature_ansatz": ("torch",),
    "same_features": ("torch",),
    "patches": (),
    "steering_probe": (),
    "less_compute": ("torch",),
}
# The longest, data_separation.py, takes one to two minutes of two idle cores, and many times that
# where others use them.
SECONDS = 900


@pytest.mark.claims
@pytest.mark.timeout(SECONDS + 10)
@pytest.mark.parametrize("script", SCRIPTS)
def test_claim_holds(script: str, tmp_path: Path) -> None:
    """A script ends with 1 when a number that it asserts is not what the paper says."""
    for module in ("matplotlib", "rich", *SCRIPTS[script]):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{script}.py needs {module}: install fastrfm's extra claims")
    ended = subprocess.run(
        [sys.executable, EXAMPLES / f"{script}.py", "--quick", "--output", tmp_path],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg"},
    )
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert "holds" in ended.stdout
    assert (tmp_path / f"{script}.png").stat().st_size > 10_000


@pytest.fixture
def claims() -> ModuleType:
    """Return examples/_claims.py."""
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    pytest.importorskip("rich", reason="needs the extra cli")
    spec = importlib.util.spec_from_file_location("_claims", EXAMPLES / "_claims.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("measured", "holds"), [(0.5, True), (0.4, True), (0.39, False), (0.71, False), (np.nan, False)]
)
def test_claim(
    claims: ModuleType, capsys: pytest.CaptureFixture[str], measured: float, holds: bool
) -> None:
    if holds:
        claims.claim("a number", measured, at_least=0.4, at_most=0.7)
    else:
        with pytest.raises(SystemExit, match="1"):
            claims.claim("a number", measured, at_least=0.4, at_most=0.7)
    said = capsys.readouterr().out
    assert f"a number: {measured:.4g}, claimed at least 0.4 and at most 0.7: " in said
    assert ("DOES NOT HOLD" in said) is not holds


def test_images_of_a_file(claims: ModuleType, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(256, size=(12, 25), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", X=X, y=np.arange(12) % 10)
    for options in (
        SimpleNamespace(data=tmp_path / "images.npz", quick=False),
        SimpleNamespace(data=None, quick=True),
    ):
        images, labels = claims.digits(options)
        assert images.dtype == np.float32
        assert images.ndim == 3
        assert images.shape[1] == images.shape[2]
        assert images.min() >= 0
        assert images.max() == 1
        assert len(labels) == len(images)
    np.savez(tmp_path / "rows.npz", X=X[:, :24], y=np.arange(12))
    with pytest.raises(SystemExit, match="rows of 24 numbers, which are no square image"):
        claims.load_images(tmp_path / "rows.npz")


def test_every_script_with_a_claim_is_run() -> None:
    """Nor is one shown in the gallery that says nothing of its figure's source."""
    for script in SCRIPTS:
        text = (EXAMPLES / f"{script}.py").read_text()
        assert "**Claim**" in text
        assert "paper" in text
        assert "claim(" in text
