"""
A probe for every layer
=======================

**Claim**: a Recursive Feature Machine for each layer finds the direction in which a language
model's activations carry a concept, better than the difference of means does; and all layers are
done in a moment, as no matrix over features is needed.

**The paper's figure**: Beaglehole, Radhakrishnan, Boix-Adserà and Belkin, Toward universal steering
and monitoring of AI models (arXiv 2502.03708): the top eigenvector of the average gradient outer
product (AGOP), layer by layer, steers and detects more than five hundred concepts, from some
hundred examples each, and does it better than differences of means.

Here activations are made up, so that the direction is known: a residual stream whose layers add to
it, in which a concept appears by and by, at a strength that differs between examples, and turns as
it goes. ``--data`` takes those of your own model: an .npz file with X (layers, examples, features)
and y. Time is taken against a loop of xRFM's RFM over the layers, where it is installed.
"""

# sphinx_gallery_thumbnail_path = "networks/steering_probe.png"
import time

import matplotlib.pyplot as plt
import numpy as np
from _claims import claim, parse_arguments, save, show_table
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from fastrfm.probes import fit_probes

try:
    import torch
    from xrfm.rfm_src import RFM
except ImportError:
    RFM = None

options = parse_arguments(__doc__, data="activations, an .npz file with X and y; else made up")
UPDATES, RIDGE, N_TRAIN = 3, 1e-3, 200


def residual_stream(layers, n, d, rng):
    """Return activations (layers, n, d), labels, and the concept's direction in each layer."""
    labels = rng.integers(2, size=n)
    degree = (2 * labels - 1) * (0.3 + rng.exponential(size=n))
    topics = np.arange(1, 201) ** -0.5  # of what else activations speak, a few things mostly
    concept = rng.normal(size=d) / np.sqrt(d)
    stream = np.zeros((n, d))
    activations, directions = [], []
    for layer in range(layers):
        stream += rng.normal(size=(n, 200)) * topics @ rng.normal(size=(200, d)) * np.sqrt(9 / d)
        stream += rng.normal(size=(n, d)) * np.sqrt(0.5 / d)
        concept += 0.3 * rng.normal(size=d) / np.sqrt(d)
        concept /= np.linalg.norm(concept)
        # By the middle layers; the last ones turn to the next word.
        strength = 3 * np.exp(-((layer / (layers - 1) - 0.6) ** 2) / 0.09)
        activations.append((stream + strength * degree[:, None] * concept).astype(np.float32))
        directions.append(concept.copy())
    return np.array(activations), labels, np.array(directions)


if options.data is None:
    shape = (8, 700, 2048) if options.quick else (32, 1200, 4096)
    X, y, true = residual_stream(*shape, np.random.default_rng(0))
else:
    with np.load(options.data) as file:
        X, y, true = file["X"].astype(np.float32), file["y"], None
    y = (y == y.max()).astype(int)
train, test = train_test_split(np.arange(len(y)), train_size=N_TRAIN, random_state=0, stratify=y)
L, _, d = X.shape

# %%
# All layers at once
# ------------------

start = time.perf_counter()
probes = fit_probes(X[:, train], y[train], n_iter=UPDATES, alpha=RIDGE, center_gradients=True)
per_second = {"fastrfm.probes": L / (time.perf_counter() - start)}
found = np.array([probe.directions[0] for probe in probes])

# %%
# The same machines by xRFM
# -------------------------
# A loop over the layers, with a metric of all features and the same kernel, bandwidths and ridge.


def by_xrfm(rows, targets):
    """Return the top eigenvector of the AGOP (d, d), found as the paper's code finds it."""
    model = RFM("l2_high_dim", UPDATES, 1.0, bandwidth_mode="adaptive", device="cpu", verbose=False)
    given = torch.from_numpy(rows), torch.from_numpy(targets)
    model.fit(
        given,
        given,
        reg=RIDGE,
        center_grads=True,
        early_stop_rfm=False,
        return_best_params=False,
        get_agop_best_model=True,
    )
    return torch.lobpcg(model.agop_best_model, k=1)[1][:, 0].numpy()


