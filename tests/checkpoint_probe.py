"""Fit with a checkpoint, going on from it if there is one, and save the model.

Not a test module: ``test_checkpoints_killed.py`` runs it in processes of its own and kills them.
``python checkpoint_probe.py FOLDER [checkpoint]``: without the word nothing is kept on the way.
Says "fitting" as soon as the fit begins.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from fastrfm import RFMRegressor, ensemble


def main() -> None:
    """Fit some seconds of work: a search, and two members by CG without a stored kernel matrix."""
    folder = Path(sys.argv[1])
    ensemble.SEARCH_ROWS = 250
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3_000, 6)).astype(np.float32)
    Y = np.stack([np.sin(3 * X[:, 0]) * X[:, 1], np.cos(2 * X[:, 2]) + X[:, 3]], axis=1)
    model = RFMRegressor(
        diagonal=True, n_iter=2, solver="pcg", tol=1e-5, memory_limit=12_000_000, random_state=1
    )
    path = folder / "state"
    options = {}
    if len(sys.argv) > 2:
        options = {"checkpoint": path, "checkpoint_minutes": 0.001, "checkpoint_steps": 4}
        if path.exists():
            options["resume_from"] = path
    sys.stdout.write("fitting\n")
    sys.stdout.flush()
    model.fit(X, Y, **options)
    for member in model.members_:
        for entry in member.history_:
            entry["seconds"] = {}
    # The same content gives the same bytes.
    model.save(folder / "model.frfm")


main()
