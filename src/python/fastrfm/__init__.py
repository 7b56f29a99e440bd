"""Recursive Feature Machines at hardware speed."""

from fastrfm._version import __version__
from fastrfm.config import show_config
from fastrfm.estimators import RFMClassifier, RFMRegressor
from fastrfm.gradients import agop, gradients
from fastrfm.kernels import kernel_matmul, kernel_matrix
from fastrfm.persistence import ModelFileError, load
from fastrfm.ridge import solve_ridge

__all__ = [
    "ModelFileError",
    "RFMClassifier",
    "RFMRegressor",
    "__version__",
    "agop",
    "gradients",
    "kernel_matmul",
    "kernel_matrix",
    "load",
    "show_config",
    "solve_ridge",
]
