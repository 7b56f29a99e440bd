"""A model whose linear maps' outputs pass through a function of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

try:
    from torch.nn import attention
except ImportError:  # PyTorch 2.1
    attention = None

from fastrfm.neural.maps import CONVOLUTIONS, is_transformers_conv1d
from fastrfm.neural.multihead import attention_forward
from fastrfm.neural.recurrent import cell_forward, rnn_forward

Tap = Callable[[str, torch.Tensor], torch.Tensor]


@contextmanager
def tapped(model: nn.Module, tap: Tap) -> Iterator[None]:
    """Let `model`, in evaluation mode, put ``tap(name, y)`` in the place of y of each linear map.

    All is as it was on leaving, modes included.
    """
    with ExitStack() as stack:
        stack.enter_context(evaluation_mode(model))
        stack.enter_context(plain_operations())
        for name, module in model.named_modules():
            plain = isinstance(module, (nn.Linear, *CONVOLUTIONS))
            if plain or is_transformers_conv1d(module):
                hook = module.register_forward_hook(partial(_tap_output, tap, name))
                stack.callback(hook.remove)
            forward: Any = None
            if isinstance(module, nn.RNNBase):
                forward = rnn_forward
            elif isinstance(module, nn.RNNCellBase):
                forward = cell_forward
            elif isinstance(module, nn.MultiheadAttention):
                forward = attention_forward
            if forward is not None:
                inner = partial(_tap_inner, tap, f"{name}." if name else "")
                stack.enter_context(replaced_forward(module, partial(forward, module, inner)))
        yield


def _tap_output(tap: Tap, name: str, module: nn.Module, args: Any, output: Any) -> Any:
    return tap(name, output)


def _tap_inner(tap: Tap, prefix: str, name: str, output: torch.Tensor) -> torch.Tensor:
    return tap(prefix + name, output)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Dropout off, and batch normalisation by its running means: examples do not interact."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def plain_operations() -> Iterator[None]:
    """Keep PyTorch from operations that call no module, or whose backward has no batched form.

    The first is a transformer layer in one operation, the other attention in blocks.
    """
    with ExitStack() as stack:
        switch = getattr(torch.backends, "mha", None)
        if switch is not None:  # PyTorch 2.1 does so by itself, where gradients are taken
            stack.callback(switch.set_fastpath_enabled, switch.get_fastpath_enabled())
            switch.set_fastpath_enabled(False)
        if hasattr(attention, "sdpa_kernel"):  # from PyTorch 2.3; vmap falls back to a loop before
            stack.enter_context(attention.sdpa_kernel(attention.SDPBackend.MATH))
        yield


@contextmanager
def replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Let `module` run `forward`, for a while."""
    before = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before
