"""
Probabilities, and a rare class
===============================

``predict_proba`` is calibrated inside ``fit`` by rows left out. ``class_weight="balanced"`` lets a
rare class count as much as the others, and moves the probabilities with it.
"""

# %%
# Two noisy half moons; of one of them only every fifth point is kept. A large test set shows what
# the probabilities are worth.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibrationDisplay
from sklearn.datasets import make_moons
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.metrics import balanced_accuracy_score, log_loss

from fastrfm import RFMClassifier


def moons(n, seed):
    """Return `n` points before most of class 1 is dropped."""
    X, y = make_moons(n, noise=0.4, random_state=seed)
    kept = (y == 0) | (np.random.default_rng(seed).random(n) < 0.2)
    return X[kept], y[kept]


X, y = moons(1_000, seed=0)
X_test, y_test = moons(10_000, seed=1)
print(f"training: {np.bincount(y)} points of the two classes")

# %%
# With and without weights
# ------------------------

models = {
    "RFM": RFMClassifier(random_state=0),
    'RFM, class_weight="balanced"': RFMClassifier(class_weight="balanced", random_state=0),
    "HistGradientBoosting": HistGradientBoostingClassifier(random_state=0),
}
for name, model in models.items():
    model.fit(X, y)
    probabilities = model.predict_proba(X_test)
    print(
        f"{name:30s} log-loss {log_loss(y_test, probabilities):.3f}, "
        f"balanced accuracy {balanced_accuracy_score(y_test, model.predict(X_test)):.3f}"
    )

# %%
# The background is the probability of the rare class; the line is where it is a half.

figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained", sharey=True)
for ax, (name, model) in zip(axes, models.items(), strict=True):
    DecisionBoundaryDisplay.from_estimator(
        model,
        X,
        class_of_interest=1,
        response_method="predict_proba",
        plot_method="pcolormesh",
        ax=ax,
        cmap="RdBu_r",
        vmin=0,
        vmax=1,
        grid_resolution=150,
    )
    DecisionBoundaryDisplay.from_estimator(
        model,
        X,
        class_of_interest=1,
        response_method="predict_proba",
        plot_method="contour",
        ax=ax,
        levels=[0.5],
        colors="black",
        grid_resolution=150,
    )
    ax.scatter(*X[y == 0].T, s=6, color="tab:blue", edgecolor="white", linewidth=0.2)
    ax.scatter(*X[y == 1].T, s=10, color="tab:red", edgecolor="white", linewidth=0.2)
    ax.set_title(name)

# %%
# Are they right?
# ---------------
# Of the test points to which a model gives a probability of 30%, 30% should be of the rare class:
# the closer to the diagonal, the better. With balanced weights the probabilities are those of a
# world in which both classes are equally frequent, so they are too large for this one, on purpose.

figure, ax = plt.subplots(figsize=(5.2, 5), layout="constrained")
for name, model in models.items():
    CalibrationDisplay.from_estimator(
        model, X_test, y_test, n_bins=10, strategy="quantile", name=name, ax=ax
    )
ax.set_xlabel("mean predicted probability")
ax.set_ylabel("part that is of the rare class")
ax.legend(loc="upper left")
plt.show()
