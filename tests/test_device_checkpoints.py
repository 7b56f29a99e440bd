"""Checkpoints and early stops of fits on a device; rows of int8 there."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from cases import plain_regressor
from fastrfm import RFMRegressor
from fastrfm.checkpoints.file_keeper import FileKeeper

RNG = np.random.default_rng(0)
X = RNG.standard_normal((260, 4))
Y = np.stack([np.sin(2 * X[:, 0]), X[:, 1] * X[:, 2]], axis=1)


def regressor() -> RFMRegressor:
    return plain_regressor(
        device="cuda", solver="pcg", tol=1e-8, n_iter=1, random_state=0, bandwidth=3.0
    )


def _fit(model: RFMRegressor, **options: Any) -> RFMRegressor:
    judging = {"X_val": X[200:], "y_val": Y[200:]}
    fitted: RFMRegressor = model.fit(X[:200], Y[:200], **judging, **options)
    return fitted


class Killed(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("writes", [2, 9, 14])
def test_a_fit_there_goes_on(
    cupy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    expected = _fit(regressor())
    write, left = FileKeeper._write, [writes]

    def kill(self: FileKeeper, unfinished: Any) -> None:
        write(self, unfinished)
        left[0] -= 1
        if not left[0]:
            raise Killed

    monkeypatch.setattr(FileKeeper, "_write", kill)
    with pytest.raises(Killed):
        _fit(regressor(), checkpoint=tmp_path / "state", checkpoint_steps=1)
    monkeypatch.setattr(FileKeeper, "_write", write)
    model = _fit(regressor(), resume_from=tmp_path / "state")
    assert model.device_ == "cuda"
    # Sums of the stand-in's NumPy have the same order each time.
    np.testing.assert_array_equal(model.dual_coef_, expected.dual_coef_)
    assert model.history_[-1]["residual"] == expected.history_[-1]["residual"]


def test_small_integers_there(cupy: ModuleType) -> None:
    raw = np.rint(20 * X).astype(np.int8)
    model = plain_regressor(device="cuda", n_iter=1, random_state=0).fit(raw, Y)
    expected = plain_regressor(device="cpu", n_iter=1, random_state=0).fit(raw, Y)
    assert model.X_fit_.dtype == np.int8
    np.testing.assert_allclose(model.predict(raw[:20]), expected.predict(raw[:20]), atol=1e-3)
