"""
Understood long after it is learned by heart
============================================

**Claim**: a Recursive Feature Machine fits its training data without an error from the first
iteration on, guesses on test data for many, and then answers nearly all. The jump is no riddle to
who looks at the average gradient outer product (AGOP): it turns towards the task from the start.

**The papers' figures**: Mallinar, Beaglehole, Zhu, Radhakrishnan, Pandit and Belkin, Emergence in
non-neural models: grokking modular arithmetic via average gradient outer product (arXiv
2407.20199): ``(a + b) mod 61`` from half of all pairs, one-hot, Gaussian kernel of bandwidth 2.5
without ridge, metric the square root of the centred AGOP. Test accuracy stays at 0 for many
iterations and then goes to 100% within a few, and the metric's blocks become circulant: an entry
for a and b depends on ``(a - b) mod 61`` alone. And Radhakrishnan, Beaglehole, Pandit and Belkin
(arXiv 2212.13881, Science 2024): the class of an image is told by a small patch in its corner.

Here the patch is three spots, each black or white, and the class is whether the white ones are odd
in number: each spot alone, or each pair, says nothing. The pictures around it are digits.
"""

# sphinx_gallery_thumbnail_path = "phenomena/grokking.png"
import matplotlib.pyplot as plt
import numpy as np
from _claims import claim, digits, learn_metric, parse_arguments, save, show_table

import fastrfm

options = parse_arguments(__doc__, data="images of digits, an .npz file with X and y; else MNIST")

# %%
# Modular addition
# ----------------
# The paper's machine. Its kernel is ``exp(-distance^2 / (2 * 2.5^2))``; the ridge is what rounding
# asks for. Beside the accuracies: how much of the variance of the metric's block between a and b is
# explained by ``(a - b) mod p``.

P, ITERATIONS = (43, 36) if options.quick else (61, 40)
KERNEL = {"bandwidth": 2.5 * np.sqrt(2), "exponent": 2.0}
RIDGE = 1e-9

