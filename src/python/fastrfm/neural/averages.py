"""Sums of outer products of gradients, for several linear maps in the same passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.func import vjp, vmap

from fastrfm.neural.batches import batches, call
from fastrfm.neural.maps import LinearMap
from fastrfm.neural.taps import tapped

Tensor: TypeAlias = torch.Tensor

# Numbers of all gradients held at once: outputs are taken in groups as large as this allows. 2^24
# of float32 are 64 MiB; backward passes hold a few times that. On a 2-core machine, an MLP of
# 784-1024-1024-10 and 2,000 images took 1.8 s with 2^20 and 1.0 s with 2^22 to 2^26.
GRADIENTS_AT_ONCE = 2**24


def averages(
    model: nn.Module,
    maps: Sequence[LinearMap],
    data: Any,
    *,
    batch_size: int,
    output: Callable[[Any], Tensor] | None,
    output_samples: int | None,
    seed: int,
) -> dict[str, Tensor]:
    """Return the AGOP of each map that takes part, by name: see :func:`fastrfm.neural.agop`."""
    sums = {one.name: OuterProducts(one) for one in maps}
    generator = torch.Generator().manual_seed(seed)
    n_all = 0
    for n, batch in batches(data, batch_size, model):
        if n == 0:
            continue
        n_all += n
        for name, gradients in gradients_of(
            model, set(sums), batch, n, output, output_samples, generator
        ):
            sums[name].add(gradients)
    if n_all == 0:
        raise ValueError("data has no examples")
    return {name: one.result() / n_all for name, one in sums.items() if one.total is not None}


class OuterProducts:
    """``W^T (sum g g^T) W`` over the gradients g with respect to ``W h``."""

    def __init__(self, one: LinearMap) -> None:
        self.map = one
        self.weight = one.weight.double()
        # As m x m matrices of g, or as d x d ones of W^T g: whichever are smaller.
        self.in_outputs = one.weight.shape[1] <= one.weight.shape[2]
        self.total: Tensor | None = None

    def add(self, gradients: Tensor) -> None:
        """Add gradients shaped as the map's output, with any axes before."""
        rows = self.map.rows(gradients)
        if not self.in_outputs:
            rows = rows @ self.map.weight
        products = (rows.transpose(1, 2) @ rows).double()
        self.total = products if self.total is None else self.total + products

    def result(self) -> Tensor:
        """Return the sum in the space of the map's input."""
        assert self.total is not None
        total = self.total
        if self.in_outputs:
            total = self.weight.transpose(1, 2) @ total @ self.weight
        total = total.sum(dim=0)
        return ((total + total.T) / 2).to(self.map.weight.dtype)


def gradients_of(
    model: nn.Module,
    names: set[str],
    batch: Any,
    n: int,
    output: Callable[[Any], Tensor] | None,
    output_samples: int | None,
    generator: torch.Generator,
) -> Iterator[tuple[str, Tensor]]:
    """Yield gradients of the outputs with respect to what the named maps return, in groups.

    A map may run several times. Each run's result y becomes ``y + delta``, and the gradients at
    ``delta = 0`` are those with respect to y. As examples do not interact, one backward pass gives
    the gradients of one output for all of them.
    """
    # Outside of vjp no graph is wanted, whatever the parameters require.
    with torch.no_grad():
        runs: list[str] = []
        deltas: list[Tensor] = []

        def record(name: str, y: Tensor) -> Tensor:
            if name in names:
                runs.append(name)
                deltas.append(torch.zeros_like(y))
            return y

        with tapped(model, record):
            example = outputs_of(call(model, batch), output, n)
        if not runs:
            return

        def shifted(*given: Tensor) -> Tensor:
            waiting = iter(given)
            with tapped(model, lambda name, y: y + next(waiting) if name in names else y):
                return outputs_of(call(model, batch), output, n)

        pull = vjp(shifted, *deltas)[1]
        at_once = max(1, GRADIENTS_AT_ONCE // sum(delta.numel() for delta in deltas))
        for directions in mixtures(example, output_samples, generator, at_once):
            # vmap of one is left out: not every operation's backward can be batched.
            single = len(directions) == 1
            pulled = pull(directions[0]) if single else vmap(pull)(directions)
            yield from zip(runs, pulled, strict=True)


def mixtures(
    example: Tensor, samples: int | None, generator: torch.Generator, at_once: int
) -> Iterator[Tensor]:
    """Yield mixtures of the outputs, (k, n, c), in groups of up to `at_once`.

    Each output on its own; or, of more outputs than `samples`, mixtures by random signs.
    """
    n, c = example.shape
    exact = samples is None or samples >= c
    count = c if exact or samples is None else samples
    for start in range(0, count, at_once):
        k = min(at_once, count - start)
        if exact:
            chosen = example.new_zeros(k, c)
            chosen[torch.arange(k), torch.arange(start, start + k)] = 1
            yield chosen[:, None].expand(k, n, c)
        else:
            signs = torch.randint(0, 2, (k, n, c), generator=generator) * 2 - 1
            yield signs.to(example) / math.sqrt(count)


def outputs_of(returned: Any, output: Callable[[Any], Tensor] | None, n: int) -> Tensor:
    """Return a model's outputs as (n, c)."""
    if output is not None:
        tensor = output(returned)
    elif hasattr(returned, "logits"):
        tensor = returned.logits
    else:
        tensor = returned[0] if isinstance(returned, tuple) else returned
    if not isinstance(tensor, torch.Tensor):
        if output is not None:
            raise TypeError(f"output must return a tensor; got {type(tensor).__name__}")
        raise TypeError(
            f"the model returns {type(returned).__name__}; give output, a function that makes a "
            "tensor of it"
        )
    if tensor.ndim == 0 or len(tensor) != n:
        raise ValueError(
            f"the model's outputs must have the {n} examples of a batch along their first axis; "
            f"got shape {tuple(tensor.shape)}"
        )
    return tensor.reshape(n, -1)
