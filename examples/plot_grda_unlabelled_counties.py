"""
Where is the crime rate high, if only the west of a state was surveyed?
=======================================================================

Labels cost money, and often they were collected in one region only. Here the 21 western counties of
North Carolina have labels: was the crime rate of a county and year above the median? The other 69
have the same covariates and no label. Who borders on whom is known.
"""

# %%
# The counties and their borders
# ------------------------------

import matplotlib.pyplot as plt
import numpy as np

from makedo import GRDAClassifier
from makedo.data import catalog

counties = catalog.load("nc_crime")
X = counties.X.assign(county=counties.domain)
west = counties.tasks["west"]
hops = counties.graph.hops(west)
print(f"{counties!r}; the farthest county is {hops.max()} borders away from a label.")

# %%
# Fit: the labels of the other counties are not looked at
# -------------------------------------------------------

model = GRDAClassifier(hidden=32, max_epochs=60)
model.fit(X, counties.y, domain="county", graph=counties.graph, sources=west)
print(model.selection_.round(3).to_string(index=False))
print(f"Chosen on hidden western counties: {model.served_}.")

# %%
# How far does it carry?
# ----------------------
# Now the labels of the others are uncovered.

table = model.evaluate(X, counties.y)
groups = ["1 hop", "2 hops", "3 hops or more"]
fig, ax = plt.subplots(figsize=(6, 3.4))
for name, part in table.groupby("candidate", sort=False):
    mean = part.set_index("group")["mean"].reindex(groups)
    ax.plot(groups, mean, marker="o", label=name, linewidth=3 if name == "served" else 1)
ax.set_ylabel("accuracy, %")
ax.legend(fontsize=7)

targets = table[table["group"] == "targets"].set_index("candidate")["mean"]
print(targets.round(1).to_string())

# %%
# When not to use it
# ------------------
# Read the table above: where a source-only model is as good as everything else, use that; it is
# what the selection then serves. Adaptation needs a rule that changes little by little along the
# graph. The demo (``makedo demo grda``) shows the same with labels in the centre of the state, from
# where nothing is to be gained.

majority = np.mean(counties.y[~np.isin(counties.domain, west)] == "high")
print(f"Always naming the more frequent class: {100 * max(majority, 1 - majority):.1f} %.")
