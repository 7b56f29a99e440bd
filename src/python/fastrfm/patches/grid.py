"""Patches of images on a grid, and which of them are compared with which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Grid:
    """Where patches lie in an image, and their neighbours.

    Attributes
    ----------
    height, width, channels : int
        Of an image.
    size : int
        A patch has this many rows and columns, or as many as there are.
    stride : int
        Pixels from one patch to the next.
    shift : int
        Patches up to this many steps apart, in each direction, are compared.
    """

    height: int
    width: int
    channels: int
    size: int
    stride: int
    shift: int

    @property
    def patch_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of a patch."""
        return min(self.size, self.height), min(self.size, self.width), self.channels

    @property
    def shape(self) -> tuple[int, int]:
        """Patches in a column and in a row."""
        rows, columns, _ = self.patch_shape
        return (self.height - rows) // self.stride + 1, (self.width - columns) // self.stride + 1

    def patches(self, images: Array) -> Array:
        """Return the patches of images (n, height * width * channels) as (places, n, patch)."""
        n = len(images)
        rows, columns, channels = self.patch_shape
        pixels = images.reshape(n, self.height, self.width, self.channels)
        windows = np.lib.stride_tricks.sliding_window_view(pixels, (rows, columns), axis=(1, 2))
        windows = windows[:, :: self.stride, :: self.stride]  # (n, places, channels, patch)
        places = np.moveaxis(windows, 3, -1).reshape(n, -1, rows * columns * channels)
        return np.ascontiguousarray(places.transpose(1, 0, 2))

    @cached_property
    def neighbours(self) -> list[list[tuple[int, float]]]:
        """For each place those that it is compared with, and the weights.

        The weight falls linearly with the distance along each axis, and is 0 just beyond `shift`
        steps: such a tent is positive definite, and so is the kernel.
        """
        return [list(self._around(a, b)) for a, b in np.ndindex(self.shape)]

    def _around(self, a: int, b: int) -> Iterator[tuple[int, float]]:
        steps = range(-self.shift, self.shift + 1)
        for u, v in ((u, v) for u in steps for v in steps):
            if 0 <= a + u < self.shape[0] and 0 <= b + v < self.shape[1]:
                reach = self.shift + 1
                weight = (1 - abs(u) / reach) * (1 - abs(v) / reach)
                yield (a + u) * self.shape[1] + b + v, weight
