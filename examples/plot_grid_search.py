"""
A grid search over bandwidth and ridge
======================================

The defaults choose their parameters inside ``fit``, by leave-one-out. Where you want to choose by
cross-validation instead, or look at how much a parameter matters, the estimators work with
:class:`sklearn.model_selection.GridSearchCV` and in pipelines like any other.
"""

# %%
# A pipeline with principal components before a machine whose parameters are all fixed but two.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from fastrfm import RFMClassifier

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)

pipeline = Pipeline(
    [
        ("scale", StandardScaler()),
        ("pca", PCA(n_components=10)),
        ("rfm", RFMClassifier(norm=2, exponent=1, n_iter=2, random_state=0)),
    ]
)
grid = {
    "rfm__bandwidth": ["0.5*median", "1*median", "2*median", "4*median", "8*median"],
    "rfm__alpha": [1e-3, 1e-2, 1e-1, 1.0],
}
search = GridSearchCV(pipeline, grid, scoring="neg_log_loss", cv=3).fit(X_train, y_train)
print(f"chosen: {search.best_params_}")
print(f"log-loss: {-search.best_score_:.4f} in cross-validation, ", end="")
print(f"{-search.score(X_test, y_test):.4f} on test rows")

# %%
# A bandwidth in multiples of the median distance keeps its meaning when the metric changes. The
# ridge matters more than the bandwidth here, and between several medians there is little to choose:
# that the best lies at the end of the grid says little.

losses = -search.cv_results_["mean_test_score"].reshape(4, 5)  # alpha, bandwidth
figure, ax = plt.subplots(figsize=(5.6, 4.4), layout="constrained")
image = ax.imshow(losses, cmap="viridis_r", vmax=np.quantile(losses, 0.9))
ax.set_xticks(range(5), [text.split("*")[0] for text in grid["rfm__bandwidth"]])
ax.set_yticks(range(4), [f"{alpha:g}" for alpha in grid["rfm__alpha"]])
for (row, column), loss in np.ndenumerate(losses):
    color = "black" if loss < np.quantile(losses, 0.4) else "white"
    ax.text(column, row, f"{loss:.3f}", ha="center", va="center", color=color)
ax.set_xlabel("bandwidth, in medians of the distance")
ax.set_ylabel("alpha")
ax.set_title("Log-loss in cross-validation")
figure.colorbar(image, ax=ax, shrink=0.8)

# %%
# The same pipeline with the defaults, which fits once instead of 61 times.

default = Pipeline([("scale", StandardScaler()), ("pca", PCA(10)), ("rfm", RFMClassifier())])
default.set_params(rfm__random_state=0).fit(X_train, y_train)
search_loss = -search.score(X_test, y_test)
probabilities = default.predict_proba(X_test)[np.arange(len(y_test)), y_test]
print(f"log-loss on test rows: defaults {-np.log(probabilities).mean():.4f}, ", end="")
print(f"grid search {search_loss:.4f}")
plt.show()
