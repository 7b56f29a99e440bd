"""
A function of two directions out of twenty
==========================================

Kernel ridge regression with a fixed kernel measures distance in all directions alike. Where the
target depends on few of them, most of that distance is noise. A Recursive Feature Machine finds
the directions and measures along them.
"""

# %%
# The data
# --------
# Twenty independent normal inputs. The target depends on two of their combinations only, neither of
# which is one of the inputs.

import matplotlib.pyplot as plt
import numpy as np

from fastrfm import RFMRegressor

rng = np.random.default_rng(0)
d, n, n_test = 20, 1_000, 2_000
directions = np.linalg.qr(rng.normal(size=(d, 2)))[0]  # two columns, orthogonal, of length 1


def target(X):
    """Return a function of two projections."""
    a, b = (X @ directions).T
    return np.sin(2 * a) + a * b


X, X_test = rng.normal(size=(n, d)), rng.normal(size=(n_test, d))
y = target(X) + 0.05 * rng.normal(size=n)
y_test = target(X_test)

# %%
# With and without a learned metric
# ---------------------------------
# One machine, always with the same kernel and ridge; only the number of updates of the metric
# differs. With none it is plain kernel ridge regression.

updates = np.arange(6)
models = [
    RFMRegressor(norm=2, alpha=1e-3, n_iter=int(n_iter), random_state=0).fit(X, y)
    for n_iter in updates
]
errors = [np.mean((model.predict(X_test) - y_test) ** 2) / np.var(y_test) for model in models]
for n_iter, error in zip(updates, errors, strict=True):
    print(f"at most {n_iter} updates: {error:.3f} of the variance is not explained")

# %%
# What was found
# --------------
# The space of the two largest eigenvectors of the average gradient outer product (AGOP), against
# the space that the target was made from: the cosines of the angles between them.

model = models[-1]
top = np.linalg.eigh(model.agop_)[1][:, -2:]
cosines = np.linalg.svd(top.T @ directions)[1]
print("cosines of the angles:", cosines.round(3))

# %%
# The learned metric is close to a matrix of rank 2: from the third on, the eigenvalues of the AGOP
# are next to nothing. It has the pattern of the projection on the true directions.

truth = directions @ directions.T
spectrum = np.linalg.eigvalsh(model.agop_)[::-1]

figure, axes = plt.subplots(2, 2, figsize=(9, 8), layout="constrained")
(errors_ax, spectrum_ax), (truth_ax, metric_ax) = axes
errors_ax.semilogy(updates, errors, "o-")
errors_ax.set_xlabel("largest number of metric updates")
errors_ax.set_ylabel("part of the variance not explained")
errors_ax.set_title("Test error")
spectrum_ax.semilogy(np.arange(1, d + 1), spectrum / spectrum.sum(), "o-")
spectrum_ax.set_xticks(range(2, d + 1, 2))
spectrum_ax.set_xlabel("eigenvalue")
spectrum_ax.set_ylabel("part of the trace")
spectrum_ax.set_title("Eigenvalues of the AGOP")
for ax, matrix, title in (
    (truth_ax, truth, "Projection on the true directions"),
    (metric_ax, model.metric_, "Learned metric"),
):
    size = np.abs(matrix).max()
    ax.imshow(matrix, cmap="RdBu_r", vmin=-size, vmax=size)
    ax.set_xticks(range(0, d, 2))
    ax.set_yticks(range(0, d, 2))
    ax.set_xlabel("input")
    ax.set_ylabel("input")
    ax.set_title(title)
plt.show()
