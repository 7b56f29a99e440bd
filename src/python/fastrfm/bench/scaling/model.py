"""How long a fit takes on a machine that has not been measured: a model in one function.

`predict` holds for any machine whose rates are known: this one's, which
`fastrfm.bench.scaling.findings` takes from single operations, so that the model can be held to
whole fits here; and GPUs', of which `gpu_rates` knows ceilings from data sheets alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

from fastrfm.bench.gpu.tiers import CROSSOVER_NOW
from fastrfm.ridge.nystrom import LANDMARKS_PER_ROOT

__all__ = [
    "CARD_MEMORY",
    "LINKS",
    "Prediction",
    "Rates",
    "Size",
    "fewer_landmarks",
    "gpu_rates",
    "predict",
]

# An H100 SXM by its data sheet; products of float32 accuracy by three TF32 products each through
# mma.sync (a third of about 300 TFLOP/s), special functions 16 a clock and multiprocessor.
FMA_FLOPS = 60e12
TENSOR_FLOPS = 100e12
SPECIALS = 3.7e12
DOUBLE_FLOPS = 34e12
# A large copy, bytes read and written; a card of 80 GB.
COPY_BYTES = 3.0e12
CARD_MEMORY = 80e9
# Bytes a second that a card receives: a half of NVLink's 900 GB/s, PCIe 5.0 x16.
LINKS = {"NVLink": 450e9, "PCIe": 64e9}
# From dot product to kernel value (src/cuda): float32 operations, and rsqrt and ex2. An AGOP's
# weight takes two more.
EPILOGUE_FLOPS, AGOP_EPILOGUE_FLOPS, EPILOGUE_SPECIALS = 6.0, 8.0, 2.0
# What a solve multiplies by K beside its steps: from where it starts, and for the true residual.
PRODUCTS_BESIDE_STEPS = 2
# Twice the landmarks save a quarter to a third of the steps (fastrfm.ridge.nystrom).
STEPS_BY_LANDMARKS = (0.415, 0.5, 0.585)
# float64 vectors of CG for each output (fastrfm.ridge.plan).
CG_VECTORS = 9


@dataclass(frozen=True)
class Size:
    """A fit.

    Attributes
    ----------
    n, d, c : int
        Rows, columns, outputs; float32.
    rank : int
        Landmarks of the preconditioner.
    agop_rows : int
        The sample that an AGOP averages over.
    judging_rows : int
        Validation rows, which each solve but the last predicts.
    steps : tuple of float
        Of conjugate gradients, for each solve; as many AGOPs.
    """

    n: int
    d: int
    c: int
    rank: int
    agop_rows: int
    judging_rows: int
    steps: tuple[float, ...]


@dataclass(frozen=True)
class Rates:
    """Seconds that one device takes.

    Attributes
    ----------
    pair : float
        For a pair of rows in K V.
    agop_pair : float
        For a row of the sample and a centre in an AGOP.
    gram : float
        For n r^2 = 1 in making a preconditioner of r landmarks.
    landmark : float
        For a row and a landmark in applying it once.
    symmetric : bool
        Whether a pair serves both of its rows: n (n + 1) / 2 of them instead of n^2.
    devices : int
    link : float
        Bytes a second that a device receives from the others.
    """

    pair: float
    agop_pair: float
    gram: float
    landmark: float
    symmetric: bool = True
    devices: int = 1
    link: float = inf


@dataclass(frozen=True)
class Prediction:
    """Seconds and bytes.

    Attributes
    ----------
    product, gather, apply : float
        Seconds of one product with K, of what devices exchange for it, and of the preconditioner
        beside it.
    setup, agop : float
        Of making a preconditioner, and of one AGOP.
    total : float
        Of the fit.
    memory : float
        Bytes on each device.
    """

    product: float
    gather: float
    apply: float
    setup: float
    agop: float
    total: float
    memory: float


def predict(size: Size, rates: Rates) -> Prediction:
    """Predict a fit that stores no K, its rows and products shared out evenly among G devices.

    For n rows, d columns, c outputs, r landmarks, an AGOP sample of m rows and s_t steps of the
    solve t = 0 ... T:

    - a product is ``pairs * pair / G`` seconds, pairs = n (n + 1) / 2 or n^2;
    - for it a device receives what it does not hold of X and V, ``(G - 1) / G n (d + c) 4`` bytes,
      as if rows were kept on one device each and passed round, and nothing hidden behind the
      computation; with symmetry the sums for the others' rows travel too, ``(G - 1) / G n c 4``;
    - applying the preconditioner is ``n r landmark / G``;
    - making it (setup) is ``(n r pair + n r^2 gram) / G``;
    - an AGOP is ``m n agop_pair / G``;
    - v validation rows are predicted in ``v n pair / G``, after each solve but the last;
    - a fit is ``sum_t [(s_t + 2) (product + gather) + (s_t + 1) apply + setup + agop]``, and that.

    A device holds its rows and two blocks of others', V whole, its part of the landmarks' kernel
    and of CG's nine float64 vectors, and two float64 matrices of r^2.

    Left out: encoding, reading, the host's r^3, the eigenvectors of d x d, waiting for the slowest.

    Parameters
    ----------
    size : Size
    rates : Rates
    """
    n, d, c, r, devices = float(size.n), size.d, size.c, size.rank, rates.devices
    pairs = n * (n + 1) / 2 if rates.symmetric else n * n
    product = pairs * rates.pair / devices
    others = (devices - 1) / devices
    travels = others * n * 4 * (d + c + (c if rates.symmetric else 0))
    gather = travels / rates.link
    apply = n * r * rates.landmark / devices
    setup = (n * r * rates.pair + n * r * r * rates.gram) / devices
    agop = size.agop_rows * n * rates.agop_pair / devices
    total = sum(
        (steps + PRODUCTS_BESIDE_STEPS) * (product + gather) + (steps + 1) * apply + setup + agop
        for steps in size.steps
    )
    total += (len(size.steps) - 1) * size.judging_rows * n * rates.pair / devices
    blocks = 1 if devices == 1 else 3
    memory = 4 * n * d * blocks / devices + 4 * n * c
    memory += (4 * n * r + 8 * CG_VECTORS * n * c) / devices + 16 * r * r
    return Prediction(product, gather, apply, setup, agop, total, memory)


def gpu_rates(
    d: int, c: int, *, devices: int, link: float, symmetric: bool, efficiency: float
) -> Rates:
    """Return the rates of H100s at a part of their ceilings, norm 2 in float32.

    A pair's dot product is 2 d flop, on tensor cores from `kTensorFlops` = 128 of them, else on the
    float32 units; these also do the epilogue and the use, 2 c flop (twice with symmetry); two
    special functions are a third kind of unit. What takes longest is the ceiling. An AGOP has 2 d c
    flop of use, on tensor cores likewise. The Gram matrix of landmarks is r^2 float64 flop a row,
    and applying the preconditioner reads the landmarks' kernel twice.
    """
    use = 2.0 * c * (2 if symmetric else 1)
    product = _pair(2.0 * d, EPILOGUE_FLOPS + use, 2 * d)
    agop = _pair(2.0 * d + 2.0 * d * c, AGOP_EPILOGUE_FLOPS, 2 * (d + c * (d + 1)))
    return Rates(
        pair=product / efficiency,
        agop_pair=agop / efficiency,
        gram=1 / DOUBLE_FLOPS / efficiency,
        landmark=2 * 4 / COPY_BYTES / efficiency,
        symmetric=symmetric,
        devices=devices,
        link=link * efficiency,
    )


def _pair(products: float, others: float, flops: int) -> float:
    """Return a pair's seconds: the longest of tensor cores, float32 and special-function units."""
    special = EPILOGUE_SPECIALS / SPECIALS
    if flops < CROSSOVER_NOW:
        return max((products + others) / FMA_FLOPS, special)
    return max(products / TENSOR_FLOPS, others / FMA_FLOPS, special)


def fewer_landmarks(n: int, rank: int) -> tuple[float, float, float]:
    """Return by how much steps grow, least, likely, most, with fewer than 5 sqrt(n) landmarks."""
    missing = max(1.0, LANDMARKS_PER_ROOT * sqrt(n) / rank)
    low, likely, high = (missing**power for power in STEPS_BY_LANDMARKS)
    return low, likely, high


def per_solve(loose: float, tight: float, updates: int) -> Sequence[float]:
    """Return the steps of all solves of a fit.

    A loose one for each metric, `updates` + 1 of them, and one of the best that goes on from there.
    """
    return (loose,) * (updates + 1) + (tight,)
