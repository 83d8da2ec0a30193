"""
Which labels did the annotators get wrong, and does it help to drop them?
=========================================================================

People who label pictures make mistakes, and a model that learns from them learns these too.  DIVA
fits a linear head on fixed features and says, from one solution and exactly, what a head without
each example would say of it; what more weight on the example would do to the others; and, where a
pool waits, which of it to add.

The data are real: pictures of handwritten digits that come with scikit-learn.  Their labels are
right, so we break one in five of those to learn from, and know which.
"""

# %%
# 1,200 digits to learn from, 597 to test on with right labels.  A linear head needs features in
# which the classes are apart; random Fourier features are cheap ones.

import matplotlib.pyplot as plt
import numpy as np

from makedo import DatasetDerivative, LabelIssueFinder
from makedo.data import catalog

digits, rng = catalog.load("digits"), np.random.default_rng(0)
order = rng.permutation(len(digits.y))
waves = digits.X / 16 @ rng.normal(size=(64, 400)) + rng.uniform(0, 2 * np.pi, 400)
X, X_test = np.cos(waves)[order[:1200]], np.cos(waves)[order[1200:]]
right, y_test = digits.y[order[:1200]], digits.y[order[1200:]]
broken = rng.random(1200) < 0.2
y = np.where(broken, (right + rng.integers(1, 10, 1200)) % 10, right)

# %%
# **Would acting help?**  ``diagnose`` knows nothing of right labels.  It breaks some more, drops
# what looks wrong, and tests on rows that were held back.

print(DatasetDerivative().diagnose(X, y))

# %%
# **Which labels are wrong?**  The margin compares the given label with the best other one, each row
# predicted without itself.  The derivative asks another question: does the row harm the others?

finder = LabelIssueFinder().fit(X, y)
model = DatasetDerivative().fit(X, y)
print(finder.verdict_)
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for ax, values, name in (
    (axes[0], finder.scores_, "margin: other label less the given one"),
    (axes[1], 1e4 * model.gradient_, "derivative, 1e-4: harms the others"),
):
    ax.hist([values[~broken], values[broken]], 40, stacked=True, label=["right", "broken by us"])
    ax.set_xlabel(name)
axes[0].legend(frameon=False)

# %%
# **What do the worst ones look like?**

worst = np.argsort(-finder.scores_)[:10]
fig, axes = plt.subplots(1, 10, figsize=(9, 1.4), layout="constrained")
for ax, i in zip(axes, worst, strict=True):
    ax.imshow(digits.X[order[i]].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{y[i]}, not {finder.suggested_[i]}?", fontsize=8)
    ax.axis("off")

# %%
# **Did it pay?**  Only on digits with right labels can that be seen without doubt.  The penalty is
# tuned for every line.  Nobody could drop exactly the broken labels.

marked = finder.issues_["is_issue"].to_numpy()
harmful = np.argsort(-model.gradient_)[: marked.sum()]
for name, kept in (
    ("all labels as given", np.ones(1200, dtype=bool)),
    ("without those that the margin marks", ~marked),
    ("without as many by derivative", ~np.isin(np.arange(1200), harmful)),
    ("without exactly the broken ones", ~broken),
):
    print(f"{name:38}", DatasetDerivative().fit(X[kept], y[kept]).score(X_test, y_test).round(3))

# %%
# When not to use it
# ------------------
# Where labels are right there is nothing to drop, and dropping rows can only lose some: look at
# ``diagnose`` first, and at the rows before you delete any.
#
# The values are those of a linear head.  If nearest neighbours or trees are far better on your
# features, they describe a model that you would not use; find better features.
#
# And to find wrong labels alone, the margin is enough.  Take the derivative to ask who harms
# others, or what to add from a pool.
