"""scikit-learn estimators of the Recursive Feature Machine."""

from fastrfm.estimators.classifier import RFMClassifier
from fastrfm.estimators.regressor import RFMRegressor
from fastrfm.estimators.tree_classifier import TreeRFMClassifier
from fastrfm.estimators.tree_regressor import TreeRFMRegressor

__all__ = ["RFMClassifier", "RFMRegressor", "TreeRFMClassifier", "TreeRFMRegressor"]
