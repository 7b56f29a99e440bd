"""
A planted shortcut takes over
=============================

**Claim**: where something irrelevant in the training images gives the class away, the average
gradient outer product (AGOP), and with it the metric, moves to it with every update, until the
machine sees nothing else; without it the machine reads the images.

**The paper's figure**: spurious features, in Radhakrishnan, Beaglehole, Pandit and Belkin
(arXiv 2212.13881, Science 2024): a star planted in the images of one class lights up in the metrics
of networks and of Recursive Feature Machines. They state no number for it.

Here a small square in the upper left corner of images of digits is the brighter the higher the
digit. Test images come as they were, with that square, and with the square of another digit.
"""

# sphinx_gallery_thumbnail_path = "phenomena/spurious_features.png"
import matplotlib.pyplot as plt
import numpy as np
from _claims import claim, digits, learn_metric, parse_arguments, save, show_table
from sklearn.model_selection import train_test_split

UPDATES = 5

options = parse_arguments(__doc__, data="images of digits, an .npz file with X and y; else MNIST")
images, labels = digits(options)
side = images.shape[1]
square = np.s_[:, : max(side // 8, 1), : max(side // 8, 1)]
train, test, y, y_test = train_test_split(
    images, labels, test_size=0.4, random_state=0, stratify=labels
)


def plant(images, labels):
    """Return images with a corner as bright as the label is high."""
    planted = images.copy()
    planted[square] = (labels / 9)[:, None, None]
    return planted


def rows(images):
    return images.reshape(len(images), -1)


# %%
# With the shortcut, and without
# ------------------------------

others = (y_test + np.random.default_rng(0).integers(1, 10, len(y_test))) % 10
tests = {
    "as they were": test,
    "with the square": plant(test, y_test),
    "with another digit's square": plant(test, others),
}
corner = np.zeros_like(images[:1], bool)
corner[square] = True
corner = corner.ravel()


def learn(train):
    """Return, of each iteration, the accuracy on each test and the AGOP's diagonal."""
    path = []
    for predict, _, agop in learn_metric(rows(train), np.eye(10, dtype="f")[y], updates=UPDATES):
        accuracy = {
            name: np.mean(predict(rows(images)).argmax(1) == y_test)
            for name, images in tests.items()
        }
        path.append((accuracy, np.diag(agop) / np.trace(agop)))
    return path


planted, plain = learn(plant(train, y)), learn(train)
share = np.array([diagonal[corner].sum() for _, diagonal in planted])

# %%
# What became of it
# -----------------

show_table(
    f"{corner.sum()} of {side * side} pixels are the shortcut; accuracy by update of the metric",
    [
        {
            "update": str(update),
            "square's part of the AGOP": share[update],
            **{name: accuracy for name, accuracy in planted[update][0].items()},
            "trained without it": plain[update][0]["as they were"],
        }
        for update in range(UPDATES + 1)
    ],
)

figure, axes = plt.subplots(
    1, 4, figsize=(12, 3), layout="constrained", width_ratios=[1, 1, 1, 1.7]
)
axes[0].imshow(plant(train, y)[np.flatnonzero(y == 7)[0]], cmap="gray", vmin=0, vmax=1)
axes[0].set_title("a 7\nand its square", fontsize=10)
for ax, path, title in (
    (axes[1], planted, "learned with the square"),
    (axes[2], plain, "learned without"),
):
    ax.imshow(path[-1][1].reshape(side, side), cmap="magma")
    ax.set_title(f"AGOP's diagonal,\n{title}", fontsize=10)
for ax in axes[:3]:
    ax.set_xticks([])
    ax.set_yticks([])
for path, test, style, label in (
    (plain, "as they were", "C2o-", "never saw the square"),
    (planted, "as they were", "C3o-", "learned with it, tested without"),
    (planted, "with another digit's square", "C1o-", "learned with it, tested with another's"),
):
    axes[3].plot([accuracy[test] for accuracy, _ in path], style, label=label)
axes[3].plot(share, "k--", label="square's part of the AGOP")
axes[3].set_xlabel("updates of the metric")
axes[3].set_ylabel("accuracy, or part of the trace")
axes[3].set_ylim(0, 1.03)
axes[3].legend(loc="center right", fontsize=8)
save(figure, "spurious_features", options)

last = planted[-1][0]
claim("part of the AGOP in the square", share[-1], at_least=0.9)
claim("smallest growth of that part in an update", np.diff(share).min(), at_least=0)
claim("accuracy with another digit's square", last["with another digit's square"], at_most=0.2)
claim("accuracy without the square, learned with it", last["as they were"], at_most=0.4)
claim("accuracy, learned without it", plain[-1][0]["as they were"], at_least=0.9)
