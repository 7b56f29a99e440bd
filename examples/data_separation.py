"""
Layers share the work like springs in a chain
=============================================

**Claim**: how a network's layers share the separation of the classes follows a chain of springs and
blocks on a rough floor. Nonlinearity is friction: without noise it leaves the work to the last
layers. Noise in training shakes the chain: the load becomes even, and then goes to the first
layers. Without nonlinearity noise changes little.

**The paper's figure**: Shi, Pan and Dokmanić, Spring-block theory of feature learning in deep
neural networks (PRL 2025, doi:10.1103/ys4n-2tj3, arXiv 2407.19353): the phase diagram of
nonlinearity against noise, of a network and of the chain. Networks of 8 layers, 100 wide, with
batch normalisation, dropout and leaky ReLUs of slope 0 to 1, 100 steps of Adam at 0.001 on all
images at a time (2,560 of MNIST at 10 by 10 pixels). Of the last layer, which only reads out, no
load is counted.

A layer's load is what it takes off D, the logarithm of the classes' spread over their distance
(:func:`fastrfm.separation.data_separation`); a spring's load is how far it is stretched
(:func:`fastrfm.separation.pull_chain`). One number tells the phase: the load of the last less that
of the first.

The paper does not look at deep RFM (``deep_rfm.py``). It learns layer by layer, nothing pulls from
the far end, and so friction should not matter: without noise its load is even. Noise is here
dropout of what the kernel machines see.
"""

# sphinx_gallery_thumbnail_path = "phenomena/data_separation.png"
import itertools

import matplotlib.pyplot as plt
import numpy as np
import torch
from _claims import claim, digits, parse_arguments, save, show_table
from _deep_rfm import deep_rfm
from scipy.stats import spearmanr
from torch import nn

from fastrfm.separation import data_separation, pull_chain

DEPTH, WIDTH, STEPS, RATE = 8, 100, 100, 1e-3
# Of the chain: friction of a ReLU, of 0 for a linear layer; noise for each part that drops out, so
# that both diagrams change sign at about the same places; and how much easier it is to go forward,
# as in the paper's chain of the second order.
FRICTION, NOISE, BACKWARD = 0.12, 0.6, 4 / 3
CHAINS = 6  # draws of the noise

torch.set_num_threads(1)  # of matrices this small two threads are slower: 3.1 s a network, not 2.5

options = parse_arguments(__doc__, data="images of digits, an .npz file with X and y; else MNIST")
if options.quick:
    slopes, dropouts, deep_rows, seeds = np.linspace(0, 1, 4), np.linspace(0, 0.3, 4), 800, 1
else:
    slopes, dropouts, deep_rows, seeds = np.linspace(0, 1, 6), np.linspace(0, 0.3, 7), 1_500, 2

images, y = digits(options)
y = y.astype(int)
if images.shape[1] == 28:  # MNIST's digits fill the middle 20 by 20
    images = images[:, 4:24, 4:24].reshape(-1, 10, 2, 10, 2).mean(axis=(2, 4))
chosen = np.random.default_rng(0).permutation(len(y))[:2_560]
X, y = images[chosen].reshape(len(chosen), -1), y[chosen]

# %%
# A network's loads
# -----------------


def network_loads(slope, dropout, seed):
    """Return the load of each hidden layer of a trained network, (DEPTH - 1,)."""
    torch.manual_seed(seed)
    layers = [nn.BatchNorm1d(X.shape[1])]
    for width in [X.shape[1]] + [WIDTH] * (DEPTH - 2):
        linear = nn.Linear(width, WIDTH)
        # Dropout stands before the next linear map: the features themselves are whole.
        drop = nn.Dropout(dropout) if len(layers) > 1 else nn.Identity()
        layers.append(nn.Sequential(drop, linear, nn.BatchNorm1d(WIDTH), nn.LeakyReLU(slope)))
    layers.append(nn.Sequential(nn.Dropout(dropout), nn.Linear(WIDTH, y.max() + 1)))
    network = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    inputs, labels = torch.tensor(X), torch.tensor(y)
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs), labels).backward()
        optimizer.step()
    network.eval()
    features = [inputs]
    with torch.no_grad():
        for layer in network[:-1]:
            features.append(layer(features[-1]))
    return data_separation([layer.numpy() for layer in features[1:]], y).loads


def deep_rfm_loads(slope, dropout, seed):
    """Return the load of each layer of deep RFM, (DEPTH - 1,)."""
    layers, *_ = deep_rfm(
        X[:deep_rows], y[:deep_rows], depth=DEPTH - 1, slope=slope, dropout=dropout, seed=seed
    )
    return data_separation(layers, y[:deep_rows]).loads


