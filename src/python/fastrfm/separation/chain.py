"""`pull_chain`: blocks on a rough floor, joined by springs and pulled at one end."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from fastrfm.validation import check_number

__all__ = ["PulledChain", "load_balance", "pull_chain"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PulledChain:
    """A chain, or many, after the pull.

    Parameters
    ----------
    positions : ndarray of shape (..., n_blocks + 2)
        Of the blocks at the end, between the wall at 0 and the pulled end at 1. The axes before
        are those of the parameters.
    mean_loads : ndarray of shape (..., n_blocks + 1)
        How far each spring is stretched, on average over the second half of the steps. They sum
        to 1; the last is the spring that is pulled.
    """

    positions: Array
    mean_loads: Array

    @property
    def loads(self) -> Array:
        """How far each spring is stretched at the end, of shape (..., n_blocks + 1)."""
        return np.diff(self.positions)


def pull_chain(
    friction: ArrayLike = 0.1,
    noise: ArrayLike = 0.1,
    *,
    friction_backward: ArrayLike | None = None,
    n_blocks: int = 7,
    stiffness: float = 1.0,
    step: float = 0.01,
    n_steps: int = 10_000,
    order: int = 1,
    damping: float = 1.0,
    random_state: int | np.random.RandomState | None = None,
) -> PulledChain:
    """Pull chains of blocks and springs over a rough floor, all parameters at a time.

    The blocks ``x_1 .. x_L`` begin at 0, where the wall ``x_0`` is; the end ``x_(L+1)`` is held at
    1. On block l act the springs and noise, ``F_l = k (x_(l+1) - 2 x_l + x_(l-1)) + noise xi_l``
    with a fresh standard normal ``xi_l`` in each step, and friction, which takes up to `friction`
    of a force to the right and `friction_backward` of one to the left:
    ``S(F) = F - clip(F, -friction_backward, friction)``. The chain of the first order [1]_ has no
    inertia, that of the second has velocities v and unit masses:

    - first order: ``x_l += step S(F_l)``;
    - second order: ``v_l = step S(v_l / step + F_l - damping v_l)``, ``x_l += step v_l``, so that
      friction first takes what momentum there is, and holds a block that has none.

    In the theory a block is a layer, how far a spring is stretched is the load of a layer, friction
    is nonlinearity, and noise that of training. Without friction the load comes to be even. With
    friction and no noise a pull moves a block only until friction holds it: then from each spring
    to the next towards the pulled end the load grows by ``friction / stiffness``, as far as the
    chain has moved at all. Noise sets blocks free and makes the load even again; where friction
    differs between the directions it also pushes them the easier way.

    Parameters
    ----------
    friction, noise : array-like
        At least 0. Arrays are broadcast against each other: one chain for each entry.
    friction_backward : array-like, optional
        Against a force to the left; as `friction` by default.
    n_blocks : int
        L, at least 1.
    stiffness : float
        k, positive.
    step : float
        Positive; the step of the integration. Noise is drawn anew for each, so its effect per unit
        of time shrinks with the step.
    n_steps : int
        At least 1.
    order : {1, 2}
        Of the equation of motion.
    damping : float
        At least 0; of the second order only.
    random_state : int or RandomState, optional
        Draws the noise: in each step one number for each block of each chain.

    Returns
    -------
    PulledChain

    Raises
    ------
    TypeError
        For parameters that are no numbers.
    ValueError
        For values out of range, shapes that cannot be broadcast, and steps so long that the
        integration is unstable.

    See Also
    --------
    load_balance : One number for each chain.
    data_separation : The loads of the layers of a network.

    References
    ----------
    .. [1] C. Shi, L. Pan, I. Dokmanić. Spring-block theory of feature learning in deep neural
       networks. Physical Review Letters (2025), doi:10.1103/ys4n-2tj3, arXiv 2407.19353.

    Examples
    --------
    Two chains of three blocks: one slides, one is held by friction.

    >>> from fastrfm.separation import pull_chain
    >>> pull_chain(friction=[0.0, 0.2], noise=0.0, n_blocks=3).loads.round(2)
    array([[0.25, 0.25, 0.25, 0.25],
           [0.  , 0.13, 0.33, 0.53]])
    """
    L = _check_count("n_blocks", n_blocks)
    steps = _check_count("n_steps", n_steps)
    k = check_number("stiffness", stiffness, low=0, low_ok=False)
    eta = check_number("step", step, low=0, low_ok=False)
    gamma = check_number("damping", damping, low=0, low_ok=True)
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2; got {order!r}")
    _check_stable(k, eta, gamma, order)
    forward = _check_level("friction", friction)
    backward = (
        forward
        if friction_backward is None
        else _check_level("friction_backward", friction_backward)
    )
    sigma = _check_level("noise", noise)
    try:
        shape = np.broadcast_shapes(forward.shape, backward.shape, sigma.shape)
    except ValueError:
        raise ValueError(
            "friction, friction_backward and noise cannot be broadcast: their shapes are "
            f"{forward.shape}, {backward.shape} and {sigma.shape}"
        ) from None
    forward, backward, sigma = (a[..., None] for a in (forward, backward, sigma))

    rng = check_random_state(random_state)
    x = np.zeros((*shape, L + 2))
    x[..., -1] = 1.0
    v = np.zeros((*shape, L))
    mean = np.zeros_like(x)
    first_averaged = steps // 2
    for t in range(steps):
        force = k * (x[..., 2:] - 2 * x[..., 1:-1] + x[..., :-2])
        if sigma.any():
            force += sigma * rng.standard_normal(v.shape)
        if order == 2:
            force += v * (1 / eta - gamma)
        force -= np.clip(force, -backward, forward)
        v = eta * force
        x[..., 1:-1] += v if order == 1 else eta * v
        if t >= first_averaged:
            mean += x
    mean /= steps - first_averaged
    return PulledChain(x, np.diff(mean))


def load_balance(loads: ArrayLike) -> NDArray[Any]:
    """Return where the load lies: 0 for an even one, 1 (-1) if all is on the last (first) layer.

    The mean place of the load, ``sum_l t_l d_l / sum_l d_l`` with ``t_l`` from -1 to 1 in even
    steps. A deep network that learns in its last layers has a positive balance.

    Parameters
    ----------
    loads : array-like of shape (..., n_layers)
        Of two layers or more, from the first to the last; of a chain or of :func:`data_separation`.
        Of single signs, or the result may lie outside -1 to 1.

    Returns
    -------
    ndarray of shape (...)
        NaN where the loads sum to 0.

    Raises
    ------
    ValueError
        For loads of fewer than two layers.

    See Also
    --------
    pull_chain : Loads of a chain of springs and blocks.

    Examples
    --------
    >>> from fastrfm.separation import load_balance
    >>> load_balance([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    array([0. , 0.5, 1. ])
    """
    d = np.asarray(loads, dtype=np.float64)
    if d.ndim == 0 or d.shape[-1] < 2:
        raise ValueError(f"loads must be of 2 layers or more; got shape {d.shape}")
    with np.errstate(invalid="ignore", divide="ignore"):
        balance: NDArray[Any] = d @ np.linspace(-1, 1, d.shape[-1]) / d.sum(axis=-1)
    return np.where(np.isfinite(balance), balance, np.nan)


def _check_count(name: str, value: Any) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer; got {value!r} ({type(value).__name__})")
    if value < 1:
        raise ValueError(f"{name} must be at least 1; got {value}")
    return int(value)


def _check_level(name: str, value: ArrayLike) -> Array:
    """Return a friction or a noise level as float64."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be real numbers; got dtype {array.dtype}")
    array = array.astype(np.float64)
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        raise ValueError(f"{name} must be at least 0 and finite; got {array[bad].flat[0]:g}")
    return array


def _check_stable(k: float, eta: float, gamma: float, order: int) -> None:
    """Refuse steps at which a chain without friction would blow up.

    The stretched chain's stiffest vibration has the eigenvalue 4 k at most. The first order
    multiplies it by ``1 - 4 k step`` in each step; the second, with the velocity's damping taken at
    its start, is stable for ``2 k step^2 + damping step < 2`` (the Jury criterion: the map
    x'' - (2 - a - b) x' + (1 - b) x with a = 4 k step^2, b = damping step needs a + 2 b < 4).
    """
    growth = 4 * k * eta if order == 1 else (4 * k * eta**2 + 2 * gamma * eta) / 2
    if growth >= 2:
        limit = "4 * stiffness * step" if order == 1 else "2 * stiffness * step^2 + damping * step"
        raise ValueError(
            f"step {eta:g} is too long for stiffness {k:g}"
            + (f" and damping {gamma:g}" if order == 2 else "")
            + f": {limit} is {growth:g} and must be below 2; take a shorter step"
        )
