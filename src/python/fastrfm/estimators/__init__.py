"""scikit-learn estimators of the Recursive Feature Machine."""

from fastrfm.estimators.classifier import RFMClassifier
from fastrfm.estimators.regressor import RFMRegressor

__all__ = ["RFMClassifier", "RFMRegressor"]