def diagram(loads, seeds):
    """Return mean loads for each slope and dropout, (n_slopes, n_dropouts, n_layers)."""
    grid = itertools.product(slopes, dropouts, range(seeds))
    every = np.array([loads(slope, dropout, seed) for slope, dropout, seed in grid])
    return every.reshape(len(slopes), len(dropouts), seeds, DEPTH - 1).mean(axis=2)


def chain(friction, noise):
    """Return mean loads of chains of seven blocks for all frictions (rows) and noises (columns)."""
    friction = np.broadcast_to(friction[:, None], (CHAINS, len(friction), 1))
    pulled = pull_chain(friction, noise, friction_backward=BACKWARD * friction, random_state=0)
    return pulled.loads.mean(axis=0)


def phase(loads):
    return loads[..., -1] - loads[..., 0]


network, deep = diagram(network_loads, seeds), diagram(deep_rfm_loads, 1)
springs = chain(FRICTION * (1 - slopes), NOISE * dropouts)

# %%
# The phase diagrams
# ------------------

show_table(
    f"load of the last layer less that of the first, {len(y)} images of {X.shape[1]} pixels",
    [
        {
            "slope": slope,
            "dropout": dropout,
            "network": phase(network)[i, j],
            "deep RFM": phase(deep)[i, j],
            "friction": FRICTION * (1 - slope),
            "noise": NOISE * dropout,
            "chain": phase(springs)[i, j],
        }
        for i, slope in enumerate(slopes)
        for j, dropout in enumerate(dropouts)
    ],
)

figure, axes = plt.subplots(2, 3, figsize=(11, 6.2), layout="constrained")
fine_friction, fine_noise = np.linspace(FRICTION, 0, 20), np.linspace(0, NOISE * dropouts[-1], 20)
for ax, values, title in (
    (axes[0, 0], network, "network"),
    (axes[0, 1], chain(fine_friction, fine_noise), "chain of springs and blocks"),
    (axes[0, 2], deep, "deep RFM"),
):
    values = phase(values)
    size = np.abs(values).max()
    of_chain = ax is axes[0, 1]
    right = fine_noise[-1] if of_chain else dropouts[-1]
    shown = ax.imshow(
        values, cmap="RdBu_r", vmin=-size, vmax=size, aspect="auto", extent=(0, right, 0, 1)
    )
    figure.colorbar(shown, ax=ax, label="last less first load")
    ax.set_xlabel("noise" if of_chain else "dropout")
    if of_chain:
        ax.set_yticks([0, 0.5, 1], ["0", f"{FRICTION / 2:g}", f"{FRICTION:g}"])
        ax.set_ylabel("friction")
    else:
        ax.set_yticks([0, 0.5, 1], ["1", "0.5", "0"])
        ax.set_ylabel("slope (0: ReLU, 1: linear)")
    ax.set_title(title)
for ax, values in zip(axes[1], (network, springs, deep), strict=True):
    for place, style, label in (
        ((0, 0), "C3o-", "most nonlinear, no noise"),
        ((0, -1), "C0o-", "most nonlinear, most noise"),
        ((-1, 0), "C7s--", "linear, no noise"),
    ):
        loads = values[place]
        ax.plot(np.arange(1, len(loads) + 1), loads, style, label=label)
    ax.set_xlabel("spring" if ax is axes[1, 1] else "layer")
    ax.set_ylabel("load")
figure.legend(*axes[1, 1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
save(figure, "data_separation", options)

for name, values, lazy, active, linear in (
    ("network", phase(network), 0.4, -0.2, 0.25),
    ("chain", phase(springs), 0.3, -0.05, 0.03),
):
    claim(f"{name}, most nonlinear, no noise: last less first load", values[0, 0], at_least=lazy)
    claim(f"{name}, the same with most noise", values[0, -1], at_most=active)
    claim(f"{name}, linear: largest of all noises", np.abs(values[-1]).max(), at_most=linear)
claim(
    "rank correlation of the network's diagram and the chain's",
    spearmanr(phase(network).ravel(), phase(springs).ravel()).statistic,
    at_least=0.7,
)
even = phase(deep)[0, 0] / deep[0, 0].sum()
claim("deep RFM, ReLU, no noise: the same, of the whole load", even, at_least=-0.1, at_most=0.1)
claim("deep RFM, ReLU: what noise takes off", phase(deep)[0, 0] - phase(deep)[0, -1], at_least=0.2)
