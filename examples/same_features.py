"""
Networks and kernel machines learn the same features
====================================================

**Claim**: on a task of faces, the first layer of a multilayer perceptron and a kernel machine,
which has no layers, look at the same pixels: the top eigenvector of the layer's W^T W (its neural
feature matrix, NFM) and that of the average gradient outer product (AGOP) of the kernel machine
nearly coincide.

**The paper's figure**: features of CelebA, in Radhakrishnan, Beaglehole, Pandit and Belkin (arXiv
2212.13881, Science 2024): cosine similarities above 0.99 between the two eigenvectors, for tasks
such as smiles and glasses, from up to 50,000 images of 96 x 96 pixels in colour. Networks there and
here have two hidden layers of ReLU without bias, trained by SGD at rate 0.1 for 500 epochs; kernel
machines the Laplace kernel, bandwidth 10 and ridge 1e-3, on images of length 1.

Faces that can be downloaded without asking carry no such labels, so where no file is given the
faces are drawn by this script: ovals of many positions and lights, that smile or do not, with
glasses or without. ``--data`` takes photographs.
"""

# sphinx_gallery_thumbnail_path = "networks/same_features.png"
import matplotlib.pyplot as plt
import numpy as np
import torch
from _claims import CONSOLE, claim, load_images, parse_arguments, save, show_table
from scipy.sparse.linalg import eigsh
from torch import nn
from torch.nn import functional

import fastrfm
from fastrfm.neural import nfm

KERNEL, ALPHA = {"bandwidth": 10.0}, 1e-3
RATE, EPOCHS, BATCH = 0.1, 500, 32
# As many as survive in a figure of few colours.
GREYS, REDS_AND_BLUES = plt.get_cmap("gray", 32), plt.get_cmap("RdBu_r", 25)
# The first layer begins small, so that its top direction is one that it learned, not drew.
FIRST_SCALE = 0.1

options = parse_arguments(__doc__, data="photographs and two classes, an .npz file with X and y")
rng = np.random.default_rng(0)
torch.manual_seed(0)
width = 256 if options.quick else 512  # 1,024 in the paper

# %%
# Faces
# -----


def stroke(distance, thickness):
    """Return how dark a line is at each pixel, from the distance to it."""
    return np.exp(-((distance / thickness) ** 2))


def draw_faces(n, side):
    """Return drawn faces (n, side, side) in [0, 1], and whether each smiles and has glasses."""
    smiles, glasses = rng.integers(2, size=(2, n))
    move_x, move_y = rng.normal(0, 0.05, (2, n, 1, 1))
    size = rng.normal(1, 0.04, (n, 1, 1))
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    x, y = (x - move_x) / size, (y - move_y) / size
    skin = rng.uniform(0.5, 0.9, (n, 1, 1))
    light = rng.normal(0, 0.15, (n, 1, 1)) * x + rng.normal(0, 0.1, (n, 1, 1)) * y
    head = 1 / (1 + np.exp(12 * (np.hypot(x / 0.75, y / 0.95) - 1)))
    image = 0.2 + head * (skin + light - 0.2)
    for eye in (-0.3, 0.3):
        image -= 0.35 * stroke(np.hypot(x - eye, 1.5 * (y + 0.2)), 0.12)
        ring = np.abs(np.hypot(x - eye, y + 0.2) - 0.2)
        image -= 0.3 * stroke(ring, 0.06) * glasses[:, None, None]
    bend = np.where(smiles, rng.normal(0.9, 0.25, n), rng.normal(-0.1, 0.25, n))[:, None, None]
    mouth = y - 0.5 + bend * (x**2 - 0.05)
    image -= 0.35 * stroke(mouth, 0.08) * (np.abs(x) < 0.38)
    image += rng.normal(0, 0.05, image.shape)
    return image.clip(0, 1).astype(np.float32), {"smile": smiles, "glasses": glasses}


if options.data is None:
    n, side = (600, 24) if options.quick else (2000, 32)
    CONSOLE.print(f"no --data: {n} faces are drawn")
    images, tasks = draw_faces(n, side)
