"""
Which aircraft will come to an airport next week?
=================================================

A recommender answers: which airports for this aircraft?  The other question needs more, since the
aircraft have to be compared with each other, and some fly ten times as often as others, or have
just been put into the hangar.  RIM multiplies what an aircraft will choose by how often it will
fly.

The data come with the package: 328,521 departures of 4,037 aircraft from New York in 2013.
"""

# %%
# Everything before 27 November is learnt from, the week after it is to be foreseen.

import matplotlib.pyplot as plt
import numpy as np

from makedo import RIM
from makedo.data import catalog
from makedo.methods.rim import PersonalRepeat, temporal_split

log = catalog.load("flights").log()
split = temporal_split(log, test_start="2013-11-27", horizon="7D")
model = RIM(PersonalRepeat(scale=52)).fit(split)

# %%
# **The same scores, both ways.**  Airports for two aircraft, and aircraft for Boston.  Scores are
# departures that are expected within the week.

print(model.recommend_items(split.test.user_ids[:2], top_k=3))
print(model.recommend_users(["BOS"], top_k=5))

# %%
# **How often will each fly?**  λ is learnt from times alone: short and long memory, weighed by what
# came in the week before.

rate, flown = model.rate(split.test), split.test.counts(split.horizon)
tenths = np.array_split(np.argsort(rate), 10)
fig, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
ax.plot([rate[t].mean() for t in tenths], [flown[t].mean() for t in tenths], "o-")
ax.axline((0, 0), slope=1, color="0.7", linewidth=1)
ax.set_xlabel("departures expected, by tenths of the aircraft")
ax.set_ylabel("departures that came")

# %%
# **Did it pay?**  Precision of both rankings.  "without λ" is own history alone, "popularity" how
# often an aircraft flew and an airport was flown to.

table = model.evaluate(split, top_k=[5, 20, 50])
fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
titles = {"items": "airports for an aircraft", "users": "aircraft for an airport"}
for ax, (ranking, title) in zip(axes, titles.items(), strict=True):
    for name, part in table[table["ranking"] == ranking].groupby("candidate", sort=False):
        ax.plot(part["top_k"], 100 * part["precision"], "o-", label=name)
    ax.set_title(title)
    ax.set_xlabel("length of the list")
axes[0].set_ylabel("precision, %")
axes[1].legend(frameon=False)
print(table[["ranking", "candidate", "top_k", "precision", "low", "high", "perplexity"]])

# %%
# When not to use it
# ------------------
# For the airports of an aircraft λ changes nothing, on no data: it scales all its scores alike.
#
# The lists name who comes anyway.  If the question is whom a message would bring, this is no
# answer: make an experiment.
#
# And if the times in a log are those of an import, or everybody is equally active, there is nothing
# to learn about when: ``diagnose`` says so.
