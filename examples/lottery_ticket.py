"""
A few features win
==================

**Claim**: the diagonal of the learned metric says which features to keep. Refitted to those above
a threshold, a kernel machine is as accurate as before, or more; of as many features drawn at random
it is not.

**The paper's figure**: lottery tickets, in Radhakrishnan, Beaglehole, Pandit and Belkin (arXiv
2212.13881, Science 2024): networks and kernel machines retrained on the pixels of largest diagonal
of the average gradient outer product (AGOP) keep or better their accuracy. The threshold leaves a
few pixels of a hundred.

Here images of digits lie in the middle of twice as high and wide a field of noise, as bright as the
digits: three of four pixels say nothing, and those do harm.
"""

# sphinx_gallery_thumbnail_path = "phenomena/lottery_ticket.png"
import matplotlib.pyplot as plt
import numpy as np
from _claims import claim, digits, parse_arguments, save, show_table
from sklearn.model_selection import train_test_split

import fastrfm

UPDATES, BANDWIDTH, ALPHA = 2, 10.0, 1e-3
KEPT = np.array([1, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05, 0.03, 0.02, 0.01])
DRAWS = 5  # of random features

options = parse_arguments(__doc__, data="images of digits, an .npz file with X and y; else MNIST")
images, labels = digits(options)
rng = np.random.default_rng(0)
side = images.shape[1]
field = rng.random((len(images), 2 * side, 2 * side), dtype=np.float32)
middle = np.s_[side // 2 : side // 2 + side]
field[:, middle, middle] = images
d = field[0].size
X, X_test, y, y_test = train_test_split(
    field.reshape(-1, d), labels, test_size=0.3, random_state=0, stratify=labels
)
Y = np.eye(10, dtype=np.float32)[y]

# %%
# The diagonal
# ------------
# Of a machine that learns the diagonal of its metric alone.

metric = np.ones(d, np.float32)
for _ in range(UPDATES + 1):
    kernel = {"metric": metric, "bandwidth": BANDWIDTH}
    coef = fastrfm.solve_ridge(X, Y, alpha=ALPHA, **kernel)
    diagonal = fastrfm.agop(X, X, coef, diagonal=True, **kernel)
    metric = diagonal / diagonal.max()


def refit(kept):
    """Return the test accuracy of kernel ridge regression, metric unlearned, on some features."""
    coef = fastrfm.solve_ridge(X[:, kept], Y, alpha=ALPHA, bandwidth=BANDWIDTH)
    f = fastrfm.kernel_matmul(X_test[:, kept], X[:, kept], coef, bandwidth=BANDWIDTH)
    return np.mean(f.argmax(1) == y_test)


# %%
# Accuracy against the kept fraction
# ----------------------------------

best = np.argsort(-diagonal)
counts = np.ceil(KEPT * d).astype(int)
ticket = np.array([refit(best[:count]) for count in counts])
random = np.array(
    [np.mean([refit(rng.permutation(d)[:count]) for _ in range(DRAWS)]) for count in counts]
)
in_digit = np.zeros((2 * side, 2 * side), bool)
in_digit[middle, middle] = True
precision = np.array([in_digit.ravel()[best[:count]].mean() for count in counts])

show_table(
    f"{len(y)} images of {d} pixels; test accuracy refitted to a part of the pixels",
    [
        {
            "kept": f"{count / d:.0%}",
            "pixels": str(count),
            "largest diagonal": ticket[i],
            "drawn at random": random[i],
            "of the largest, inside the digit": precision[i],
        }
        for i, count in enumerate(counts)
    ],
)

figure, axes = plt.subplots(
    1, 4, figsize=(12, 3.2), layout="constrained", width_ratios=[1, 1, 1, 1.8]
)
winner = int(np.argmax(ticket))
mask = np.zeros(d)
mask[best[: counts[winner]]] = 1
for ax, image, title in (
    (axes[0], X[0], "an image"),
    (axes[1], diagonal, "AGOP's diagonal"),
    (axes[2], mask, f"the best {counts[winner] / d:.0%}"),
):
    ax.imshow(image.reshape(2 * side, 2 * side), cmap="magma" if ax is axes[1] else "gray")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(title, fontsize=10)
axes[3].semilogx(counts / d, ticket, "C0o-", label="largest diagonal of the AGOP")
axes[3].semilogx(counts / d, random, "C7s--", label=f"drawn at random, mean of {DRAWS}")
axes[3].axhline(ticket[0], color="k", lw=0.8, label="all pixels")
axes[3].set_xticks([0.01, 0.03, 0.1, 0.3, 1], ["1%", "3%", "10%", "30%", "100%"])
axes[3].minorticks_off()
axes[3].set_xlabel("pixels kept")
axes[3].set_ylabel("test accuracy")
axes[3].legend(fontsize=8)
save(figure, "lottery_ticket", options)

tenth = int(np.argmin(np.abs(KEPT - 0.12)))
claim("accuracy that the best ticket wins over all pixels", ticket.max() - ticket[0], at_least=0.01)
claim("accuracy of 12% of the pixels over that of all", ticket[tenth] - ticket[0], at_least=0)
claim("the same over as many at random", ticket[tenth] - random[tenth], at_least=0.1)
claim("part of those 12% that lies inside the digit", precision[tenth], at_least=0.95)
