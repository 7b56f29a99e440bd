"""
The simpler of two answers is the one learned
=============================================

**Claim**: of two halves of an image that both tell the class, the average gradient outer product
(AGOP) takes up the simpler one. The other might as well not be there, though alone it would do.

**The paper's figure**: simplicity bias, in Radhakrishnan, Beaglehole, Pandit and Belkin (arXiv
2212.13881, Science 2024), on the images of Shah et al. (NeurIPS 2020): a 0 or 1 of MNIST stacked on
a picture of CIFAR. Networks and Recursive Feature Machines both see the digit, and guess when the
digits are shuffled.

Here the simple half is a 0 or a 1. The other is, with ``--quick``, an even or an odd digit from 2
to 9; else two classes of photographs: cars or trucks of CIFAR-10, or those of a file.
"""

# sphinx_gallery_thumbnail_path = "phenomena/simplicity_bias.png"
import matplotlib.pyplot as plt
import numpy as np
from _claims import claim, learn_metric, load_images, parse_arguments, save, show_table
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import train_test_split

UPDATES = 5
LARGEST_SIDE = 32  # of the hard half; larger images are averaged over blocks
CARS, TRUCKS = 1, 9  # CIFAR-10's
PART = "simple half's part of the AGOP"

options = parse_arguments(__doc__, data="photographs of two classes, an .npz file with X and y")
small, digit = load_digits(return_X_y=True)
small = (small / 16).astype(np.float32).reshape(-1, 8, 8)
if options.data is not None:
    hard, y = load_images(options.data)
elif options.quick:
    hard, y = small[digit > 1], digit[digit > 1] % 2
else:
    hard, y = fetch_openml("CIFAR_10_small", return_X_y=True, as_frame=False)
    hard = hard.reshape(-1, 3, 32, 32).mean(axis=1).astype(np.float32) / 255
    y = y.astype(int)
    hard, y = hard[np.isin(y, [CARS, TRUCKS])], y[np.isin(y, [CARS, TRUCKS])]
y = (y == y.max()).astype(int)
side = hard.shape[1]
block = max(side // LARGEST_SIDE, 1)
hard = hard.reshape(len(hard), side // block, block, side // block, block).mean(axis=(2, 4))
side = hard.shape[1]

# %%
# Two halves, one class
# ---------------------
# The zeros and ones of the test were not seen in training.

rng = np.random.default_rng(0)
rows, test_rows = train_test_split(np.arange(len(y)), test_size=0.4, random_state=0, stratify=y)


def simple_half(labels, part):
    """Return a random 0 or 1 for each label, as large as the hard half."""
    images = np.empty((len(labels), 8, 8), np.float32)
    for label in (0, 1):
        pool = small[digit == label][part::2]
        images[labels == label] = pool[rng.integers(len(pool), size=np.sum(labels == label))]
    scale = np.arange(side) * 8 // side
    return images[:, scale][:, :, scale]


def stack(*halves):
    return np.concatenate([half.reshape(len(half), -1) for half in halves], axis=1)


simple, simple_test = simple_half(y[rows], 0), simple_half(y[test_rows], 1)
shuffled = rng.permutation(len(test_rows))
tests = {
    "both": stack(simple_test, hard[test_rows]),
    "hard half shuffled": stack(simple_test, hard[test_rows][shuffled]),
    "simple half shuffled": stack(simple_test[shuffled], hard[test_rows]),
}
signs = (2 * y[rows] - 1).astype(np.float32)[:, None]


def accuracy(predict, X):
    return np.mean((predict(X)[:, 0] > 0) == y[test_rows])


both, alone = [], []
for predict, _, agop in learn_metric(stack(simple, hard[rows]), signs, updates=UPDATES):
    both.append({name: accuracy(predict, X) for name, X in tests.items()})
    diagonal = np.diag(agop) / np.trace(agop)
    both[-1][PART] = diagonal[: side * side].sum()
for predict, _, agop in learn_metric(stack(hard[rows]), signs, updates=UPDATES):
    alone.append(accuracy(predict, stack(hard[test_rows])))
    diagonal_alone = np.diag(agop).reshape(side, side)

# %%
# What was learned
# ----------------

show_table(
    "Accuracy by update of the metric, learned from both halves and from the hard one alone",
    [
        {"update": str(update), **both[update], "hard half alone": alone[update]}
        for update in range(UPDATES + 1)
    ],
)

figure, axes = plt.subplots(
    1, 4, figsize=(11, 3.6), layout="constrained", width_ratios=[1, 1, 1, 3]
)
for ax, image, title in (
    (axes[0], np.concatenate([simple[0], hard[rows][0]]), "an image"),
    (axes[1], diagonal.reshape(2 * side, side), "AGOP's diagonal"),
    (
        axes[2],
        np.concatenate([np.full((side, side), np.nan), diagonal_alone]),
        "from the hard\nhalf alone",
    ),
):
    ax.imshow(image, cmap="gray" if ax is axes[0] else "magma")
    ax.axhline(side - 0.5, color="w", lw=1)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(title, fontsize=10)
for values, style, label in (
    (alone, "C2o-", "learned from the hard half alone"),
    ([row["hard half shuffled"] for row in both], "C0o-", "from both, hard half shuffled"),
    ([row["simple half shuffled"] for row in both], "C3o-", "from both, simple half shuffled"),
    ([row[PART] for row in both], "k--", PART),
):
    axes[3].plot(values, style, label=label)
axes[3].axhline(0.5, color="0.7", lw=1)
axes[3].set_xlabel("updates of the metric")
axes[3].set_ylabel("test accuracy, or part of the trace")
axes[3].set_ylim(0.4, 1.03)
axes[3].legend(loc="center right", fontsize=8, bbox_to_anchor=(1, 0.4))
save(figure, "simplicity_bias", options)

last = both[-1]
claim(PART, last[PART], at_least=0.7)
claim("accuracy, simple half shuffled, 0.5 a guess", last["simple half shuffled"], at_most=0.6)
claim("accuracy with the hard half shuffled", last["hard half shuffled"], at_least=0.95)
claim(
    "accuracy won by learning from the hard half alone",
    alone[-1] - last["simple half shuffled"],
    at_least=0.15,
)
