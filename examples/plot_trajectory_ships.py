"""
Do the ships around tell a predictor where a ship will go?
==========================================================

A predictor of ships in New York Harbor looks at the ships around. Is that why it is good? Each cue
of each prediction, the ship's own past and every neighbour, gets the share of the error that it
takes away, and beside it stand neighbours that cannot matter: random ones from elsewhere, and those
who were here at another time.
"""

import matplotlib.pyplot as plt

from makedo import TrajectoryAttributor
from makedo.data import catalog

# %%
# A week of ships comes with the package, a position a minute. The first days are learnt from, the
# last are explained.
tracks = catalog.load("ny_harbor").tracks
first_days, last_days = tracks.select(tracks.step < 3000), tracks.select(tracks.step >= 8000)

# %%
# A ridge regression that looks at the five nearest ships. A function of your own would do as well.
attributor = TrajectoryAttributor(
    "ridge_social", metric="ade", n_samples=1, null="both", max_neighbors=5, stride=45
)
found = attributor.fit(first_days).explain(last_days)
print(found.verdict())
print(*found.sentences(), sep="\n")

# %%
# The values, with 95 % intervals over blocks of time.
summary = found.summary().set_index("quantity")
shown = summary.loc[["past", "neighbors", "neighbors_random", "neighbors_other_time"]]
figure, axes = plt.subplots(figsize=(6, 2.4), layout="constrained")
error = [shown["mean"] - shown["low"], shown["high"] - shown["mean"]]
axes.barh(shown.index, shown["mean"], xerr=error, color="#0072b2")
axes.invert_yaxis()
axes.set_xlabel("what the cue brings, m of ADE")

# %%
# And by how near a neighbour is.
table = found.by_distance()
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for game, part in table.groupby("game"):
    axes.plot(part["distance"], part["mean"], marker="o", label=game)
axes.set(xlabel="distance now, m", ylabel="mean value of a neighbour, m")
axes.legend()

# %%
# When not to use it
# ------------------
# It says what the predictor uses, not what moves ships. Where a predictor never saw a missing
# neighbour in training, it answers for a world that it does not know. And where neighbours of
# another time bring as much, they give the place away: give the predictor the map instead.
