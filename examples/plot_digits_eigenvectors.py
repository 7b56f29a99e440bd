"""
What a classifier of digits looks at
====================================

The eigenvectors of the average gradient outer product (AGOP) are the directions in which the
prediction changes most. Where the features are pixels they are images.
"""

# %%
# 1,797 handwritten digits of 8 by 8 pixels. One machine with a full metric is enough here; the
# default would add others, three of four times as slow to fit.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastrfm import RFMClassifier
from fastrfm.displays import EigenvectorDisplay, FeatureImportanceDisplay

X, y = load_digits(return_X_y=True)
X = X.astype(np.float32)  # float32 in, float32 throughout: twice as fast
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
model = RFMClassifier(norm=2, random_state=0).fit(X_train, y_train)
print(f"{model.score(X_test, y_test):.1%} of {len(y_test)} test images are classified correctly")

# %%
# Which pixels matter
# -------------------
# Almost all pixels vary about as much, but few of them tell the digits apart: ink at the upper
# right and in the lower middle says most.

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
left.imshow(X_train.std(axis=0).reshape(8, 8), cmap="cividis", vmin=0)
left.set_title("Standard deviation of each pixel")
left.set_xticks([])
left.set_yticks([])
FeatureImportanceDisplay.from_estimator(model, image_shape=(8, 8), ax=right)

# %%
# In which directions the classifier changes
# ------------------------------------------
# Red and blue strokes act against each other: ink that moves from a blue to a red place changes
# the scores of the classes most. The sign of a whole image means nothing.

EigenvectorDisplay.from_estimator(model, image_shape=(8, 8))
plt.show()
