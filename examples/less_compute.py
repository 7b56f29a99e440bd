"""
The same accuracy for less compute
==================================

**Claim**: to come to the same test error, a Recursive Feature Machine (RFM) takes less time and
fewer operations than a multilayer perceptron, which makes hundreds of passes over the data.

**The paper's figure**: there is none. Radhakrishnan, Beaglehole, Pandit and Belkin (arXiv
2212.13881, Science 2024) show accuracy: on 121 tables RFMs are ahead of networks. That less
computation buys it is what this measures, on images of digits.

The level to come to is the best test error that both reach: of the RFM after any of its updates,
of any of the networks after any epoch. Networks have two hidden layers and are trained by Adam;
the cheapest of them counts, stopped at the very epoch, without the search for either. Energy is
read from the processor's counters (RAPL) where Linux lets users read them; else operations are
counted, the networks' by PyTorch, the RFM's by the formula below. With the rows the advantage
shrinks: a factorisation takes their cube.
"""

# sphinx_gallery_thumbnail_path = "networks/less_compute.png"
import time
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from _claims import CONSOLE, claim, digits, learn_metric, parse_arguments, save, show_table
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

options = parse_arguments(__doc__, data="images and classes, an .npz file with X and y; else MNIST")
images, labels = digits(options)
images, labels = images.reshape(len(images), -1), np.unique(labels, return_inverse=True)[1]
SPLITS, EPOCHS, UPDATES = (3, 100, 2) if options.quick else (5, 100, 2)
WIDTHS_AND_RATES = [(128, 5e-3), (512, 1e-3)] + [(512, 5e-3)] * (not options.quick)
BATCH = 128
N_TRAIN = min(1200 if options.quick else 4000, 4 * len(labels) // 5)

# %%
# What is counted
# ---------------

COUNTERS = sorted(Path("/sys/class/powercap").glob("intel-rapl:?/energy_uj"))


def joules():
    """Return what the processors' energy counters say, or NaN."""
    try:
        return sum(int(counter.read_text()) for counter in COUNTERS) / 1e6 if COUNTERS else np.nan
    except OSError:  # since 2020 for root alone, by default
        return np.nan


@dataclass
class Cost:
    """What has been spent, and the test error that it bought."""

    seconds: float
    joules: float
    operations: float
    error: float = np.nan


class Meter:
    """Adds up what is spent between `start` and `stop`: what is tested in between costs nothing."""

    def __init__(self):
        self.seconds = self.joules = 0.0

    def start(self):
        """Begin to count."""
        self._seconds, self._joules = time.perf_counter(), joules()

    def stop(self, operations):
        """Return all of the cost so far; its error is for the caller to find."""
        self.seconds += time.perf_counter() - self._seconds
        self.joules += joules() - self._joules
        return Cost(self.seconds, self.joules, operations)


# %%
# Two ways to learn
# -----------------


def rfm_operations(n, d, c):
    """Return the floating-point operations of a fit and an AGOP of n rows, d features, c outputs.

    Half of a symmetric kernel matrix, a Cholesky factorisation, two triangular solves; distances
    again, a product of n x n weights and the centres for each output, their outer products; and the
    square root of the metric.
    """
    fit = n * n * d + n**3 / 3 + 2 * n * n * c
    return fit + 2 * n * n * d + 2 * n * n * (d + 1) * c + 2 * n * c * d * d + 10 * d**3


def learn_rfm(X, y, X_test, y_test):
    """Return the costs after each update."""
    meter, costs = Meter(), []
    Y = np.eye(y.max() + 1, dtype=np.float32)[y]
    meter.start()
    for predict, _, _ in learn_metric(X, Y, updates=UPDATES):
        spent = (len(costs) + 1) * rfm_operations(*X.shape, Y.shape[1])
        costs.append(meter.stop(spent))
        costs[-1].error = float(np.mean(predict(X_test).argmax(1) != y_test))
        meter.start()
    return costs


def learn_network(X, y, X_test, y_test, width, rate):
    """Return the costs after each epoch."""
    X, y, X_test, y_test = map(torch.from_numpy, (X, y, X_test, y_test))
    model = nn.Sequential(
        nn.Linear(X.shape[1], width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, int(y.max()) + 1),
    )
    optimizer = torch.optim.Adam(model.parameters(), rate)
    with FlopCounterMode(display=False) as counter:
        functional.cross_entropy(model(X[:BATCH]), y[:BATCH]).backward()
    a_row = counter.get_total_flops() / min(BATCH, len(X))
    meter, costs = Meter(), []
    for epoch in range(EPOCHS):
        meter.start()
        for rows in torch.randperm(len(X)).split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(model(X[rows]), y[rows]).backward()
            optimizer.step()
        costs.append(meter.stop((epoch + 1) * len(X) * a_row))
        with torch.no_grad():
            wrong = model(X_test).argmax(1) != y_test
        costs[-1].error = float(wrong.double().mean())
    return costs


def first(costs, level):
    """Return the cost of coming to an error, or None."""
    return next((cost for cost in costs if cost.error <= level), None)


paths, table, ratios = [], [], []
for split in range(SPLITS):
    parts = train_test_split(
        images, labels, train_size=N_TRAIN, random_state=split, stratify=labels
    )
    X, X_test, y, y_test = parts
    torch.manual_seed(split)
    machine = learn_rfm(X, y, X_test, y_test)
    networks = [learn_network(X, y, X_test, y_test, *kind) for kind in WIDTHS_AND_RATES]
    best = [min(cost.error for cost in costs) for costs in (machine, chain(*networks))]
    level = max(best)
    ours = first(machine, level)
    theirs = min(filter(None, (first(costs, level) for costs in networks)), key=lambda c: c.seconds)
    paths.append((machine, networks, level))
    ratios.append([theirs.seconds / ours.seconds, theirs.operations / ours.operations])
    for name, cost, own in (("RFM", ours, best[0]), ("network", theirs, best[1])):
        table.append(
            {
                "split": str(split),
                "machine": name,
                "error to come to": level,
                "seconds": cost.seconds,
                "joules": "-" if np.isnan(cost.joules) else cost.joules,
                "10^9 operations": cost.operations / 1e9,
                "its own best error": own,
            }
        )
show_table(f"{N_TRAIN} rows of {images.shape[1]} features", table)
if np.isnan(joules()):
    CONSOLE.print("no energy counter can be read here: operations stand for energy")

# %%
# Error against time
# ------------------

figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for ax, unit, title in (
    (axes[0], "seconds", "seconds"),
    (axes[1], "operations", "floating-point operations"),
):
    for split, (machine, networks, _) in enumerate(paths):
        for costs, colour, style, name in (
            *((costs, "C7", "-", "networks, by epoch") for costs in networks),
            (machine, "C0", "o-", "RFM, by update"),
        ):
            ax.plot(
                [getattr(cost, unit) for cost in costs],
                [100 * max(cost.error, 1e-4) for cost in costs],
                style,
                color=colour,
                ms=5,
                lw=1.2 if colour == "C0" else 0.6,
                alpha=0.9 if colour == "C0" else 0.6,
                label=name if split == 0 and costs in (networks[0], machine) else None,
            )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel(title)
axes[0].set_ylabel("test error, %")
axes[0].legend(fontsize=9)
figure.suptitle(f"{N_TRAIN} images, {SPLITS} splits", fontsize=11)
save(figure, "less_compute", options)

time_ratio, operation_ratio = np.median(ratios, axis=0)
claim("median of seconds of the cheapest network over those of the RFM", time_ratio, at_least=1.5)
claim("the same of operations", operation_ratio, at_least=1.5)
