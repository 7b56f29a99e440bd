"""matplotlib displays of what was learned, in scikit-learn's Display convention.

Each has a ``from_estimator`` that computes and plots, a ``plot`` that plots what it was
constructed with, and keeps what it drew in ``figure_`` and ``ax_`` (or ``axes_``).
matplotlib (the extra ``plot``) is imported when something is plotted, not before.
"""

from fastrfm.displays.eigenvectors import EigenvectorDisplay
from fastrfm.displays.importance import FeatureImportanceDisplay
from fastrfm.displays.metric import MetricDisplay
from fastrfm.displays.training import TrainingDisplay

__all__ = ["EigenvectorDisplay", "FeatureImportanceDisplay", "MetricDisplay", "TrainingDisplay"]