centred = (X[:, train] - X[:, train].mean(axis=1, keepdims=True)).astype(np.float32)
targets = (y[train] - y[train].mean()).astype(np.float32)[:, None]
cosines = {}
if RFM is not None:
    start = time.perf_counter()
    others = np.array([by_xrfm(layer, targets) for layer in centred])
    per_second["a loop of xRFM"] = L / (time.perf_counter() - start)
    cosines["a loop of xRFM"] = np.abs(np.sum(found * others, axis=1)).min()
show_table(
    f"{N_TRAIN} examples, {d} features, {UPDATES} updates of the metric",
    [
        {
            "machine": name,
            "fits a second": value,
            "smallest cosine to those of fastrfm.probes": cosines.get(name, 1.0),
        }
        for name, value in per_second.items()
    ],
)
if RFM is None:
    print("xRFM is not installed, so not compared: pip install xrfm")

# %%
# What the directions are good for
# --------------------------------
# The area under the ROC curve of the scores of examples that no probe has seen.

differences = np.array(
    [one[targets[:, 0] > 0].mean(0) - one[targets[:, 0] < 0].mean(0) for one in centred]
)
differences /= np.linalg.norm(differences, axis=1, keepdims=True)
DIRECTIONS = {"top eigenvector of the AGOP": found, "difference of means": differences}


def areas(directions):
    """Return the area under the curve of each layer."""
    return np.array([roc_auc_score(y[test], X[k, test] @ directions[k]) for k in range(L)])


area = {name: areas(directions) for name, directions in DIRECTIONS.items()}
whole = np.array([roc_auc_score(y[test], probes[k].predict(X[k, test])) for k in range(L)])
cosine = {
    name: np.full(L, np.nan) if true is None else np.sum(directions * true, axis=1)
    for name, directions in DIRECTIONS.items()
}
agop_name, mean_name = DIRECTIONS
show_table(
    f"Scores of {len(test)} other examples along the directions",
    [
        {
            "layer": str(k),
            "AUC, AGOP": area[agop_name][k],
            "AUC, means": area[mean_name][k],
            "AUC, the machine itself": whole[k],
            "cosine to the concept, AGOP": cosine[agop_name][k],
            "cosine, means": cosine[mean_name][k],
        }
        for k in range(0, L, max(1, L // 8))
    ],
)

best = int(area[agop_name].argmax())
figure, axes = plt.subplots(1, 3, figsize=(11, 3.3), layout="constrained", width_ratios=[2, 2, 1.6])
for (name, values), style in zip(area.items(), ("C0o-", "C7s--"), strict=True):
    axes[0].plot(values, style, ms=4, label=name)
axes[0].set_xlabel("layer")
axes[0].set_ylabel("area under the ROC curve")
axes[0].set_title("how well scores tell the concept", fontsize=10)
axes[0].legend(fontsize=8)
for label, colour in ((0, "C7"), (1, "C0")):
    scores = probes[best].project(X[best, test[y[test] == label]])[:, 0]
    axes[1].hist(
        scores, bins=30, color=colour, alpha=0.6, label=f"concept {'yes' if label else 'no'}"
    )
axes[1].set_xlabel(f"score along the direction of layer {best}")
axes[1].set_title(f"{len(test)} examples not seen", fontsize=10)
axes[1].legend(fontsize=8)
bars = axes[2].barh(list(per_second), list(per_second.values()), color="C0")
axes[2].bar_label(bars, fmt="%.2g", padding=3)
axes[2].invert_yaxis()
axes[2].margins(x=0.2)
axes[2].set_title("fits a second", fontsize=10)
save(figure, "steering_probe", options)

for name, value in cosines.items():
    claim(f"smallest cosine to the direction of {name}", value, at_least=0.999)
if RFM is not None:
    claim(
        "fits a second over those of a loop of xRFM",
        per_second["fastrfm.probes"] / per_second["a loop of xRFM"],
        at_least=1.5,
    )
claim("largest area under the curve", area[agop_name].max(), at_least=0.9)
gain = area[agop_name] - area[mean_name]
claim(
    "mean over layers of the area, less that of the difference of means", gain.mean(), at_least=0.02
)
if true is not None:
    claim("largest cosine to the concept's direction", cosine[agop_name].max(), at_least=0.8)
