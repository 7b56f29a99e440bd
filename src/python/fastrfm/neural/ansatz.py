"""`agop`, `nfm` and `neural_feature_correlation` of a PyTorch model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state, check_scalar
from torch import nn

from fastrfm.neural.averages import averages
from fastrfm.neural.maps import KINDS, LinearMap, find_map, linear_maps, maps_of
from fastrfm.outputs import check_output_samples, draw_seed
from fastrfm.validation import check_number

__all__ = ["agop", "linear_layers", "neural_feature_correlation", "nfm"]

Output = Callable[[Any], torch.Tensor]
RandomState = int | np.random.RandomState | None


def agop(
    model: nn.Module,
    layer: nn.Module | str,
    data: Any,
    *,
    batch_size: int = 128,
    output: Output | None = None,
    output_samples: int | None = None,
    random_state: RandomState = None,
) -> torch.Tensor:
    """Average gradient outer product with respect to the input of one linear map of a model.

    ``G = (1/n) sum_i sum_p sum_l grad f_l(x_i) grad f_l(x_i)^T``, the gradient of output l being
    that with respect to ``h_p(x_i)``, which enters the map in place p: there is one place in a
    multilayer perceptron, one for each patch in a convolution (the patch is then h), one for each
    token in a transformer and one for each time in a recurrent network [1]_ [2]_. Of an input that
    enters several maps, what comes through this one counts.

    The gradients with respect to ``y = W h`` are taken, by :func:`torch.func.vjp` under
    :func:`torch.func.vmap`, for some examples and outputs at a time; as ``grad_h = W^T grad_y``,
    their outer products are summed in the smaller of the two spaces and in float64. The gradients
    of all examples and outputs are never stored.

    Parameters
    ----------
    model : torch.nn.Module
        Run in evaluation mode, so that examples do not interact; its mode is restored.
    layer : torch.nn.Module or str
        The map: a module of `model` or its name, or one of the names of :func:`linear_layers`.
    data : ndarray, Tensor, mapping of them, or iterable
        The examples, along the first axis: an array or tensor for ``model(data)``, a mapping for
        ``model(**data)``; or an iterable of such batches. Of a batch that is a tuple or list, as a
        DataLoader's (inputs, targets), the first is taken. Floating-point data are converted to the
        model's dtype, others are left as they are.
    batch_size : int
        Examples at once, where `data` does not come in batches.
    output : callable, optional
        Makes of what the model returns a tensor whose first axis are the examples; the rest are the
        outputs. By default the tensor itself, ``logits`` where it has such an attribute, or the
        first of a tuple.
    output_samples : int, optional
        Estimate G, without bias, from this many mixtures of the outputs by random signs for each
        example, instead of from each output: for language models, whose outputs are many.
    random_state : int or RandomState, optional
        Draws the signs.

    Returns
    -------
    G : Tensor of shape (d, d)
        Of the weight's dtype and on its device. For a convolution d is the size of a patch,
        channels first as in its weight.

    Raises
    ------
    TypeError
        For arguments of another type.
    ValueError
        If `layer` is not a linear map of the model or does not take part in its outputs, or for
        data without examples.

    See Also
    --------
    nfm : ``W^T W``, to compare with.
    fastrfm.agop : That of a kernel machine.

    References
    ----------
    .. [1] Radhakrishnan, Beaglehole, Pandit, Belkin, Science 2024, doi:10.1126/science.adi5639.
    .. [2] Beaglehole, Radhakrishnan, Pandit, Belkin, "Mechanism of feature learning in
       convolutional neural networks", arXiv:2309.00570, for patches.
    """
    found = find_map(model, layer)
    sums = averages(
        model,
        [found],
        data,
        batch_size=_check_batch_size(batch_size),
        output=output,
        output_samples=check_output_samples("output_samples", output_samples),
        seed=_seed(output_samples, random_state),
    )
    if found.name not in sums:
        raise ValueError(f"layer {found.name!r} takes no part in what the model makes of data")
    return sums[found.name]


def nfm(layer: nn.Module | torch.Tensor) -> torch.Tensor:
    """Neural feature matrix ``W^T W`` of a linear map, in the space of its input.

    Parameters
    ----------
    layer : torch.nn.Module or Tensor of shape (m, d, ...)
        A linear or convolutional module, or a weight itself, as of a recurrent module:
        ``nfm(rnn.weight_hh_l0)``. A convolution's input is a patch, its groups are added up.

    Returns
    -------
    F : Tensor of shape (d, d)

    Raises
    ------
    TypeError
        For what is no module or tensor.
    ValueError
        For a module that has no linear map of its own, or several.

    See Also
    --------
    agop : What it is nearly proportional to in a trained network.
    """
    if isinstance(layer, torch.Tensor):
        if layer.ndim < 2:
            raise ValueError(f"a weight must have 2 or more axes; got shape {tuple(layer.shape)}")
        return _nfm(LinearMap("", layer.detach().flatten(1)[None]))
    if not isinstance(layer, nn.Module):
        raise TypeError(f"layer must be a module or its weight; got {type(layer).__name__}")
    found = maps_of("", layer)
    if not found:
        raise ValueError(f"{type(layer).__name__} is no linear map; those known are of {KINDS}")
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise ValueError(f"{type(layer).__name__} has several linear maps; give one of {names}")
    return _nfm(found[0])


def linear_layers(model: nn.Module) -> list[str]:
    """Return the names of the linear maps of a model, in the order of its modules.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    names : list of str
        A module's name where it is one linear map. Those of recurrent modules end in the weight's
        name (``rnn.weight_hh_l0``), those of :class:`torch.nn.MultiheadAttention` in
        ``q_proj_weight``, ``k_proj_weight``, ``v_proj_weight`` and ``out_proj``.

    Raises
    ------
    TypeError
        If `model` is no module.
    ValueError
        If it has no linear map.
    """
    return list(linear_maps(model))


def neural_feature_correlation(
    model: nn.Module,
    data: Any,
    *,
    layers: Sequence[nn.Module | str] | None = None,
    power: float = 1.0,
    batch_size: int = 128,
    output: Output | None = None,
    output_samples: int | None = None,
    random_state: RandomState = None,
) -> dict[str, float]:
    """How well the Neural Feature Ansatz holds in each linear map of a model.

    The cosine ``<F, G^s> / (|F| |G^s|)`` of the neural feature matrix ``F = W^T W`` and the
    average gradient outer product G with respect to the map's input, to the power s [1]_. All maps
    share the same passes through the model.

    Parameters
    ----------
    model : torch.nn.Module
    data : ndarray, Tensor, mapping of them, or iterable
        As for :func:`agop`.
    layers : sequence of modules or str, optional
        As for :func:`agop`; by default all of :func:`linear_layers`.
    power : float
        s > 0; the ansatz is often better at 1/2.
    batch_size, output, output_samples, random_state
        As for :func:`agop`. Where `output_samples` is given, the estimate of G makes the cosine
        smaller.

    Returns
    -------
    correlations : dict of str to float
        From 0 to 1, by the map's name; NaN where one of the matrices is 0. Maps that take no part
        in the outputs are left out, unless they are named in `layers`.

    Raises
    ------
    TypeError
        For arguments of another type.
    ValueError
        As for :func:`agop`; for a `power` that is not positive.

    See Also
    --------
    agop : G.
    nfm : F.

    References
    ----------
    .. [1] Radhakrishnan, Beaglehole, Pandit, Belkin, Science 2024, doi:10.1126/science.adi5639.
    """
    s = check_number("power", power, low=0, low_ok=False)
    if layers is None:
        maps = list(linear_maps(model).values())
    else:
        maps = list({one.name: one for one in (find_map(model, name) for name in layers)}.values())
    sums = averages(
        model,
        maps,
        data,
        batch_size=_check_batch_size(batch_size),
        output=output,
        output_samples=check_output_samples("output_samples", output_samples),
        seed=_seed(output_samples, random_state),
    )
    unused = [one.name for one in maps if one.name not in sums]
    if unused and (layers is not None or not sums):
        raise ValueError(f"layer {unused[0]!r} takes no part in what the model makes of data")
    return {
        one.name: _cosine(_nfm(one), _power(sums[one.name], s)) for one in maps if one.name in sums
    }


def _check_batch_size(batch_size: Any) -> int:
    return int(check_scalar(batch_size, "batch_size", Integral, min_val=1))


def _seed(output_samples: int | None, random_state: RandomState) -> int:
    return 0 if output_samples is None else draw_seed(check_random_state(random_state))


def _nfm(one: LinearMap) -> torch.Tensor:
    flat = one.weight.flatten(0, 1)
    return flat.T @ flat


def _power(G: torch.Tensor, power: float) -> torch.Tensor:
    if power == 1:
        return G
    values, vectors = torch.linalg.eigh(G.double())
    return (vectors * values.clamp(min=0) ** power) @ vectors.T


def _cosine(F: torch.Tensor, G: torch.Tensor) -> float:
    F, G = F.double(), G.double()
    return float((F * G).sum() / (F.norm() * G.norm()))