a, b = np.divmod(np.arange(P * P), P)
X = np.hstack([np.eye(P)[a], np.eye(P)[b]])
answers = (a + b) % P
Y = np.eye(P)[answers]
train, test = np.split(np.random.default_rng(0).permutation(P * P), [P * P // 2])


def circulant_part(block):
    """Return the part of the variance of a (P, P) block that its circulant mean explains."""
    block = block - block.mean()
    means = np.bincount((a - b) % P, block.ravel()) / P
    return P * np.sum(means**2) / np.sum(block**2)


metric = np.eye(2 * P)
path, blocks = [], []
for _ in range(ITERATIONS):
    coef = fastrfm.solve_ridge(X[train], Y[train], alpha=RIDGE, metric=metric, **KERNEL)
    f = fastrfm.kernel_matmul(X, X[train], coef, metric=metric, **KERNEL)
    right = f.argmax(1) == answers
    agop = fastrfm.agop(X[train], X[train], coef, metric=metric, center=True, **KERNEL)
    w, V = np.linalg.eigh(agop)
    metric = V * np.sqrt(np.clip(w, 0, None)) @ V.T
    blocks.append(metric[:P, P:])
    path.append(
        {
            "iteration": str(len(path)),
            "training accuracy": right[train].mean(),
            "training error": np.mean((f - Y)[train] ** 2),
            "test error": np.mean((f - Y)[test] ** 2),
            "test accuracy": right[test].mean(),
            "circulant part": circulant_part(blocks[-1]),
        }
    )
show_table(f"(a + b) mod {P}, from {len(train)} of {P * P} pairs", path[::3])
column = {name: np.array([row[name] for row in path], float) for name in path[0]}

# %%
# A patch among pixels
# --------------------

UPDATES, DRAWS = 8, 5
images, _ = digits(options)
side = images.shape[1]
N_TRAIN = 300 if side < 16 else 1000  # more pixels drown the patch: 67% from 300 of 28 a side
spot = max(side // 8, 1)
SPOTS = [np.s_[:, :spot, :spot], np.s_[:, :spot, spot : 2 * spot], np.s_[:, spot : 2 * spot, :spot]]


def learn_patch(seed):
    """Return, of each iteration, training and test accuracy and the AGOP's diagonal."""
    rng = np.random.default_rng(seed)
    shown = images[rng.permutation(len(images))]
    white = rng.integers(2, size=(len(shown), len(SPOTS)))
    for spot_j, white_j in zip(SPOTS, white.T, strict=True):
        shown[spot_j] = white_j[:, None, None]
    odd = white.sum(1) % 2
    rows = shown.reshape(len(shown), -1)
    signs = (2 * odd - 1).astype(np.float32)[:, None]
    path = []
    for predict, _, agop in learn_metric(rows[:N_TRAIN], signs[:N_TRAIN], updates=UPDATES):
        right = (predict(rows)[:, 0] > 0) == odd
        diagonal = np.diag(agop) / np.trace(agop)
        path.append((right[:N_TRAIN].mean(), right[N_TRAIN:].mean(), diagonal))
    return path, shown[0]


draws = [learn_patch(seed) for seed in range(DRAWS)]
in_patch = np.zeros_like(images[:1], bool)
for spot_j in SPOTS:
    in_patch[spot_j] = True
in_patch = in_patch.ravel()
accuracies = np.array([[step[:2] for step in path] for path, _ in draws])
shares = np.array([[step[2][in_patch].sum() for step in path] for path, _ in draws])

show_table(
    f"{in_patch.sum()} of {side * side} pixels tell the class; {N_TRAIN} images, {DRAWS} draws",
    [
        {
            "update": str(update),
            "training accuracy": accuracies[:, update, 0].mean(),
            "test accuracy": accuracies[:, update, 1].mean(),
            "patch's part of the AGOP": shares[:, update].mean(),
        }
        for update in range(UPDATES + 1)
    ],
)

# %%
# What the metrics look like
# --------------------------

figure = plt.figure(figsize=(11, 6), layout="constrained")
grid = figure.add_gridspec(2, 4, width_ratios=[2, 1, 1, 1])
ax = figure.add_subplot(grid[0, 0])
ax.plot(column["training accuracy"], "C7--", label="training accuracy")
ax.plot(column["test accuracy"], "C0o-", ms=3, label="test accuracy")
ax.plot(column["circulant part"], "C3-", label="circulant part of the metric's block")
ax.set_xlabel("iteration")
ax.set_title(f"(a + b) mod {P}", fontsize=10)
ax.legend(fontsize=8)
jump = int(np.argmax(column["test accuracy"] >= 0.5))
for place, iteration in enumerate((0, jump // 2, ITERATIONS - 1), start=1):
    ax = figure.add_subplot(grid[0, place])
    block = blocks[iteration] - blocks[iteration].mean()
    size = 3 * block.std()
    ax.imshow(block, cmap="RdBu_r", vmin=-size, vmax=size)
    ax.set_title(f"metric between a and b,\niteration {iteration}", fontsize=10)
    ax.set_xticks([])
    ax.set_yticks([])
ax = figure.add_subplot(grid[1, 0])
ax.plot(accuracies[:, :, 0].mean(0), "C7--", label="training accuracy")
ax.plot(accuracies[:, :, 1].mean(0), "C0o-", ms=3, label="test accuracy")
ax.plot(shares.mean(0), "C3-", label="patch's part of the AGOP")
for values, colour in ((accuracies[:, :, 1], "C0"), (shares, "C3")):
    ax.fill_between(range(UPDATES + 1), values.min(0), values.max(0), color=colour, alpha=0.15)
ax.set_xlabel("updates of the metric")
ax.set_title(f"patch, mean and range of {DRAWS} draws", fontsize=10)
ax.set_ylim(0, 1.04)
ax.legend(fontsize=8)
(first_path, shown), diagonals = draws[0], [step[2] for step in draws[0][0]]
for place, (image, title) in enumerate(
    (
        (shown, "an image"),
        (diagonals[0], "AGOP's diagonal,\nno update"),
        (diagonals[-1], f"AGOP's diagonal,\n{UPDATES} updates"),
    ),
    start=1,
):
    ax = figure.add_subplot(grid[1, place])
    ax.imshow(image.reshape(side, side), cmap="gray" if place == 1 else "magma")
    ax.set_title(title, fontsize=10)
    ax.set_xticks([])
    ax.set_yticks([])
save(figure, "grokking", options)

before = np.flatnonzero(column["test accuracy"] < 0.05)[-1]
circulant = column["circulant part"]
claim("smallest training accuracy of a + b", column["training accuracy"].min(), at_least=1)
claim("iterations with a test accuracy below 5%", before + 1, at_least=8)
claim("test accuracy at the end", column["test accuracy"][-1], at_least=0.95)
claim("circulant part at first", circulant[0], at_most=0.4)
claim("circulant part while the test accuracy is below 5%", circulant[before], at_least=0.7)
claim("its smallest growth until then", np.diff(circulant[: before + 1]).min(), at_least=0)
claim("patch: smallest training accuracy", accuracies[:, :, 0].min(), at_least=0.99)
claim("patch: test accuracy at first", accuracies[:, 0, 1].mean(), at_most=0.65)
claim("patch: test accuracy at the end", accuracies[:, -1, 1].mean(), at_least=0.95)
claim(
    "patch's part of the AGOP, last over first",
    shares[:, -1].mean() / shares[:, 0].mean(),
    at_least=4,
)
