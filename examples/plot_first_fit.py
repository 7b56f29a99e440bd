"""
A first fit: a table with categories and missing values
=======================================================

A frame as it comes, with a column of strings and gaps, is fitted without preparation. Then we
look at what the model learned: which features matter, and in which directions the prediction
changes.
"""

# %%
# The data
# --------
# 442 diabetes patients, ten measurements each, and how far the disease had progressed a year
# later. To make it look like a table from practice, sex becomes a string and every tenth blood
# pressure is lost.

import matplotlib.pyplot as plt
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold, cross_val_score, train_test_split

from fastrfm import RFMRegressor
from fastrfm.displays import FeatureImportanceDisplay, MetricDisplay, TrainingDisplay

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X["sex"] = X["sex"].map({1.0: "female", 2.0: "male"}).astype("category")
X.loc[::10, "bp"] = None
X.head()

# %%
# The fit
# -------
# Nothing is chosen by hand. A column of categories (or of strings) is a category, a gap stays a
# gap. The score is R², as for every regressor of scikit-learn.

X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=3)
model = RFMRegressor(random_state=0).fit(X_train, y_train)
print(f"R² on {len(y_test)} test rows: {model.score(X_test, y_test):.2f}")

# %%
# So few test rows are an unsure judge. Cross-validation uses each row once, here also for
# gradient-boosted trees, which take the same table.

folds = KFold(5, shuffle=True, random_state=0)
for candidate in (
    RFMRegressor(random_state=0),
    HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0),
):
    scores = cross_val_score(candidate, X, y, cv=folds)
    print(f"{type(candidate).__name__:30s} R² {scores.mean():.2f}, folds {scores.round(2)}")

# %%
# What it is made of
# ------------------
# By default several machines are fitted, which differ in kernel and in how they see the columns,
# and added up by weights. Those that do not help get no weight and are dropped.

for member, weight in zip(model.members_, model.member_weights_, strict=True):
    kind = "diagonal" if member.metric_.ndim == 1 else "full"
    print(
        f"weight {weight:.2f}: norm {member.norm_:g}, exponent {member.exponent_:g}, "
        f"{kind} metric, ridge {member.alpha_:g}, {member.best_iter_} updates of the metric"
    )

# %%
# What it learned
# ---------------
# Each bar is the share of a feature in the trace of the average gradient outer product: how much
# the prediction changes when the feature does. The lines are a standard error to each side, from
# fits to random halves of the rows: which of two close features matters more is not certain.

FeatureImportanceDisplay.from_estimator(model, X_train, y_train)

# %%
# The metric says more: its diagonal is the weight of each encoded feature in the distance, an entry
# off the diagonal says that two features push the prediction the same way (red), or that one makes
# up for the other (blue). A category has a column for each level, and blood pressure one more that
# says where it is missing. A single machine is fitted here, so that what is shown is all there is.

full = RFMRegressor(norm=2, diagonal=False, random_state=0).fit(X_train, y_train)
MetricDisplay.from_estimator(full)

# %%
# And how the fit went, by the number of times that the metric was learned anew: the error is that
# of leave-one-out. Iteration 0 is kernel ridge regression without a learned metric.

TrainingDisplay.from_estimator(full)
plt.show()
