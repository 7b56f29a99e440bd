"""Recursive Feature Machines at hardware speed."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastrfm._version import __version__
from fastrfm.checkpoints import CheckpointError
from fastrfm.config import show_config
from fastrfm.estimators import (
    RFMClassifier,
    RFMRegressor,
    TreeRFMClassifier,
    TreeRFMRegressor,
)
from fastrfm.gradients import agop, gradients
from fastrfm.kernels import kernel_matmul, kernel_matrix
from fastrfm.persistence import ModelFileError, load
from fastrfm.ridge import solve_ridge

if TYPE_CHECKING:
    from fastrfm.displays import (
        EigenvectorDisplay,
        FeatureImportanceDisplay,
        MetricDisplay,
        TrainingDisplay,
    )

__all__ = [
    "CheckpointError",
    "EigenvectorDisplay",
    "FeatureImportanceDisplay",
    "MetricDisplay",
    "ModelFileError",
    "RFMClassifier",
    "RFMRegressor",
    "TrainingDisplay",
    "TreeRFMClassifier",
    "TreeRFMRegressor",
    "__version__",
    "agop",
    "gradients",
    "kernel_matmul",
    "kernel_matrix",
    "load",
    "show_config",
    "solve_ridge",
]


def __getattr__(name: str) -> Any:
    """Import a display when it is first asked for."""
    if name.endswith("Display") and name in __all__:
        return getattr(import_module("fastrfm.displays"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
