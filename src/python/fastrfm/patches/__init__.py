"""Recursive Feature Machines of images, whose metric is one of patches.

The kernel of two images is a sum of kernels of their patches, and what is learned is one metric for
all patches: the average gradient outer product over patches, which a convolution's filters come to
agree with in a trained network [1]_.

References
----------
.. [1] Beaglehole, Radhakrishnan, Pandit, Belkin, "Mechanism of feature learning in convolutional
   neural networks", arXiv:2309.00570.
"""

from fastrfm.patches.estimators import PatchRFMClassifier, PatchRFMRegressor

__all__ = ["PatchRFMClassifier", "PatchRFMRegressor"]
