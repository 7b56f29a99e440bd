"""Fitted trees whose leaves predict on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.utils.validation import check_is_fitted

from fastrfm.estimators.base import BaseRFM
from fastrfm.estimators.leaves import ConstantLeaf
from fastrfm.estimators.tree_fit import FittedTree

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MovableLeaves"]


class MovableLeaves:
    """What tree estimators know of the device that they predict on: what their leaves know.

    Attributes
    ----------
    trees_ : list of FittedTree
    """

    trees_: list[FittedTree]

    @property
    def device_(self) -> str:
        """Where the leaves predict: "cpu" or "cuda"."""
        return next((leaf.device_ for leaf in self._plain_leaves()), "cpu")

    def to_device(self, device: str) -> Self:
        """Move a fitted estimator: where its leaves predict from now on.

        Parameters
        ----------
        device : {"cpu", "cuda"}
            "cuda" is CuPy's current device; the centres of all leaves stay in its memory.

        Returns
        -------
        self : object

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        ValueError
            For another device.
        RuntimeError
            If CUDA cannot be used: says what is missing.
        MemoryError
            If the centres do not fit on the device; no leaf has moved then.
        """
        check_is_fitted(self)
        leaves = self._plain_leaves()
        before = [(leaf.device_, leaf._placed) for leaf in leaves]
        for moved, leaf in enumerate(leaves):
            try:
                leaf.to_device(device)
            except BaseException:
                for other, (device, placed) in zip(leaves[:moved], before, strict=False):
                    other.device_, other._placed = device, placed
                raise
        return self

    def _plain_leaves(self) -> list[BaseRFM]:
        check_is_fitted(self)
        leaves = [leaf for tree in self.trees_ for leaf in tree.leaves]
        return [leaf for leaf in leaves if not isinstance(leaf, ConstantLeaf)]
