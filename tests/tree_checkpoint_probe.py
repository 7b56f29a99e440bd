"""Fit a tree with a checkpoint, going on from it if there is one, and save the model.

Not a test module: ``test_trees_checkpoints.py`` runs it in processes of its own and kills them.
``python tree_checkpoint_probe.py FOLDER [checkpoint]``: without the word nothing is kept on the
way. Says "fitting" as soon as the fit begins.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from fastrfm import TreeRFMRegressor
from fastrfm.members import PAPERS


def main() -> None:
    """Fit some seconds of work: leaves by CG without a stored kernel matrix."""
    folder = Path(sys.argv[1])
    rng = np.random.default_rng(0)
    X = rng.standard_normal((8_000, 6)).astype(np.float32)
    y = np.sin(3 * X[:, 0]) * X[:, 1] + np.cos(2 * X[:, 2])
    model = TreeRFMRegressor(
        **PAPERS,
        solver="pcg",
        tol=1e-5,
        memory_limit=12_000_000,
        max_leaf_size=2_000,
        n_jobs=1,
        random_state=1,
    )
    path = folder / "state"
    options = {}
    if len(sys.argv) > 2:
        name = "resume_from" if (path / "trees.checkpoint").exists() else "checkpoint"
        options = {name: path, "checkpoint_minutes": 0.001, "checkpoint_steps": 4}
    sys.stdout.write("fitting\n")
    sys.stdout.flush()
    model.fit(X, y, **options)
    for tree in model.trees_:
        for leaf in tree.leaves:
            for member in leaf.members_:
                for entry in member.history_:
                    entry["seconds"] = {}
    # The same content gives the same bytes.
    model.save(folder / "model.frfm")


main()
