"""What the points come to: exponents, the model's error on this machine, the extrapolation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from fastrfm.bench.scaling.exponents import FEWEST, PowerLaw, fit_power_law
from fastrfm.bench.scaling.measure import AGOP_ROWS, ITERATIONS, VALIDATION_ROWS
from fastrfm.bench.scaling.model import (
    LINKS,
    Prediction,
    Rates,
    Size,
    fewer_landmarks,
    gpu_rates,
    per_solve,
    predict,
)
from fastrfm.bench.scaling.points import BASE_C, BASE_D, KINDS, Point
from fastrfm.bench.scaling.store import Line
from fastrfm.ridge.nystrom import largest_rank
from fastrfm.ridge.pcg import MAX_ITERATIONS

__all__ = [
    "TARGET",
    "UPPER",
    "Extrapolation",
    "Validation",
    "along",
    "exponents",
    "extrapolate",
    "steps_of",
    "validate",
]

Points = Mapping[Point, Line]

# The estimators' `agop_samples`.
AGOP_SAMPLES = 20_000
UPPER = "cpu_seconds, upper half"
# What is extrapolated to: rows, columns, outputs, updates of the metric, and GPUs.
TARGET = {"n": 10_000_000, "d": 100, "c": 1, "updates": 5, "devices": 8}
EFFICIENCIES = (0.7, 0.5, 0.3)


def along(points: Points, kind: str, axis: str, value: str = "cpu_seconds") -> dict[int, float]:
    """Return {n, d or c: value} of the points of a kind, the other two being the same for all.

    Columns and outputs are the usual ones, unless they are the axis, and rows those of the most
    points, unless they are. Points of fewer threads than others, or with workers, do not count.
    """
    usual = {name: size for name, size in (("d", BASE_D), ("c", BASE_C)) if name != axis}
    of_kind = {
        point: line[value]
        for point, line in points.items()
        if _good(point, line, kind, value)
        and all(getattr(point, name) == size for name, size in usual.items())
    }
    threads = max((point.threads for point in of_kind), default=0)
    groups: dict[int, dict[int, float]] = {0: {}}
    for point, found in of_kind.items():
        if point.threads == threads:
            group = groups.setdefault(0 if axis == "n" else point.n, {})
            group[getattr(point, axis)] = found
    return dict(sorted(max(groups.values(), key=len).items()))


def _good(point: Point, line: Line, kind: str, value: str) -> bool:
    return (
        point.kind == kind
        and not point.workers
        and line["reason"] is None
        and line.get(value) is not None
    )


def exponents(points: Points) -> dict[tuple[str, str, str], PowerLaw]:
    """Return {(kind, axis, value): law} for CPU seconds and peak memory along n, d and c.

    Memory along n only, and without the interpreter; `UPPER` is CPU seconds in the upper half of
    the range, where less of what does not grow is left; "steps" and "loose steps" are of fits.
    """
    found = {}
    for kind in KINDS:
        for axis in ("n", "d", "c"):
            for value in ("cpu_seconds", "peak_work") if axis == "n" else ("cpu_seconds",):
                at = along(points, kind, axis, value)
                if len(at) >= FEWEST and min(at.values()) > 0:
                    found[kind, axis, value] = fit_power_law([*at], [*at.values()])
                if len(at) >= 2 * FEWEST - 1 and value == "cpu_seconds":
                    upper = [*at][len(at) // 2 :]
                    found[kind, axis, UPPER] = fit_power_law(upper, [at[x] for x in upper])
    for number, name in enumerate(("loose steps", "steps")):
        at = steps_of(points)[number]
        if len(at) >= FEWEST:
            found["fit", "n", name] = fit_power_law([*at], [*at.values()])
    return found


def steps_of(points: Points) -> tuple[dict[int, float], dict[int, float]]:
    """Return {n: steps} of fits along n: means of the loose solves, and of the last, tight one."""
    found: tuple[dict[int, float], dict[int, float]] = ({}, {})
    for n in along(points, "fit", "n"):
        *loose, tight = (float(solve["iterations"]) for solve in _base(points, "fit", n)["solves"])
        found[0][n], found[1][n] = sum(loose) / len(loose), tight
    return found


def _base(points: Points, kind: str, n: int) -> Line:
    """Return the line of a kind along n."""
    candidates = [
        (point.threads, line)
        for point, line in points.items()
        if (point.kind, point.n, point.d, point.c) == (kind, n, BASE_D, BASE_C)
        and not point.workers
        and line["reason"] is None
    ]
    return max(candidates, key=lambda one: one[0])[1]


def _measured_rates(points: Points, below: int) -> Rates:
    """Return CPU seconds of single operations at fewer rows than `below`."""

    def middle(kind: str, rate: Callable[[int, Line], float]) -> float:
        rows = [n for n in along(points, kind, "n") if n < below]
        return median(rate(n, _base(points, kind, n)) for n in rows)

    pair = middle("product", lambda n, line: line["cpu_seconds"] / (n * (n + 1) / 2))
    return Rates(
        pair=pair,
        agop_pair=middle("agop", lambda n, line: line["cpu_seconds"] / n / min(n, AGOP_ROWS)),
        gram=middle(
            "landmarks",
            lambda n, line: max(
                0.0, (line["cpu_seconds"] / (n * line["rank"]) - pair) / line["rank"]
            ),
        ),
        landmark=middle(
            "landmarks", lambda n, line: line["apply_cpu_seconds"] / (n * line["rank"])
        ),
    )


@dataclass(frozen=True)
class Validation:
    """The model against the largest fit that was measured, from smaller points alone.

    Attributes
    ----------
    n : int
        Rows of that fit.
    below : int
        Rows of the largest point that the model has seen.
    measured : float
        CPU seconds.
    predicted, predicted_all : float
        With the fit's own steps; with steps extrapolated from the smaller fits.
    steps, steps_predicted : tuple of float
        Of a loose solve (the mean of them) and of the tight one.
    """

    n: int
    below: int
    measured: float
    predicted: float
    predicted_all: float
    steps: tuple[float, float]
    steps_predicted: tuple[float, float]


def validate(points: Points) -> Validation | None:
    """Predict the largest fit from all that is smaller; None where there are too few points."""
    loose, tight = steps_of(points)
    rows = sorted(loose)
    singles = [set(along(points, kind, "n")) for kind in ("product", "agop", "landmarks")]
    if len(rows) <= FEWEST or not all(min(s, default=rows[-1]) < rows[-1] for s in singles):
        return None
    n, smaller = rows[-1], rows[:-1]
    line = _base(points, "fit", n)
    rates = _measured_rates(points, n)
    steps = (loose[n], tight[n])
    laws = [fit_power_law(smaller, [of[m] for m in smaller]) for of in (loose, tight)]
    expected = (laws[0](n), laws[1](n))

    def total(of_steps: tuple[float, float], rank: int) -> float:
        all_steps = tuple(per_solve(*of_steps, ITERATIONS))
        agop_rows = min(n, AGOP_SAMPLES)
        size = Size(n, BASE_D, BASE_C, rank, agop_rows, VALIDATION_ROWS, all_steps)
        return predict(size, rates).total

    return Validation(
        n=n,
        below=smaller[-1],
        measured=line["cpu_seconds"],
        predicted=total(steps, line["solves"][-1]["rank"]),
        predicted_all=total(expected, largest_rank(n)),
        steps=steps,
        steps_predicted=expected,
    )


@dataclass(frozen=True)
class Extrapolation:
    """A fit on GPUs, at one efficiency and one guess of the steps.

    Attributes
    ----------
    efficiency : float
    symmetric : bool
    link : str
    steps : tuple of float
        Loose and tight.
    prediction : Prediction
    """

    efficiency: float
    symmetric: bool
    link: str
    steps: tuple[float, float]
    prediction: Prediction


def extrapolate(points: Points, target: Mapping[str, int] = TARGET) -> list[Extrapolation]:
    """Return the fit on GPUs, for each use of symmetry and link best, middle and worst guess.

    Steps grow by the laws of the fits measured (their confidence intervals at the target are best
    and worst, but no better than at the largest n measured), and by what `fewer_landmarks` says, up
    to where CG gives up. Nothing where too few fits were measured.
    """
    laws = exponents(points)
    if ("fit", "n", "steps") not in laws:
        return []
    n, d, c = target["n"], target["d"], target["c"]
    rank = largest_rank(n)
    more = fewer_landmarks(n, rank)
    found = []
    for symmetric in (True, False):
        for link in LINKS:
            for guess, efficiency in enumerate(EFFICIENCIES):
                loose, tight = (
                    min(_three(laws["fit", "n", name], n)[guess] * more[guess], MAX_ITERATIONS)
                    for name in ("loose steps", "steps")
                )
                all_steps = tuple(per_solve(loose, tight, target["updates"]))
                size = Size(n, d, c, rank, AGOP_SAMPLES, VALIDATION_ROWS, all_steps)
                rates = gpu_rates(
                    d,
                    c,
                    devices=target["devices"],
                    link=LINKS[link],
                    symmetric=symmetric,
                    efficiency=efficiency,
                )
                found.append(
                    Extrapolation(
                        efficiency,
                        symmetric,
                        link,
                        (loose, tight),
                        predict(size, rates),
                    )
                )
    return found


def _three(law: PowerLaw, n: int) -> tuple[float, float, float]:
    low, high = law.interval(n)
    return max(low, min(law(n), law(law.largest))), law(n), high