else:
    images, labels = load_images(options.data)
    if options.quick and images.shape[1] >= 48:
        n, side, _ = images.shape
        images = images.reshape(n, side // 2, 2, side // 2, 2).mean((2, 4))
    tasks = {options.data.stem: np.asarray(labels != labels.min(), int)}
side = images.shape[1]
X = images.reshape(len(images), -1)
X = X / np.linalg.norm(X, axis=1, keepdims=True)
training = rng.permutation(len(X)) < 0.8 * len(X)

# %%
# A network and a kernel machine for each task
# --------------------------------------------


def top_eigenvector(matrix):
    """Return the eigenvector of the largest eigenvalue, and its part of the trace."""
    matrix = np.asarray(matrix, float)
    value, vector = eigsh(matrix, 1, v0=np.ones(len(matrix)))
    return vector[:, 0] * np.sign(vector[:, 0].sum() or 1), value[0] / np.trace(matrix)


def learn_network(X, y):
    model = nn.Sequential(
        nn.Linear(X.shape[1], width, bias=False),
        nn.ReLU(),
        nn.Linear(width, width, bias=False),
        nn.ReLU(),
        nn.Linear(width, 1, bias=False),
    )
    with torch.no_grad():
        model[0].weight.mul_(FIRST_SCALE)
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    X, y = torch.as_tensor(X), torch.as_tensor(y)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(X)).split(BATCH):
            optimizer.zero_grad()
            functional.mse_loss(model(X[rows]), y[rows]).backward()
            optimizer.step()
    return model


def compare(labels):
    """Return both machines' top eigenvectors and accuracies, and that of the network untrained."""
    y = (2.0 * labels - 1).astype(np.float32)[:, None]
    coef = fastrfm.solve_ridge(X[training], y[training], alpha=ALPHA, **KERNEL)
    agop = fastrfm.agop(X[training], X[training], coef, **KERNEL)
    model = learn_network(X[training], y[training])
    with torch.no_grad():
        scores = model(torch.as_tensor(X[~training])).numpy()
    kernel_scores = fastrfm.kernel_matmul(X[~training], X[training], coef, **KERNEL)
    F = nfm(model[0]).numpy()
    network, network_part = top_eigenvector(F)
    machine, machine_part = top_eigenvector(agop)
    return {
        "network": network,
        "machine": machine,
        "cosine": abs(network @ machine),
        "parts": (network_part, machine_part),
        "accuracy": [np.mean((s > 0) == (y[~training] > 0)) for s in (scores, kernel_scores)],
        "matrices": np.vdot(F, agop) / np.linalg.norm(F) / np.linalg.norm(agop),
    }


found = {task: compare(labels) for task, labels in tasks.items()}

# %%
# Side by side
# ------------

show_table(
    f"{training.sum()} faces of {side} x {side} pixels; width {width}",
    [
        {
            "task": task,
            "cosine, eigenvectors": one["cosine"],
            "matrices": one["matrices"],
            "in trace, NFM": one["parts"][0],
            "AGOP": one["parts"][1],
            "accuracy, network": one["accuracy"][0],
            "kernel": one["accuracy"][1],
        }
        for task, one in found.items()
    ],
)
figure, axes = plt.subplots(
    len(found), 4, figsize=(10.5, 2.8 * len(found)), layout="constrained", squeeze=False
)
for row, (task, one) in zip(axes, found.items(), strict=True):
    for ax, label in zip(row, (0, 1), strict=False):
        chosen = images[tasks[task] == label]
        ax.imshow(chosen[1], cmap=GREYS)
        ax.set_title(f"{task}: {'yes' if label else 'no'}", fontsize=10)
    sign = np.sign(one["network"] @ one["machine"])
    for ax, vector, title in (
        (row[2], one["network"] * sign, "network: top eigenvector\nof $W^TW$, first layer"),
        (row[3], one["machine"], f"kernel machine: of the AGOP\ncosine {one['cosine']:.3f}"),
    ):
        limit = np.abs(vector).max()
        ax.imshow(vector.reshape(side, side), cmap=REDS_AND_BLUES, vmin=-limit, vmax=limit)
        ax.set_title(title, fontsize=10)
    for ax in row:
        ax.set_xticks([])
        ax.set_yticks([])
save(figure, "same_features", options)

for task, one in found.items():
    claim(f"{task}: accuracy of the network", one["accuracy"][0], at_least=0.75)
    claim(f"{task}: cosine of the top eigenvectors", one["cosine"], at_least=0.9)
