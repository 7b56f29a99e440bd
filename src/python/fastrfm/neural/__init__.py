"""The average gradient outer product of any PyTorch model (the extra `torch`).

The Neural Feature Ansatz: in a trained network, ``W^T W`` of a linear map and the average gradient
outer product with respect to that map's input are nearly proportional [1]_.

References
----------
.. [1] Radhakrishnan, Beaglehole, Pandit, Belkin, Science 2024, doi:10.1126/science.adi5639.
"""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError(
        "fastrfm.neural needs PyTorch, which is not installed: pip install 'fastrfm[torch]'"
    ) from error

from fastrfm.neural.ansatz import agop, linear_layers, neural_feature_correlation, nfm

__all__ = ["agop", "linear_layers", "neural_feature_correlation", "nfm"]
