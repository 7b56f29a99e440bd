"""
Classes collapse layer by layer
===============================

**Claim**: stacked Recursive Feature Machines collapse each class to a point, and the points to the
corners of a simplex, as the last layers of networks do: both measures of neural collapse fall with
depth. It is the average gradient outer product that does it; random features alone do not.

**The paper's figure**: Beaglehole, Súkeník, Mondelli and Belkin, Average gradient outer product
as a mechanism for deep neural collapse (arXiv 2402.13728): NC1 and NC2 of deep RFM by layer, on
images. In each layer: rows of length 1, one Laplace kernel machine (bandwidth 2) of labels +-1, its
AGOP M, then ``relu(W M^(1/2) x)`` with W random and 512 wide.

NC1 is the spread within the classes over that between them, NC2 the distance of the class means'
Gram matrix from a simplex's: see :func:`fastrfm.separation.data_separation`.
"""

# sphinx_gallery_thumbnail_path = "phenomena/deep_rfm.png"
import matplotlib.pyplot as plt
import numpy as np
from _claims import claim, digits, parse_arguments, save, show_table
from _deep_rfm import deep_rfm
from sklearn.model_selection import train_test_split

from fastrfm.separation import data_separation

options = parse_arguments(__doc__, data="images of digits, an .npz file with X and y; else MNIST")
images, labels = digits(options)
depth = 8 if options.quick else 16
train, test, y, y_test = train_test_split(
    images, labels.astype(int), test_size=0.3, random_state=0, stratify=labels
)

# %%
# With the AGOP and without
# -------------------------

layers, test_layers = deep_rfm(train, y, test, depth=depth)
learned = data_separation(layers, y)
unseen = data_separation(test_layers, y_test)
random = data_separation(deep_rfm(train, y, depth=depth, learn=False)[0], y)

# %%
# Layer by layer
# --------------
# D is the logarithm of a ratio much like NC1: it falls by about the same in each layer, the law of
# data separation of He and Su (PNAS 2023).

show_table(
    f"{len(y)} images of {images[0].size} pixels",
    [
        {
            "layer": str(layer),
            "D": learned.log_ratio[layer],
            "NC1": learned.nc1[layer],
            "NC2": learned.nc2[layer],
            "NC1, test images": unseen.nc1[layer],
            "NC1, random features": random.nc1[layer],
            "NC2, random features": random.nc2[layer],
        }
        for layer in range(depth + 1)
    ],
)

figure, axes = plt.subplots(1, 4, figsize=(12, 3.3), layout="constrained")
for ax, name, title in ((axes[0], "nc1", "NC1"), (axes[1], "nc2", "NC2")):
    ax.plot(getattr(learned, name), "C0o-", label="deep RFM")
    ax.plot(getattr(unseen, name), "C0o:", mfc="none", label="deep RFM, test images")
    ax.plot(getattr(random, name), "C7s--", label="random features alone")
    ax.set_xlabel("layer")
    ax.set_title(title)
axes[0].set_yscale("log")
axes[1].set_ylim(0)
axes[0].legend(fontsize=8)
order = np.argsort(y, kind="stable")[:: max(len(y) // 100, 1)]
for ax, layer in ((axes[2], 0), (axes[3], depth)):
    rows = layers[layer][order]
    rows = rows - layers[layer].mean(axis=0)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    ax.imshow(rows @ rows.T, cmap="RdBu_r", vmin=-1, vmax=1)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(f"cosines between images, layer {layer}", fontsize=10)
save(figure, "deep_rfm", options)

collapse = {name: (getattr(learned, name), getattr(random, name)) for name in ("nc1", "nc2")}
fall = {name: [nc[0] / nc[-1] for nc in both] for name, both in collapse.items()}
claim("NC1 of the input over NC1 of the last layer", fall["nc1"][0], at_least=100)
claim("largest step of NC1, which falls in every layer", np.diff(learned.nc1).max(), at_most=0)
claim("NC2 of the input over NC2 of the last layer", fall["nc2"][0], at_least=2)
claim("the same of NC1, random features alone", fall["nc1"][1], at_most=2)
claim("the same of NC2, random features alone", fall["nc2"][1], at_most=1.5)
