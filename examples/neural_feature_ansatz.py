"""
Networks learn the average gradient outer product
=================================================

**Claim**: in a trained network, the matrix W^T W of a layer (its neural feature matrix, NFM) is
nearly proportional to the average gradient outer product (AGOP) with respect to the layer's input:
in multilayer perceptrons, convolutions (over patches), recurrent networks and transformers.

**The paper's figure**: the Neural Feature Ansatz, in Radhakrishnan, Beaglehole, Pandit and Belkin
(arXiv 2212.13881, Science 2024), and for convolutions Beaglehole et al. (arXiv 2309.00570):
correlations above 0.9 after training, and far lower ones at initialisation.

The correlation is the cosine of the two matrices. A random W makes W^T W almost the identity, whose
cosine with any AGOP of wide spectrum is not small, so what training adds is printed beside it.
Perceptron and convolutions see digits, the recurrent network reads them row by row, and the
transformer, of GPT-2's shape, learns which character comes next in the language reference that
Python ships with. There the outputs, the characters, are so many that the AGOP is wide, and close
to a random W^T W, before anything is learned.
"""

# sphinx_gallery_thumbnail_path = "networks/neural_feature_ansatz.png"
import matplotlib.pyplot as plt
import numpy as np
import torch
from _claims import claim, digits, parse_arguments, save, show_table
from _networks import RowReader, SmallGPT, accuracy, text_windows, train
from torch import nn

from fastrfm.neural import agop, neural_feature_correlation, nfm

options = parse_arguments(
    __doc__,
    data="images of digits, an .npz file with X and y; else MNIST",
    gpt2="also measure a GPT-2 with its weights: a folder, or a name, for transformers",
)
torch.manual_seed(0)
quick = options.quick
# First layers begin small, so that what they are in the end is what they learned.
FIRST_SCALE = 0.1
# Examples that the AGOP is averaged over, and mixtures of the outputs where those are characters.
SEEN, MIXTURES = (200, 4) if quick else (1000, 16)
WINDOW = 32 if quick else 64

images, labels = digits(options)
side = images.shape[1]
held_out = np.random.default_rng(0).permutation(len(images)) < len(images) // 5
X = (images - images.mean()).reshape(len(images), -1)


def shrink_first(weight):
    with torch.no_grad():
        weight.mul_(FIRST_SCALE)


# %%
# Four networks
# -------------

