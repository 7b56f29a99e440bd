"""What the scripts that check a claim share: options, tables, figures, and the check itself."""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from sklearn.datasets import fetch_openml, load_digits

import fastrfm
from fastrfm.bench.machine import available_cores, describe_machine

START = time.perf_counter()
CONSOLE = Console(width=100, highlight=False)
# Of saved figures: sharp enough on a page, and below 60 kB as PNG (140 kB in all colours).
DPI, COLOURS = 100, 64
# Of MNIST's 70,000: a factorisation's time grows with their cube.
MNIST_ROWS = 10_000


def parse_arguments(description, *, data=None, **others):
    """Return the options quick, data and output; `data` says what a local file is taken for.

    Further options take a text: by name, what each is for.
    """
    parser = argparse.ArgumentParser(description=description.strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less than two minutes on two cores")
    parser.add_argument("--output", type=Path, default=Path("fastrfm-claims"), help="for figures")
    if data is not None:
        parser.add_argument("--data", type=Path, help=data)
    for name, purpose in others.items():
        parser.add_argument(f"--{name}", help=purpose)
    return parser.parse_args()


def load_images(path):
    """Return images in [0, 1], (n, height, width), and labels, of an .npz file with X and y."""
    with np.load(path) as file:
        X, y = np.asarray(file["X"], np.float32), file["y"]
    X = X.reshape(len(X), -1)
    side = int(np.sqrt(X.shape[1]))
    if side * side != X.shape[1]:
        raise SystemExit(f"{path}: X has rows of {X.shape[1]} numbers, which are no square image")
    return X.reshape(-1, side, side) / X.max(), y


def digits(options):
    """Return images of digits and labels: scikit-learn's own, the file given, or MNIST, fetched."""
    if options.data is not None:
        return load_images(options.data)
    if options.quick:
        X, y = load_digits(return_X_y=True)
    else:
        X, y = fetch_openml("mnist_784", version=1, return_X_y=True, as_frame=False)
        X, y = X[:MNIST_ROWS], y[:MNIST_ROWS].astype(int)
    side = int(np.sqrt(X.shape[1]))
    return (X / X.max()).reshape(-1, side, side).astype(np.float32), y


def learn_metric(X, Y, *, updates, bandwidth=10.0, alpha=1e-3):
    """Yield ``(predict, metric, AGOP)`` of each iteration of a Recursive Feature Machine.

    The papers' one: Laplace kernel, metric ``AGOP / max(AGOP)``.
    """
    metric = np.eye(X.shape[1], dtype=np.float32)
    for _ in range(updates + 1):
        kernel = {"metric": metric, "bandwidth": bandwidth}
        coef = fastrfm.solve_ridge(X, Y, alpha=alpha, **kernel)
        agop = fastrfm.agop(X, X, coef, **kernel)
        yield (
            lambda Z, coef=coef, kernel=kernel: fastrfm.kernel_matmul(Z, X, coef, **kernel),
            metric,
            agop,
        )
        metric = agop / agop.max()


def show_table(title, rows):
    """Print rows, dictionaries of equal keys, as a table."""
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(
            *(value if isinstance(value, str) else f"{value:.4g}" for value in row.values())
        )
    CONSOLE.print(table)


def claim(name, measured, *, at_least=-np.inf, at_most=np.inf):
    """Print a claim and what was measured, and end the script if it does not hold."""
    bounds = [f"at least {at_least:g}"] * (at_least > -np.inf)
    bounds += [f"at most {at_most:g}"] * (at_most < np.inf)
    holds = bool(at_least <= measured <= at_most)
    verdict = "holds" if holds else "DOES NOT HOLD"
    CONSOLE.print(f"{name}: {measured:.4g}, claimed {' and '.join(bounds)}: {verdict}")
    if not holds:
        raise SystemExit(1)


def save(figure, name, options):
    """Save a figure as NAME.png, and print where it is and what made it."""
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"{name}.png"
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
    with Image.open(path) as image:
        image.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    CONSOLE.print(f"figure: {path}")
    machine = describe_machine(available_cores())
    seconds = time.perf_counter() - START
    CONSOLE.print(
        f"{name}.py{' --quick' * options.quick}: {seconds:.0f} s on {machine['cpu']}, "
        f"{machine['cores']} cores; commit {machine['commit']}"
    )