width = 512 if quick else 1024
perceptron = nn.Sequential(
    nn.Linear(side * side, width),
    nn.ReLU(),
    nn.Linear(width, width),
    nn.ReLU(),
    nn.Linear(width, 10),
)
shrink_first(perceptron[0].weight)
PATCH = 7
convolutions = nn.Sequential(
    nn.Unflatten(1, (1, side, side)),
    nn.Conv2d(1, 64, PATCH, stride=2, padding=PATCH // 2),
    nn.GELU(),
    nn.Conv2d(64, 64, 3, stride=1 if quick else 2, padding=1),
    nn.GELU(),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(64, 10),
)
shrink_first(convolutions[1].weight)
recurrent = RowReader(side, 10)
shrink_first(recurrent.rnn.weight_ih_l0)

text, n_codes = text_windows(WINDOW + 1, 10_000 if quick else 50_000, seed=0)
text_held_out = text_windows(WINDOW + 1, SEEN, seed=1)[0]
transformer = SmallGPT(n_codes, WINDOW, *((64, 2) if quick else (128, 4)))

# Each with its data, data held out, and how it is trained.
image_data = (X[~held_out], labels[~held_out], X[held_out][:SEEN], labels[held_out][:SEEN])
text_data = (text[:, :-1], text[:, 1:], text_held_out[:, :-1], text_held_out[:, 1:])
steps = 1 if quick else 3
networks = {
    "MLP": (perceptron, image_data, {"steps": 300 * steps, "weight_decay": 0.01}),
    "CNN": (convolutions, image_data, {"steps": 300 * steps, "rate": 3e-3, "weight_decay": 0.1}),
    "RNN": (recurrent, image_data, {"steps": 400 * steps, "rate": 2e-3, "weight_decay": 0.1}),
    "GPT": (
        transformer,
        text_data,
        {"steps": 200 * steps, "rate": 3e-3, "weight_decay": 0.1, "batch": 16},
    ),
}


def correlations(model, data, power):
    """Return the correlation at each layer, for the transformer's many outputs an estimate."""
    samples = MIXTURES if model is transformer else None
    return neural_feature_correlation(
        model, data, power=power, output_samples=samples, random_state=0
    )


def train_and_measure(name):
    """Return the layers' correlations before, after, and after with AGOP^1/2, and the accuracy."""
    model, (X_train, y_train, X_test, y_test), training = networks[name]
    seen = X_train[:SEEN]
    before, root_before = correlations(model, seen, 1), correlations(model, seen, 0.5)
    train(model, X_train, y_train, **training)
    after, root = correlations(model, seen, 1), correlations(model, seen, 0.5)
    score = accuracy(model, X_test, y_test)
    show_table(
        f"{name}: correlation of W^T W and the AGOP; accuracy on held-out data {score:.3f}",
        [
            {
                "layer": layer,
                "at initialisation": before[layer],
                "after training": after[layer],
                "AGOP^1/2, at initialisation": root_before[layer],
                "AGOP^1/2, after training": root[layer],
            }
            for layer in after
        ],
    )
    return before, after, root, score


# %%
# By layer
# --------

first = nfm(perceptron[0])
found = {name: train_and_measure(name) for name in networks}

# %%
# Side by side
# ------------

figure = plt.figure(figsize=(12, 6.5), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=[1, 1.1])
pictures = {
    "MLP: diagonal of $W^TW$\nat initialisation": torch.diag(first).reshape(side, side),
    "after training": torch.diag(nfm(perceptron[0])).reshape(side, side),
    "diagonal of the AGOP": torch.diag(agop(perceptron, "0", X[~held_out][:SEEN])).reshape(
        side, side
    ),
    f"CNN: $W^TW$ of {PATCH} x {PATCH} patches\nafter training": nfm(convolutions[1]),
    "AGOP over patches": agop(convolutions, "1", X[~held_out][:SEEN]),
}
for ax, (title, picture) in zip(above.subplots(1, 5), pictures.items(), strict=True):
    patches = len(picture) != side
    limit = float(picture.abs().max())
    ax.imshow(
        picture,
        cmap=plt.get_cmap("RdBu_r" if patches else "magma", 33),
        vmin=-limit * patches,
        vmax=limit,
    )
    ax.set_title(title, fontsize=10)
    ax.set_xticks([])
    ax.set_yticks([])
axes = below.subplots(1, 4, sharey=True, width_ratios=[3, 3, 3, 1 + len(found["GPT"][1])])
for ax, (name, (before, after, root, score)) in zip(axes, found.items(), strict=True):
    at = np.arange(len(after))
    ax.bar(at - 0.2, before.values(), 0.4, color="0.75", label="at initialisation")
    ax.bar(at + 0.2, after.values(), 0.4, color="C0", label="after training")
    ax.plot(at + 0.2, root.values(), "k_", ms=9, label="after training, AGOP$^{1/2}$")
    short = [layer.replace("blocks.", "").replace("weight_", "") for layer in after]
    if name in ("MLP", "CNN"):
        short = [f"layer {i + 1}" for i in at]
    ax.set_xticks(at, short, rotation=60, ha="right", fontsize=8)
    ax.set_title(f"{name}, accuracy {score:.2f}", fontsize=10)
    ax.set_ylim(0, 1)
axes[0].set_ylabel("correlation of $W^TW$ and AGOP")
below.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=9)
save(figure, "neural_feature_ansatz", options)

# %%
# GPT-2 itself
# ------------

if options.gpt2:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    gpt2 = AutoModelForCausalLM.from_pretrained(options.gpt2, attn_implementation="eager")
    tokens = AutoTokenizer.from_pretrained(options.gpt2)("\n".join(__doc__.split("\n\n")))
    windows = torch.tensor(tokens["input_ids"])
    windows = windows[: len(windows) // WINDOW * WINDOW].reshape(-1, WINDOW)
    measured = neural_feature_correlation(
        gpt2, {"input_ids": windows}, output_samples=MIXTURES, batch_size=4, random_state=0
    )
    rows = [{"layer": layer, "correlation": value} for layer, value in measured.items()]
    show_table("GPT-2", rows)

# %%
# The claim
# ---------

for name, gained_at in {"MLP": 0, "CNN": 0, "RNN": 1}.items():
    before, after, _, score = found[name]
    claim(f"accuracy of the {name}", score, at_least=0.85)
    claim(f"correlation at the {name}'s first layer", next(iter(after.values())), at_least=0.8)
    gain = list(after.values())[gained_at] - list(before.values())[gained_at]
    claim(f"what training adds to it in layer {gained_at + 1}", gain, at_least=0.1)
_, after, root, _ = found["GPT"]
claim("mean correlation in the transformer's layers", np.mean(list(after.values())), at_least=0.7)
claim("the same with AGOP^1/2", np.mean(list(root.values())), at_least=0.85)
